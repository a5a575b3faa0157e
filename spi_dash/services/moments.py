"""The frames of one trap that the viewer steps through: those in the ranges of a scope, or around one beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import InvalidInput
from ..models import DeviceSummary, Image
from .numbers import read_numbers
from .rollups import DAY_S, unix_time
from .scope import moment

USUAL_STEP_S = 1200
LEAST_WINDOW_S, MOST_WINDOW_S = DAY_S, 28 * DAY_S

Range = tuple[int, int]  # [from, to) in UNIX seconds


@dataclass(frozen=True)
class Moments:
    """When the frames were taken, in order; None where nothing has changed since the caller asked last."""

    taken_s: np.ndarray | None = field(repr=False)  # (n,) float64, UNIX seconds
    outside: bool  # the frame lies in none of the ranges: these are the frames around it
    change: int  # grows with every change of this trap's pictures or annotations

    @property
    def step_s(self) -> int:
        """The usual time between two frames."""
        few = self.taken_s is None or len(self.taken_s) < 2
        return USUAL_STEP_S if few else round(float(np.median(np.diff(self.taken_s))))


def list_moments(
    session: Session, device: str, ranges: Sequence[Range], around: str, since: str = "", beside: bool = True
) -> Moments:
    """The frames of a device in some ranges, which may overlap.

    Where the frame nearest to `around` lies in none of them, those around it, over as long a time as the ranges; it
    alone unless `beside`. `since` is the `change` of an earlier answer.
    """
    change = session.scalar(sa.select(DeviceSummary.last_mark_id).where(DeviceSummary.device == device)) or 0
    at_s = _find_nearest(session, device, _read_time(around))
    outside = at_s is not None and not any(start <= at_s < end for start, end in ranges)
    if change and since == str(change):
        return Moments(None, outside, change)
    if outside:
        ranges = _around(at_s, ranges) if beside else [(at_s, at_s + 1)]
    return Moments(_read(session, device, ranges), outside, change)


def _read_time(text: str) -> int:
    try:
        moment(int(text))
        return int(text)
    except (ValueError, OverflowError):
        raise InvalidInput("`around` is a UNIX time", field="around") from None


def _find_nearest(session: Session, device: str, around_s: int) -> int | None:
    mine, middle = sa.select(unix_time(Image.datetime)).where(Image.device == device).limit(1), moment(around_s)
    after = session.scalar(mine.where(Image.datetime >= middle).order_by(Image.datetime))
    before = session.scalar(mine.where(Image.datetime < middle).order_by(Image.datetime.desc()))
    found = [taken_s for taken_s in (after, before) if taken_s is not None]
    return min(found, key=lambda taken_s: abs(taken_s - around_s), default=None)


def _around(at_s: int, ranges: Sequence[Range]) -> list[Range]:
    length_s = sum(end - start for start, end in ranges)
    half_s = max(LEAST_WINDOW_S, min(MOST_WINDOW_S, length_s)) // 2
    return [(at_s - half_s, at_s + half_s)]


def _read(session: Session, device: str, ranges: Sequence[Range]) -> np.ndarray:
    inside = (sa.and_(Image.datetime >= moment(start), Image.datetime < moment(end)) for start, end in ranges)
    query = sa.select(Image.device, unix_time(Image.datetime)).where(
        Image.device == device, sa.or_(sa.false(), *inside)
    )
    return read_numbers(session, query).get(device, np.empty((0, 1)))[:, 0]
