"""How many pictures lie in spans, exactly: by day and hour where those are whole, picture by picture at the ends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import AnnotationBucket, DetectorVersion, Image, ImageBucket, UidAnnotation
from .rollups import DAY_S, unix_time
from .spans import Spans, select_in_spans, split_by_rollup


@dataclass(frozen=True)
class Extent:
    """The pictures of one device; times in UNIX seconds."""

    n_images: int
    first_s: int
    last_s: int


def count_devices(session: Session, spans: Spans) -> dict[str, Extent]:
    """The pictures of each device, of those that have any."""
    found: dict[str, Extent] = {}
    for span_s, part in split_by_rollup(spans):
        taken = unix_time(Image.datetime)
        of = (Image.device, sa.func.count(), sa.func.min(taken), sa.func.max(taken))
        if span_s:
            bucket, total = ImageBucket, sa.func.sum(ImageBucket.n_images)
            of = (bucket.device, total, sa.func.min(bucket.first_s), sa.func.max(bucket.last_s))
        for device, n_images, first_s, last_s in session.execute(_inside(session, of, span_s, part).group_by(of[0])):
            here = Extent(int(n_images), first_s, last_s)
            found[device] = _add(found[device], here) if device in found else here
    return found


def count_days(session: Session, spans: Spans) -> tuple[np.ndarray, np.ndarray]:
    """The days (of UTC) on which pictures were taken, in UNIX seconds, and how many."""
    tables = [np.empty((0, 2))]
    for span_s, part in split_by_rollup(spans):
        at, total = unix_time(Image.datetime), sa.func.count()
        if span_s:
            at, total = ImageBucket.start_s, sa.func.sum(ImageBucket.n_images)
        day_s = (at - at % DAY_S).label("day_s")
        found = session.execute(_inside(session, (day_s, total), span_s, part).group_by(day_s)).all()
        tables.append(np.array(found, float).reshape(-1, 2))
    table = np.concatenate(tables)
    days, where = np.unique(table[:, 0], return_inverse=True)
    return days, np.bincount(where, table[:, 1], len(days))


def count_found(session: Session, spans: Spans, detector_id: int) -> tuple[int, int]:
    """How many pictures a version of a detector has looked at, and how many outlines it drew on them."""
    n_annotated = n_objects = 0
    for span_s, part in split_by_rollup(spans):
        table = AnnotationBucket
        numbers = (sa.func.sum(table.n_annotated), sa.func.sum(table.sum_objects))
        if span_s:
            query = select_in_spans(session, numbers, table, table.start_s, part)
            query = query.where(table.detector_id == detector_id, table.span_s == span_s)
        else:
            query = found_by(session, (sa.func.count(), sa.func.sum(UidAnnotation.n_objects)), part, detector_id)
        here = session.execute(query).one()
        n_annotated, n_objects = n_annotated + int(here[0] or 0), n_objects + int(here[1] or 0)
    return n_annotated, n_objects


def found_by(session: Session, columns: Any, spans: Spans, detector_id: int) -> sa.Select:
    """Columns of pictures in spans, and of what a version of a detector found on them."""
    names = ("algo_name", "algo_version")
    version = sa.and_(*(getattr(UidAnnotation, name) == getattr(DetectorVersion, name) for name in names))
    return (
        select_in_spans(session, columns, Image, Image.datetime, spans)
        .join(UidAnnotation, UidAnnotation.parent_image_id == Image.id)
        .join(DetectorVersion, version)
        .where(DetectorVersion.id == detector_id)
    )


def _inside(session: Session, columns: Any, span_s: int, spans: Spans) -> sa.Select:
    if span_s == 0:
        return select_in_spans(session, columns, Image, Image.datetime, spans)
    query = select_in_spans(session, columns, ImageBucket, ImageBucket.start_s, spans)
    return query.where(ImageBucket.span_s == span_s)


def _add(one: Extent, other: Extent) -> Extent:
    first_s, last_s = min(one.first_s, other.first_s), max(one.last_s, other.last_s)
    return Extent(one.n_images + other.n_images, first_s, last_s)
