"""The scope: which devices, dates and detector a page is about. It is the URL's query, read and made concrete."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..clock import unix_s
from ..contract import parse_moment, version_order
from ..errors import InvalidInput
from ..models import DetectorVersion
from .devices import DeviceInfo, list_devices, only
from .project_scope import ProjectScope, find_project_scope, list_devices_of
from .rollups import DAY_S, HOUR_S
from .span_counts import count_days
from .spans import FOREVER, Spans, clip
from .users import UserInfo
from .zones import SiteZone, day_start_s, find_site_zone

Zone = Literal["site", "utc", "reader"]
ZONES: tuple[Zone, ...] = ("site", "utc", "reader")
DEFAULT_DAYS = 28
SEASON_BREAK_S = 60 * DAY_S  # two months without a picture: another season
YEARS = range(1970, 2200)
UNITS_S = {"h": HOUR_S, "d": DAY_S}
_RELATIVE = re.compile(r"-(\d{1,4})([hd])", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What the URL says. `start` is a time, a day, `-7d`, `season` or `all`.

    Without one, the last 28 days; of a project, all of its series.
    """

    start: str = ""
    end: str = ""
    devices: tuple[str, ...] = ()  # none: all
    detector: str = ""  # "name version"; none: the newest
    zone: Zone = "site"
    project: str = ""  # its id; none: all traps, at all times


@dataclass(frozen=True, order=True)
class Detector:
    id: int
    name: str
    version: str

    @property
    def key(self) -> str:
        """What the URL calls it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A query made concrete. The range is [start_s, end_s) in UNIX seconds.

    Of a project, `all_devices` are those with pictures in its series, as if there were no others. Of one that the
    reader may not see there are none.
    """

    start_s: int
    end_s: int
    project: ProjectScope | None
    whole: Spans  # what of each chosen device is in scope whatever the range
    all_devices: Sequence[DeviceInfo]
    devices: Sequence[DeviceInfo]
    detectors: Sequence[Detector]  # newest first
    detector: Detector | None
    zone: Zone
    site: SiteZone
    moved: bool  # nothing fell in the last days: these are the newest

    @property
    def spans(self) -> Spans:
        """What of each chosen device is in scope."""
        return clip(self.whole, self.start_s, self.end_s)

    @property
    def newest_s(self) -> int | None:
        """The last picture of the chosen devices."""
        return max((info.last_s for info in self.devices), default=None)


def parse(search: str) -> Query:
    """Read a URL's query; what makes no sense is as if it were not there."""
    values = parse_qs(search.removeprefix("?"), max_num_fields=100)
    one = {name: texts[-1].strip() for name, texts in values.items()}
    devices = [part.strip() for text in values.get("device", []) for part in text.split(",")]
    zone = one.get("zone", "")
    return Query(
        start=one.get("start", ""),
        end=one.get("end", ""),
        devices=tuple(dict.fromkeys(part for part in devices if part)),
        detector=one.get("detector", ""),
        zone=zone if zone in ZONES else "site",
        project=one.get("project", ""),
    )


def resolve(session: Session, query: Query, now: datetime, user: UserInfo | None = None) -> Scope:
    """Make a query concrete for `user`, who needs to be named where it names a project.

    Raises:
        InvalidInput: a time cannot be read, or the range ends before it starts.
    """
    infos, project = list_devices(session), None
    if query.project:
        project = find_project_scope(session, user, query.project)
        infos = list_devices_of(session, project, infos)
    chosen = only(infos, query.devices)
    whole = {info.device: FOREVER for info in chosen} if project is None else project.spans_of(chosen)
    site = find_site_zone(chosen or infos, now)
    if project is not None and project.extent and not query.start:
        start_s, end_s, moved = _extent(project.extent, infos, unix_s(now))
    else:
        start_s, end_s, moved = _range(session, query, chosen, whole, site, unix_s(now))
    detectors = list_detectors(session)
    named = next((each for each in detectors if query.detector in (each.key, each.version)), None)
    return Scope(
        start_s=start_s,
        end_s=end_s,
        project=project,
        whole=whole,
        all_devices=infos,
        devices=chosen,
        detectors=detectors,
        detector=named or (detectors[0] if detectors else None),
        zone=query.zone,
        site=site,
        moved=moved,
    )


