"""Projects: who works together, and what each may do. Their series are in services/project_series.py."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, NewProject, ProjectLevel, parse
from ..errors import Conflict, Forbidden, NotFound
from ..models import Project, ProjectPermission, User
from .filters import select
from .users import UserInfo, get_user

VIEWER, EDITOR, ADMIN = 1, 2, 3
LEVEL_NAMES = {VIEWER: "viewer", EDITOR: "editor", ADMIN: "admin"}
FILTERS = ("id", "name", "description", "notes", "datetime_created", "api_version", "api_user_id")


@dataclass(frozen=True, kw_only=True)
class ProjectInfo:
    """A project, and what the user who asks may do in it."""

    id: int
    name: str
    description: str | None
    notes: str | None
    datetime_created: datetime
    api_version: str | None
    api_user_id: int | None
    level: int


@dataclass(frozen=True, kw_only=True)
class Permission:
    """What a user may do in a project. `id` is None in the answer that gives it."""

    id: int | None
    parent_project_id: int
    parent_user_id: int
    level: int
    datetime_created: datetime
    api_version: str | None
    api_user_id: int | None


@dataclass(frozen=True, kw_only=True)
class Member:
    """Somebody who may at least look."""

    user_id: int
    username: str
    level: int


COLUMNS = tuple(getattr(Project, name) for name in ProjectInfo.__dataclass_fields__ if name != "level")
PERMISSION_COLUMNS = tuple(getattr(ProjectPermission, name) for name in Permission.__dataclass_fields__)


def list_projects(
    session: Session, user: UserInfo, filters: Sequence[Mapping[str, Any]] | None = None, level: int = VIEWER
) -> list[ProjectInfo]:
    """The projects in which `user` has at least this level and that match, by id; see filters.select().

    Raises:
        InvalidInput: names the key that projects do not have.
    """
    query = _of_user(user).order_by(Project.id)
    mine = [info for info in (_info(row, user) for row in session.execute(query)) if info.level >= level]
    return select(mine, filters, FILTERS, "projects")


def get_project(session: Session, user: UserInfo, project_id: int, level: int = VIEWER) -> ProjectInfo:
    """One project, for somebody who may do this much in it. For more than looking, nobody else deletes it meanwhile.

    Raises:
        NotFound: there is none, or `user` may not know that there is.
        Forbidden: she may look, but not do this.
    """
    if level > VIEWER:
        session.execute(sa.select(Project.id).where(Project.id == project_id).with_for_update())
    row = session.execute(_of_user(user).where(Project.id == project_id)).one_or_none()
    info = None if row is None else _info(row, user)
    if info is None or info.level < VIEWER:
        raise NotFound(f"project {project_id} does not exist, or is not shared with you", project_id=project_id)
    if info.level < level:
        reason = "your account is read-only" if user.role == "read_only_user" else f"you are its {level_name(info)}"
        raise Forbidden(f"this needs the level {LEVEL_NAMES[level]} in project {info.name}: {reason}")
    return info


def level_name(info: ProjectInfo) -> str:
    return LEVEL_NAMES[min(max(info.level, VIEWER), ADMIN)]


def add_project(session: Session, user: UserInfo, new: NewProject, now: datetime) -> ProjectInfo:
    """Create a project, with its creator as admin. Its table is made last: see project_tables.create_table()."""
    if user.role == "read_only_user":
        raise Forbidden("your account is read-only")
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user.id}
    values = {"name": new.name, "description": new.description, "notes": new.notes}
    (project_id,) = session.execute(sa.insert(Project).values(**values, **audit)).inserted_primary_key
    owner = {"parent_project_id": project_id, "parent_user_id": user.id, "level": ADMIN}
    session.execute(sa.insert(ProjectPermission).values(**owner, **audit))
    return get_project(session, user, project_id)


def update_project(session: Session, user: UserInfo, project_id: int, new: NewProject) -> ProjectInfo:
    """Change name, description and notes; for admins of the project."""
    get_project(session, user, project_id, ADMIN)
    values = {"name": new.name, "description": new.description, "notes": new.notes}
    session.execute(sa.update(Project).where(Project.id == project_id).values(values))
    return get_project(session, user, project_id)


def delete_projects(session: Session, user: UserInfo, filters: Sequence[Mapping[str, Any]] | None) -> list[ProjectInfo]:
    """Delete the rows of every project that matches and of which `user` is admin, and return them.

    Their tables go last: see project_tables.drop_table().
    """
    found = {info.id: info for info in list_projects(session, user, filters, ADMIN)}
    return [
        info
        for info in found.values()
        if session.execute(sa.delete(Project).where(Project.id == info.id)).rowcount  # nobody was faster
    ]


def list_permissions(session: Session, project_ids: Iterable[int]) -> list[Permission]:
    """Who may do what in these projects, in their order."""
    found: dict[int, list[Permission]] = {}
    query = sa.select(*PERMISSION_COLUMNS).order_by(ProjectPermission.id)
    for row in session.execute(query):
        found.setdefault(row.parent_project_id, []).append(Permission(**row._mapping))
    return [each for project_id in project_ids for each in found.get(project_id, [])]


def set_level(session: Session, user: UserInfo, info: ProjectLevel, now: datetime) -> Permission:
    """Say what somebody may do in a project, whatever it was before; for admins of the project.

    Raises:
        NotFound: the project or the user does not exist.
    """
    get_project(session, user, info.project_id, ADMIN)
    get_user(session, info.user_id)
    key = {"parent_project_id": info.project_id, "parent_user_id": info.user_id}
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user.id}
    mine = sa.and_(*(getattr(ProjectPermission, name) == value for name, value in key.items()))
    # The project's row is locked: nobody else writes its permissions now.
    if session.scalar(sa.select(ProjectPermission.id).where(mine)) is None:
        session.execute(sa.insert(ProjectPermission).values(**key, level=info.level, **audit))
    else:
        session.execute(sa.update(ProjectPermission).where(mine).values(level=info.level))
    return Permission(id=None, **key, level=info.level, **audit)


def new_project(name: str, description: str, notes: str) -> NewProject:
    """What somebody wrote into a form; InvalidInput names the field."""
    given = {"name": name.strip(), "description": description.strip() or None, "notes": notes.strip() or None}
    return parse(NewProject, given)


def list_members(session: Session, project_id: int) -> list[Member]:
    """Who may at least look, admins first."""
    query = (
        sa.select(User.id, User.username, ProjectPermission.level)
        .join(ProjectPermission, ProjectPermission.parent_user_id == User.id)
        .where(ProjectPermission.parent_project_id == project_id, ProjectPermission.level >= VIEWER)
    )
    found = [Member(user_id=row[0], username=row[1], level=row[2]) for row in session.execute(query)]
    return sorted(found, key=lambda each: (-each.level, each.username.casefold()))


def change_member(
    session: Session, user: UserInfo, project_id: int, user_id: int, level: int, now: datetime
) -> Permission:
    """Give somebody a level, or take it with 0; as set_level(), but a project keeps an admin.

    Raises:
        Conflict: this would take the project's last admin.
    """
    info = parse(ProjectLevel, {"project_id": project_id, "user_id": user_id, "level": level})
    given = set_level(session, user, info, now)
    if level < ADMIN and all(each.level < ADMIN for each in list_members(session, project_id)):
        raise Conflict("the project needs an admin: make somebody else its admin first", field="level")
    if level == 0:
        key = {"parent_project_id": project_id, "parent_user_id": user_id}
        session.execute(sa.delete(ProjectPermission).filter_by(**key))
    return given


def _of_user(user: UserInfo) -> sa.Select:
    mine = sa.and_(ProjectPermission.parent_project_id == Project.id, ProjectPermission.parent_user_id == user.id)
    return sa.select(*COLUMNS, ProjectPermission.level).outerjoin(ProjectPermission, mine)


def _info(row: sa.Row, user: UserInfo) -> ProjectInfo:
    """Admins of the server may do everything; whoever cannot write may look at most."""
    values = dict(row._mapping)
    level = ADMIN if user.role == "admin" else values["level"] or 0
    return ProjectInfo(**values | {"level": min(level, VIEWER) if user.role == "read_only_user" else level})
