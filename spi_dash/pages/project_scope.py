"""A project in the scope bar, in the sentences of the pages, and in links: what its users choose and are told."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dash import dcc, html

from ..clock import unix_s
from ..services.project_scope import ProjectScope
from ..services.projects import ProjectInfo
from ..services.scope import Scope, utc_text
from .components import empty_card

ALL, LOST = "all", "lost"  # in the selector: all traps; the project of an address that is none
EXPLORE = "/"


def project_choices(projects: Sequence[ProjectInfo], chosen: ProjectScope | None) -> list[dict[str, str]]:
    """For the selector: those that the reader may see. One that she may not see has no name."""
    names = [info.name for info in projects]
    listed = [
        {"value": str(info.id), "label": info.name if names.count(info.name) == 1 else f"{info.name} ({info.id})"}
        for info in projects
    ]
    lost = [{"value": LOST, "label": "no such project"}] if chosen and chosen.info is None else []
    return [{"value": ALL, "label": "All traps"}, *listed, *lost]


def series_note(project: ProjectScope | None) -> str:
    """Beside the selector."""
    return "" if project is None or project.info is None else f"{project.n_series} series"


def describe_project(project: ProjectScope | None) -> dict[str, Any] | None:
    """For the scripts."""
    if project is None:
        return None
    key = LOST if project.info is None else str(project.info.id)
    return {"key": key, "name": project.name, "n_series": project.n_series}


def name_project(found: Scope, before: str = " in project ") -> list:
    """Words of a summary: which project, of how many series."""
    if found.project is None or found.project.info is None:
        return []
    return [before, html.B(found.project.name), f" ({found.project.n_series} series)"]


def explain_project(found: Scope) -> html.Div | None:
    """Why a project shows nothing at all, and the next step; None where its traps or dates are the reason."""
    project = found.project
    if project is None or found.all_devices:
        return None
    leave = html.Button("Show all traps", className="filled leave-project")
    if project.info is None:
        says = "It may have been deleted, or it is not shared with you. Ask one of its admins."
        return empty_card("There is no such project here", says, leave)
    there = dcc.Link("Open the project", href=f"/projects/{project.info.id}", className="outline")
    if not project.n_series:
        says = "A series says which trap, from when to when, belongs to it. Pictures appear here once there is one."
        return empty_card(f"{project.name} has no series yet", says, there, leave)
    says = f"No pictures were taken in its {project.n_series} series: check their traps and dates."
    return empty_card(f"No pictures in {project.name}", says, there, leave)


def explain_no_tuboids(found: Scope, some_traps: bool) -> html.Div | None:
    """The same where tuboids are shown: they may have come without their pictures."""
    project = found.project
    if project is None or project.info is None or not project.n_series:
        return explain_project(found)
    if some_traps:
        return None
    leave = html.Button("Show all traps", className="filled leave-project")
    says = f"None began in its {project.n_series} series."
    return empty_card(f"No tuboids in {project.name}", says, leave)


def pictures_link(project_id: int, name: str, className: str = "") -> dcc.Link:
    """The way to the pictures of a project."""
    told = f"Show pictures of {name}"
    return dcc.Link("Show pictures", href=f"{EXPLORE}?project={project_id}", className=className, title=told)


def series_address(project_id: int, row: Mapping[str, Any]) -> str:
    """The way to the pictures of one of its series."""
    start_s, end_s = unix_s(row["start_datetime"]), unix_s(row["end_datetime"])
    dates = f"start={utc_text(start_s)}&end={utc_text(end_s + -end_s % 60)}"  # addresses know minutes
    return f"{EXPLORE}?project={project_id}&device={quote(row['device'].lower())}&{dates}"
