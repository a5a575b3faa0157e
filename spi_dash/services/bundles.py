"""ML bundles: directories of models, settings and training data that clients keep in step with the server."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy.orm import Session

from ..clock import unix_s
from ..contract import BUNDLE_NAME, BundleFile
from ..errors import Forbidden, InvalidInput
from ..models import ObjectChecksum
from ..storage import FileInfo, Storage
from .users import UserInfo

MIB = 2**20
CHUNK_2021, CHUNK_NEWEST = 8 * MIB, 15 * MIB  # sizes of the parts in clients' multipart ETags
SUFFIXES = (".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db")
FOLDERS = {"data": ("data", "config"), "model": ("output", "config")}
OpenSession = Callable[[], AbstractContextManager[Session]]
WHATS = ("all", "data", "model")
DETECTOR_BUNDLE = "universal-insect-detector"
LATE_S = 2  # a file may be this much younger than its checksums: they are recorded in whole seconds, by another clock


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
    _record(session, key, sums, unix_s(now))


def list_bundle_files(
    storage: Storage, read: OpenSession, begin: OpenSession, bundle: str, what: str
) -> list[tuple[str, FileInfo, Checksums]]:
    """The files of a bundle that clients want.

    Returns:
        (path inside the bundle, what storage knows, checksums); an unknown bundle has none.
    """
    prefix = f"ml/{check_bundle_name(bundle)}/"
    infos = [info for info in storage.list(prefix) if _is_listed(info.key.removeprefix(prefix), what)]
    stored = stored_checksums(storage, read, begin, infos)
    return [(info.key.removeprefix(prefix), info, stored[info.key][0]) for info in infos]


def files_to_upload(
    storage: Storage,
    read: OpenSession,
    begin: OpenSession,
    offered: Sequence[BundleFile],
    bodies: Sequence[dict[str, Any]],
) -> list[tuple[dict[str, Any], str]]:
    """Those of the offered files that the server lacks, or has in another, older version.

    Returns:
        The element as it was posted, and the storage key to upload to.
    """
    keys = [bundle_key(file) for file in offered]
    infos = [info for key in dict.fromkeys(keys) for info in storage.list(key) if info.key == key]
    stored = stored_checksums(storage, read, begin, infos)
    wanted = []
    for file, body, key in zip(offered, bodies, keys, strict=True):
        sums, modified_at = stored.get(key, (None, 0.0))
        if sums is None or (file.md5 not in (sums.md5, sums.etag_8m, sums.etag_15m) and file.mtime > modified_at):
            wanted.append((body, key))
    return wanted


def stored_checksums(
    storage: Storage, read: OpenSession, begin: OpenSession, infos: Sequence[FileInfo]
) -> dict[str, tuple[Checksums, float]]:
    """Checksums and time of last change (UNIX s) of stored files, by key.

    As recorded at the upload; files that came another way, or were replaced so, are read once, while no transaction
    is open.
    """
    with read() as session:
        known = {info.key: _find_checksums(session, info) for info in infos}
    new = [info for info in infos if known[info.key] is None]
    for info in new:
        with storage.open(info.key) as file:
            sums = checksums(iter(lambda file=file: file.read(MIB), b""))
        known[info.key] = (sums, info.modified_at)
        with begin() as session:
            _record(session, info.key, sums, info.modified_at)
    return known


def check_uploader(user: UserInfo, offered: Sequence[BundleFile], active: str | None) -> None:
    """Forbidden where somebody who is no admin offers files of what this server's detectors run."""
    for name in {file.bundle_name for file in offered} & {DETECTOR_BUNDLE, active}:
        if user.role != "admin":
            raise Forbidden(f"only admins upload files of {name}: the detectors use it", bundle_name=name)


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


def _find_checksums(session: Session, info: FileInfo) -> tuple[Checksums, float] | None:
    row = session.get(ObjectChecksum, info.key)
    if row is None or row.size != info.size or info.modified_at > row.modified_at + LATE_S:
        return None  # not read yet, or replaced by another program since
    return Checksums(size=row.size, md5=row.md5, etag_8m=row.etag_8m, etag_15m=row.etag_15m), row.modified_at


def _record(session: Session, key: str, sums: Checksums, modified_at: float) -> None:
    values = {"size": sums.size, "md5": sums.md5, "etag_8m": sums.etag_8m, "etag_15m": sums.etag_15m}
    session.merge(ObjectChecksum(key=key, modified_at=modified_at, **values))


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
