"""Rows as lines of JSON, compressed on their way: nothing of a table is ever in memory but a few rows."""

import base64
import gzip
import hashlib
import io
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, BinaryIO

import orjson
from isal import isal_zlib

from ..errors import InvalidInput

LEVEL, GZIP_WINDOW = 2, 31
READ_BYTES = 1 << 20
PIECE_BYTES = 1 << 16


class Outgoing(io.RawIOBase):
    """Pieces of bytes as a file to be read, which knows its size and checksum in the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""
        self._hash, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        self._hash.update(taken)
        self.size += len(taken)
        return len(taken)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def pack(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as gzip, in pieces."""
    packer, piece, size = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW), [], 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= PIECE_BYTES:
            yield packer.compress(b"".join(piece))
            piece, size = [], 0
    yield packer.compress(b"".join(piece)) + packer.flush()


def unpack(file: BinaryIO) -> Iterator[list[Any]]:
    """The rows of a file that pack() made.

    Raises:
        InvalidInput: it is damaged.
    """
    try:
        with gzip.GzipFile(fileobj=file) as lines:
            for packed in io.BufferedReader(lines, READ_BYTES):
                yield [_value(each) for each in orjson.loads(packed)]
    except (gzip.BadGzipFile, EOFError, zlib.error, orjson.JSONDecodeError):
        raise InvalidInput("a part of the backup is damaged") from None


def line(row: Sequence[Any]) -> bytes:
    """One row. Everything that a database holds comes back as it was."""
    return orjson.dumps([_plain(value) for value in row], option=orjson.OPT_APPEND_NEWLINE)


def shortest_single(value: float | None) -> float | None:
    """The number with the fewest digits that a column of 32 bits keeps as this one."""
    if value is None or not math.isfinite(value):
        return value
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if struct.pack("f", short) == struct.pack("f", value):
            return short
    return value


def _plain(value: Any) -> Any:
    if value is None or type(value) in (int, str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, Decimal)):
        return str(value)
    if isinstance(value, timedelta):
        return _clock(value)
    raise TypeError(f"a database holds no {type(value).__name__}")


def _clock(value: timedelta) -> str:
    seconds = abs(int(value.total_seconds()))
    sign = "-" if value < timedelta() else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _value(found: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return float(found["float"]) if "float" in found else base64.b64decode(found["base64"])
