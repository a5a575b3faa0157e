"""What Explore shows: one series of buckets, or of single images, per device."""

from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import AnnotationBucket, Image, ImageBucket, UidAnnotation
from .devices import DeviceInfo
from .numbers import read_numbers
from .rollups import DAY_S, HOUR_S, unix_time
from .rows import plausible
from .scope import Scope, moment

POINTS_PER_ROW, POINTS_PER_PAGE = 800, 20_000  # a screenful, and what travels in a second
BUCKETS_S = (HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 2 * DAY_S, 7 * DAY_S, 28 * DAY_S)
NUMBERS = ("start_s", "first_s", "last_s", "n_images", "temp", "min_temp", "max_temp", "hum", "lum",
           "n_annotated", "sum_objects", "max_objects")  # fmt: skip
MEASURED = {"temp", "min_temp", "max_temp", "hum", "lum"}
MILLI = 0.001
SINGLE = ("taken_s", "temp", "hum", "lum", "found")


@dataclass(frozen=True)
class DeviceRow:
    """The series of one device: arrays of one length, float64, NaN where nothing was measured or detected."""

    info: DeviceInfo
    bucket_s: int  # 0: single images
    values: dict[str, np.ndarray] = field(repr=False)  # by NUMBERS

    @property
    def n_images(self) -> int:
        return int(self.values["n_images"].sum())

    @property
    def n_annotated(self) -> int:
        return int(self.values["n_annotated"].sum())

    @property
    def n_objects(self) -> int:
        return int(np.nansum(self.values["sum_objects"]))

    @property
    def cadence_s(self) -> float:
        """The usual time between two images; 20 minutes where there are too few to tell."""
        return _cadence_s(self.values)


def list_rows(session: Session, scope: Scope) -> list[DeviceRow]:
    """One row per device of the scope, in their order, also for those without images in the range."""
    bucket_s = choose_bucket(session, scope)
    query = _single_images(scope) if bucket_s == 0 else _buckets(scope, bucket_s)
    tables = read_numbers(session, query)
    nothing = np.empty((0, len(NUMBERS) if bucket_s else len(SINGLE)))
    unpack = _bucket_values if bucket_s else _single_values
    return [DeviceRow(info, bucket_s, unpack(tables.get(info.device, nothing))) for info in scope.devices]


def count_days(session: Session, scope: Scope) -> tuple[np.ndarray, np.ndarray]:
    """All days on which the devices of the scope took pictures, in UNIX seconds, and how many."""
    devices = [info.device for info in scope.devices]
    days = sa.select(ImageBucket.start_s, sa.func.sum(ImageBucket.n_images))
    mine = days.where(ImageBucket.span_s == DAY_S, ImageBucket.device.in_(devices)).group_by(ImageBucket.start_s)
    found = session.connection().execute(mine.order_by(ImageBucket.start_s)).all()
    table = np.array(found, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def choose_bucket(session: Session, scope: Scope) -> int:
    """Seconds per point, 0 for single images: the finest that the screen and the network carry."""
    n_devices = max(1, len(scope.devices))
    n_points = max(100, min(POINTS_PER_ROW, POINTS_PER_PAGE // n_devices))
    length_s = scope.end_s - scope.start_s
    if length_s <= n_points * HOUR_S and _most_images(session, scope) <= 1.3 * n_points:
        return 0
    return next((bucket for bucket in BUCKETS_S if length_s / bucket <= n_points), BUCKETS_S[-1])


def _most_images(session: Session, scope: Scope) -> int:
    n_images = sa.func.sum(ImageBucket.n_images).label("n")
    counts = sa.select(n_images).where(*_inside(scope, HOUR_S)).group_by(ImageBucket.device).subquery()
    return session.scalar(sa.select(sa.func.max(counts.c.n))) or 0


def _single_images(scope: Scope) -> sa.Select:
    devices = [info.device for info in scope.devices]
    by_this = sa.and_(
        UidAnnotation.parent_image_id == Image.id,
        UidAnnotation.algo_name == (scope.detector.name if scope.detector else None),
        UidAnnotation.algo_version == (scope.detector.version if scope.detector else None),
    )
    in_time = (Image.datetime >= moment(scope.start_s), Image.datetime < moment(scope.end_s))
    numbers = {"taken_s": unix_time(Image.datetime), "temp": _short(plausible("temp")), "hum": _short(plausible("hum")),
               "lum": _short(plausible("lum")), "found": UidAnnotation.n_objects}  # fmt: skip
    columns = (column.label(name) for name, column in numbers.items())
    return (
        sa.select(Image.device, *columns).outerjoin(UidAnnotation, by_this).where(Image.device.in_(devices), *in_time)
    )


def _single_values(table: np.ndarray) -> dict[str, np.ndarray]:
    taken_s, temp, hum, lum, found = table.T * [[1], [MILLI], [MILLI], [MILLI], [1]]
    one = np.ones(len(table))
    values = (
        taken_s,
        taken_s,
        taken_s,
        one,
        temp,
        temp,
        temp,
        hum,
        lum,
        (~np.isnan(found)).astype(float),
        found,
        found,
    )
    return dict(zip(NUMBERS, values, strict=True))


def _buckets(scope: Scope, bucket_s: int) -> sa.Select:
    """Whole buckets; those of days are merged from days, shorter ones from hours."""
    span_s = DAY_S if bucket_s % DAY_S == 0 else HOUR_S
    total, low, high = sa.func.sum, sa.func.min, sa.func.max
    i, a = ImageBucket, AnnotationBucket
    start = i.start_s - i.start_s % bucket_s
    same = sa.and_(
        a.detector_id == (scope.detector.id if scope.detector else 0),
        a.span_s == i.span_s, a.device == i.device, a.start_s == i.start_s,
    )  # fmt: skip
    values = (
        start, low(i.first_s), high(i.last_s), total(i.n_images),
        _short(total(i.sum_temp) / total(i.n_temp)), _short(low(i.min_temp)), _short(high(i.max_temp)),
        _short(total(i.sum_hum) / total(i.n_hum)), _short(total(i.sum_lum) / total(i.n_lum)),
        sa.func.coalesce(total(a.n_annotated), 0), total(a.sum_objects), high(a.max_objects),
    )  # fmt: skip
    columns = (value.label(name) for name, value in zip(NUMBERS, values, strict=True))
    query = sa.select(i.device, *columns).outerjoin(a, same).where(*_inside(scope, span_s))
    return query.group_by(i.device, start)


def _bucket_values(table: np.ndarray) -> dict[str, np.ndarray]:
    return {name: table[:, index] * (MILLI if name in MEASURED else 1) for index, name in enumerate(NUMBERS)}


def _short(value: sa.ColumnElement) -> sa.ColumnElement:
    """As whole thousandths, see MILLI: databases write integers several times faster than fractions."""
    return sa.cast(1000 * value, sa.Integer)


def _inside(scope: Scope, span_s: int) -> list[sa.ColumnElement[bool]]:
    devices = [info.device for info in scope.devices]
    table, from_s = ImageBucket, scope.start_s // span_s * span_s
    return [table.span_s == span_s, table.device.in_(devices), table.start_s >= from_s, table.start_s < scope.end_s]


def _cadence_s(values: dict[str, np.ndarray]) -> float:
    first, last, count = values["first_s"], values["last_s"], values["n_images"]
    if len(first) > 2 and count.max() == 1:
        return float(np.median(np.diff(first)))
    several = count > 1
    if not several.any():
        return 1200.0
    return float(np.median((last - first)[several] / (count[several] - 1)))
