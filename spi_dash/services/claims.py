"""Claims: which detector works on which image, so that several share the work and none is lost when one dies.

Looking for work must stay cheap when a million images are annotated. A cursor promises, for one question: no image with
an id up to `up_to_id` that is later than `before` is free. So only newer ids and earlier times are looked at. What can
free an image again counts the generation up, and cursors of older generations are worth nothing.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, ClaimKey
from ..models import Image, UidAnnotation, UidCursor, UidFailure, UidGeneration, UidIntent
from ..sql import insert_or_ignore
from . import selection

CLAIMS_PER_CALL = 8
CLAIM_LIFE = timedelta(hours=6)  # of detectors that send no heartbeats
LEASE = timedelta(minutes=5)  # of those that do
MAX_ATTEMPTS = 3
CURSOR_LIFE = timedelta(hours=1)  # for what nobody tells us: annotations deleted by other programs
NEW_PER_LOOK = 2000  # with more new images than that, looking begins anew
OVERLAP = 200  # ids can become visible out of order, and SQLite gives those of deleted images out again
EARLIEST = datetime(1970, 1, 1)

OpenSession = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, order=True)
class _Candidate:
    datetime: datetime
    device: str
    id: int


@dataclass(frozen=True)
class _Cursor:
    generation: int
    up_to_id: int
    before: datetime
    made_at: datetime


@dataclass(frozen=True)
class _Look:
    """What a look for work found. `next_up_to_id`: the newest id it knew of; `old_end`: `before` if all are taken."""

    candidates: list[_Candidate]  # newest first
    cursor: _Cursor
    is_stored: bool
    next_up_to_id: int
    old_end: datetime
    may_store: bool


def claim_images(
    read: OpenSession, begin: OpenSession, wanted: Sequence[ClaimKey], user_id: int | None, now: datetime
) -> list[int]:
    """Reserve images that the algorithm has not annotated, newest first, for one detector.

    Whoever inserts the claim has the image: it is unique per image. A claim ends with the annotation or the failure, or
    when its time is over, so that the images of a detector that died come back. Looking needs no lock.

    Returns:
        Ids of at most CLAIMS_PER_CALL images.
    """
    with read() as session:
        has_expired = session.scalar(sa.select(UidIntent.id).where(_expired(now)).limit(1)) is not None
    if has_expired:
        with begin() as session:
            end_expired_claims(session, now)
    claimed: list[int] = []
    for key in wanted:
        missing = CLAIMS_PER_CALL - len(claimed)
        if not missing:
            break
        with read() as session:
            look = _look(session, key, 4 * missing, now)
        if look.candidates or _moved(look):
            with begin() as session:
                claimed += _take(session, key, look, missing, user_id, now)
    return claimed


def end_expired_claims(session: Session, now: datetime) -> None:
    """Free the images of detectors that are no more. Those of workers are counted: a picture may be what killed it."""
    columns = (UidIntent.id, UidIntent.parent_image_id, UidIntent.worker, UidIntent.algo_name, UidIntent.algo_version)
    ended = []
    for row in session.execute(sa.select(*columns).where(_expired(now))).all():
        if session.execute(sa.delete(UidIntent).where(UidIntent.id == row.id, _expired(now))).rowcount == 1:
            ended.append(row)
    for row in ended:
        if row.worker is not None and row.algo_version is not None:
            _count_attempt(session, row, now)
    if ended:
        end_cursors(session)


def end_cursors(session: Session) -> None:
    """To be called in every transaction that makes images free which were not: the next look sees them."""
    one_more = sa.update(UidGeneration).where(UidGeneration.id == 1).values(number=UidGeneration.number + 1)
    if session.execute(one_more).rowcount == 0:
        session.execute(insert_or_ignore(UidGeneration).values(id=1, number=0))
        session.execute(one_more)


def _expired(now: datetime) -> sa.ColumnElement[bool]:
    endless = sa.and_(UidIntent.expires_at.is_(None), UidIntent.datetime_created < now - CLAIM_LIFE)
    return sa.or_(UidIntent.expires_at < now, endless)


def _count_attempt(session: Session, claim: sa.Row, now: datetime) -> None:
    key = {name: getattr(claim, name) for name in ("parent_image_id", "algo_name", "algo_version")}
    said = {"worker": claim.worker, "changed_at": now}
    session.execute(insert_or_ignore(UidFailure).values(**key, attempts=0, **said))
    row = sa.update(UidFailure).filter_by(**key, reason=None)
    session.execute(row.values(attempts=UidFailure.attempts + 1, **said))
    reason = f"the detector ended {MAX_ATTEMPTS} times while it had this picture"
    session.execute(row.where(UidFailure.attempts >= MAX_ATTEMPTS).values(reason=reason))


def _look(session: Session, key: ClaimKey, limit: int, now: datetime) -> _Look:
    generation = (
        session.scalar(sa.select(UidGeneration.number).where(UidGeneration.id == 1)) or 0
    )  # first: whatever is freed later, it will tell
    newest_id = session.scalar(sa.select(sa.func.max(Image.id))) or 0
    cursor = _find_cursor(session, key, generation, newest_id, now)
    is_stored = cursor is not None
    new: list[_Candidate] = []
    if cursor is None:
        cursor = _Cursor(generation, newest_id, key.end_datetime, now)
    else:
        new = _new_candidates(session, key, cursor.up_to_id - OVERLAP)
    old = _old_candidates(session, key, cursor.before, limit)
    return _Look(
        candidates=sorted({*new, *old}, reverse=True),
        cursor=cursor,
        is_stored=is_stored,
        next_up_to_id=newest_id,
        old_end=old[-1].datetime if len(old) == limit else max(key.start_datetime, EARLIEST),
        may_store=_may_store(session, key),
    )


def _find_cursor(session: Session, key: ClaimKey, generation: int, newest_id: int, now: datetime) -> _Cursor | None:
    """The cursor of this question, if it is worth anything."""
    columns = (UidCursor.generation, UidCursor.up_to_id, UidCursor.before, UidCursor.made_at)
    row = session.execute(sa.select(*columns).where(UidCursor.key == _name(key))).one_or_none()
    if row is None or row.generation != generation:
        return None
    if now - row.made_at >= CURSOR_LIFE or newest_id - row.up_to_id > NEW_PER_LOOK:
        return None
    return _Cursor(*row)


def _may_store(session: Session, key: ClaimKey) -> bool:
    """Images that others have claimed look taken, but are free for this version when those are done."""
    if key.algo_name is None or key.algo_version is None:
        return False
    same = sa.and_(UidIntent.algo_name == key.algo_name, UidIntent.algo_version == key.algo_version)
    others = sa.select(UidIntent.id).where(sa.not_(sa.func.coalesce(same, sa.false()))).limit(1)
    return session.scalar(others) is None


def _new_candidates(session: Session, key: ClaimKey, after_id: int) -> list[_Candidate]:
    """Free images with ids from here on; filtered by time here, or the database would go by time instead of ids."""
    query = sa.select(Image.datetime, Image.device, Image.id).where(Image.id > after_id, *_free(key))
    devices = None if key.device == "%" else set(selection.matching_devices(session, key.device))
    return [
        _Candidate(*row)
        for row in session.execute(query)
        if key.start_datetime <= row.datetime < key.end_datetime and (devices is None or row.device in devices)
    ]


def _old_candidates(session: Session, key: ClaimKey, before: datetime, limit: int) -> list[_Candidate]:
    """Free images of this time and earlier, newest first. Both descending: in the order of the index.

    One upper end: of two, SQLite takes the first to the index, and reads everything between them.
    """
    is_before = Image.datetime <= before if before < key.end_datetime else Image.datetime < key.end_datetime
    in_time = (Image.datetime >= key.start_datetime, is_before)
    query = sa.select(Image.datetime, Image.device, Image.id).where(*in_time, *_free(key))
    if key.device != "%":
        query = query.where(Image.device.in_(selection.matching_devices(session, key.device)))
    return [
        _Candidate(*row)
        for row in session.execute(query.order_by(Image.datetime.desc(), Image.device.desc()).limit(limit))
    ]


def _free(key: ClaimKey) -> tuple[sa.ColumnElement[bool], ...]:
    """Neither annotated by this version or a later one, nor given up by it, nor claimed.

    Not written as NOT EXISTS: MariaDB would collect all annotations first, a second per look for a million images.
    """
    annotated = sa.select(1).where(UidAnnotation.parent_image_id == Image.id)
    failed = sa.select(1).where(UidFailure.parent_image_id == Image.id, UidFailure.reason.is_not(None))
    if key.algo_name is not None:
        annotated = annotated.where(UidAnnotation.algo_name == key.algo_name)
        failed = failed.where(UidFailure.algo_name == key.algo_name)
    if key.algo_version is not None:
        annotated = annotated.where(UidAnnotation.algo_version >= key.algo_version)
        failed = failed.where(UidFailure.algo_version == key.algo_version)
    claimed = sa.select(1).where(UidIntent.parent_image_id == Image.id)
    return tuple(query.limit(1).scalar_subquery().is_(None) for query in (annotated, failed, claimed))


def _take(session: Session, key: ClaimKey, look: _Look, missing: int, user_id: int | None, now: datetime) -> list[int]:
    """Claim up to `missing` of what was found, and move the cursor past all that is not free any more.

    A picture that a worker may have died of is claimed alone: the others in its company are innocent.
    """
    ids = [candidate.id for candidate in look.candidates]
    free = set(session.scalars(sa.select(Image.id).where(Image.id.in_(ids), *_free(key)))) if ids else set()
    suspects = _suspects(session, key, ids)
    claimed: list[int] = []
    rest = list(look.candidates)
    while rest and len(claimed) < missing and not (claimed and {claimed[-1], rest[0].id} & suspects):
        image_id = rest.pop(0).id
        if image_id in free and _insert(session, key, image_id, user_id, now):
            claimed.append(image_id)
    if look.may_store:
        _store_cursor(session, key, look, rest, now)
    return claimed


def _insert(session: Session, key: ClaimKey, image_id: int, user_id: int | None, now: datetime) -> bool:
    values = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    values |= {"algo_name": key.algo_name, "algo_version": key.algo_version}
    if key.worker is not None:
        values |= {"worker": key.worker, "expires_at": now + LEASE}
    return session.execute(insert_or_ignore(UidIntent).values(parent_image_id=image_id, **values)).rowcount == 1


def _suspects(session: Session, key: ClaimKey, ids: Sequence[int]) -> set[int]:
    """Images whose last claim ended with the death of its worker."""
    if key.worker is None or not ids:
        return set()
    algorithm = {"algo_name": key.algo_name, "algo_version": key.algo_version}
    query = sa.select(UidFailure.parent_image_id).filter_by(**algorithm, reason=None)
    return set(session.scalars(query.where(UidFailure.parent_image_id.in_(ids))))


def _store_cursor(session: Session, key: ClaimKey, look: _Look, rest: Sequence[_Candidate], now: datetime) -> None:
    cursor = look.cursor
    new_left = any(candidate.datetime > cursor.before for candidate in rest)
    old_left = [candidate.datetime for candidate in rest if candidate.datetime <= cursor.before]
    values = {
        "generation": cursor.generation,
        "up_to_id": cursor.up_to_id if new_left else look.next_up_to_id,
        "before": min(cursor.before, max([look.old_end, *old_left])),
        "made_at": cursor.made_at,
    }
    if not look.is_stored:
        session.execute(sa.delete(UidCursor).where(UidCursor.made_at <= now - CURSOR_LIFE))
    session.execute(insert_or_ignore(UidCursor).values(key=_name(key), **values))
    session.execute(sa.update(UidCursor).where(UidCursor.key == _name(key)).values(values))


def _moved(look: _Look) -> bool:
    """Whether there is something to remember, though there is nothing to claim."""
    known = (look.cursor.up_to_id, look.cursor.before)
    return look.may_store and (not look.is_stored or known != (look.next_up_to_id, look.old_end))


def _name(key: ClaimKey) -> str:
    question = [key.device, str(key.start_datetime), str(key.end_datetime), key.algo_name, key.algo_version]
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()
