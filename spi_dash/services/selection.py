"""Which images a request is about, as SQL conditions; shared by everything that lists images or what hangs on them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import ImageKey, SeriesKey
from ..models import Image
from .filters import like

KEYS_PER_QUERY = 500
DEVICES_PER_QUERY = 20


def list_devices(session: Session) -> list[str]:
    """Every device that sent an image, in order. Jumps from device to device in the index: no scan."""
    first = sa.select(sa.func.min(Image.device).label("device")).cte("devices", recursive=True)
    after = sa.select(sa.func.min(Image.device)).where(Image.device > first.c.device).scalar_subquery()
    devices = first.union_all(sa.select(after).where(first.c.device.is_not(None)))
    return list(session.scalars(sa.select(devices.c.device).where(devices.c.device.is_not(None))))


def matching_devices(session: Session, pattern: str) -> list[str]:
    """The devices that match a LIKE pattern, letter case ignored, as on MariaDB."""
    if "%" not in pattern and "_" not in pattern and len(pattern) == 8:
        return sorted({pattern, pattern.lower(), pattern.upper()})
    devices = list_devices(session)
    if pattern == "%":
        return devices
    matches = like(pattern)
    return [device for device in devices if matches(device)]


def by_keys(keys: Iterable[ImageKey]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that together select exactly the named images, in the order of devices.

    One part per device: SQLite does not look pairs up in an index, `(device, datetime) IN (...)` reads the whole table.
    Several parts per query: each query costs a millisecond, whatever it finds.
    """
    parts, n_keys = [], 0
    for device, times in _pieces(keys):
        if parts and (len(parts) == DEVICES_PER_QUERY or n_keys + len(times) > KEYS_PER_QUERY):
            yield sa.or_(*parts)
            parts, n_keys = [], 0
        parts.append(sa.and_(Image.device == device, Image.datetime.in_(times)))
        n_keys += len(times)
    if parts:
        yield sa.or_(*parts)


def _pieces(keys: Iterable[ImageKey]) -> Iterator[tuple[str, list[datetime]]]:
    """The times by device, in order, so many at once."""
    wanted: dict[str, set[datetime]] = {}
    for key in keys:
        wanted.setdefault(key.device, set()).add(key.datetime)
    for device, times in sorted(wanted.items()):
        ordered = sorted(times)
        for start in range(0, len(ordered), KEYS_PER_QUERY):
            yield device, ordered[start : start + KEYS_PER_QUERY]


def by_ranges(session: Session, ranges: Iterable[SeriesKey]) -> Iterator[sa.ColumnElement[bool]]:
    """One condition per range, in the order given: an image in two ranges is selected twice."""
    for key in ranges:
        yield in_range(matching_devices(session, key.device), key.start_datetime, key.end_datetime)


def in_range(devices: Sequence[str], start: datetime, end: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(Image.device.in_(devices), Image.datetime >= start, Image.datetime < end)
