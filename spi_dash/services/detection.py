"""Running detectors: their heartbeats, what they give back, the pictures they cannot do, and what they are to use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import Failure, Heartbeat, ImageKey, ReleasedClaim
from ..errors import NotFound, Unavailable
from ..models import Image, UidAnnotation, UidFailure, UidIntent, UidWorker
from ..sql import insert_or_ignore
from ..storage import Storage
from . import claims, system

REFERENCE_VERSION = Path(__file__).parents[1] / "detector" / "reference" / "output" / ".version.txt"
FORGET_AFTER = timedelta(days=7)  # workers that are gone


@dataclass(frozen=True, kw_only=True)
class WorkerState:
    """What a worker said last. `is_alive`: recently enough that its claims still hold."""

    worker: str
    algo_version: str  # "" while it has no model yet
    images_done: int
    images_failed: int
    images_per_minute: float
    last_error: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool


@dataclass(frozen=True, kw_only=True)
class FailureInfo:
    """A picture that a version of a detector has given up."""

    id: int
    device: str
    datetime: datetime
    algo_name: str
    algo_version: str
    reason: str
    worker: str
    failed_at: datetime


def active_bundle(session: Session, storage: Storage) -> tuple[str | None, str]:
    """What detectors are to use: the bundle that the admin has chosen, None for the reference model, and its version.

    Raises:
        Unavailable: the chosen bundle has no version, as while it is being uploaded.
    """
    name = system.active_bundle(session)
    if name is None:
        return None, REFERENCE_VERSION.read_text().strip()
    try:
        text = storage.get(f"ml/{name}/{system.VERSION_FILE}")
    except NotFound:
        text = b""
    version = text.decode("ascii", "replace").strip()
    if not 0 < len(version) <= system.MAX_VERSION_CHARS:
        raise Unavailable(f"the active bundle {name} has no version", bundle=name)
    return name, version


def record_heartbeat(session: Session, beat: Heartbeat, now: datetime) -> None:
    """Remember what a worker says, and prolong its claims."""
    values = beat.model_dump(exclude={"worker"}) | {"seen_at": now}
    update = sa.update(UidWorker).where(UidWorker.worker == beat.worker).values(values)
    if session.execute(update).rowcount == 0:
        session.execute(insert_or_ignore(UidWorker).values(worker=beat.worker, started_at=now, **values))
        session.execute(sa.delete(UidWorker).where(UidWorker.seen_at < now - FORGET_AFTER))
    mine = UidIntent.worker == beat.worker
    session.execute(sa.update(UidIntent).where(mine).values(expires_at=now + claims.LEASE))


def list_workers(session: Session, now: datetime) -> list[WorkerState]:
    """The workers of the last days, who was heard of last first."""
    rows = session.scalars(sa.select(UidWorker).order_by(UidWorker.seen_at.desc(), UidWorker.worker))
    names = WorkerState.__dataclass_fields__.keys() - {"is_alive"}
    return [
        WorkerState(**{name: getattr(row, name) for name in names}, is_alive=now - row.seen_at <= claims.LEASE)
        for row in rows
    ]


def release_claim(session: Session, claim: ReleasedClaim) -> bool:
    """Give an image back; False if this worker has no claim on it (any more)."""
    image_id = _find_image_id(session, claim)
    mine = sa.and_(UidIntent.parent_image_id == image_id, UidIntent.worker == claim.worker)
    if image_id is None or session.execute(sa.delete(UidIntent).where(mine)).rowcount == 0:
        return False
    claims.end_cursors(session)
    return True


def record_failure(session: Session, failure: Failure, now: datetime) -> bool:
    """Remember that a version cannot do an image, and end the claim of the worker that says so.

    Returns:
        False if there is nothing to remember: the image is gone, or another worker has annotated it.
    """
    image_id = _find_image_id(session, failure)
    if image_id is None:
        return False
    session.execute(
        sa.delete(UidIntent).where(UidIntent.parent_image_id == image_id, UidIntent.worker == failure.worker)
    )
    key = {"parent_image_id": image_id, "algo_name": failure.algo_name, "algo_version": failure.algo_version}
    if session.scalar(sa.select(UidAnnotation.id).filter_by(**key)) is not None:
        return False
    values = {"reason": failure.reason, "worker": failure.worker, "changed_at": now}
    session.execute(insert_or_ignore(UidFailure).values(**key, attempts=0, **values))
    session.execute(sa.update(UidFailure).filter_by(**key).values(values))
    return True


def list_failures(session: Session, limit: int = 1000) -> list[FailureInfo]:
    """The pictures that were given up, the latest first."""
    columns = (UidFailure.id, Image.device, Image.datetime, UidFailure.algo_name, UidFailure.algo_version)
    query = sa.select(*columns, UidFailure.reason, UidFailure.worker, UidFailure.changed_at.label("failed_at"))
    query = query.join(Image, Image.id == UidFailure.parent_image_id).where(UidFailure.reason.is_not(None))
    latest_first = (UidFailure.changed_at.desc(), UidFailure.id.desc())
    return [FailureInfo(**row._mapping) for row in session.execute(query.order_by(*latest_first).limit(limit))]


def count_failures(session: Session) -> list[tuple[str, str, int]]:
    """(algorithm, version, how many pictures it has given up), the version with the latest failure first."""
    columns = (UidFailure.algo_name, UidFailure.algo_version)
    query = sa.select(*columns, sa.func.count()).where(UidFailure.reason.is_not(None)).group_by(*columns)
    query = query.order_by(sa.func.max(UidFailure.changed_at).desc(), *columns)
    return [(name, version, count) for name, version, count in session.execute(query)]


def retry_failures(
    session: Session, failure_ids: Sequence[int] | None = None, of: tuple[str, str] | None = None
) -> int:
    """Let detectors try again: these failures, by `FailureInfo.id`, those of an (algorithm, version), or all.

    Returns:
        How many there were.
    """
    query = sa.delete(UidFailure).where(UidFailure.reason.is_not(None))
    if failure_ids is not None:
        query = query.where(UidFailure.id.in_(failure_ids))
    if of is not None:
        query = query.where(UidFailure.algo_name == of[0], UidFailure.algo_version == of[1])
    found = session.execute(query).rowcount
    if found:
        claims.end_cursors(session)
    return found


def _find_image_id(session: Session, key: ImageKey) -> int | None:
    return session.scalar(sa.select(Image.id).where(Image.device == key.device, Image.datetime == key.datetime))
