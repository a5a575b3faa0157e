"""Files in a folder.

A file is written to `.staging`, synced, renamed to its key, and its folders are synced up to the root: a key shows all
of a file or nothing, and what `publish` has returned for survives a power cut. Folders are synced even when we did not
make them: the one who did may not have come so far. Symbolic links below the root are refused: no key leads out of it.
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from ..errors import ConfigError, Conflict, InvalidInput, NotFound, Unavailable
from .keys import STAGING, check_key, check_prefix, is_key
from .links import DiskLinks, UploadForms
from .protocol import FileInfo, Signer, Staged, Storage

FILE_MODE, FOLDER_MODE = 0o640, 0o750
CHUNK_BYTES = 1 << 20
LEFTOVER_S = 86400  # what lies in the staging folder for a day belongs to a process that has died
RENAME_ATTEMPTS = 20  # a delete may remove a folder between its making and the rename into it


class DiskStorage(Storage):
    """Files below one folder, which belongs to this storage alone; `read_only`: it is there, and stays as it is."""

    def __init__(self, root: Path, secret: bytes, read_only: bool = False) -> None:
        self.uploads = UploadForms(secret)
        self._links = DiskLinks(secret)
        try:
            self.root = root.resolve()
            self._staging = self.root / STAGING
            if read_only:
                return
            self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._staging.mkdir(mode=FOLDER_MODE, exist_ok=True)
            self._sweep(time.time() - LEFTOVER_S)
        except OSError as error:
            raise ConfigError(f"the storage folder {root} cannot be used: {error.strerror}") from error

    def stage(self, key: str, data: bytes) -> Staged:
        return Staged(check_key(key), self._write_temporary(key, [data]))

    def publish(self, staged: Sequence[Staged]) -> None:
        folders: dict[Path, None] = {}
        for each in staged:
            with _writing(each.key):
                target = self._path(each.key)
                self._rename(each.content, target)
                folders.update(dict.fromkeys(self._folders_of(target)))
        with _writing(staged[0].key if staged else ""):
            for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
                _sync_folder(folder)

    def discard(self, staged: Iterable[Staged]) -> None:
        for each in staged:
            with suppress(OSError):
                os.unlink(each.content)

    def put_file(self, key: str, file: BinaryIO) -> None:
        staged = [Staged(check_key(key), self._write_temporary(key, iter(lambda: file.read(CHUNK_BYTES), b"")))]
        try:
            self.publish(staged)
        finally:
            self.discard(staged)

    def get(self, key: str) -> bytes:
        with self.open(key) as file, _reading(key):
            return file.read()

    def open(self, key: str) -> BinaryIO:
        with _reading(key):
            # Without O_NONBLOCK, opening a named pipe that somebody put there would wait for ever.
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        raise NotFound("no such file", key=key)

    def delete(self, keys: Iterable[str]) -> None:
        folders: dict[Path, None] = {}
        for key in keys:
            path = self._path(key)
            with _writing(key), suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
                folders[path.parent] = None
        for folder in folders:
            with _writing(str(folder.relative_to(self.root))):
                _sync_folder(self._remove_empty(folder))

    def stat(self, key: str) -> FileInfo:
        with _reading(key):
            status = os.stat(self._path(key), follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise NotFound("no such file", key=key)
        return _info(key, status)

    def list(self, prefix: str) -> Iterator[FileInfo]:
        folder = check_prefix(prefix).rpartition("/")[0]
        start = self._path(folder) if folder else self.root
        return self._walk(start, f"{folder}/" if folder else "", prefix)

    def signer(self, base_url: str, now: datetime) -> Signer:
        return self._links.signer(base_url, now)

    def verify_link(self, key: str, expires: str, signature: str, now: datetime) -> None:
        self._links.verify(key, expires, signature, now)

    def check(self) -> None:
        """Write and remove a small file, unsynced."""
        probe = self._staging / f"probe-{secrets.token_hex(8)}"
        with _writing("probe"):
            try:
                probe.write_bytes(bytes(4096))
            finally:
                with suppress(OSError):
                    probe.unlink()

    def _path(self, key: str) -> Path:
        path = self.root / check_key(key)
        if os.path.realpath(path.parent) != str(path.parent):
            raise InvalidInput("a folder of this file key is a symbolic link", key=key)
        return path

    def _folders_of(self, path: Path) -> Sequence[Path]:
        """The folders from that of the file up to the root, included."""
        parents = list(path.parents)
        return parents[: parents.index(self.root) + 1]

    def _write_temporary(self, key: str, chunks: Iterable[bytes]) -> Path:
        path = self._staging / secrets.token_hex(16)
        with _writing(key):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            for chunk in chunks:
                with _writing(key):
                    _write_all(descriptor, chunk)
            with _writing(key):
                os.fsync(descriptor)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return path

    def _rename(self, source: Path, target: Path) -> None:
        for _ in range(RENAME_ATTEMPTS):
            try:
                return os.rename(source, target)
            except FileNotFoundError:
                if not source.exists():
                    raise Unavailable("the staged file is gone") from None
                self._make_folders(target)
        raise Unavailable("the folder of the file keeps disappearing")

    def _make_folders(self, path: Path) -> None:
        for folder in reversed(self._folders_of(path)[:-1]):
            with suppress(FileExistsError, FileNotFoundError):
                os.mkdir(folder, FOLDER_MODE)

    def _remove_empty(self, folder: Path) -> Path:
        """Remove this folder and those above it while they are empty; returns the first that stays."""
        while folder != self.root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return folder
            folder = folder.parent
        return folder

    def _walk(self, folder: Path, start: str, prefix: str) -> Iterator[FileInfo]:
        for name, entry in _entries(folder):
            key = start + name
            if not key.startswith(prefix) or not is_key(key):  # the staging folder is none either
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / name, f"{key}/", prefix)
            elif entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):
                    yield _info(key, entry.stat(follow_symlinks=False))

    def _sweep(self, before_s: float) -> None:
        for path in self._staging.iterdir():
            with suppress(FileNotFoundError, IsADirectoryError):
                if path.lstat().st_mtime < before_s:
                    path.unlink()


def _info(key: str, status: os.stat_result) -> FileInfo:
    etag = f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
    return FileInfo(key, status.st_size, status.st_mtime, etag)


def _entries(folder: Path) -> list[tuple[str, os.DirEntry]]:
    """The entries of a folder in the order of the keys below them."""
    found = []
    with _reading(str(folder)), suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            order = os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
            found.append((order, entry.name, entry))
    return [(name, entry) for _, name, entry in sorted(found, key=lambda each: each[0])]


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # somebody has deleted the file again, and its folder with it
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotFound("no such file", key=key) from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link, which is no file of ours
            raise NotFound("no such file", key=key) from None
        raise Unavailable(f"the file storage cannot be read: {error.strerror}", key=key) from error


@contextmanager
def _writing(key: str) -> Iterator[None]:
    try:
        yield
    except (IsADirectoryError, NotADirectoryError):
        raise Conflict("a file and a folder cannot have the same name", key=key) from None
    except OSError as error:
        raise Unavailable(f"the file storage cannot be written: {error.strerror}", key=key) from error
