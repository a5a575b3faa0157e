"""Series merged from the counts per hour or day: the database hands over blocks of them, NumPy merges them.

All traps at once: each has a stretch of its own on one long line, so that a moment there says whose it is, too.
"""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import Image, RollupBlock, UidAnnotation
from .blocks import COUNTED, FOUND_WIDTH, IMAGE_WIDTH, IMAGES, MEASURED, MILLI, block_s, decode, shorten
from .numbers import read_numbers
from .rollups import unix_time
from .rows import plausible
from .span_counts import found_by
from .spans import FOREVER, Spans, join_spans, select_in_spans, split_by_rollup

Values = dict[str, np.ndarray]
STRETCH_S = FOREVER[-1][1]  # of the line, for one device


def read_buckets(session: Session, spans: Spans, bucket_s: int, detector_ids: Sequence[int]) -> dict[str, Values]:
    """Per device the series of `merge_images`, and of `merge_found` for each detector, the second's with a `_2`.

    Exactly the pictures in the spans: those at the ends, in days and hours that are cut, are read one by one.
    """
    line, parts = {device: k * STRETCH_S for k, device in enumerate(spans)}, split_by_rollup(spans, bucket_s)
    images = _join([_read_images(session, span_s, part, line) for span_s, part in parts], IMAGE_WIDTH)
    if not len(images):
        return {}
    values = merge_images(images, bucket_s, _bounds(spans, line))
    for suffix, detector_id in zip(("", "_2"), detector_ids, strict=False):
        found = _join([_read_found(session, span_s, part, detector_id, line) for span_s, part in parts], FOUND_WIDTH)
        values |= {name + suffix: column for name, column in merge_found(found, values["at"], bucket_s).items()}
    of = values.pop("at") // STRETCH_S
    cuts = [slice(*np.searchsorted(of, (k, k + 1)).tolist()) for k in range(len(line))]
    split = {device: {name: column[cut] for name, column in values.items()}
             for device, cut in zip(line, cuts, strict=True)}  # fmt: skip
    return {device: mine for device, mine in split.items() if len(mine["start_s"])}


def merge_images(table: np.ndarray, bucket_s: int, bounds: np.ndarray) -> Values:
    """Buckets from rows of start, first and last picture after it, COUNTED and MEASURED, in the order of the line.

    `at` is their start on the line, all other moments are UNIX seconds. `between_s` is the longest time between two
    pictures that lie in different rows of one bucket, 0 with one row; `outside_s` the time from the first picture of a
    bucket to its last one that is in no span. No picture is missing there, so that `between_s` leaves it out.
    """
    row = dict(zip((*COUNTED, *MEASURED), table.T[3:], strict=True))
    first_at, last_at = table.T[:1] + table.T[1:3]
    start = _starts(table[:, 0], bucket_s)
    first = np.flatnonzero(np.diff(start, prepend=-1))
    add = {name: np.add.reduceat(_or_zero(row[name]), first) for name in row if name.startswith(("n_", "sum_"))}
    first_inside, last_inside = _inside(first_at, bounds), _inside(last_at, bounds)
    between = first_inside - np.concatenate([[0], last_inside[:-1]])
    between[first] = 0
    last = np.append(first[1:], len(table)) - 1
    at = start[first]
    stretch = at - at % STRETCH_S
    return {
        "at": at,
        "start_s": at - stretch,
        "first_s": first_at[first] - stretch,
        "last_s": np.maximum.reduceat(last_at, first) - stretch,
        "n_images": add["n_images"],
        "temp": _mean(add["sum_temp"], add["n_temp"]) * MILLI,
        "min_temp": np.fmin.reduceat(row["min_temp"], first) * MILLI,
        "max_temp": np.fmax.reduceat(row["max_temp"], first) * MILLI,
        "hum": _mean(add["sum_hum"], add["n_hum"]) * MILLI,
        "lum": _mean(add["sum_lum"], add["n_lum"]) * MILLI,
        "between_s": np.maximum.reduceat(between, first),
        "outside_s": (last_at[last] - first_at[first]) - (last_inside[last] - first_inside[first]),
    }


