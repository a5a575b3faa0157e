"""One project: its series in a table that is edited in place, and its members; assets/80-projects.js is its script."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import dash
import dash_ag_grid as dag
import flask
from dash import Input, Output, State, dcc, html

from ..context import current
from ..errors import NotFound, SpiError
from ..services import project_counts, project_csv, project_series, project_tables, projects, rollups
from ..services.project_scope import count_pictures
from ..services.projects import ADMIN, EDITOR, LEVEL_NAMES, Member, ProjectInfo, level_name
from .components import icon, number, plural
from .project_actions import KINDS, act
from .project_scope import pictures_link, series_address
from .projects import project_fields
from .settings_forms import Cell, changed, dialog_button, field, register_actions, require_user, section, stores, table

PATH = "/projects/<project_id>"
NAME = "Project"
BASE = (("device", "Trap", 110), ("start_datetime", "Start (UTC)", 170), ("end_datetime", "End (UTC)", 170))
LEVEL_HINTS = {
    "viewer": "looks at the series",
    "editor": "also adds and changes rows and columns",
    "admin": "also deletes, and says who may do what",
}


class ids:
    KEY = "project-key"
    HEAD = "project-head"
    TOOLS = "project-tools"
    GRID = "project-grid"
    SERIES = "project-series"
    MEMBERS = "project-members"


CHANNELS = ("project",)


def layout(project_id: str = "", **_) -> html.Div:
    """Empty; what somebody may see comes from the callbacks."""
    key = dcc.Store(id=ids.KEY, data=project_id)
    waiting = html.P("Loading\u2026", className="nothing", role="status")
    series = html.Section([html.Div(id=ids.TOOLS), html.Div(_grid(), className="project-grid")], id=ids.SERIES,
                          hidden=True)  # fmt: skip
    return html.Div(
        [
            key,
            *stores(CHANNELS, (ids.HEAD, ids.SERIES, ids.MEMBERS)),
            html.Div(waiting, id=ids.HEAD),
            series,
            html.Div(id=ids.MEMBERS),
        ],
        className="settings project-page",
        **{"data-actions": "project", "data-project": project_id},
    )


def register(app: dash.Dash) -> None:
    """One callback for all actions, one for each part, and the file."""
    register_actions(app, act, *CHANNELS)
    key = State(ids.KEY, "data")
    head, series, members = (Input(changed(each), "data") for each in (ids.HEAD, ids.SERIES, ids.MEMBERS))
    app.callback(Output(ids.HEAD, "children"), Output(ids.SERIES, "hidden"), head, key)(show_head)
    app.callback(
        Output(ids.TOOLS, "children"), Output(ids.GRID, "columnDefs"), Output(ids.GRID, "rowData"), series, key
    )(show_series)
    app.callback(Output(ids.MEMBERS, "children"), members, key)(show_members)
    app.server.add_url_rule("/projects/<int:project_id>/series.csv", "project_csv", get_csv)


def show_head(_changed: int | None, project_id: str) -> tuple:
    """What the project is; a stranger learns nothing but that there is nothing for her."""
    try:
        info = _find(project_id)
    except NotFound:
        back = dcc.Link("Your projects", href="/projects")
        says = html.P("It may have been deleted, or it is not shared with you. Ask one of its admins.")
        return html.Div([html.H1("There is no such project here"), says, back], className="empty"), True
    one = {"project_id": info.id}
    tools: list[Cell] = [pictures_link(info.id, info.name, "outline")]
    if info.level >= ADMIN:
        tools.append(dialog_button("Edit", "edit_project", f"Edit {info.name}", "Save", fields=project_fields(info),
                                   values=one, label="Edit project"))  # fmt: skip
        tools.append(_delete(info))
    notes = [html.P(text, className="section-note") for text in (info.description, info.notes) if text]
    crumb = dcc.Link("Projects", href="/projects", className="crumb")
    role = html.Span(f"you are {level_name(info)}", className="tag")
    return [crumb, html.Div([html.H1(info.name), role, html.Div(className="grow"), *tools], className="title-bar"),
            *notes], False  # fmt: skip


def show_series(_changed: int | None, project_id: str) -> tuple:
    """The buttons, the columns and the rows of the table, with what pictures there are."""
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    try:
        info = _find(project_id)
    except NotFound:
        return [], [], []
    with spi.read() as session:
        columns = project_tables.list_columns(session, info.id)
        rows = [
            _grid_row(info.id, row, project_counts.count_images(session, row))
            for row in project_series.list_series(session, require_user(), info.id)
        ]
        total = count_pictures(session, require_user(), info.id)
    may_edit = info.level >= EDITOR
    return _tools(info, columns, len(rows), total), _definitions(columns, may_edit), rows


def show_members(_changed: int | None, project_id: str) -> list[Cell]:
    """Who may do what; admins of the project change it."""
    try:
        info = _find(project_id)
    except NotFound:
        return []
    with current().read() as session:
        members = projects.list_members(session, info.id)
    one, is_admin = {"project_id": info.id}, info.level >= ADMIN
    who = field("username", "Name of the account", required=True, maxlength=32, autocomplete="off")
    add = dialog_button("Add member", "add_member", "Add a member", "Add member", fields=[who, _level_field("viewer")],
                        values=one)  # fmt: skip
    rows = [[html.B(each.username), LEVEL_NAMES[min(each.level, ADMIN)], _member_tools(each, one) if is_admin else ""]
            for each in members]  # fmt: skip
    listed = table("Members", ("Name", "May", ""), rows, "members")
    return [section("members", "Members", listed, tools=[add] if is_admin else [])]


def get_csv(project_id: int) -> Any:
    """The series as a file."""
    try:
        with current().read() as session:
            text = project_csv.write_csv(session, require_user(), project_id)
    except SpiError as error:
        return {"error": {"code": error.code, "message": error.message}}, error.status
    name = f"project_{project_id}_series.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store",
               "X-Content-Type-Options": "nosniff"}  # fmt: skip
    return flask.Response(text, mimetype="text/csv", headers=headers)


def _find(project_id: str) -> ProjectInfo:
    if not (project_id or "").isdecimal() or len(project_id) > 9:
        raise NotFound("there is no such project")
    with current().read() as session:
        return projects.get_project(session, require_user(), int(project_id))


def _grid() -> dag.AgGrid:
    options = {
        "theme": {"function": "spiTheme(themeQuartz)"},
        "rowHeight": 32,
        "headerHeight": 40,
        "stopEditingWhenCellsLoseFocus": True,
        "enableCellTextSelection": True,
        "tooltipShowDelay": 200,
        "domLayout": "autoHeight",
        "suppressFieldDotNotation": True,  # R likes dots in names
        "rowSelection": {"mode": "multiRow", "enableClickSelection": False},
        "localeText": {"noRowsToShow": "No series yet."},
    }
    return dag.AgGrid(
        id=ids.GRID,
        columnDefs=[],
        rowData=[],
        defaultColDef={"resizable": True, "sortable": True, "minWidth": 80},
        dashGridOptions=options,
        eventListeners={"cellValueChanged": ["spiProjectEdited(params)"],
                        "selectionChanged": ["spiProjectSelected(params)"]},
        getRowId="'' + params.data.id",
        style={"height": None},
    )  # fmt: skip


def _definitions(columns: Sequence[project_tables.Column], may_edit: bool) -> list[dict]:
    cell = {
        "cellDataType": False,  # dates and numbers are typed as text, and checked by the server
        "cellEditor": "agTextCellEditor",
        "cellClassRules": {"wrong": "spiProjectWrong(params)"},
        "tooltipValueGetter": {"function": "spiProjectWrong(params)"},
    }
    own = [(each.name, f"{each.name}", 130, may_edit and each.kind is not None) for each in columns]
    fixed = [(name, title, width, may_edit) for name, title, width in BASE]
    definitions: list[dict] = [
        {"field": name, "headerName": title, "width": width, "editable": editable, **cell}
        for name, title, width, editable in [*fixed, *own]
    ]  # fmt: skip
    computed = (("#n_images", "Pictures", 100), ("#first", "First (UTC)", 150), ("#last", "Last (UTC)", 150))
    definitions += [
        {"field": name, "headerName": title, "width": width, "cellClass": "computed"} for name, title, width in computed
    ]
    return [*definitions, {"field": "#address", "headerName": "", "width": 120, "cellRenderer": "SpiSeriesLink",
                           "sortable": False}]  # fmt: skip


def _grid_row(project_id: int, row: dict[str, Any], count: project_counts.Count) -> dict[str, Any]:
    cells = {name: _cell(value) for name, value in row.items()}
    first, last = (f"{at:%Y-%m-%d %H:%M}" if at else "" for at in (count.first_at, count.last_at))
    computed = {"#n_images": count.n_images, "#first": first, "#last": last}
    return cells | computed | {"#address": series_address(project_id, row)}


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _tools(info: ProjectInfo, columns: Sequence[project_tables.Column], n_series: int, n_images: int) -> html.Div:
    one, names = {"project_id": info.id}, [each.name for each in columns]
    parts: list[Cell] = [
        html.H2(f"{number(n_series)} series, {plural(n_images, 'picture')}"),
        html.Div(className="grow"),
    ]
    if info.level >= EDITOR:
        parts += [_add_row(one), _add_column(one)]
        if names:
            parts.append(_column_menu(info, names))
        parts.append(html.Button("Import CSV", type="button", className="outline project-import"))
    parts.append(html.A([icon("download"), "Export CSV"], href=f"/projects/{info.id}/series.csv", className="outline"))
    if info.level >= ADMIN:
        parts.append(html.Button("Delete rows", type="button", className="outline project-delete-rows", disabled=True))
    return html.Div(parts, className="section-head project-tools")


def _add_row(one: dict) -> html.Button:
    fields = [
        field("device", "Trap", required=True, maxlength=8, autocomplete="off", hint="Eight digits, as in 0a1b2c3d."),
        field("start_datetime", "Start (UTC)", required=True, autocomplete="off",
              hint="2022-07-01 or 2022-07-01 14:30:00"),
        field("end_datetime", "End (UTC)", required=True, autocomplete="off",
              hint="The first moment that is not part of it."),
    ]  # fmt: skip
    return dialog_button("Add row", "save_row", "Add a row", "Add row", fields=fields, values=one, className="filled")


def _add_column(one: dict) -> html.Button:
    options = [{"value": kind, "label": label, "hint": hint} for kind, (label, hint) in KINDS.items()]
    fields = [
        field("column_name", "Name", required=True, maxlength=64, autocomplete="off",
              hint="Letters, digits, dots, underscores."),
        field("column_SQL_type", "What it holds", "choice", options=options, value="DOUBLE"),
    ]  # fmt: skip
    return dialog_button("Add column", "add_column", "Add a column", "Add column", fields=fields, values=one)


def _column_menu(info: ProjectInfo, names: Sequence[str]) -> html.Details:
    items: list[Cell] = []
    for name in names:
        new = field("column_name", "New name", required=True, maxlength=64, autocomplete="off", value=name)
        items.append(dialog_button(f"Rename {name}", "rename_column", f"Rename {name}", "Rename", fields=[new],
                                   values={"project_id": info.id, "old_column_name": name},
                                   className="menu-item"))  # fmt: skip
        if info.level >= ADMIN:
            says = "The column and all its values are gone for good."
            items.append(dialog_button(f"Delete {name}", "delete_column", f"Delete {name}?", f"Delete {name}",
                                       says=says, values={"project_id": info.id, "column_name": name}, danger=True,
                                       className="menu-item"))  # fmt: skip
    summary = html.Summary(["Columns", icon("down")], className="outline")
    return html.Details([summary, html.Div(items, className="menu right")], className="drop")


def _level_field(level: str) -> dict:
    options = [{"value": each, "label": each, "hint": hint} for each, hint in LEVEL_HINTS.items()]
    return field("level", "May", "choice", options=options, value=level)


def _member_tools(member: Member, one: dict) -> html.Div:
    name, who = member.username, {**one, "user_id": member.user_id, "name": member.username}
    change = dialog_button("Change", "change_member", f"What {name} may do", "Save", values=who, className="plain",
                           fields=[_level_field(LEVEL_NAMES[min(member.level, ADMIN)])],
                           label=f"Change {name}")  # fmt: skip
    remove = dialog_button("Remove", "remove_member", f"Remove {name}?", f"Remove {name}", values=who, danger=True,
                           says=f"{name} no longer sees this project. Nothing is deleted.", className="plain",
                           label=f"Remove {name}")  # fmt: skip
    return html.Div([change, remove], className="row-tools")


def _delete(info: ProjectInfo) -> html.Button:
    confirm = field("name", f"Type {info.name} to confirm", required=True, autocomplete="off")
    says = "Its series, columns and members are gone for good, for everybody. Pictures stay."
    return dialog_button("Delete", "delete_project", f"Delete {info.name}?", "Delete project", fields=[confirm],
                         values={"project_id": info.id}, says=says, danger=True, label="Delete project")  # fmt: skip
