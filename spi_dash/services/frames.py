"""Single frames: thumbnails in strips, a frame with its outlines, what is new on it."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from PIL import Image as Picture
from sqlalchemy.orm import Session

from ..clock import LEGACY
from ..errors import InvalidInput, NotFound
from ..models import Device, Image, UidAnnotation, User
from ..storage import Storage
from ..trap_image import corrected, looks_swapped
from .images import image_key
from .outlines import find_new
from .rows import MEASURED, SUFFIX, plausible
from .scope import Detector, list_detectors, moment

SIZES = {"mini": "thumbnail-mini", "thumbnail": "thumbnail", "original": "image"}
CELL_PX = (128, 96)
MAX_CELLS = 64
MIN_POINTS = 3  # fewer are no outline


@dataclass(frozen=True)
class Outlines:
    """What an annotation draws: flat lists x, y, x, y in pixels of the original, and what each is called."""

    flat: list[list[int]]
    names: list[str]
    unread: bool  # nothing could be made of the annotation, which is not the same as nothing found


def picture_key(device: str, taken_s: int, size: str) -> str:
    """Where a picture is stored."""
    if size not in SIZES:
        raise NotFound(f"there is no size {size[:20]!r}: it is one of {', '.join(SIZES)}")
    return image_key(device, _moment(device, taken_s)) + SUFFIX[SIZES[size]]


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


def get_frame(session: Session, device: str, taken_s: int, detector_key: str, compare_key: str = "") -> dict[str, Any]:
    """One frame as the viewer shows it. Outlines are flat lists x, y, x, y in pixels of the original.

    `compared` is what a second version of the detector says of it, None unless one is asked for.

    Raises:
        NotFound: no such frame.
    """
    image = session.scalars(_at(device, taken_s)).first()
    if image is None:
        raise NotFound(f"there is no picture of {device} at {_moment(device, taken_s):%Y-%m-%d %H:%M:%S} UTC")
    detector = _detector(session, detector_key)
    annotation = _annotation(session, image.id, detector)
    earlier = sa.select(Image).where(Image.device == device, Image.datetime < image.datetime)
    previous = session.scalars(earlier.order_by(Image.datetime.desc()).limit(1)).first()
    before = _annotation(session, previous.id, detector) if previous is not None else None
    found, earlier = read_outlines(annotation), read_outlines(before)
    known = annotation is not None and before is not None and not found.unread and not earlier.unread
    return {
        "compared": _compare(session, image.id, detector, compare_key),
        **_details(session, image),
        "detector": _made_by(annotation),
        "outlines": found.flat,
        "names": found.names,
        "unread": found.unread,
        "new": find_new(found.flat, earlier.flat) if known else None,
    }


def _compare(session: Session, image_id: int, first: Detector | None, key: str) -> dict[str, Any] | None:
    second = next((each for each in list_detectors(session) if key in (each.key, each.version)), None)
    if second is None or second == first:
        return None
    annotation = _annotation(session, image_id, second)
    return {"version": second.version, "detector": _made_by(annotation), "outlines": read_outlines(annotation).flat}


def read_outlines(annotation: UidAnnotation | None) -> Outlines:
    """The contours of an annotation; those of fewer than three points are no outlines, as are all of an unreadable one.

    Older servers stored whatever came.
    """
    try:
        elements = json.loads(annotation.json)["annotations"] if annotation is not None and annotation.json else []
        named = [(_flatten(each.get("contour", [])), str(each.get("name", ""))) for each in elements]
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
        return Outlines([], [], unread=True)
    drawn = [(flat, name) for flat, name in named if len(flat) >= 2 * MIN_POINTS]
    return Outlines([flat for flat, _ in drawn], [name for _, name in drawn], unread=False)


def _flatten(contour: Sequence[Sequence]) -> list[int]:
    return [round(value) for ((x, y),) in contour for value in (x, y)]


def _moment(device: str, taken_s: int) -> datetime:
    try:
        return moment(taken_s)
    except OverflowError:  # after the year 9999
        raise NotFound(f"there is no picture of {device} at {taken_s} s") from None


def _at(device: str, taken_s: int) -> sa.Select:
    return sa.select(Image).where(Image.device == device, Image.datetime == _moment(device, taken_s))


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
    trap = session.scalar(sa.select(Device.name).where(Device.device == image.device))
    return {
        "device": image.device, "trap": trap or "", "id": f"{image.device}.{image.datetime.strftime(LEGACY)}",
        "width": image.width, "height": image.height, "md5": image.md5, "camera": image.device_version,
        "temp": values.temp, "hum": values.hum, "lum": values.lum, "bat": values.bat, "button": image.but,
        "lat": lat, "lng": lng, "alt": values.alt, "swapped": looks_swapped(values.lat, values.lng),
        "uploader": uploader, "uploaded": f"{image.datetime_created:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip
