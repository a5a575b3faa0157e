"""Files behind links: downloads that are whole or not there, uploads that need little memory, and checksums."""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO

from urllib3.fields import RequestField

from ..errors import SpiError, Unavailable
from .transport import Transport

CHUNK_BYTES = 1 << 20
PART, LEFTOVER_S = ".part", 3600  # how a file is called until it is whole, and when nobody writes to it any more
PART_BYTES = {"etag_8m": 8 << 20, "etag_15m": 15 << 20}  # of the clients of 2021 and the newest


@dataclass(frozen=True)
class Checksums:
    """The plain md5 of a file and what S3 calls its ETag, for both sizes of parts that clients have used."""

    size: int
    md5: str
    etag_8m: str
    etag_15m: str

    def match(self, checksum: str) -> bool:
        return checksum.strip('"').lower() in (self.md5, self.etag_8m, self.etag_15m)


class ChecksumWriter:
    """Computes the checksums of a file while it passes by."""

    def __init__(self) -> None:
        self._size = 0
        self._md5 = _md5()
        self._parts = {name: _PartDigest(size) for name, size in PART_BYTES.items()}

    def write(self, data: bytes) -> None:
        self._size += len(data)
        self._md5.update(data)
        for part in self._parts.values():
            part.write(data)

    def result(self) -> Checksums:
        etags = {name: part.etag() if self._size else "" for name, part in self._parts.items()}
        return Checksums(self._size, self._md5.hexdigest(), **etags)


class _PartDigest:
    """Multipart ETag: the md5 of one part, or the md5 of the parts' md5s and how many they are."""

    def __init__(self, part_bytes: int) -> None:
        self._part_bytes = self._room = part_bytes
        self._part = _md5()
        self._digests: list[bytes] = []

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not self._room:
                self._digests.append(self._part.digest())
                self._part, self._room = _md5(), self._part_bytes
            piece = view[: self._room]
            self._part.update(piece)
            self._room -= len(piece)
            view = view[len(piece) :]

    def etag(self) -> str:
        if not self._digests:
            return self._part.hexdigest()
        digests = [*self._digests, self._part.digest()]
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def checksums_of(path: Path) -> Checksums:
    """Checksums of a local file, read once."""
    writer = ChecksumWriter()
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            writer.write(data)
    return writer.result()


def download(
    transport: Transport, url: str, path: Path, md5: str | None = None, stop: threading.Event | None = None
) -> int:
    """Store what a link leads to; the file appears under its name when it is complete, and right if `md5` is given.

    Args:
        stop: set by anybody, ends the download.

    Returns:
        The size in bytes.

    Raises:
        Unavailable: it did not arrive whole.
        SpiError: it cannot be had.
        InterruptedError: `stop` was set.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        size = transport.repeat(
            lambda: _receive(transport, url, part, md5, stop or threading.Event()), "the server of the file", stop=stop
        )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return size


def sweep(folder: Path) -> None:
    """Remove what downloads have left in a folder that were killed; those under way are younger."""
    for path in folder.glob(f".*{PART}"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - LEFTOVER_S:
                path.unlink()


def fetch(transport: Transport, url: str, md5: str | None = None) -> bytes:
    """What a link leads to, in memory; checked if `md5` is given."""

    def attempt() -> bytes:
        with transport.stream("GET", url) as answer:
            data = answer.content
        if md5 is not None and _md5(data).hexdigest() != md5:
            raise Unavailable("the file arrived damaged: its md5 is another", url=url)
        return data

    return transport.repeat(attempt, "the server of the file")


def is_same(path: Path, md5: str | None) -> bool:
    """Whether a file is there, and right if `md5` is given."""
    try:
        with path.open("rb") as file:
            return md5 is None or file_digest(file, _md5).hexdigest() == md5
    except (FileNotFoundError, IsADirectoryError):
        return False


def post_form(transport: Transport, url: str, fields: Mapping[str, str], path: Path) -> None:
    """Upload a file through a form that the server has signed (an S3 presigned POST)."""

    def attempt() -> None:
        with path.open("rb") as file:
            body = _FormBody(fields, file, path.name)
            headers = {"Content-Type": body.content_type, "Content-Length": str(len(body))}
            with transport.stream("POST", url, data=body, headers=headers, allow_redirects=False) as answer:
                if answer.status_code not in (200, 201, 204):
                    raise SpiError(f"the upload of {path.name} was answered with {answer.status_code}")

    transport.repeat(attempt, "the server of the upload")


def _receive(transport: Transport, url: str, path: Path, md5: str | None, stop: threading.Event) -> int:
    # The checksums of S3 cost three times as much: only large files of bundles have one.
    digest = ChecksumWriter() if md5 is not None and "-" in md5 else _md5()
    write = digest.write if isinstance(digest, ChecksumWriter) else digest.update
    size = 0
    _check(stop)
    with transport.stream("GET", url) as answer, path.open("wb") as file:
        for data in answer.iter_content(CHUNK_BYTES):
            _check(stop)
            file.write(data)
            write(data)
            size += len(data)
        file.flush()
        os.fsync(file.fileno())
    if md5 is not None and not _is(digest, md5):
        raise Unavailable("the file arrived damaged: its md5 is another", url=url)
    return size


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise InterruptedError("the download was stopped")


def _is(digest: "ChecksumWriter | hashlib._Hash", md5: str) -> bool:
    if isinstance(digest, ChecksumWriter):
        return digest.result().match(md5)
    return digest.hexdigest() == md5.strip('"').lower()


class _FormBody:
    """A multipart body that reads its file while it is sent; requests takes its length from `__len__`."""

    def __init__(self, fields: Mapping[str, str], file: BinaryIO, name: str) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        parts = [_part_head(RequestField(key, value)) + value.encode() + b"\r\n" for key, value in fields.items()]
        head = _part_head(RequestField("file", b"", filename=name), "application/octet-stream")
        between = f"--{boundary}\r\n".encode()
        self._head = b"".join(between + part for part in [*parts, head])
        self._file, self._tail = file, f"\r\n--{boundary}--\r\n".encode()
        self._length = len(self._head) + os.fstat(file.fileno()).st_size + len(self._tail)

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        if self._head:
            data, self._head = self._head, b""
            return data
        if data := self._file.read(size):
            return data
        data, self._tail = self._tail, b""
        return data


def _part_head(field: RequestField, content_type: str | None = None) -> bytes:
    field.make_multipart(content_type=content_type)
    return field.render_headers().encode()


def md5_of(data: bytes) -> str:
    """The md5 of bytes, in hex."""
    return _md5(data).hexdigest()


def _md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)
