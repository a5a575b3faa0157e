"""Counts and means per device and hour or day, kept true lazily.

Triggers append a mark per changed hour in the writer's own transaction. Before pages read, refresh() recounts the
marked hours and deletes the marks it has seen. A change that commits meanwhile has a mark of its own, counted the next
time, so a late upload, a deletion or several server processes leave nothing wrong for long, and nothing wrong for ever.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from ..models import (
    AnnotationBucket,
    DetectorVersion,
    DeviceSummary,
    Image,
    ImageBucket,
    RollupMark,
    RollupState,
    UidAnnotation,
)
from ..sql import delete_ids, insert_or_ignore
from . import blocks
from .rows import located, plausible

HOUR_S, DAY_S = 3600, 86_400
MARKS_PER_TURN = 20_000  # writers wait for one turn at most
JOIN_S = 48 * HOUR_S  # marked hours this close are recounted in one go
NO_SESSION = {"synchronize_session": False}

OpenSession = Callable[[], AbstractContextManager[Session]]


class unix_time(GenericFunction[int]):
    """A DATETIME column as UNIX seconds."""

    type = sa.Integer()
    inherit_cache = True


@compiles(unix_time, "sqlite")
def _sqlite(element: unix_time, compiler: Any, **kw: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **kw)}) AS INTEGER)"


@compiles(unix_time, "mysql", "mariadb")
def _mariadb(element: unix_time, compiler: Any, **kw: Any) -> str:
    return f"TIMESTAMPDIFF(SECOND, '1970-01-01', {compiler.process(element.clauses, **kw)})"


def change_number(session: Session) -> int:
    """Grows with every change of an image or annotation.

    It counts marks rather than naming the newest: on MariaDB a transaction may commit after one with a higher id.
    """
    n_marks = session.scalar(sa.select(sa.func.count()).select_from(RollupMark)) or 0
    return counted_number(session) + n_marks


def counted_number(session: Session) -> int:
    """Grows with everything that was counted."""
    return session.scalar(sa.select(RollupState.last_mark_id)) or 0


def refresh(begin: OpenSession, read: OpenSession, for_s: float = 2.0) -> None:
    """Recount what has changed; costs one look-up when nothing has.

    After `for_s` seconds it leaves the rest to the next call: nobody waits while a season is being imported.
    """
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        with read() as session:
            if session.scalar(sa.select(RollupMark.id).limit(1)) is None:
                return
        with begin() as session:
            refresh_marked(session)


def refresh_marked(session: Session) -> None:
    """Recount the hours of the oldest marks; one process at a time."""
    counted = _lock(session)
    oldest = sa.select(RollupMark.id, RollupMark.device, RollupMark.start_s).order_by(RollupMark.id)
    marks = session.execute(oldest.limit(MARKS_PER_TURN)).all()
    if not marks:
        return
    hours: dict[str, set[int]] = defaultdict(set)
    for _, device, start_s in marks:
        hours[device].add(start_s)
    for device, starts in sorted(hours.items()):
        _recount(session, device, starts, counted + len(marks))
    _delete_marks(session, [mark.id for mark in marks])
    session.execute(sa.update(RollupState).values(last_mark_id=counted + len(marks)).execution_options(**NO_SESSION))


def _lock(session: Session) -> int:
    """Hold the one row of the state until the transaction ends; SQLite has locked everything already."""
    row = sa.select(RollupState.last_mark_id).with_for_update()
    counted = session.scalar(row)
    if counted is None:
        session.execute(insert_or_ignore(RollupState).values(id=1, last_mark_id=0))
        counted = session.scalar(row)
    return counted or 0


def _delete_marks(session: Session, ids: Sequence[int]) -> None:
    # By id: a lower id that commits after we read must survive.
    for start in range(0, len(ids), 500):
        session.execute(delete_ids(RollupMark, ids[start : start + 500], session.get_bind().dialect))


def _recount(session: Session, device: str, hours: Iterable[int], change: int) -> None:
    for start_s, end_s in _runs(sorted(hours)):
        _clear(session, device, HOUR_S, start_s, end_s)
        _count_hours(session, device, start_s, end_s)
        day_s, next_day_s = start_s // DAY_S * DAY_S, -(-end_s // DAY_S) * DAY_S
        _clear(session, device, DAY_S, day_s, next_day_s)
        _count_days(session, device, day_s, next_day_s)
        blocks.rewrite(session, device, HOUR_S, start_s, end_s)
        blocks.rewrite(session, device, DAY_S, day_s, next_day_s)
    _summarise(session, device, change)


def _runs(hours: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges (start, end) in seconds that cover the hours."""
    start = last = hours[0]
    for hour in hours[1:]:
        if hour - last > JOIN_S:
            yield start, last + HOUR_S
            start = hour
        last = hour
    yield start, last + HOUR_S


