"""One row per tuboid with what its newest label says: what the Tuboids page counts and pages through.

Kept true lazily, as rollups.py keeps the counts of pictures: triggers append a mark in the writer's own transaction,
whoever it is, and refresh() sees to the marks before the page reads. Asked of the tables of labels themselves, a season
of 100,000 tuboids takes seconds.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..clock import unix_s
from ..models import ItcLabel, TiledTuboid, TuboidEntry, TuboidIndexState, TuboidMark, TuboidSeries, TuboidTaxon
from ..sql import delete_ids, insert_or_ignore
from .labels import RANKS
from .rollups import NO_SESSION, OpenSession

MARKS_PER_TURN = 10_000  # writers wait for one turn at most
IDS_PER_QUERY = 500
NO_TAXON = 0
Path = tuple[str, ...]  # a taxon by its ranks from the top; a rank that is not known is empty


def change_number(session: Session) -> int:
    """Higher than counted_number() as long as something has changed since. Two look-ups in indexes.

    It counts marks rather than naming the newest: on MariaDB a transaction may commit after one with a higher id.
    """
    counted = counted_number(session)
    return counted + (session.scalar(sa.select(TuboidMark.id).limit(1)) is not None)


def counted_number(session: Session) -> int:
    """Grows with everything that was seen to."""
    return session.scalar(sa.select(TuboidIndexState.n_marks)) or 0


def refresh(begin: OpenSession, read: OpenSession, for_s: float = 2.0) -> None:
    """See to what has changed; costs one look-up when nothing has. After `for_s` seconds the rest is left for later."""
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        with read() as session:
            if session.scalar(sa.select(TuboidMark.id).limit(1)) is None:
                return
        with begin() as session:
            refresh_marked(session)


def refresh_marked(session: Session) -> None:
    """Write the rows of the oldest marks anew; one process at a time."""
    counted = _lock(session)
    oldest = sa.select(TuboidMark.id, TuboidMark.tuboid).order_by(TuboidMark.id).limit(MARKS_PER_TURN)
    marks = session.execute(oldest).all()
    if not marks:
        return
    taxa = {path: key for key, path in list_taxa(session).items()}
    for ids in _chunks(sorted({mark.tuboid for mark in marks})):
        _write(session, ids, taxa)
    for ids in _chunks([mark.id for mark in marks]):  # by id: a lower one that commits after we read must survive
        session.execute(delete_ids(TuboidMark, ids, session.get_bind().dialect))
    done = sa.update(TuboidIndexState).values(n_marks=counted + len(marks))
    session.execute(done.execution_options(**NO_SESSION))


def list_taxa(session: Session) -> dict[int, Path]:
    """Every taxon that a newest label names, or named, by its id."""
    columns = [getattr(TuboidTaxon, rank) for rank in RANKS]
    return {key: make_path(ranks) for key, *ranks in session.execute(sa.select(TuboidTaxon.id, *columns))}


def make_path(ranks: Sequence[str | None]) -> Path:
    """Without the unknown ranks at its end."""
    path = [rank or "" for rank in ranks]
    while path and not path[-1]:
        path.pop()
    return tuple(path)


def _lock(session: Session) -> int:
    """Hold the one row of the state until the transaction ends; SQLite has locked everything already."""
    row = sa.select(TuboidIndexState.n_marks).with_for_update()
    counted = session.scalar(row)
    if counted is None:
        session.execute(insert_or_ignore(TuboidIndexState).values(id=1, n_marks=0))
        counted = session.scalar(row)
    return counted or 0


def _write(session: Session, ids: Sequence[int], taxa: dict[Path, int]) -> None:
    session.execute(sa.delete(TuboidEntry).where(TuboidEntry.id.in_(ids)).execution_options(**NO_SESSION))
    entries: dict[int, dict[str, Any]] = {}
    columns = (TiledTuboid.id, TiledTuboid.tuboid_id, TuboidSeries.device, TiledTuboid.start_datetime, ItcLabel.id)
    query = (
        sa.select(*columns, *(getattr(ItcLabel, rank) for rank in RANKS))
        .join(TuboidSeries, TuboidSeries.id == TiledTuboid.parent_series_id)
        .outerjoin(ItcLabel, ItcLabel.parent_tuboid_id == TiledTuboid.id)
        .where(TiledTuboid.id.in_(ids))
        .order_by(TiledTuboid.id, ItcLabel.id)
    )
    for key, tuboid_id, device, start, label_id, *ranks in session.execute(query):  # the newest label comes last
        taxon_id = _taxon_id(session, make_path(ranks), taxa)
        entries[key] = {"id": key, "start_s": unix_s(start), "device": _trap(device, tuboid_id), "taxon_id": taxon_id,
                        "label_id": label_id}  # fmt: skip
    if entries:
        session.execute(sa.insert(TuboidEntry.__table__), list(entries.values()))


def _trap(device: str, tuboid_id: str) -> str:
    """A series may be of several traps, named by a pattern: then the tuboid's own name says which one it is."""
    return tuboid_id.partition(".")[0][:8] if "%" in device or "_" in device else device


def _taxon_id(session: Session, path: Path, taxa: dict[Path, int]) -> int:
    if not path:
        return NO_TAXON
    if path not in taxa:
        ranks = dict.fromkeys(RANKS, "") | dict(zip(RANKS, path, strict=False))
        (taxa[path],) = session.execute(sa.insert(TuboidTaxon.__table__).values(ranks)).inserted_primary_key
    return taxa[path]


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), IDS_PER_QUERY):
        yield ids[start : start + IDS_PER_QUERY]
