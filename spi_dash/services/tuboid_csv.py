"""Tuboids and all of their labels as CSV: a row for each label, one without for tuboids that have none."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from ..models import Device, ItcLabel, TiledTuboid, TuboidSeries
from .export_csv import FORMULA_STARTS, LINES_PER_PIECE, wait_for_slow_readers
from .labels import RANKS
from .tuboid_gallery import View, select_tuboids

HEADER = ("tuboid_id", "trap_name", "device", "start_utc", "end_utc", "shots", *RANKS, "label", "pattern",
          "classifier", "classifier_version", "labelled_utc", "newest_label")  # fmt: skip


def write_csv(session: Session, view: View) -> Iterator[bytes]:
    """The file in pieces, in the order of time; the view's page does not matter."""
    label = aliased(ItcLabel)
    columns = (TiledTuboid.tuboid_id, Device.name, TuboidSeries.device, TiledTuboid.start_datetime,
               TiledTuboid.end_datetime, TiledTuboid.n_shots, *(getattr(label, rank) for rank in RANKS), label.label,
               label.pattern, label.algo_name, label.algo_version, label.datetime_created)  # fmt: skip
    query = (
        select_tuboids(view, *columns, sa.case((label.id == ItcLabel.id, "true"), (label.id.is_not(None), "false")))
        .outerjoin(Device, Device.device == TuboidSeries.device)
        .outerjoin(label, label.parent_tuboid_id == TiledTuboid.id)
        .order_by(TiledTuboid.start_datetime, TiledTuboid.id, label.id)
    )
    wait_for_slow_readers(session)
    yield _lines([HEADER])
    for rows in session.execute(query.execution_options(yield_per=LINES_PER_PIECE)).partitions():
        yield _lines([[_cell(value) for value in row] for row in rows])


def file_name(view: View, now: datetime) -> str:
    """Which days (UTC), filtered or not, and the day it was made."""
    last = view.end - timedelta(seconds=1)
    filtered = "_filtered" if view.filtered else ""
    return f"tuboids_{view.start:%Y-%m-%d}_to_{last:%Y-%m-%d}{filtered}_made-{now:%Y-%m-%d}.csv"


def _lines(rows: list[Any]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def _cell(value: Any) -> Any:
    """No spreadsheet takes a text for a formula."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