def list_detectors(session: Session) -> list[Detector]:
    """Every version that annotated something, the newest first: 1.10 is newer than 1.9."""
    rows = session.scalars(sa.select(DetectorVersion))
    found = [Detector(row.id, row.algo_name, row.algo_version) for row in rows]
    return sorted(found, key=lambda each: (version_order(each.version), each.id), reverse=True)


def _extent(extent: tuple[int, int], infos: Sequence[DeviceInfo], now_s: int) -> tuple[int, int, bool]:
    """All series; of those that are still at work, up to now."""
    start_s, end_s = extent
    reached_s = max([now_s, *(info.last_s + 1 for info in infos)])
    return _hours(start_s, min(end_s, reached_s) if start_s < reached_s else end_s, False)


def _range(
    session: Session, query: Query, chosen: Sequence[DeviceInfo], whole: Spans, site: SiteZone, now_s: int
) -> tuple[int, int, bool]:
    relative = _RELATIVE.fullmatch(query.start or f"-{DEFAULT_DAYS}d")
    newest_s = max((info.last_s for info in chosen), default=now_s - 1)
    if query.start in ("all", "season"):
        oldest_s = min((info.first_s for info in chosen), default=now_s - DAY_S)
        start_s = oldest_s if query.start == "all" else _season_start_s(session, whole, newest_s)
        return _hours(start_s, newest_s + 1, False)
    if relative:
        length_s = int(relative[1]) * UNITS_S[relative[2]]
        moved = newest_s < now_s - length_s
        end_s = newest_s + 1 if moved else now_s
        return _hours(end_s - length_s, end_s, moved)
    zone = site.info if query.zone == "site" else ZoneInfo("UTC")  # days begin at the sites' midnight
    start_s = _bound_s(query.start, "start", zone)
    end_s = _bound_s(query.end, "end", zone) if query.end else now_s
    if end_s <= start_s:
        raise InvalidInput("the range ends before it starts: choose other dates", field="end")
    return start_s, end_s, False


def _hours(start_s: int, end_s: int, moved: bool) -> tuple[int, int, bool]:
    """Whole hours around the range: counts by the hour are then exact."""
    return start_s // HOUR_S * HOUR_S, -(-end_s // HOUR_S) * HOUR_S, moved


def _season_start_s(session: Session, whole: Spans, newest_s: int) -> int:
    start_s = newest_s
    for day_s in reversed(count_days(session, whole)[0].tolist()):
        if start_s - day_s > SEASON_BREAK_S:
            break
        start_s = int(day_s)
    return start_s


def _bound_s(text: str, field: str, zone: ZoneInfo) -> int:
    """A time, or the first moment of a day; as an end, the last one."""
    try:
        at = parse_moment(text if len(text) != 17 else text[:16] + ":00Z")
    except ValueError:
        raise InvalidInput(f"{text[:40]!r} is not a date: write 2020-06-20", field=field) from None
    if at.year not in YEARS:
        raise InvalidInput(f"{text[:40]!r} is beyond reach: choose dates from {YEARS[0]} to {YEARS[-1]}", field=field)
    if _DAY.fullmatch(text):
        return day_start_s(at.date() + timedelta(days=field == "end"), zone)
    return unix_s(at)


def moment(unix_seconds: int) -> datetime:
    """Naive UTC."""
    return datetime(1970, 1, 1) + timedelta(seconds=unix_seconds)


def utc_text(unix_seconds: int) -> str:
    """As URLs of the pages carry times."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
