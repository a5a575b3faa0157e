"""What a trap writes into EXIF, in its three forms (2020 and 2021: a dictionary in `Make`; 2022: `UserComment`).

Only the two tags that matter are read, with a reader of our own: bounded, silent, and the same whatever else is broken.
Devices write numbers where they have no reading (-300, -1, 0); here they become None, and only here.
"""

import ast
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from spi_dash.errors import InvalidInput

_MAKE, _EXIF_IFD, _USER_COMMENT = 271, 34665, 37510
_BYTES, _LONG = (1, 2, 7), 4  # EXIF types: BYTE, ASCII and UNDEFINED; LONG
_MAX_TEXT = 2_000  # a dictionary of a trap has 250 characters
_TAG_FULL = 126  # firmware prints the tag into 128 bytes with snprintf: text of this length may be cut
_HEADERS = {"v": "device_version", "T": "temp", "H": "hum", "B": "bat", "L": "lum", "a": "alt", "b": "but"}
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOISE = 1e-3  # degrees, % or C: below this a 0 is meant; some devices write 1e-6


@dataclass(frozen=True)
class Readings:
    """What the sensors said; None where they said nothing. Units: see TrapImage."""

    device_version: str | None
    lat: float | None
    lng: float | None
    alt: float | None
    temp: float | None
    hum: float | None
    lum: float | None
    bat: int | None
    but: bool | None


def read_exif(exif: bytes) -> Readings:
    """The readings in an EXIF block (from its TIFF header on), in whichever of the three forms it is written.

    Raises:
        InvalidInput: the block is broken, or neither tag holds a form that traps write.

    Source: the wire contract, section 5.
    """
    make, comment = _read_tags(exif)
    if make is None:
        raise InvalidInput("EXIF: the tag Make is missing; traps always write it", field="EXIF.Make")
    text = make.split(b"\0")[0].decode("latin-1").strip()
    if text.startswith("{"):
        return _clean(_read_dictionary(text))
    if comment is None:
        raise InvalidInput("EXIF: the tag UserComment is missing; traps always write it", field="EXIF.UserComment")
    return _clean(_read_table(_decode_comment(comment)))


def _read_tags(exif: bytes) -> tuple[bytes | None, bytes | None]:
    """The raw values of Make and UserComment."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        raise InvalidInput("EXIF: the block is broken", field="EXIF")
    try:
        tags = _read_directory(exif, order, struct.unpack_from(order + "I", exif, 4)[0])
        if isinstance(tags.get(_EXIF_IFD), int):
            tags |= {_USER_COMMENT: None} | _read_directory(exif, order, tags[_EXIF_IFD])
    except struct.error:
        raise InvalidInput("EXIF: the block is truncated", field="EXIF") from None
    return tags.get(_MAKE), tags.get(_USER_COMMENT)


def _read_directory(exif: bytes, order: str, offset: int) -> dict[int, Any]:
    """The wanted tags of one directory: bytes, or an offset."""
    found: dict[int, Any] = {}
    (count,) = struct.unpack_from(order + "H", exif, offset)
    for at in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind, size, value = struct.unpack_from(order + "HHII", exif, at)
        if tag == _EXIF_IFD and kind == _LONG:
            found.setdefault(tag, value)
        elif tag in (_MAKE, _USER_COMMENT) and kind in _BYTES:
            start = value if size > 4 else at + 8  # four bytes or fewer stand in place of the offset
            found.setdefault(tag, struct.unpack_from(f"{size}s", exif, start)[0])
    return found


def _read_dictionary(text: str) -> dict[str, Any]:
    """Forms A and B: a Python literal."""
    try:
        values = ast.literal_eval(text) if len(text) <= _MAX_TEXT else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InvalidInput("EXIF: the tag Make holds a broken dictionary", field="EXIF.Make")
    wanted = ("device_version", "lat", "lng", "alt", "temp", "hum")
    return {name: values.get(name) for name in wanted}


def _decode_comment(raw: bytes) -> str:
    """Text of a UserComment: traps leave out the 8-byte name of the character set, other software puts it in."""
    if raw.startswith(b"UNICODE\0"):
        body = raw[8:]
        return body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", "replace").rstrip("\0")
    body = raw[8:] if raw.startswith((b"ASCII\0\0\0", b"\0" * 8)) else raw
    return body.split(b"\0")[0].decode("latin-1")


def _read_table(text: str) -> dict[str, Any]:
    """Form C: a line of column names and a line of values. A last value that may be cut is left out."""
    names, _, rest = text.strip().partition("\n")
    columns = [_HEADERS.get(name.strip(), name.strip()) for name in names.split(",")]
    fields = [field.strip() for field in rest.split("\n")[0].split(",")]
    if not any(fields) or not set(columns) & {*_HEADERS.values(), "lat", "lng"}:
        expected = "v,T,H,B,L,lat,lng,a,l,b and a line of values"
        raise InvalidInput(f"EXIF: the tag UserComment is not {expected}", field="EXIF.UserComment", expected=expected)
    cut = len(fields) < len(columns) or len(text) >= _TAG_FULL
    if cut and not (len(fields) == len(columns) and columns[-1] == "but"):  # `but` is one character: cut means absent
        fields.pop()
    return dict(zip(columns, fields, strict=False))


def _clean(raw: dict[str, Any]) -> Readings:
    """Values that mean "no reading" become None; the rest is kept as the device wrote it."""
    version = str(raw.get("device_version") or "")
    battery = _number(raw.get("bat"), 0, 100)  # -1: unread
    light = _number(raw.get("lum"), -10, 10)
    lat, lng, alt = _position(raw)
    temp, hum = _weather(raw)
    return Readings(
        device_version=version if re.fullmatch(r"[0-9A-Za-z._+-]{1,8}", version) else None,
        lat=lat,
        lng=lng,
        alt=alt,
        temp=temp,
        hum=hum,
        # Firmware starts `lum` at 0.0 and prints that when nothing was measured. A true 0.00 would be an exposure of
        # 1 s within 1 %, eight times the longest in the field data (0.125 s, lum 0.90): so it means "not measured".
        lum=light if light is not None and abs(light) >= 0.005 else None,
        bat=None if battery is None else round(battery),
        but={"0": False, "1": True}.get(str(raw.get("but"))),
    )


def _position(raw: dict[str, Any]) -> tuple[float | None, float | None, float | None]:
    """Latitude, longitude, altitude. Without a fix devices write 0, 0, 0; half a position is none."""
    lat, lng = _number(raw.get("lat"), -180, 180), _number(raw.get("lng"), -180, 180)
    if lat is None or lng is None or min(abs(lat), abs(lng)) > 90 or max(abs(lat), abs(lng)) < _NOISE:
        return None, None, None
    return lat, lng, _number(raw.get("alt"), -1_000, 10_000)


def _weather(raw: dict[str, Any]) -> tuple[float | None, float | None]:
    """Temperature and humidity. -300 and -1 are unread, and so is 0 unless the other reading vouches for it.

    Firmware of 2022 with a dead sensor writes -300 with either -1 or 0; 0.0 degrees at 80 % is a cold morning.
    """
    temp, hum = _number(raw.get("temp"), -50, 150), _number(raw.get("hum"), 0, 100)
    no_temp, no_hum = temp is None or abs(temp) < _NOISE, hum is None or abs(hum) < _NOISE
    if no_temp and no_hum:
        return None, None
    return temp, hum


def _number(value: Any, low: float, high: float) -> float | None:
    """A finite number within bounds; None for all else, text that is not wholly a number included."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        return None
    return float(value) if math.isfinite(value) else None
