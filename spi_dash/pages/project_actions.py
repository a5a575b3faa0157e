"""What people do to projects: each action asks for the role again by itself."""

from collections.abc import Callable
from typing import Any

from ..clock import utcnow
from ..context import current
from ..errors import InvalidInput, NotFound, SpiError
from ..services import audit, project_csv, project_series, project_tables, projects, users
from ..services.column_kinds import parse_kind
from ..services.projects import ADMIN, EDITOR, VIEWER
from .components import plural
from .project_scope import series_address
from .settings import read_values, refusal
from .settings_forms import Answer, Values, done, number, require_user, text

KINDS = {  # what people choose from, and what it is in the database
    "DOUBLE": ("Number", "12.5"),
    "INTEGER": ("Whole number", "12"),
    "VARCHAR(255)": ("Text", "up to 255 characters"),
    "DATETIME": ("Date and time", "2022-07-01 14:30, UTC"),
    "DATE": ("Date", "2022-07-01"),
    "BOOLEAN": ("Yes or no", ""),
    "DECIMAL(11, 8)": ("Coordinate", "degrees, 8 digits after the point"),
}
LEVELS = {"viewer": VIEWER, "editor": EDITOR, "admin": ADMIN}


def act(request: dict[str, Any] | None) -> dict[str, Any] | None:
    """Do what a dialog or a cell asks for; what is refused is said beside the field that it is about."""
    if not request:
        return None
    try:
        action = ACTIONS.get(str(request.get("action")))
        if action is None:
            raise NotFound("there is no such action: reload the page")
        answer = action(read_values(request))
    except Exception as error:
        answer = refusal(error)
    return {"n": request.get("n"), "channel": request.get("channel")} | answer


def add_project(values: Values) -> Answer:
    """Create a project and open it."""
    user, now, new = require_user(), utcnow(), _new(values)
    with current().begin() as session:
        project = projects.add_project(session, user, new, now)
        audit.record_projects(session, user, "project added", [project], now)
        project_tables.create_table(session, project.id)
    return done(f"Created {project.name}.", go=f"/projects/{project.id}")


def edit_project(values: Values) -> Answer:
    """Change name, description and notes."""
    user, new = require_user(), _new(values)
    with current().begin() as session:
        project = projects.update_project(session, user, number(values, "project_id"), new)
        audit.record_projects(session, user, "project changed", [project], utcnow())
    return done(f"Changed {project.name}.", "head")


def delete_project(values: Values) -> Answer:
    """Delete a project, if its name was typed."""
    user, project_id = require_user(), number(values, "project_id")
    with current().begin() as session:
        project = projects.get_project(session, user, project_id, ADMIN)
        if text(values, "name").strip() != project.name:
            raise InvalidInput("this is not the project's name", field="name")
        deleted = projects.delete_projects(session, user, [{"id": project_id}])
        audit.record_projects(session, user, "project deleted", deleted, utcnow())
        project_tables.drop_table(session, project_id)
    return done(f"Deleted {project.name}.", go="/projects")


def add_column(values: Values) -> Answer:
    """Add a column."""
    name, kind = text(values, "column_name").strip(), parse_kind(text(values, "column_SQL_type"))
    return _change_columns(values, EDITOR, f"{name} added, {kind}", project_tables.add_column, name, kind)


def rename_column(values: Values) -> Answer:
    """Give a column another name."""
    old_name, name = text(values, "old_column_name"), text(values, "column_name").strip()
    said = f"{old_name} renamed to {name}"
    return _change_columns(values, EDITOR, said, project_tables.rename_column, old_name, name)


def delete_column(values: Values) -> Answer:
    """Delete a column with its values."""
    name = text(values, "column_name")
    return _change_columns(values, ADMIN, f"{name} deleted", project_tables.delete_column, name)


def save_row(values: Values) -> Answer:
    """Add a row, or store what was typed into a cell; the answer names the cell that is wrong."""
    user, project_id, row = require_user(), number(values, "project_id"), values.get("row")
    if row is None:  # a dialog
        row = {name: value for name, value in values.items() if name != "project_id"}
    if not isinstance(row, dict):
        raise InvalidInput("a row is names with values", field="row")
    try:
        with current().begin() as session:
            stored = project_series.put_values(session, user, project_id, row)
            audit.record_series(session, user, [project_id], "changed", utcnow())
    except SpiError as error:
        raise _without_index(error) from None
    if "id" in row:
        return done("", address=series_address(project_id, stored))
    return done(f"Added {stored['device']}.", "series")


