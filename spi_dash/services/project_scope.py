"""A project as the scope of a page: the union of its series, for whoever may look at it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy.orm import Session

from ..clock import unix_s
from ..errors import NotFound
from .devices import DeviceInfo, list_devices
from .project_series import list_periods
from .projects import ProjectInfo, get_project
from .span_counts import count_devices
from .spans import Span, Spans, join_spans
from .users import UserInfo

NO_SUCH = "there is no such project here: it may have been deleted, or it is not shared with you"
MAX_DIGITS = 9


@dataclass(frozen=True)
class ProjectScope:
    """What is behind a project that an address names. `info` is None for whoever may not know of it."""

    info: ProjectInfo | None = None
    periods: tuple[tuple[str, int, int], ...] = ()  # its series: device in lower case, start, end

    @property
    def n_series(self) -> int:
        return len(self.periods)

    @property
    def name(self) -> str:
        return self.info.name if self.info else ""

    @cached_property
    def spans(self) -> Spans:
        """The union of the series."""
        return join_spans(self.periods)

    @property
    def extent(self) -> Span | None:
        """From the start of the first series to the end of the last one."""
        if not self.periods:
            return None
        return min(start_s for _, start_s, _ in self.periods), max(end_s for _, _, end_s in self.periods)

    @property
    def spans_in_any_case(self) -> Spans:
        """For what knows no DeviceInfo: SQLite tells letters' case apart."""
        return {**self.spans, **{device.upper(): spans for device, spans in self.spans.items()}}

    def spans_of(self, infos: Sequence[DeviceInfo]) -> dict[str, tuple[Span, ...]]:
        """By devices as they are called where pictures are: people write their digits as they like."""
        known = {info.device: self.spans.get(info.device.lower()) for info in infos}
        return {device: spans for device, spans in known.items() if spans}


def find_project_scope(session: Session, user: UserInfo | None, key: str) -> ProjectScope:
    """The project that an address names. One that is not there looks like one that `user` may not see."""
    if user is None or not (key.isascii() and key.isdecimal()) or len(key) > MAX_DIGITS:
        return ProjectScope()
    try:
        info = get_project(session, user, int(key))
    except NotFound:
        return ProjectScope()
    rows = list_periods(session, info.id)
    periods = ((device.lower(), unix_s(start_at), unix_s(end_at)) for device, start_at, end_at in rows)
    return ProjectScope(info, tuple(each for each in periods if each[1] < each[2]))


def list_devices_of(session: Session, project: ProjectScope, infos: Sequence[DeviceInfo]) -> list[DeviceInfo]:
    """Those that have pictures in the project's series; counts, first and last are of these pictures alone."""
    extents = count_devices(session, project.spans_of(infos))
    found = ((info, extents.get(info.device)) for info in infos)
    return [
        replace(info, n_images=extent.n_images, first_s=extent.first_s, last_s=extent.last_s)
        for info, extent in found
        if extent is not None
    ]


def count_pictures(session: Session, user: UserInfo, project_id: int) -> int:
    """The pictures of a project, those of two series once."""
    project = find_project_scope(session, user, str(project_id))
    return sum(info.n_images for info in list_devices_of(session, project, list_devices(session)))
