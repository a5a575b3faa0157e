"""Files in memory, for tests."""

import hashlib
import io
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from ..errors import NotFound
from .keys import check_key, check_prefix
from .links import DiskLinks, UploadForms
from .protocol import FileInfo, Signer, Staged, Storage


class MemoryStorage(Storage):
    """Behaves like DiskStorage and forgets everything."""

    def __init__(self, secret: bytes = b"test") -> None:
        self.files: dict[str, tuple[bytes, float]] = {}
        self.uploads = UploadForms(secret)
        self._links = DiskLinks(secret)
        self._lock = threading.Lock()

    def stage(self, key: str, data: bytes) -> Staged:
        return Staged(check_key(key), bytes(data))

    def publish(self, staged: Sequence[Staged]) -> None:
        with self._lock:
            for each in staged:
                self.files[each.key] = (each.content, time.time())

    def discard(self, staged: Iterable[Staged]) -> None:
        pass

    def put_file(self, key: str, file: BinaryIO) -> None:
        check_key(key)
        self.put(key, b"".join(iter(lambda: file.read(1 << 20), b"")))

    def get(self, key: str) -> bytes:
        return self._find(key)[0]

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self.get(key))

    def delete(self, keys: Iterable[str]) -> None:
        checked = [check_key(key) for key in keys]
        with self._lock:
            for key in checked:
                self.files.pop(key, None)

    def stat(self, key: str) -> FileInfo:
        data, modified_at = self._find(key)
        return FileInfo(key, len(data), modified_at, hashlib.md5(data, usedforsecurity=False).hexdigest())

    def list(self, prefix: str) -> Iterator[FileInfo]:
        check_prefix(prefix)
        with self._lock:
            keys = sorted((key for key in self.files if key.startswith(prefix)), key=str.encode)
        return (self.stat(key) for key in keys)

    def signer(self, base_url: str, now: datetime) -> Signer:
        return self._links.signer(base_url, now)

    def verify_link(self, key: str, expires: str, signature: str, now: datetime) -> None:
        self._links.verify(key, expires, signature, now)

    def check(self) -> None:
        pass

    def _find(self, key: str) -> tuple[bytes, float]:
        try:
            return self.files[check_key(key)]
        except KeyError:
            raise NotFound("no such file", key=key) from None
