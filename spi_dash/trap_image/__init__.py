"""One JPEG from a trap: what its name, its header and its EXIF say, and its two thumbnails. Pure functions on bytes."""

import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import datetime

from spi_dash.clock import LEGACY
from spi_dash.errors import InvalidInput
from spi_dash.trap_image.exif import read_exif
from spi_dash.trap_image.jpeg import Header, read_header, shrink

_FIRST_DAY = datetime(2019, 11, 1)
_NAME = re.compile(r"([0-9a-fA-F]{8})\.([0-9]{4})-([0-9]{2})-([0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})\.jpg")
_NAME_EXPECTED = "<8 hexadecimal digits>.<YYYY-MM-DD_HH-MM-SS in UTC>.jpg"


@dataclass(frozen=True)
class TrapImage:
    """The columns of table `images` that come from the file. Missing readings are None, whatever the device wrote.

    Units: lat, lng in degrees, exchanged where the device exchanged them; alt in m; temp in degrees C; hum in %;
    lum = log10(1e6 / exposure in microseconds); bat in %; but: taken by the button.
    """

    device: str
    datetime: datetime
    md5: str
    device_version: str | None
    width: int
    height: int
    lat: float | None
    lng: float | None
    alt: float | None
    temp: float | None
    hum: float | None
    lum: float | None
    bat: int | None
    but: bool | None


def parse_name(name: str) -> tuple[str, datetime]:
    """Device and moment (naive UTC) from a file name; the device is kept as it is written.

    Raises:
        InvalidInput: any other form, a day that does not exist, or one before the first trap (2019-11-01).
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidInput(f"name: {name[:80]!r} is not {_NAME_EXPECTED}", field="name", expected=_NAME_EXPECTED)
    try:
        taken_at = datetime(*(int(part) for part in match.groups()[1:]))
    except ValueError:
        raise InvalidInput(f"name: {name!r} has no possible date and time", field="name") from None
    if taken_at < _FIRST_DAY:
        raise InvalidInput(f"name: {name!r} is older than the first trap, 2019-11-01", field="name")
    return match[1], taken_at


def file_name(device: str, taken_at: datetime) -> str:
    """The name under which the picture of a device at a moment travels and is kept."""
    return f"{device}.{taken_at.strftime(LEGACY)}.jpg"


def read_trap_image(name: str, data: bytes) -> TrapImage:
    """What the file says, without decoding it. `examine` also proves that the picture is whole.

    Raises:
        InvalidInput, TooLarge, UnsupportedMedia: the name, the file or its EXIF is not a trap's.
    """
    return _read(name, data, read_header(data))


def thumbnails(data: bytes) -> tuple[bytes, bytes]:
    """The picture fitted into 512x384 and 128x96, as JPEGs, aspect kept.

    Raises:
        InvalidInput, TooLarge, UnsupportedMedia: not one whole baseline JPEG.
    """
    return shrink(data, read_header(data))


def examine(name: str, data: bytes) -> tuple[TrapImage, bytes, bytes]:
    """All an upload needs: the file's values, its thumbnail and its mini thumbnail, with one walk and one decode.

    Raises:
        InvalidInput, TooLarge, UnsupportedMedia: as `read_trap_image` and `thumbnails`.
    """
    header = read_header(data)
    image = _read(name, data, header)
    return image, *shrink(data, header)


def looks_swapped(lat: float | None, lng: float | None) -> bool:
    """Latitude and longitude are exchanged for certain: only one of the two ways is on Earth."""
    return lat is not None and lng is not None and abs(lat) > 90 and abs(lng) <= 90


def corrected(lat: float | None, lng: float | None) -> tuple[float | None, float | None]:
    """Latitude and longitude for people: exchanged back where they are certainly swapped."""
    return (lng, lat) if looks_swapped(lat, lng) else (lat, lng)


def _read(name: str, data: bytes, header: Header) -> TrapImage:
    device, taken_at = parse_name(name)
    if header.exif is None:
        raise InvalidInput("EXIF: the file has none; it was not written by a trap, or was edited", field="EXIF")
    return TrapImage(
        device=device,
        datetime=taken_at,
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        width=header.width,
        height=header.height,
        **asdict(read_exif(header.exif)),
    )
