"""The JPEG itself: its header, and thumbnails through its own scaling.

The header is walked here, and the decoder gets only the parts that make the picture: no EXIF, no colour profile and no
second picture of a hostile file ever reaches it. Refused is all that is not one whole baseline JPEG, as traps write.
"""

import io
from dataclasses import dataclass

from PIL import Image

from spi_dash.errors import InvalidInput, SpiError, TooLarge, UnsupportedMedia

MAX_PIXELS = 40_000_000
MAX_BYTES = 32 * 2**20  # 40 megapixels of good quality stay below
THUMBNAIL = (512, 384)
THUMBNAIL_MINI = (128, 96)

_MAX_SIDE = 32_767  # width and height are SMALLINT in the table
_MAX_SEGMENTS = 500  # a trap writes about 10; a file of empty segments would keep the walk busy
_MAX_FILL = 8  # bytes of padding before a marker
_EOI = b"\xff\xd9"
_SOS, _APP1, _APP2 = 0xDA, 0xE1, 0xE2
_KEPT = {0xE0, 0xEE, 0xDB, 0xC4, 0xDD}  # JFIF and Adobe (colour), quantisation, Huffman, restart interval


@dataclass(frozen=True)
class Header:
    """Everything before the first scan."""

    width: int
    height: int
    exif: bytes | None
    segments: tuple[bytes, ...]  # what a decoder needs, markers included
    scan_at: int  # where the entropy-coded data's SOS marker stands


def read_header(data: bytes) -> Header:
    """Walk the segments up to the first scan, keep those that a decoder needs, and refuse what no trap writes.

    Raises:
        InvalidInput, TooLarge, UnsupportedMedia: not one baseline JPEG of an allowed size.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"the picture has {len(data)} bytes, {MAX_BYTES} are allowed", max_bytes=MAX_BYTES)
    if data[:3] != b"\xff\xd8\xff":
        raise UnsupportedMedia("the file is not a JPEG")
    exif, frame, kept, end = None, None, [b"\xff\xd8"], 2
    for _ in range(_MAX_SEGMENTS):
        marker, start, end = _next_segment(data, end)
        body = data[start + 2 : end]
        if marker == _SOS:
            if frame is None or body[:1] != bytes([frame[2]]):
                raise UnsupportedMedia("the JPEG is not a baseline picture in one scan")
            return Header(frame[0], frame[1], exif, tuple(kept), start - 2)
        if marker == _APP1 and exif is None and body.startswith(b"Exif\0\0"):
            exif = body[6:]
        elif marker == _APP2 and body.startswith(b"MPF\0"):
            raise UnsupportedMedia("the file holds several pictures (MPO)")
        elif _is_frame(marker):
            frame = _read_frame(marker, body, frame)
        if marker in _KEPT or _is_frame(marker):
            kept.append(data[start - 2 : end])
    raise InvalidInput(f"the JPEG has more than {_MAX_SEGMENTS} segments before its picture")


def _next_segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Marker, start (of its length) and end of the segment at a position; fill bytes before it are skipped."""
    for _ in range(_MAX_FILL):
        position += data[position : position + 2] == b"\xff\xff"
    start = position + 2  # of the length, which counts itself
    length = int.from_bytes(data[start : start + 2], "big")
    if start + 2 > len(data) or start + length > len(data):
        raise InvalidInput("the JPEG is truncated in its header")
    if data[position] != 0xFF or data[position + 1] < 0xC0 or 0xD0 <= data[position + 1] <= 0xD9 or length < 2:
        raise InvalidInput("the JPEG is broken in its header")
    return data[position + 1], start, start + length


def _is_frame(marker: int) -> bool:
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _read_frame(marker: int, body: bytes, earlier: tuple[int, int, int] | None) -> tuple[int, int, int]:
    """Width, height and number of components from a start-of-frame segment."""
    if marker not in (0xC0, 0xC1):
        raise UnsupportedMedia("the JPEG is progressive, lossless or arithmetic-coded; traps write baseline")
    if earlier is not None:
        raise InvalidInput("the JPEG describes its size twice")
    if len(body) < 6 or body[0] != 8 or body[5] not in (1, 3):
        raise UnsupportedMedia("the JPEG is neither 8-bit colour nor 8-bit grey")
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if not width or not height:
        raise InvalidInput("the JPEG has no size")
    if width * height > MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise TooLarge(f"the picture is {width} x {height}, {MAX_PIXELS} pixels are allowed", max_pixels=MAX_PIXELS)
    return width, height, body[5]


def shrink(data: bytes, header: Header) -> tuple[bytes, bytes]:
    """The picture fitted into 512x384 and that into 128x96, as JPEGs.

    Raises:
        InvalidInput: the picture is truncated, broken, or not the only thing in the file.
    """
    large = _fit(header.width, header.height, THUMBNAIL)
    try:
        picture = _decode(data, header, large)
    except SpiError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        what = "truncated" if "truncated" in str(error) else "broken"
        raise InvalidInput(f"the picture is {what}") from None
    # The JPEG's own scaling did most of the way and is sharp: bicubic costs 1.3 ms more and is not seen after encoding.
    picture = picture.resize(large, Image.Resampling.HAMMING)
    mini = picture.resize(_fit(*large, THUMBNAIL_MINI), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _encode(picture), _encode(mini)


def _decode(data: bytes, header: Header, at_least: tuple[int, int]) -> Image.Image:
    """Decode at the smallest of the JPEG's own scales (1, 1/2, 1/4, 1/8) that is not below a size, to the last byte."""
    scan = memoryview(data)[header.scan_at :]
    stream = io.BytesIO(b"".join([*header.segments, scan]))
    picture = Image.open(stream, formats=("JPEG",))
    picture.draft(None, at_least)
    picture.load()
    # The decoder stops at the first end marker, having read at most one block of 64 kB past it.
    read = stream.tell() - sum(map(len, header.segments))
    end = data.find(_EOI, header.scan_at + max(0, read - 2 * picture.decodermaxblock))
    if end < 0 or data[end + 2 :].strip(b"\0"):
        raise InvalidInput("the file goes on after the end of its picture")
    if _ends_in_grey(picture):
        raise InvalidInput("the picture is truncated: its lower part is missing")
    return picture


def _ends_in_grey(picture: Image.Image) -> bool:
    """The last row is the grey (128) with which the decoder fills rows that have no data, and the first is not."""
    width, height = picture.size
    first, last = (picture.crop((0, y, width, y + 1)).convert("RGB").getextrema() for y in (0, height - 1))
    return last == ((128, 128),) * 3 != first


def _fit(width: int, height: int, box: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same aspect within a box; a smaller picture keeps its size."""
    scale = min(box[0] / width, box[1] / height, 1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _encode(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG")  # default quality, as the existing server: 75
    return stream.getvalue()
