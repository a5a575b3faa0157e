"""What Explore shows: one series of buckets, or of single images, per device."""

from dataclasses import dataclass, field
from urllib.parse import parse_qs

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from ..models import Image, UidAnnotation
from .blocks import MILLI, shorten
from .buckets import read_buckets
from .devices import DeviceInfo
from .numbers import read_numbers
from .rollups import DAY_S, HOUR_S, unix_time
from .rows import plausible
from .scope import Detector, Scope
from .span_counts import count_devices
from .spans import Spans, clip, in_spans

POINTS_PER_ROW, POINTS_PER_PAGE = 800, 20_000  # a screenful, and what travels in a second
BUCKETS_S = (HOUR_S, 2 * HOUR_S, 3 * HOUR_S, 6 * HOUR_S, 12 * HOUR_S, DAY_S, 2 * DAY_S, 7 * DAY_S, 28 * DAY_S)
MARGIN_S, LONG_MARGIN_S = 2 * HOUR_S, 6 * HOUR_S  # around a range of single images; the second where it is short
NUMBERS = ("start_s", "first_s", "last_s", "n_images", "temp", "min_temp", "max_temp", "hum", "lum", "between_s",
           "outside_s", "n_annotated", "sum_objects")  # fmt: skip
COMPARED = ("n_annotated_2", "sum_objects_2")  # the same of a second version, where one was asked for


@dataclass(frozen=True)
class DeviceRow:
    """The series of one device: arrays of one length, float64, NaN where nothing was measured or detected.

    Of single images, the one before the range and the one after it are there, too, so that lines reach its ends:
    `inside` is what lies in the range, and what is counted.
    """

    info: DeviceInfo
    bucket_s: int  # 0: single images
    values: dict[str, np.ndarray] = field(repr=False)  # by NUMBERS, and by COMPARED where two versions are compared
    cadence_s: float  # the usual time between two images
    inside: slice

    @property
    def n_images(self) -> int:
        return self._sum("n_images")

    @property
    def n_annotated(self) -> int:
        return self._sum("n_annotated")

    @property
    def n_objects(self) -> int:
        return self._sum("sum_objects")

    @property
    def n_annotated_2(self) -> int:
        return self._sum("n_annotated_2")

    @property
    def n_objects_2(self) -> int:
        return self._sum("sum_objects_2")

    @property
    def is_compared(self) -> bool:
        return COMPARED[0] in self.values

    def _sum(self, name: str) -> int:
        return int(np.nansum(self.values[name][self.inside]))


def find_compared(search: str, scope: Scope) -> Detector | None:
    """The second version that the URL asks for (`compare=`): one that exists, and is not the first again."""
    wanted = parse_qs(search.removeprefix("?"), max_num_fields=100).get("compare", [""])[-1].strip()
    others = (each for each in scope.detectors if each != scope.detector)
    return next((each for each in others if wanted in (each.key, each.version)), None)


def list_rows(session: Session, scope: Scope, compared: Detector | None = None) -> list[DeviceRow]:
    """One row per device of the scope, in their order, also for those without images in the range."""
    bucket_s = choose_bucket(session, scope)
    if bucket_s == 0:
        spans = clip(scope.whole, scope.start_s - _margin_s(scope), scope.end_s + _margin_s(scope))
        tables = read_numbers(session, _single_images(scope, spans, compared))
        found = {device: _single_values(table) for device, table in tables.items()}
    else:
        ids = [scope.detector.id if scope.detector else 0, *([compared.id] if compared else [])]
        found = read_buckets(session, scope.spans, bucket_s, ids)
    nothing = {name: np.empty(0) for name in (*NUMBERS, *(COMPARED if compared else ()))}
    return [_make_row(info, bucket_s, found.get(info.device, nothing), scope) for info in scope.devices]


def _margin_s(scope: Scope) -> int:
    """How far around a range of single images is looked: a short one says little about the rhythm of a trap."""
    return LONG_MARGIN_S if scope.end_s - scope.start_s < LONG_MARGIN_S else MARGIN_S


def _make_row(info: DeviceInfo, bucket_s: int, values: dict[str, np.ndarray], scope: Scope) -> DeviceRow:
    cadence_s = _cadence_s(values)
    if bucket_s:
        return DeviceRow(info, bucket_s, values, cadence_s, slice(None))
    start, end = np.searchsorted(values["start_s"], (scope.start_s, scope.end_s)).tolist()
    first = max(0, start - 1)
    values = {name: column[first : end + 1] for name, column in values.items()}
    return DeviceRow(info, bucket_s, values, cadence_s, slice(start - first, end - first))


def choose_bucket(session: Session, scope: Scope) -> int:
    """Seconds per point, 0 for single images: the finest that the screen and the network carry."""
    n_devices = max(1, len(scope.devices))
    n_points = max(100, min(POINTS_PER_ROW, POINTS_PER_PAGE // n_devices))
    length_s = scope.end_s - scope.start_s
    if length_s <= n_points * HOUR_S and _most_images(session, scope) <= 1.3 * n_points:
        return 0
    return next((bucket for bucket in BUCKETS_S if length_s / bucket <= n_points), BUCKETS_S[-1])


def _most_images(session: Session, scope: Scope) -> int:
    return max((extent.n_images for extent in count_devices(session, scope.spans).values()), default=0)


def _single_images(scope: Scope, spans: Spans, compared: Detector | None) -> sa.Select:
    measured = {name: plausible(name) for name in ("temp", "hum", "lum")}
    numbers = {"taken_s": unix_time(Image.datetime), **{name: shorten(value) for name, value in measured.items()}}
    numbers["found"] = UidAnnotation.n_objects
    also = aliased(UidAnnotation)
    if compared is not None:
        numbers["found_2"] = also.n_objects
    columns = (column.label(name) for name, column in numbers.items())
    query = sa.select(Image.device, *columns).outerjoin(UidAnnotation, _made_by(UidAnnotation, scope.detector))
    if compared is not None:
        query = query.outerjoin(also, _made_by(also, compared))
    return query.where(in_spans(Image.device, Image.datetime, spans))


def _made_by(annotation: type[UidAnnotation], detector: Detector | None) -> sa.ColumnElement[bool]:
    return sa.and_(
        annotation.parent_image_id == Image.id,
        annotation.algo_name == (detector.name if detector else None),
        annotation.algo_version == (detector.version if detector else None),
    )


def _single_values(table: np.ndarray) -> dict[str, np.ndarray]:
    taken_s, temp, hum, lum = table.T[:4] * [[1], [MILLI], [MILLI], [MILLI]]
    values = [taken_s, taken_s, taken_s, np.ones(len(table)), temp, temp, temp, hum, lum]
    values += [np.zeros(len(table))] * 2
    for found in table.T[4:]:
        values += [(~np.isnan(found)).astype(float), found]
    return dict(zip((*NUMBERS, *COMPARED), values, strict=False))


def _cadence_s(values: dict[str, np.ndarray]) -> float:
    """The usual time between two images; 20 minutes where there are too few to tell."""
    first, last, count = values["first_s"], values["last_s"], values["n_images"]
    if len(first) > 2 and count.max() == 1:
        return _median(np.diff(first))
    several = count > 1
    if not several.any():
        return 1200.0
    return _median((last - first)[several] / (count[several] - 1))


def _median(values: np.ndarray) -> float:
    """As np.median has it, which takes ten times as long for a few hundred numbers."""
    ordered, middle = np.sort(values), len(values) // 2
    return float(ordered[middle - 1 + len(values) % 2 : middle + 1].mean())
