"""Single frames: thumbnails in strips, a frame with its outlines, its neighbours, what is new on it."""

import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
import sqlalchemy as sa
from PIL import Image as Picture
from sqlalchemy.orm import Session

from ..clock import LEGACY
from ..errors import InvalidInput, NotFound
from ..models import Image, UidAnnotation, User
from ..storage import Storage
from ..trap_image import corrected, looks_swapped
from .images import image_key
from .rollups import unix_time
from .rows import MEASURED, SUFFIX, plausible
from .scope import Detector, list_detectors, moment

SIZES = {"mini": "thumbnail-mini", "thumbnail": "thumbnail", "original": "image"}
CELL_PX = (128, 96)
MAX_CELLS = 64
FRAMES_PER_WINDOW = 1000
MIN_POINTS = 3  # fewer are no outline
SAME_OVERLAP = 0.15  # of the smaller outline: insects on glue hardly move, their outlines wander with the light


def picture_key(device: str, taken_s: int, size: str) -> str:
    """Where a picture is stored."""
    if size not in SIZES:
        raise NotFound(f"there is no size {size[:20]!r}: it is one of {', '.join(SIZES)}")
    return image_key(device, moment(taken_s)) + SUFFIX[SIZES[size]]


def parse_moments(text: str) -> list[int]:
    """UNIX seconds from base 36, joined by dots."""
    try:
        moments = [int(part, 36) for part in text.split(".")]
    except ValueError:
        raise InvalidInput("the list of moments cannot be read", field="moments") from None
    if not 0 < len(moments) <= MAX_CELLS or not all(0 < each < 2**33 for each in moments):
        raise InvalidInput(f"a strip has 1 to {MAX_CELLS} frames", field="moments")
    return moments


def draw_strip(storage: Storage, device: str, moments: Sequence[int]) -> bytes:
    """The smallest thumbnails side by side as one JPEG; grey where the picture's file is missing."""
    width, height = CELL_PX
    strip = Picture.new("RGB", (width * len(moments), height), (134, 142, 150))
    for index, taken_s in enumerate(moments):
        try:
            data = storage.get(picture_key(device, taken_s, "mini"))
        except NotFound:
            continue
        with Picture.open(io.BytesIO(data)) as cell:
            strip.paste(cell.convert("RGB"), (width * index, 0))
    file = io.BytesIO()
    strip.save(file, "JPEG", quality=80)
    return file.getvalue()


def list_moments(session: Session, device: str, around: str) -> dict[str, Any]:
    """Up to FRAMES_PER_WINDOW frames on either side of a moment, in order, and whether there are more."""
    try:
        middle = moment(int(around))
    except (ValueError, OverflowError):
        raise InvalidInput("`around` is a UNIX time", field="around") from None
    second = unix_time(Image.datetime)
    mine = sa.select(second).where(Image.device == device).limit(FRAMES_PER_WINDOW)
    before = session.scalars(mine.where(Image.datetime < middle).order_by(Image.datetime.desc())).all()
    after = session.scalars(mine.where(Image.datetime >= middle).order_by(Image.datetime)).all()
    ends = sa.select(sa.func.min(second), sa.func.max(second)).where(Image.device == device)
    first_s, last_s = session.execute(ends).one()
    return {"device": device, "moments": [*reversed(before), *after], "first": first_s, "last": last_s}


def get_frame(session: Session, device: str, taken_s: int, detector_key: str, compare_key: str = "") -> dict[str, Any]:
    """One frame as the viewer shows it. Outlines are flat lists x, y, x, y in pixels of the original.

    `compared` is what a second version of the detector says of it, None unless one is asked for.

    Raises:
        NotFound: no such frame.
    """
    image = session.scalars(_at(device, taken_s)).first()
    if image is None:
        raise NotFound(f"there is no picture of {device} at {moment(taken_s):%Y-%m-%d %H:%M:%S} UTC")
    detector = _detector(session, detector_key)
    annotation = _annotation(session, image.id, detector)
    earlier = sa.select(Image).where(Image.device == device, Image.datetime < image.datetime)
    previous = session.scalars(earlier.order_by(Image.datetime.desc()).limit(1)).first()
    before = _annotation(session, previous.id, detector) if previous is not None else None
    outlines = read_outlines(annotation)
    known = annotation is not None and before is not None
    return {
        "compared": _compare(session, image.id, detector, compare_key),
        **_details(session, image),
        "detector": _made_by(annotation),
        "outlines": outlines,
        "names": [each.get("name", "") for each in _elements(annotation) if len(each.get("contour", [])) >= MIN_POINTS],
        "new": find_new(outlines, read_outlines(before)) if known else None,
    }