def _clear(session: Session, device: str, span_s: int, start_s: int, end_s: int) -> None:
    detectors = list(session.scalars(sa.select(DetectorVersion.id)))
    for table in (ImageBucket, AnnotationBucket):
        inside = [table.span_s == span_s, table.device == device, table.start_s >= start_s, table.start_s < end_s]
        if table is AnnotationBucket:  # the key begins with it
            inside.insert(0, table.detector_id.in_(detectors))
        session.execute(sa.delete(table).where(*inside).execution_options(**NO_SESSION))


def _count_hours(session: Session, device: str, start_s: int, end_s: int) -> None:
    range_ = {"of_device": device, "from_time": _moment(start_s), "to_time": _moment(end_s)}
    session.execute(_hours_of_images(), range_)
    _add_detectors(session, range_)
    session.execute(_hours_of_annotations(), range_)


def _count_days(session: Session, device: str, start_s: int, end_s: int) -> None:
    for table in (ImageBucket, AnnotationBucket):
        session.execute(_days_of(table), {"of_device": device, "from_s": start_s, "to_s": end_s})


def _summarise(session: Session, device: str, change: int) -> None:
    session.execute(sa.delete(DeviceSummary).where(DeviceSummary.device == device).execution_options(**NO_SESSION))
    days = (ImageBucket.span_s == DAY_S, ImageBucket.device == device)
    newest = sa.select(ImageBucket).where(*days, ImageBucket.lat.is_not(None)).order_by(ImageBucket.start_s.desc())
    place = session.scalars(newest.limit(1)).first()
    found = {f"found_{name}": getattr(place, name, None) for name in ("lat", "lng")}
    session.execute(_summary(), found | {"of_device": device, "change": change})


def _add_detectors(session: Session, range_: dict[str, Any]) -> None:
    names = (UidAnnotation.algo_name, UidAnnotation.algo_version)
    used = sa.select(*names).distinct().join(Image, Image.id == UidAnnotation.parent_image_id).where(*_in_range())
    known = {tuple(row) for row in session.execute(sa.select(DetectorVersion.algo_name, DetectorVersion.algo_version))}
    for name, version in sorted({tuple(row) for row in session.execute(used, range_)} - known):
        session.execute(sa.insert(DetectorVersion).values(algo_name=name, algo_version=version))


# Statements are made once: to make them takes SQLAlchemy ten times as long as the database needs for one hour.
@lru_cache
def _hours_of_images() -> sa.Insert:
    second = unix_time(Image.datetime)
    hour = (second - second % HOUR_S).label("start_s")
    temp, hum, lum = plausible("temp"), plausible("hum"), plausible("lum")
    count, total = sa.func.count, sa.func.sum
    columns = {
        "span_s": sa.literal(HOUR_S), "device": Image.device, "start_s": hour, "n_images": count(),
        "first_s": sa.func.min(second), "last_s": sa.func.max(second),
        "n_temp": count(temp), "sum_temp": total(temp), "min_temp": sa.func.min(temp), "max_temp": sa.func.max(temp),
        "n_hum": count(hum), "sum_hum": total(hum), "n_lum": count(lum), "sum_lum": total(lum),
        "lat": sa.func.max(located("lat")), "lng": sa.func.max(located("lng")),
    }  # fmt: skip
    return _insert(ImageBucket, columns, lambda query: query.where(*_in_range()).group_by(Image.device, hour))


