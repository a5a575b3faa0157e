"""The audit log: who did what, when. An entry is written in the transaction of its deed: neither is without the other.

No entry holds a password or an e-mail address: `details` are words of ours, names and counts.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..models import AuditEntry, Project, User
from .projects import LEVEL_NAMES, Permission, ProjectInfo
from .users import UserInfo

Action = Literal[
    "user added",
    "user changed",
    "user disabled",
    "user enabled",
    "user deleted",
    "password reset",
    "password changed",
    "pictures deleted",
    "tuboids deleted",
    "bundle uploaded",
    "active bundle changed",
    "failures retried",
    "project added",
    "project changed",
    "project deleted",
    "project shared",
    "project column",
    "project series",
]
ACTIONS: tuple[Action, ...] = get_args(Action)
PAGE = 50


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One deed. `username` is None for a command at the server itself."""

    id: int
    at: datetime
    username: str | None
    action: str
    target: str
    details: str


def record(
    session: Session, user: UserInfo | None, action: Action, target: str, now: datetime, details: str = ""
) -> None:
    """Write one entry; `user` is None at the command line."""
    who = {"user_id": None, "username": None} if user is None else {"user_id": user.id, "username": user.username}
    what = {"action": action, "target": _cut(target, 128), "details": _cut(details, 255)}
    session.execute(sa.insert(AuditEntry).values(at=now, **who, **what))


def record_users(
    session: Session, user: UserInfo | None, action: Action, concerned: Iterable[UserInfo], now: datetime
) -> None:
    """One entry for each user concerned, with the role."""
    for each in concerned:
        record(session, user, action, each.username, now, each.role.removesuffix("_user").replace("_", "-"))


def record_deleted_images(session: Session, user: UserInfo, rows: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """One entry for each device: how many of its pictures were deleted, and from when they were."""
    moments: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        moments[row["device"]].append(row["datetime"])
    for device, taken in sorted(moments.items()):
        first, last = f"{min(taken):%Y-%m-%d %H:%M:%S}", f"{max(taken):%Y-%m-%d %H:%M:%S}"
        span = f"of {first} UTC" if first == last else f"from {first} to {last} UTC"
        record(session, user, "pictures deleted", device, now, f"{len(taken)}, {span}")


def record_deleted_series(session: Session, user: UserInfo, rows: Iterable[Mapping[str, Any]], now: datetime) -> None:
    """One entry for each deleted series of tuboids: when it was, and which algorithm had made it."""
    for row in rows:
        start, end = (f"{row[name]:%Y-%m-%d %H:%M:%S}" for name in ("start_datetime", "end_datetime"))
        made_by = f"{row['algo_name']} {row['algo_version']}"
        record(session, user, "tuboids deleted", row["device"], now, f"series from {start} to {end} UTC by {made_by}")


def record_upload(session: Session, user: UserInfo, keys: Iterable[str], now: datetime) -> None:
    """One entry for each bundle of which files may now be uploaded; `keys` are theirs, `ml/<bundle>/<path>`."""
    counts = Counter(key.split("/")[1] for key in keys)
    for name, count in sorted(counts.items()):
        record(session, user, "bundle uploaded", name, now, f"{count} {'file' if count == 1 else 'files'}")


def record_projects(
    session: Session, user: UserInfo, action: Action, concerned: Iterable[ProjectInfo], now: datetime, details: str = ""
) -> None:
    """One entry for each project concerned."""
    for each in concerned:
        record(session, user, action, _project(each.id, each.name), now, details)


def record_members(session: Session, user: UserInfo, given: Iterable[Permission], now: datetime) -> None:
    """One entry for each level that was given, or taken."""
    for each in given:
        name = session.scalar(sa.select(Project.name).where(Project.id == each.parent_project_id))
        member = session.scalar(sa.select(User.username).where(User.id == each.parent_user_id))
        told = f"{member}: {LEVEL_NAMES.get(each.level, 'no longer')}"
        record(session, user, "project shared", _project(each.parent_project_id, name or ""), now, told)


def record_column(session: Session, user: UserInfo, project: ProjectInfo, details: str, now: datetime) -> None:
    """One entry for a column that was added, renamed or deleted."""
    record_projects(session, user, "project column", [project], now, details)


def record_series(session: Session, user: UserInfo, project_ids: Iterable[int], done: str, now: datetime) -> None:
    """One entry for each project: how many of its series were changed or deleted."""
    for project_id, count in sorted(Counter(project_ids).items()):
        name = session.scalar(sa.select(Project.name).where(Project.id == project_id))
        record(session, user, "project series", _project(project_id, name or ""), now, f"{count} {done}")


def list_entries(session: Session, before_id: int | None = None, limit: int = PAGE) -> tuple[Sequence[Entry], bool]:
    """A page of entries, newest first, and whether there are older ones.

    Args:
        before_id: the last entry of the page before; None is the first page.
    """
    columns = [getattr(AuditEntry, name) for name in Entry.__dataclass_fields__]
    query = sa.select(*columns).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    rows = session.execute(query).all()
    return [Entry(**row._mapping) for row in rows[:limit]], len(rows) > limit


def _project(project_id: int, name: str) -> str:
    return f"{name} (project {project_id})"


def _cut(text: str, max_chars: int) -> str:
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