def delete_rows(values: Values) -> Answer:
    """Delete the rows that were selected."""
    user, project_id, row_ids = require_user(), number(values, "project_id"), values.get("ids")
    if not isinstance(row_ids, list) or not all(isinstance(each, int) for each in row_ids):
        raise InvalidInput("select the rows to delete", field="ids")
    with current().begin() as session:
        gone = [row for each in row_ids for row in project_series.delete_series(session, user, project_id, each)]
        audit.record_series(session, user, [project_id] * len(gone), "deleted", utcnow())
    return done(f"Deleted {plural(len(gone), 'row')}.", "series")


def check_import(values: Values) -> Answer:
    """What is wrong with a file, by line; nothing is stored."""
    with current().read() as session:
        infos, problems = project_csv.check_csv(
            session, require_user(), number(values, "project_id"), text(values, "csv")
        )
    told = [{"line": each.line, "field": each.field, "text": each.text} for each in problems]
    return done("", n_rows=len(infos), problems=told)


def import_rows(values: Values) -> Answer:
    """Store all rows of a file, or none."""
    user, project_id = require_user(), number(values, "project_id")
    with current().begin() as session:
        count = project_csv.import_csv(session, user, project_id, text(values, "csv"))
        audit.record_series(session, user, [project_id] * count, "imported", utcnow())
    return done(f"Imported {plural(count, 'row')}.", "series")


def add_member(values: Values) -> Answer:
    """Share the project with somebody, by name."""
    name = text(values, "username").strip()
    with current().read() as session:
        projects.get_project(session, require_user(), number(values, "project_id"), ADMIN)
        found = users.find_user_by_name(session, name)
    if found is None:
        raise InvalidInput(f"there is no account {name!r}", field="username")
    return _change_member(values, found.id, name, _level(values))


def change_member(values: Values) -> Answer:
    """Give a member another level."""
    return _change_member(values, number(values, "user_id"), text(values, "name"), _level(values))


def remove_member(values: Values) -> Answer:
    """Share the project with somebody no more."""
    return _change_member(values, number(values, "user_id"), text(values, "name"), 0)


ACTIONS: dict[str, Callable[[Values], Answer]] = {
    each.__name__: each
    for each in (
        *(add_project, edit_project, delete_project, add_column, rename_column, delete_column, save_row, delete_rows),
        *(check_import, import_rows, add_member, change_member, remove_member),
    )
}


def _new(values: Values) -> Any:
    return projects.new_project(text(values, "name"), text(values, "description"), text(values, "notes"))


def _level(values: Values) -> int:
    level = LEVELS.get(text(values, "level"))
    if level is None:
        raise InvalidInput("choose what the person may do", field="level")
    return level


def _change_columns(values: Values, level: int, said: str, change: Callable, *arguments: Any) -> Answer:
    user, now = require_user(), utcnow()
    with current().begin() as session:
        project = projects.get_project(session, user, number(values, "project_id"), level)
        change(session, project.id, *arguments)
        audit.record_column(session, user, project, said, now)
    return done(f"{said[:1].upper()}{said[1:]}.", "series")


def _change_member(values: Values, user_id: int, name: str, level: int) -> Answer:
    user, now, project_id = require_user(), utcnow(), number(values, "project_id")
    with current().begin() as session:
        given = projects.change_member(session, user, project_id, user_id, level, now)
        audit.record_members(session, user, [given], now)
    left = level == 0 and user_id == user.id and user.role != "admin"
    said = f"{name} is {projects.LEVEL_NAMES[level]} now." if level else f"Removed {name}."
    return done(said, "members", "head", "series", **({"go": "/projects"} if left else {}))


def _without_index(error: SpiError) -> SpiError:
    """A page speaks of one row: which one of the list need not be said."""
    details = error.details | {"field": str(error.details.get("field", "")).removeprefix("[0].")}
    return type(error)(error.message.removeprefix("[0].").removeprefix(f"{details['field']}: "), **details)