def _compare(session: Session, image_id: int, first: Detector | None, key: str) -> dict[str, Any] | None:
    second = next((each for each in list_detectors(session) if key in (each.key, each.version)), None)
    if second is None or second == first:
        return None
    annotation = _annotation(session, image_id, second)
    outlines = read_outlines(annotation)
    return {"version": second.version, "detector": _made_by(annotation), "outlines": outlines}


def find_new(outlines: Sequence[Sequence[int]], earlier: Sequence[Sequence[int]]) -> list[int]:
    """Indexes of the outlines that share less than SAME_OVERLAP of their area with each of the earlier ones.

    The share is of the smaller of two outlines: one insect is often outlined in parts, and parts grow together.
    """
    if not outlines or not earlier:
        return list(range(len(outlines)))
    now, then = _shapes(outlines), _shapes(earlier)
    mine, theirs = shapely.STRtree(then).query(now, predicate="intersects")
    shared = shapely.area(shapely.intersection(now[mine], then[theirs]))
    smaller = np.minimum(shapely.area(now[mine]), shapely.area(then[theirs]))
    known = mine[shared >= SAME_OVERLAP * smaller]
    return np.setdiff1d(np.arange(len(outlines)), known).tolist()


def read_outlines(annotation: UidAnnotation | None) -> list[list[int]]:
    """The contours of an annotation, flat; those of fewer than three points are no outlines."""
    contours = [each.get("contour", []) for each in _elements(annotation)]
    return [[int(v) for point in contour for v in point[0]] for contour in contours if len(contour) >= MIN_POINTS]


def _elements(annotation: UidAnnotation | None) -> list[dict]:
    return json.loads(annotation.json).get("annotations", []) if annotation is not None and annotation.json else []


def _shapes(outlines: Sequence[Sequence[int]]) -> np.ndarray:
    """Valid polygons that cover their outlines, also where these cross themselves; points and lines get a width."""
    rings = [shapely.linearrings(np.array(each, float).reshape(-1, 2)) for each in outlines]
    shapes = shapely.make_valid(shapely.polygons(rings))
    flat = shapely.area(shapes) < 1
    shapes[flat] = shapely.buffer(shapes[flat], 1)
    return shapes


def _at(device: str, taken_s: int) -> sa.Select:
    return sa.select(Image).where(Image.device == device, Image.datetime == moment(taken_s))


def _detector(session: Session, key: str) -> Detector | None:
    known = list_detectors(session)
    return next((each for each in known if each.key == key), known[0] if known else None)


def _annotation(session: Session, image_id: int, detector: Detector | None) -> UidAnnotation | None:
    if detector is None:
        return None
    mine = {"parent_image_id": image_id, "algo_name": detector.name, "algo_version": detector.version}
    return session.scalars(sa.select(UidAnnotation).filter_by(**mine)).first()


def _made_by(annotation: UidAnnotation | None) -> dict[str, Any] | None:
    if annotation is None:
        return None
    made_at = f"{annotation.datetime_created:%Y-%m-%dT%H:%M:%SZ}"
    return {"name": annotation.algo_name, "version": annotation.algo_version, "at": made_at}


def _details(session: Session, image: Image) -> dict[str, Any]:
    measured = sa.select(*(plausible(name).label(name) for name in MEASURED)).where(Image.id == image.id)
    values = session.execute(measured).one()
    lat, lng = corrected(values.lat, values.lng)
    uploader = session.scalar(sa.select(User.username).where(User.id == image.api_user_id))
    return {
        "device": image.device, "id": f"{image.device}.{image.datetime.strftime(LEGACY)}",
        "width": image.width, "height": image.height, "md5": image.md5, "camera": image.device_version,
        "temp": values.temp, "hum": values.hum, "lum": values.lum, "bat": values.bat, "button": image.but,
        "lat": lat, "lng": lng, "alt": values.alt, "swapped": looks_swapped(values.lat, values.lng),
        "uploader": uploader, "uploaded": f"{image.datetime_created:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