@lru_cache
def _hours_of_annotations() -> sa.Insert:
    second, found = unix_time(Image.datetime), UidAnnotation.n_objects
    hour = (second - second % HOUR_S).label("start_s")
    columns = {
        "detector_id": DetectorVersion.id, "span_s": sa.literal(HOUR_S), "device": Image.device, "start_s": hour,
        "n_annotated": sa.func.count(), "sum_objects": sa.func.sum(found), "max_objects": sa.func.max(found),
    }  # fmt: skip
    return _insert(
        AnnotationBucket,
        columns,
        lambda query: (
            query.select_from(Image)
            .join(UidAnnotation, UidAnnotation.parent_image_id == Image.id)
            .join(DetectorVersion, _is_by(DetectorVersion))
            .where(*_in_range())
            .group_by(DetectorVersion.id, Image.device, hour)
        ),
    )


@lru_cache
def _days_of(table: type) -> sa.Insert:
    day = (table.start_s - table.start_s % DAY_S).label("start_s")
    keys = {"span_s": sa.literal(DAY_S), "device": table.device, "start_s": day}
    inside = [table.span_s == HOUR_S, table.device == sa.bindparam("of_device"),
              table.start_s >= sa.bindparam("from_s"), table.start_s < sa.bindparam("to_s")]  # fmt: skip
    if table is AnnotationBucket:
        keys = {"detector_id": table.detector_id} | keys
        inside.insert(0, table.detector_id.in_(sa.select(DetectorVersion.id)))
    values = [column.key for column in table.__table__.columns if column.key not in keys]
    columns = keys | {name: _merge(name)(getattr(table, name)) for name in values}
    group = [column for name, column in keys.items() if name != "span_s"]
    return _insert(table, columns, lambda query: query.where(*inside).group_by(*group))


@lru_cache
def _summary() -> sa.Insert:
    days = (ImageBucket.span_s == DAY_S, ImageBucket.device == sa.bindparam("of_device"))
    columns = {"device": ImageBucket.device}
    columns |= {name: _merge(name)(getattr(ImageBucket, name)) for name in ("n_images", "first_s", "last_s")}
    columns |= {name: sa.bindparam(f"found_{name}", type_=ImageBucket.lat.type) for name in ("lat", "lng")}
    columns["last_mark_id"] = sa.bindparam("change", type_=sa.Integer())
    return _insert(DeviceSummary, columns, lambda query: query.where(*days).group_by(ImageBucket.device))


def _in_range() -> tuple[sa.ColumnElement[bool], ...]:
    from_time, to_time = sa.bindparam("from_time"), sa.bindparam("to_time")
    return Image.device == sa.bindparam("of_device"), Image.datetime >= from_time, Image.datetime < to_time


def _is_by(detector: type[DetectorVersion]) -> sa.ColumnElement[bool]:
    return sa.and_(UidAnnotation.algo_name == detector.algo_name, UidAnnotation.algo_version == detector.algo_version)


def _insert(table: type, columns: dict[str, Any], shape: Callable[[sa.Select], sa.Select]) -> sa.Insert:
    query = shape(sa.select(*(column.label(name) for name, column in columns.items())))
    return sa.insert(table.__table__).from_select(list(columns), query)


def _merge(name: str) -> Any:
    """How a column of several buckets becomes that of one."""
    if name.startswith(("n_", "sum_")):
        return sa.func.sum
    return sa.func.min if name.startswith(("first_", "min_")) else sa.func.max


def _moment(unix_s: int) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None)
