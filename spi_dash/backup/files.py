"""Files of a backup: contents by their SHA-256, and an index that says which key had which content."""

import hashlib
import io
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from ..errors import InvalidInput, NotFound, Unavailable
from ..storage import FileInfo, Storage
from .manifest import Manifest
from .rows import unpack
from .target import OBJECTS, Target, object_path

THREADS, AHEAD = 8, 64
IN_MEMORY_BYTES = 8 << 20  # larger files are read twice: for their checksum, and to copy them
CHUNK_BYTES = 1 << 20
ATTEMPTS = 3  # at a file that changes while it is read

T, R = TypeVar("T"), TypeVar("R")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a backup; `etag` is that of the storage it came from."""

    key: str
    size: int
    etag: str
    sha256: str

    def row(self) -> list[Any]:
        return [self.key, self.size, self.etag, self.sha256]


class Objects:
    """The contents that a target has, with their sizes; SQLite keeps them in a file, there may be millions."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._rows.execute("CREATE TABLE objects (sha256 TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID")
        self._rows.execute("BEGIN")

    def add(self, sha256: str, size: int) -> bool:
        """False if it was there."""
        return bool(self._rows.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (sha256, size)).rowcount)

    def size_of(self, sha256: str) -> int | None:
        row = self._rows.execute("SELECT size FROM objects WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        self._rows.close()


@contextmanager
def objects_of(target: Target) -> Iterator[Objects]:
    """What lies in a target now."""
    with closing(Objects()) as objects:
        for info in list_objects(target):
            objects.add(info.key.rpartition("/")[2], info.size)
        yield objects


def list_objects(target: Target) -> Iterator[FileInfo]:
    return target.storage.list(f"{target.prefix}{OBJECTS}/")


def read_index(target: Target, name: str, manifest: Manifest) -> Iterator[Entry]:
    """The files of a backup in the order of their keys; none if they were not asked for."""
    if manifest.files is None:
        return
    with closing(target.open(f"{name}/{manifest.files.path}")) as file:
        for row in unpack(file):
            yield Entry(*row)


def copy_files(
    source: Storage, target: Target, objects: Objects, previous: Iterable[Entry], tick: Callable[[int], None]
) -> Iterator[Entry]:
    """Copy every file of the source that the target does not have; yields all of them, in the order of their keys.

    Files that are deleted meanwhile are left out.
    """
    ours = target.shared_prefix
    infos = (info for info in source.list("") if ours is None or not info.key.startswith(ours))

    def copy(pair: tuple[FileInfo, Entry | None]) -> Entry | None:
        info, known = pair
        if known is not None and (known.size, known.etag) == (info.size, info.etag):
            return Entry(info.key, known.size, known.etag, known.sha256)
        return _copy_one(source, target, info)

    def with_known() -> Iterator[tuple[FileInfo, Entry | None]]:
        for info, known in _merged(infos, iter(previous)):
            is_there = known is not None and objects.size_of(known.sha256) == known.size
            yield info, known if is_there else None

    for entry in ahead(copy, with_known()):
        if entry is not None:
            tick(1)
            yield entry


def ahead(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Results in order, worked on by several threads, a bounded number at a time."""
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="backup") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def checksum(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size of what is left of a file."""
    found, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        found.update(chunk)
        size += len(chunk)
    return found.hexdigest(), size


class Verified(io.RawIOBase):
    """A file that fails at its end when it was not the one that was meant: then nothing of it is stored."""

    def __init__(self, file: BinaryIO, sha256: str, what: str) -> None:
        self._file, self._wanted, self._what = file, sha256, what
        self._found = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        self._found.update(data)
        if not data and self._found.hexdigest() != self._wanted:
            raise InvalidInput(f"{self._what} is damaged: its checksum is another")
        buffer[: len(data)] = data
        return len(data)


def _copy_one(source: Storage, target: Target, info: FileInfo) -> Entry | None:
    for _ in range(ATTEMPTS):
        try:
            return _copy_as_it_is(source, target, info)
        except NotFound:
            return None
        except InvalidInput:  # it was replaced between the two times that we read it
            try:
                info = source.stat(info.key)
            except NotFound:
                return None
    raise Unavailable(f"{info.key} keeps changing while it is copied", key=info.key)


def _copy_as_it_is(source: Storage, target: Target, info: FileInfo) -> Entry:
    if info.size <= IN_MEMORY_BYTES:
        data = source.get(info.key)
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
        if not _is_there(target, sha256, size):
            target.storage.put(target.prefix + object_path(sha256), data)
        return Entry(info.key, size, info.etag, sha256)
    with closing(source.open(info.key)) as file:
        sha256, size = checksum(file)
    if not _is_there(target, sha256, size):
        with closing(source.open(info.key)) as file:
            verified: Any = Verified(file, sha256, info.key)
            target.storage.put_file(target.prefix + object_path(sha256), verified)
    return Entry(info.key, size, info.etag, sha256)


def _is_there(target: Target, sha256: str, size: int) -> bool:
    try:
        return target.storage.stat(target.prefix + object_path(sha256)).size == size
    except NotFound:
        return False


def _merged(infos: Iterable[FileInfo], previous: Iterator[Entry]) -> Iterator[tuple[FileInfo, Entry | None]]:
    """Each file with what the previous backup knew of it; both in the order of their keys' bytes."""
    known = next(previous, None)
    for info in infos:
        key = info.key.encode()
        while known is not None and known.key.encode() < key:
            known = next(previous, None)
        yield info, known if known is not None and known.key == info.key else None
