"""The server about itself: the detector, ML bundles and which is active, sizes."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import BundleFile, parse
from ..errors import InvalidInput, NotFound
from ..models import AnnotationBucket, DeviceSummary, ServerSetting, UidAnnotation, UidIntent
from ..sql import insert_or_ignore
from ..storage import FileInfo, Storage
from .bundles import bundle_key, check_bundle_name
from .rollups import DAY_S
from .scope import Detector, list_detectors

WEIGHTS, VERSION_FILE = "output/model_final.pth", "output/.version.txt"
MAX_VERSION_CHARS = 46  # of algo_version
MAX_FILES_AT_ONCE = 200


@dataclass(frozen=True, kw_only=True)
class VersionState:
    """What one version of one detector has done."""

    name: str
    version: str
    n_annotated: int
    n_awaiting: int
    newest_day_s: int | None  # UNIX time of the UTC day of the newest picture that it has looked at


@dataclass(frozen=True, kw_only=True)
class DetectorState:
    """What is known of the detector. `last_result_at` is when an annotation last came in, from any client."""

    n_images: int
    n_claimed: int
    last_result_at: datetime | None
    last_version: str
    versions: Sequence[VersionState]  # newest first


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An ML bundle on the server. `version` is "" until it has trained weights with their version."""

    name: str
    version: str
    has_weights: bool
    size: int  # bytes
    modified_at: float  # UNIX seconds
    files: Sequence[FileInfo]


@dataclass(frozen=True, kw_only=True)
class StorageSize:
    """What was counted in the storage, and when (UNIX seconds)."""

    n_files: int
    size: int  # bytes
    measured_at: int


def detector_state(session: Session) -> DetectorState:
    """What the detector has done and what is left; from the rollups, so a season costs nothing."""
    n_images = count_images(session)
    by, count, day = AnnotationBucket.detector_id, AnnotationBucket.n_annotated, AnnotationBucket.start_s
    days = sa.select(by, sa.func.sum(count), sa.func.max(day)).where(AnnotationBucket.span_s == DAY_S, count > 0)
    done = {detector_id: (int(n), newest_s) for detector_id, n, newest_s in session.execute(days.group_by(by))}
    versions = [_version_state(each, n_images, *done.get(each.id, (0, None))) for each in list_detectors(session)]
    last = sa.select(UidAnnotation.datetime_created, UidAnnotation.algo_version).order_by(UidAnnotation.id.desc())
    last_at, last_version = session.execute(last.limit(1)).one_or_none() or (None, "")
    n_claimed = session.scalar(sa.select(sa.func.count()).select_from(UidIntent)) or 0
    return DetectorState(
        n_images=n_images, n_claimed=n_claimed, last_result_at=last_at, last_version=last_version, versions=versions
    )


def count_images(session: Session) -> int:
    """All pictures that are counted in the rollups."""
    return int(session.scalar(sa.select(sa.func.sum(DeviceSummary.n_images))) or 0)


def database_size(session: Session) -> int:
    """Bytes that the database takes, free pages included; MariaDB's own estimate there."""
    if session.get_bind().dialect.name == "sqlite":
        pages = session.scalar(sa.text("PRAGMA page_count")) or 0
        return int(pages) * int(session.scalar(sa.text("PRAGMA page_size")) or 0)
    tables = "FROM information_schema.tables WHERE table_schema = DATABASE()"
    return int(session.scalar(sa.text(f"SELECT SUM(data_length + index_length) {tables}")) or 0)


def list_bundles(storage: Storage) -> list[Bundle]:
    """Every bundle that has files, by name."""
    files: dict[str, list[FileInfo]] = defaultdict(list)
    for info in storage.list("ml/"):
        name, _, path = info.key.removeprefix("ml/").partition("/")
        if path:
            files[name].append(info)
    return [_bundle(storage, name, infos) for name, infos in sorted(files.items())]


def active_bundle(session: Session) -> str | None:
    """The bundle that detectors are to use; None is the reference model that comes with the program."""
    return get_setting(session, "active_bundle")


