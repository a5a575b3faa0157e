"""Time zones of places: which one a trap stands in, and by how much its clocks are ahead of UTC, and when."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import tzfpy

DAY_S = 86_400
UTC_NAME = "UTC"
_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}")


class Place(Protocol):
    lat: float | None
    lng: float | None


@dataclass(frozen=True)
class SiteZone:
    """The zone of most traps of a scope; `n_elsewhere` of them stand where clocks show another time."""

    name: str = UTC_NAME  # as IANA calls it
    n_elsewhere: int = 0

    @property
    def info(self) -> ZoneInfo:
        """For conversions."""
        return load_zone(self.name)

    @property
    def city(self) -> str:
        """`Vancouver` of `America/Vancouver`; "" for zones that are no place."""
        area, _, city = self.name.rpartition("/")
        return "" if area in ("", "Etc") else city.replace("_", " ")


@lru_cache(maxsize=64)
def load_zone(name: str) -> ZoneInfo:
    """A zone by the rules of the tzdata package: a machine's own may be years old, while the browser's are new.

    Raises:
        ZoneInfoNotFoundError: there is no such zone.
    """
    if _NAME.fullmatch(name) is None:
        raise ZoneInfoNotFoundError(name)
    try:
        with (files("tzdata") / "zoneinfo" / name).open("rb") as rules:
            return ZoneInfo.from_file(rules, key=name)
    except (OSError, ValueError):
        raise ZoneInfoNotFoundError(name) from None


def find_zone(lat: float | None, lng: float | None) -> str:
    """The IANA name of a place's zone, UTC where the place is not known. The first call takes a third of a second."""
    if lat is None or lng is None or not (abs(lat) <= 90 and abs(lng) <= 180):
        return UTC_NAME
    return tzfpy.get_tz(lng, lat) or UTC_NAME


def find_site_zone(places: Iterable[Place], now: datetime) -> SiteZone:
    """The zone of most of the places that are known; of two equally frequent ones that of the first place."""
    known = [find_zone(each.lat, each.lng) for each in places if each.lat is not None and each.lng is not None]
    if not known:
        return SiteZone()
    ((name, _),) = Counter(known).most_common(1)
    clock = _clock(name, now.year)
    return SiteZone(name, sum(_clock(each, now.year) != clock for each in known))


def day_start_s(day: date, zone: ZoneInfo) -> int:
    """When a day begins on a zone's clocks, in UNIX seconds."""
    return int(datetime.combine(day, time(), zone).timestamp())


def list_offsets(zone: ZoneInfo, start_s: int, end_s: int) -> list[tuple[int, int]]:
    """(from when in UNIX seconds, seconds east of UTC) for each change of a zone's clock in a range."""
    spans = [(start_s, _east_s(zone, start_s))]
    for day_s in range(start_s + DAY_S, end_s + DAY_S, DAY_S):
        if _east_s(zone, day_s) == spans[-1][1]:
            continue
        low, high = day_s - DAY_S, day_s
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _east_s(zone, middle) == spans[-1][1] else (low, middle)
        spans.append((high, _east_s(zone, high)))
    return spans


def offset_text(offsets: Iterable[int]) -> str:
    """`UTC-7`; `UTC-8/-7` where clocks change; as assets/10-time.js prints it, with a real minus."""
    parts = [_hours(each) for each in dict.fromkeys(offsets)]
    return "UTC" if parts == ["+0"] else f"UTC{'/'.join(parts)}"


def _hours(offset_s: int) -> str:
    hours, minutes = divmod(abs(offset_s) // 60, 60)
    sign = "\u2212" if offset_s < 0 else "+"
    return f"{sign}{hours}:{minutes:02}" if minutes else f"{sign}{hours}"


def _clock(name: str, year: int) -> list[timedelta | None]:
    """Two zones of the same winter and summer time are the same to somebody who reads a clock."""
    return [datetime(year, month, 15, tzinfo=load_zone(name)).utcoffset() for month in (1, 7)]


def _east_s(zone: ZoneInfo, at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, zone).utcoffset()
    return int((offset or timedelta()).total_seconds())
