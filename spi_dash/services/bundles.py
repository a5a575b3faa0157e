"""ML bundles: directories of models, settings and training data that clients keep in step with the server."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy.orm import Session

from ..clock import unix_s
from ..contract import BUNDLE_NAME, BundleFile
from ..errors import InvalidInput
from ..models import ObjectChecksum
from ..storage import FileInfo, Storage

MIB = 2**20
CHUNK_2021, CHUNK_NEWEST = 8 * MIB, 15 * MIB  # sizes of the parts in clients' multipart ETags
SUFFIXES = (".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db")
FOLDERS = {"data": ("data", "config"), "model": ("output", "config")}
WHATS = ("all", "data", "model")


@dataclass(frozen=True, kw_only=True)
class Checksums:
    """What clients compare a file by; the ETags are those of S3 uploads in parts of 8 and 15 MiB."""

    size: int
    md5: str
    etag_8m: str
    etag_15m: str

    @property
    def listed(self) -> str:
        """The one that both generations of clients accept where there is one, else the newest's."""
        return self.md5 if self.size <= CHUNK_NEWEST else self.etag_15m


def checksums(chunks: Iterable[bytes]) -> Checksums:
    """All checksums of a file in one pass."""
    whole, size = hashlib.md5(usedforsecurity=False), 0
    parts = [_Parts(CHUNK_2021), _Parts(CHUNK_NEWEST)]
    for chunk in chunks:
        whole.update(chunk)
        size += len(chunk)
        for part in parts:
            part.update(chunk)
    small, large = (part.etag() for part in parts)
    return Checksums(size=size, md5=whole.hexdigest(), etag_8m=small, etag_15m=large)


def record_checksums(session: Session, key: str, sums: Checksums, now: datetime) -> None:
    """Remember the checksums of a file that was just stored."""
    session.merge(
        ObjectChecksum(
            key=key, size=sums.size, md5=sums.md5, etag_8m=sums.etag_8m, etag_15m=sums.etag_15m, modified_at=unix_s(now)
        )
    )


def list_bundle_files(
    session: Session, storage: Storage, bundle: str, what: str
) -> list[tuple[str, FileInfo, Checksums]]:
    """The files of a bundle that clients want.

    Returns:
        (path inside the bundle, what storage knows, checksums); an unknown bundle has none.
    """
    prefix = f"ml/{check_bundle_name(bundle)}/"
    found = []
    for info in storage.list(prefix):
        path = info.key.removeprefix(prefix)
        if _is_listed(path, what):
            found.append((path, info, _checksums_of(session, storage, info)))
    return found


def files_to_upload(
    session: Session, storage: Storage, offered: Sequence[BundleFile], bodies: Sequence[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Those of the offered files that the server lacks, or has in another, older version.

    Yields:
        The element as it was posted, and the storage key to upload to.
    """
    for file, body in zip(offered, bodies, strict=True):
        key = bundle_key(file)
        stored = next((info for info in storage.list(key) if info.key == key), None)
        if stored is not None:
            sums = _checksums_of(session, storage, stored)
            known = session.get(ObjectChecksum, key)
            modified_at = known.modified_at if known is not None else stored.modified_at
            if file.md5 in (sums.md5, sums.etag_8m, sums.etag_15m) or file.mtime <= modified_at:
                continue
        yield body, key


def bundle_key(file: BundleFile) -> str:
    """Storage key of an offered file."""
    return f"ml/{check_bundle_name(file.bundle_name)}/{file.key}"


def check_bundle_name(name: str) -> str:
    """The name of a bundle, which is a folder's; InvalidInput for any other text."""
    if re.fullmatch(BUNDLE_NAME, name) is None:
        raise InvalidInput("the name of a bundle is made of letters, digits, '.', '_' and '-'", field="bundle_name")
    return name


def _is_listed(path: str, what: str) -> bool:
    parents = PurePosixPath(path).parent
    if ".cache" in parents.parts or not path.endswith(SUFFIXES):
        return False
    return what == "all" or parents.name in FOLDERS[what]


def _checksums_of(session: Session, storage: Storage, info: FileInfo) -> Checksums:
    """As recorded at the upload; files that came another way are read once."""
    row = session.get(ObjectChecksum, info.key)
    if row is not None and row.size == info.size:
        return Checksums(size=row.size, md5=row.md5, etag_8m=row.etag_8m, etag_15m=row.etag_15m)
    with storage.open(info.key) as file:
        sums = checksums(iter(lambda: file.read(MIB), b""))
    session.merge(
        ObjectChecksum(
            key=info.key,
            size=sums.size,
            md5=sums.md5,
            etag_8m=sums.etag_8m,
            etag_15m=sums.etag_15m,
            modified_at=info.modified_at,
        )
    )
    return sums


class _Parts:
    """The ETag that S3 gives an upload in parts of one size."""

    def __init__(self, part_bytes: int) -> None:
        self.part_bytes = part_bytes
        self.digests: list[bytes] = []
        self.current, self.filled = hashlib.md5(usedforsecurity=False), 0

    def update(self, chunk: bytes) -> None:
        while chunk:
            if self.filled == self.part_bytes:
                self._finish_part()
            piece, chunk = chunk[: self.part_bytes - self.filled], chunk[self.part_bytes - self.filled :]
            self.current.update(piece)
            self.filled += len(piece)

    def etag(self) -> str:
        if not self.digests:
            return self.current.hexdigest() if self.filled else ""
        digests = [*self.digests, self.current.digest()]
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    def _finish_part(self) -> None:
        self.digests.append(self.current.digest())
        self.current, self.filled = hashlib.md5(usedforsecurity=False), 0