def activate_bundle(session: Session, storage: Storage, name: str | None, user_id: int, now: datetime) -> None:
    """Choose the bundle that detectors use; None goes back to the reference model.

    Raises:
        NotFound: there is no such bundle.
        InvalidInput: it has no trained weights.
    """
    if name is not None:
        found = next((each for each in list_bundles(storage) if each.name == name), None)
        if found is None:
            raise NotFound(f"there is no bundle {name!r}", bundle=name)
        if not found.has_weights or not found.version:
            raise InvalidInput(f"{name} cannot be used: it needs {WEIGHTS} and {VERSION_FILE}", field="bundle")
    put_setting(session, "active_bundle", name, user_id, now)


def upload_forms(
    storage: Storage, name: str, paths: Sequence[str], max_bytes: int, now: datetime
) -> list[dict[str, Any]]:
    """A signed form of this server for each file of a bundle that a browser is about to send.

    Returns:
        `{"url", "fields"}` for each path, in their order.

    Raises:
        InvalidInput: names what is wrong with a path or the name.
    """
    check_bundle_name(name)
    if not 0 < len(paths) <= MAX_FILES_AT_ONCE:
        raise InvalidInput(f"choose 1 to {MAX_FILES_AT_ONCE} files at a time", field="files")
    forms = []
    for path in paths:
        file = parse(BundleFile, {"key": path, "md5": "", "mtime": 0.0, "bundle_name": name})
        url, fields = storage.upload_form("", bundle_key(file), max_bytes, now)
        forms.append({"url": url, "fields": fields})
    return forms


def measure_storage(storage: Storage, now_s: int) -> StorageSize:
    """Count all stored files: some seconds for each million on a disk, minutes on S3."""
    n_files = size = 0
    for info in storage.list(""):
        n_files, size = n_files + 1, size + info.size
    return StorageSize(n_files=n_files, size=size, measured_at=now_s)


def keep_storage_size(session: Session, measured: StorageSize, user_id: int, now: datetime) -> None:
    """Remember it, so that nobody has to count again to know about."""
    put_setting(session, "storage_size", asdict(measured), user_id, now)


def find_storage_size(session: Session) -> StorageSize | None:
    """What was counted last."""
    values = get_setting(session, "storage_size")
    return None if values is None else StorageSize(**values)


def get_setting(session: Session, name: str) -> Any:
    """The value of a setting; None if it was never set."""
    text = session.scalar(sa.select(ServerSetting.value).where(ServerSetting.name == name))
    return None if text is None else json.loads(text)


def put_setting(session: Session, name: str, value: Any, user_id: int, now: datetime) -> None:
    """Set a setting."""
    values = {"value": json.dumps(value), "changed_at": now, "changed_by": user_id}
    session.execute(insert_or_ignore(ServerSetting).values(name=name, **values))
    session.execute(sa.update(ServerSetting).where(ServerSetting.name == name).values(values))


def _version_state(detector: Detector, n_images: int, n_annotated: int, newest_day_s: int | None) -> VersionState:
    return VersionState(
        name=detector.name,
        version=detector.version,
        n_annotated=n_annotated,
        n_awaiting=max(0, n_images - n_annotated),
        newest_day_s=newest_day_s,
    )


def _bundle(storage: Storage, name: str, infos: Sequence[FileInfo]) -> Bundle:
    prefix = f"ml/{name}/"
    paths = {info.key.removeprefix(prefix) for info in infos}
    version = storage.get(prefix + VERSION_FILE) if _is_small(infos, prefix + VERSION_FILE) else b""
    return Bundle(
        name=name,
        version=_tidy(version.decode(errors="replace")),
        has_weights=WEIGHTS in paths,
        size=sum(info.size for info in infos),
        modified_at=max(info.modified_at for info in infos),
        files=infos,
    )


def _is_small(infos: Iterable[FileInfo], key: str) -> bool:
    return any(info.key == key and info.size <= 1024 for info in infos)


def _tidy(version: str) -> str:
    """As it is written by whoever trained: anything else than a version is none."""
    text = version.strip()
    return text if re.fullmatch(rf"[\w.-]{{1,{MAX_VERSION_CHARS}}}", text, re.ASCII) else ""
