"""Counts of hours and days as pages read them: thirty-two in one value.

50 traps x 28 days are 67,000 rows, and a database takes a quarter of a second to hand them over one by one. They are
1,100 values of 32 rows each in a few milliseconds, and NumPy takes them as they are.
"""

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import AnnotationBucket, DetectorVersion, ImageBucket, RollupBlock
from .numbers import read_numbers

ROWS = 32  # of one block, at most
IMAGES = 0  # in place of a detector: the pictures themselves
MILLI = 0.001
COUNTED = ("n_images", "n_temp", "n_hum", "n_lum")
MEASURED = ("sum_temp", "min_temp", "max_temp", "sum_hum", "sum_lum")
FOUND = ("n_annotated", "sum_objects")
IMAGE_WIDTH, FOUND_WIDTH = 3 + len(COUNTED) + len(MEASURED), 1 + len(FOUND)
# Sums are exact up to 16 million, and to seven digits above: more than a plot shows.
NUMBER = np.dtype("<f4")


def block_s(span_s: int) -> int:
    """How long a block of hours or days is; blocks begin at multiples of it."""
    return ROWS * span_s


def shorten(value: sa.ColumnElement) -> sa.ColumnElement:
    """As whole thousandths, see MILLI: databases write integers several times faster than fractions."""
    return sa.cast(1000 * value, sa.Integer)


def rewrite(session: Session, device: str, span_s: int, start_s: int, end_s: int) -> None:
    """Make the blocks that a range touches anew, from the counts of its hours or days."""
    length_s = block_s(span_s)
    first_s, last_s = start_s // length_s * length_s, -(-end_s // length_s) * length_s

    def inside(table: type) -> list[sa.ColumnElement[bool]]:
        return [table.span_s == span_s, table.device == device, table.start_s >= first_s, table.start_s < last_s]

    session.execute(sa.delete(RollupBlock).where(*inside(RollupBlock)).execution_options(synchronize_session=False))
    bucket, found = ImageBucket, AnnotationBucket
    columns = [bucket.start_s, bucket.first_s - bucket.start_s, bucket.last_s - bucket.start_s]
    columns += [getattr(bucket, name) for name in COUNTED]
    columns += [shorten(getattr(bucket, name)).label(name) for name in MEASURED]
    tables = read_numbers(session, sa.select(sa.literal(IMAGES).label("of"), *columns).where(*inside(bucket)))
    columns = [found.detector_id, found.start_s, *(getattr(found, name) for name in FOUND)]
    detectors = session.scalars(sa.select(DetectorVersion.id)).all()  # the key of their counts begins with them
    tables |= read_numbers(session, sa.select(*columns).where(found.detector_id.in_(detectors), *inside(found)))
    rows = []
    for detector_id, table in tables.items():
        for begin_s, some in _cut(table, length_s):
            key = {"span_s": span_s, "device": device, "detector_id": detector_id, "start_s": begin_s}
            rows.append(key | {"numbers": encode(some, begin_s)})
    if rows:
        session.execute(sa.insert(RollupBlock.__table__), rows)


def encode(table: np.ndarray, begin_s: int) -> bytes:
    """Rows of a block that begins at `begin_s`; their first number is UNIX seconds."""
    short = table - np.eye(1, table.shape[1]) * begin_s
    return short.astype(NUMBER).tobytes()


def decode(begins_s: Sequence[int], blocks: Sequence[bytes], width: int) -> np.ndarray:
    """The rows of blocks, shape (rows, width), float64, NaN for null; the first of each is UNIX seconds again."""
    table = np.frombuffer(b"".join(blocks), NUMBER).reshape(-1, width).astype(np.float64)
    lengths = np.fromiter(map(len, blocks), np.int64, len(blocks)) // (width * NUMBER.itemsize)
    table[:, 0] += np.repeat(np.asarray(begins_s, np.float64), lengths)
    return table


def _cut(table: np.ndarray, length_s: int) -> list[tuple[int, np.ndarray]]:
    begins_s = table[:, 0] - table[:, 0] % length_s
    firsts = np.flatnonzero(np.diff(begins_s, prepend=-1))
    return [(int(begins_s[first]), part) for first, part in zip(firsts, np.split(table, firsts[1:]), strict=True)]
