"""Annotations of one detector version as COCO JSON, in pieces: images first, then outlines, then what they are called.

Only pictures that the detector has looked at are in it: a picture without outlines is one without insects.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..clock import ISO, LEGACY
from ..errors import NotFound
from ..models import Image, UidAnnotation
from .export_csv import wait_for_slow_readers
from .export_query import View, select_images
from .scope import Scope, utc_text

IMAGES_PER_PIECE, ANNOTATIONS_PER_PIECE = 1000, 20  # an image may have a thousand outlines
MIN_POINTS = 3  # fewer are no polygon
LICENSE = {"id": 1, "name": "Not stated. Ask the lab that runs this server before you publish or share.", "url": ""}
ORDER = (Image.device, Image.datetime, Image.id)


def write_coco(session: Session, scope: Scope, view: View, now: datetime) -> Iterator[bytes]:
    """One JSON object in pieces; no more than a piece is in memory.

    Raises:
        NotFound: no detector has looked at any picture.
    """
    if scope.detector is None:
        raise NotFound("no detector has looked at these pictures yet: there are no annotations to download")
    wait_for_slow_readers(session)
    newest = session.scalar(sa.select(sa.func.max(UidAnnotation.id))) or 0  # what comes in meanwhile is left out
    yield b'{"info":' + orjson.dumps(_info(scope, now)) + b',"licenses":' + orjson.dumps([LICENSE])
    yield from _list("images", _images(session, scope, view, newest))
    categories: dict[str, int] = {}
    yield from _list("annotations", _annotations(session, scope, view, newest, categories))
    named = [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]
    yield b',"categories":' + orjson.dumps(named or [{"id": 1, "name": "insect", "supercategory": ""}]) + b"}\n"


def outline_of(element: dict[str, Any]) -> dict[str, Any] | None:
    """Polygon, box [x, y, width, height], area in square pixels, and score where there is one; None for less than
    a polygon."""
    points = [point[0] for point in element.get("contour", [])]
    if len(points) < MIN_POINTS:
        return None
    xs, ys = [x for x, _ in points], [y for _, y in points]
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    twice = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)
    outline: dict[str, Any] = {
        "segmentation": [[value for point in points for value in point]],
        "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "area": abs(twice) / 2,
        "iscrowd": 0,
    }
    score = element.get("score")
    if isinstance(score, int | float) and not isinstance(score, bool):
        outline["score"] = score
    return outline


def _images(session: Session, scope: Scope, view: View, newest: int) -> Iterator[bytes]:
    columns = (Image.id, Image.device, Image.datetime, Image.width, Image.height, Image.md5, UidAnnotation.n_objects)
    for rows in _partitions(session, scope, view, newest, columns, IMAGES_PER_PIECE):
        yield b",".join(orjson.dumps(_image(*row)) for row in rows)


def _image(
    image_id: int, device: str, taken_at: datetime, width: int, height: int, md5: str, n_objects: int
) -> dict[str, Any]:
    return {
        "id": image_id,
        "file_name": f"{device}.{taken_at.strftime(LEGACY)}.jpg",
        "width": width,
        "height": height,
        "date_captured": taken_at.strftime(ISO),
        "license": LICENSE["id"],
        "device": device,
        "md5": md5,
        "insects": n_objects,
    }


def _annotations(
    session: Session, scope: Scope, view: View, newest: int, categories: dict[str, int]
) -> Iterator[bytes]:
    number = 0
    columns = (Image.id, UidAnnotation.json)
    for rows in _partitions(session, scope, view, newest, columns, ANNOTATIONS_PER_PIECE):
        piece = []
        for image_id, text in rows:
            for name, outline in _read_outlines(text):
                number += 1
                category = categories.setdefault(name, len(categories) + 1)
                piece.append(orjson.dumps({"id": number, "image_id": image_id, "category_id": category, **outline}))
        if piece:
            yield b",".join(piece)


def _read_outlines(text: str | None) -> list[tuple[str, dict[str, Any]]]:
    """The class and outline of each insect; none where the text cannot be read: older servers stored whatever came."""
    try:
        elements = orjson.loads(text or "{}").get("annotations", [])
        found = [(str(each.get("name") or "annotation"), outline_of(each)) for each in elements]
    except (ValueError, TypeError, LookupError, AttributeError):
        return []
    return [(name, outline) for name, outline in found if outline is not None]


def _partitions(session: Session, scope: Scope, view: View, newest: int, columns: tuple, size: int) -> Iterator[Any]:
    query = select_images(scope, view, columns, {"detector"})
    looked_at = query.where(UidAnnotation.id <= newest).order_by(*ORDER)
    yield from session.execute(looked_at.execution_options(yield_per=size)).partitions()


def _list(name: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    before = f',"{name}":['.encode()
    for piece in pieces:
        yield before + piece
        before = b","
    yield b"]" if before == b"," else before + b"]"


def _info(scope: Scope, now: datetime) -> dict[str, Any]:
    assert scope.detector is not None
    return {
        "description": "Insects outlined on pictures of sticky traps. Pictures that the detector has not looked at "
        "are not in this file; outlines of fewer than three points are left out.",
        "version": "1.0",
        "year": now.year,
        "contributor": "",
        "url": "",
        "date_created": now.strftime(ISO),
        "detector": {"name": scope.detector.name, "version": scope.detector.version},
        "start": utc_text(scope.start_s),
        "end": utc_text(scope.end_s),
        "devices": [info.device for info in scope.devices],
        **({"project": scope.project.name} if scope.project else {}),
    }
