"""How many pictures each series of a project has, and when the first and the last of them were taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..clock import unix_s
from ..models import Image, ImageBucket
from .rollups import DAY_S, HOUR_S


@dataclass(frozen=True)
class Count:
    """The pictures of one series; times are naive UTC, None where there is no picture."""

    n_images: int
    first_at: datetime | None
    last_at: datetime | None


def count_images(session: Session, row: Mapping[str, Any]) -> Count:
    """The pictures from start (included) to end (excluded): by day or hour where both are whole, else one by one."""
    start_s, end_s = unix_s(row["start_datetime"]), unix_s(row["end_datetime"])
    span_s = next((span for span in (DAY_S, HOUR_S) if start_s % span == 0 and end_s % span == 0), None)
    devices = {row["device"], row["device"].lower()}
    if span_s is None:
        inside = (
            Image.device.in_(devices),
            Image.datetime >= row["start_datetime"],
            Image.datetime < row["end_datetime"],
        )
        totals = (sa.func.count(), sa.func.min(Image.datetime), sa.func.max(Image.datetime))
        return Count(*session.execute(sa.select(*totals).where(*inside)).one())
    bucket = ImageBucket
    inside = (bucket.span_s == span_s, bucket.device.in_(devices), bucket.start_s >= start_s, bucket.start_s < end_s)
    totals = (sa.func.sum(bucket.n_images), sa.func.min(bucket.first_s), sa.func.max(bucket.last_s))
    n_images, first_s, last_s = session.execute(sa.select(*totals).where(*inside)).one()
    return Count(int(n_images or 0), _moment(first_s), _moment(last_s))


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime(1970, 1, 1) + timedelta(seconds=int(seconds))