def merge_found(table: np.ndarray, at: np.ndarray, bucket_s: int) -> Values:
    """What a detector found in the buckets that begin `at`, on the line; NaN where it has seen no picture.

    Args:
        table: rows of start, pictures seen, outlines.
    """
    start = _starts(table[:, 0], bucket_s)
    which = np.minimum(np.searchsorted(at, start), len(at) - 1)
    there = at[which] == start  # else its pictures came after they were read
    n_annotated, total = (np.bincount(which[there], column[there], len(at)) for column in table.T[1:])
    return {"n_annotated": n_annotated, "sum_objects": np.where(n_annotated > 0, total, np.nan)}


def _starts(at: np.ndarray, bucket_s: int) -> np.ndarray:
    return at - at % STRETCH_S % bucket_s


def _bounds(spans: Spans, line: dict[str, int]) -> np.ndarray:
    """Where on the line spans begin and end, in turn."""
    return np.array([at + line[device] for device, mine in spans.items() for span in mine for at in span], float)


def _inside(at: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """A clock that runs in spans alone."""
    ran = np.zeros(len(bounds))
    ran[1::2] = bounds[1::2] - bounds[::2]
    return np.interp(at, bounds, ran.cumsum())


def _or_zero(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0, values)


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)


def _join(parts: Sequence[np.ndarray], width: int) -> np.ndarray:
    """In the order of the line."""
    table = np.concatenate([np.empty((0, width)), *parts])
    return table[np.argsort(table[:, 0], kind="stable")] if len(parts) > 1 else table


def _read_images(session: Session, span_s: int, spans: Spans, line: dict[str, int]) -> np.ndarray:
    if span_s:
        return _read_blocks(session, span_s, spans, line, IMAGES, IMAGE_WIDTH)
    return _on_line(read_numbers(session, _single_images(session, spans)), line, IMAGE_WIDTH)


def _read_found(session: Session, span_s: int, spans: Spans, detector_id: int, line: dict[str, int]) -> np.ndarray:
    if span_s:
        return _read_blocks(session, span_s, spans, line, detector_id, FOUND_WIDTH)
    seen = (unix_time(Image.datetime), sa.literal_column("1").label("seen"), UidAnnotation.n_objects)
    found = read_numbers(session, found_by(session, (Image.device, *seen), spans, detector_id))
    return _on_line(found, line, FOUND_WIDTH)


def _on_line(tables: dict[str, np.ndarray], line: dict[str, int], width: int) -> np.ndarray:
    moved = [table + np.eye(1, width) * line[device] for device, table in tables.items()]
    return np.concatenate([np.empty((0, width)), *moved])


def _read_blocks(
    session: Session, span_s: int, spans: Spans, line: dict[str, int], detector_id: int, width: int
) -> np.ndarray:
    """The rows of blocks that lie in spans, which are made of whole hours or days."""
    block, length_s = RollupBlock, block_s(span_s)
    touched = join_spans(
        (device, start_s // length_s * length_s, -(-end_s // length_s) * length_s)
        for device, mine in spans.items() for start_s, end_s in mine
    )  # fmt: skip
    columns = (block.device, block.start_s, block.numbers)
    query = select_in_spans(session, columns, block, block.start_s, touched)
    query = query.where(block.span_s == span_s, block.detector_id == detector_id)
    found = sorted(
        (line[device] + start_s, numbers) for device, start_s, numbers in session.connection().execute(query)
    )
    table = decode([at for at, _ in found], [numbers for _, numbers in found], width)
    return table[np.searchsorted(_bounds(spans, line), table[:, 0], side="right") % 2 == 1]


def _single_images(session: Session, spans: Spans) -> sa.Select:
    """Each as if it were a bucket."""
    temp, hum, lum = (plausible(name) for name in ("temp", "hum", "lum"))
    counts = [sa.literal_column("0"), sa.literal_column("0"), sa.literal_column("1"),
              *(sa.case((value.is_not(None), 1), else_=0) for value in (temp, hum, lum))]  # fmt: skip
    measured = [shorten(value) for value in (temp, temp, temp, hum, lum)]
    columns = [column.label(f"number_{k}") for k, column in enumerate([unix_time(Image.datetime), *counts, *measured])]
    return select_in_spans(session, [Image.device, *columns], Image, Image.datetime, spans)
