"""Projects: those that are shared with me. Each opens on its own page, see project.py."""

from typing import Any

import dash
from dash import Input, Output, dcc, html

from ..context import current
from ..services import projects
from ..services.projects import ProjectInfo, level_name
from .project_actions import act
from .project_scope import pictures_link
from .settings_forms import Cell, changed, dialog_button, field, register_actions, require_user, stores, table

PATH = "/projects"
NAME = "Projects"


class ids:
    LIST = "projects-list"


CHANNELS = ("projects",)


def layout(**_) -> html.Div:
    """Empty; the callback fills it."""
    waiting = html.P("Loading\u2026", className="nothing", role="status")
    return html.Div(
        [*stores(CHANNELS, (ids.LIST,)), html.Div(waiting, id=ids.LIST)],
        className="settings projects",
        **{"data-actions": "projects"},
    )


def register(app: dash.Dash) -> None:
    """The list, and the action that makes a project."""
    register_actions(app, act, *CHANNELS)
    app.callback(Output(ids.LIST, "children"), Input(changed(ids.LIST), "data"))(show_list)


def show_list(_changed: int | None = None) -> list[Cell]:
    """My projects; those who may write can make one."""
    user = require_user()
    with current().read() as session:
        found = projects.list_projects(session, user)
    may_add = user.role != "read_only_user"
    add = dialog_button("New project", "add_project", "New project", "Create project", fields=project_fields(),
                        className="filled")  # fmt: skip
    title = html.Div([html.H1("Projects"), *([add] if may_add else [])], className="title-bar")
    if not found:
        then = "Create one" if may_add else "Ask somebody to share one with you"
        says = f"A project lists traps, from when to when they worked, and what you note of them. {then}."
        return [title, html.P(says, className="nothing")]
    rows = [_row(info) for info in found]
    return [title, table("Projects", ("Name", "You are", "Description", "Notes", ""), rows, "projects-table")]


def project_fields(info: ProjectInfo | None = None) -> list[dict[str, Any]]:
    """What a project is called, for a dialog."""
    return [
        field("name", "Name", required=True, maxlength=32, autocomplete="off", value=info.name if info else ""),
        field("description", "Description (optional)", maxlength=20, autocomplete="off", hint="20 characters at most.",
              value=(info.description or "") if info else ""),
        field("notes", "Notes (optional)", maxlength=2048, autocomplete="off",
              value=(info.notes or "") if info else ""),
    ]  # fmt: skip


def _row(info: ProjectInfo) -> list[Cell]:
    name = dcc.Link(html.B(info.name), href=f"/projects/{info.id}")
    return [name, level_name(info), info.description or "", info.notes or "", pictures_link(info.id, info.name)]
