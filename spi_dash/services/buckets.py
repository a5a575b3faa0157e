"""Series merged from the counts per hour or day: the database reads rows in order, NumPy merges them.

A GROUP BY in SQL takes twice as long: both databases sort what lies in order already.
"""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import AnnotationBucket, ImageBucket
from .numbers import read_numbers
from .rollups import DAY_S, HOUR_S

MILLI = 0.001
COUNTED = ("n_images", "n_temp", "n_hum", "n_lum")
MEASURED = ("sum_temp", "min_temp", "max_temp", "sum_hum", "sum_lum")

Values = dict[str, np.ndarray]


def shorten(value: sa.ColumnElement) -> sa.ColumnElement:
    """As whole thousandths, see MILLI: databases write integers several times faster than fractions."""
    return sa.cast(1000 * value, sa.Integer)


def read_buckets(
    session: Session, devices: Sequence[str], range_s: tuple[int, int], bucket_s: int, detector_ids: Sequence[int]
) -> dict[str, Values]:
    """Per device the series of `merge_images`, and of `merge_found` for each detector, the second's with a `_2`.

    Whole buckets; those of days are merged from days, shorter ones from hours.
    """
    span_s = DAY_S if bucket_s % DAY_S == 0 else HOUR_S
    start_s = ImageBucket.start_s
    columns = [start_s, ImageBucket.first_s - start_s, ImageBucket.last_s - start_s]  # short, as text
    columns += [getattr(ImageBucket, name) for name in COUNTED]
    columns += [shorten(getattr(ImageBucket, name)).label(name) for name in MEASURED]
    images = read_numbers(session, _inside(ImageBucket, columns, devices, range_s, span_s))
    merged = {device: merge_images(table, bucket_s) for device, table in images.items()}
    found = AnnotationBucket
    for suffix, detector_id in zip(("", "_2"), detector_ids, strict=False):
        columns = [found.start_s, found.n_annotated, found.sum_objects]
        query = _inside(found, columns, devices, range_s, span_s).where(found.detector_id == detector_id)
        tables = read_numbers(session, query)
        for device, values in merged.items():
            here = merge_found(tables.get(device, np.empty((0, 3))), values["start_s"], bucket_s)
            values |= {name + suffix: column for name, column in here.items()}
    return merged


def merge_images(table: np.ndarray, bucket_s: int) -> Values:
    """Buckets from rows of start, first and last picture after it, COUNTED and MEASURED, in the order of time.

    `between_s` is the longest time between two pictures that lie in different rows of one bucket, 0 with one row.
    """
    row = dict(zip((*COUNTED, *MEASURED), table.T[3:], strict=True))
    first_s, last_s = table.T[:1] + table.T[1:3]
    start = table[:, 0] - table[:, 0] % bucket_s
    first = np.flatnonzero(np.diff(start, prepend=-1))
    add = {name: np.add.reduceat(np.nan_to_num(row[name]), first) for name in row if name.startswith(("n_", "sum_"))}
    between = np.diff(last_s, prepend=0) - (last_s - first_s)
    between[first] = 0
    return {
        "start_s": start[first],
        "first_s": first_s[first],
        "last_s": np.maximum.reduceat(last_s, first),
        "n_images": add["n_images"],
        "temp": _mean(add["sum_temp"], add["n_temp"]) * MILLI,
        "min_temp": np.fmin.reduceat(row["min_temp"], first) * MILLI,
        "max_temp": np.fmax.reduceat(row["max_temp"], first) * MILLI,
        "hum": _mean(add["sum_hum"], add["n_hum"]) * MILLI,
        "lum": _mean(add["sum_lum"], add["n_lum"]) * MILLI,
        "between_s": np.maximum.reduceat(between, first),
    }


def merge_found(table: np.ndarray, start_s: np.ndarray, bucket_s: int) -> Values:
    """What a detector found in the buckets that begin at `start_s`; NaN where it has seen no picture.

    Args:
        table: rows of start, pictures seen, outlines.
    """
    begins, seen, outlines = table.T
    at = np.searchsorted(start_s, begins - begins % bucket_s)
    n_annotated = np.bincount(at, seen, len(start_s)).astype(float)
    total = np.bincount(at, outlines, len(start_s)).astype(float)
    return {"n_annotated": n_annotated, "sum_objects": np.where(n_annotated > 0, total, np.nan)}


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _inside(
    table: type[ImageBucket] | type[AnnotationBucket],
    columns: Sequence[sa.ColumnElement],
    devices: Sequence[str],
    range_s: tuple[int, int],
    span_s: int,
) -> sa.Select:
    start_s, end_s = range_s[0] // span_s * span_s, range_s[1]
    mine = (table.span_s == span_s, table.device.in_(devices), table.start_s >= start_s, table.start_s < end_s)
    return sa.select(table.device, *columns).where(*mine)
