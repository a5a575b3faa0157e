"""Projects: who works together, on which traps and dates."""

from dataclasses import asdict
from typing import Any

from ..contract import (
    NewProject,
    ProjectColumn,
    ProjectColumnKey,
    ProjectKey,
    ProjectLevel,
    ProjectSeries,
    ProjectSeriesKey,
)
from ..errors import InvalidInput
from ..services import audit, project_series, project_tables, projects
from ..services.column_kinds import parse_kind
from ..services.projects import ADMIN, EDITOR, ProjectInfo
from . import schemas
from .endpoint import Call, Endpoint


def get_projects(call: Call) -> list[dict[str, Any]]:
    """Projects that are shared with the caller, by LIKE patterns on their columns."""
    with call.spi.read() as session:
        return [_row(info) for info in projects.list_projects(session, call.user, call.infos)]


def put_projects(call: Call) -> list[dict[str, Any]]:
    """Create projects, the caller being their admin; those before a refused one stay."""
    created = []
    for info in call.infos:
        with call.spi.begin() as session:
            project = projects.add_project(session, call.user, info, call.now)
            audit.record_projects(session, call.user, "project added", [project], call.now)
            project_tables.create_table(session, project.id)
        created.append(_row(project))
    return created


def delete_projects(call: Call) -> list[dict[str, Any]]:
    """Delete the projects that match and of which the caller is admin, with their series; pictures stay."""
    with call.spi.begin() as session:
        deleted = projects.delete_projects(session, call.user, call.infos)
        audit.record_projects(session, call.user, "project deleted", deleted, call.now)
        for project in deleted:
            project_tables.drop_table(session, project.id)
    return [_row(project) for project in deleted]


def get_project_permissions(call: Call) -> list[dict[str, Any]]:
    """Who may do what in the projects that match: 1 look, 2 edit, 3 everything."""
    with call.spi.read() as session:
        found = projects.list_projects(session, call.user, call.infos)
        return [asdict(each) for each in projects.list_permissions(session, [info.id for info in found])]


def put_project_permissions(call: Call) -> list[dict[str, Any]]:
    """Say what users may do in projects of which the caller is admin, whatever it was before."""
    with call.spi.begin() as session:
        given = [projects.set_level(session, call.user, info, call.now) for info in call.infos]
        audit.record_members(session, call.user, given, call.now)
    return [asdict(permission) for permission in given]


def get_project_series(call: Call) -> list[dict[str, Any]]:
    """The series of projects: traps and dates, and the projects' own columns."""
    with call.spi.read() as session:
        return [row for info in call.infos for row in project_series.list_series(session, call.user, info.project_id)]


def put_project_series(call: Call) -> list[dict[str, Any]]:
    """Add series, or change those whose id is given: all or none."""
    with call.spi.begin() as session:
        rows = project_series.put_series(session, call.user, call.infos)
        audit.record_series(session, call.user, [info.project_id for info in call.infos], "changed", call.now)
    return rows


def delete_project_series(call: Call) -> list[dict[str, Any]]:
    """Delete series of projects of which the caller is admin."""
    with call.spi.begin() as session:
        found = [
            (info.project_id, row)
            for info in call.infos
            for row in project_series.delete_series(session, call.user, info.project_id, info.id)
        ]
        audit.record_series(session, call.user, [project_id for project_id, _ in found], "deleted", call.now)
    return [row for _, row in found]


def put_project_columns(call: Call) -> list[dict[str, Any]]:
    """Add columns to projects, or rename those whose old name is given; those before a refused one stay."""
    return [_put_column(call, info) for info in call.infos]


def delete_project_columns(call: Call) -> list[dict[str, Any]]:
    """Delete columns with their values, for admins of the project; those before a refused one stay deleted."""
    for info in call.infos:
        with call.spi.begin() as session:
            project = projects.get_project(session, call.user, info.project_id, ADMIN)
            project_tables.delete_column(session, project.id, info.column_name)
            audit.record_column(session, call.user, project, f"{info.column_name} deleted", call.now)
    return [{"column_name": info.column_name} for info in call.infos]


def _put_column(call: Call, info: ProjectColumn) -> dict[str, Any]:
    if info.old_column_name is None and info.column_SQL_type is None:
        raise InvalidInput("say the column's column_SQL_type, or its old_column_name", field="column_SQL_type")
    with call.spi.begin() as session:
        project = projects.get_project(session, call.user, info.project_id, EDITOR)
        if info.old_column_name is None:
            kind = parse_kind(info.column_SQL_type or "")
            project_tables.add_column(session, project.id, info.column_name, kind)
            said = f"{info.column_name} added, {kind}"
        else:
            project_tables.rename_column(session, project.id, info.old_column_name, info.column_name)
            said = f"{info.old_column_name} renamed to {info.column_name}"
        audit.record_column(session, call.user, project, said, call.now)
    kind_sent = info.column_SQL_type if info.old_column_name is None else None
    return {"column_name": info.column_name, "column_SQL_type": kind_sent}


def _row(info: ProjectInfo) -> dict[str, Any]:
    return {name: value for name, value in asdict(info).items() if name != "level"}


_PROJECTS: dict[str, Any] = {"body": "filters", "filters": projects.FILTERS}
ENDPOINTS = (
    Endpoint(path="/get_projects", role="any", handler=get_projects, answer=schemas.rows("ProjectRow"), **_PROJECTS),
    Endpoint(path="/put_projects", role="rw", handler=put_projects, info=NewProject, answer=schemas.rows("ProjectRow")),
    Endpoint(
        path="/delete_projects", role="rw", handler=delete_projects, answer=schemas.rows("ProjectRow"), **_PROJECTS
    ),
    Endpoint(
        path="/get_project_permissions",
        role="any",
        handler=get_project_permissions,
        answer=schemas.rows("PermissionRow"),
        **_PROJECTS,
    ),
    Endpoint(
        path="/put_project_permissions",
        role="rw",
        handler=put_project_permissions,
        info=ProjectLevel,
        answer=schemas.rows("PermissionRow"),
    ),
    Endpoint(
        path="/get_project_series",
        role="any",
        handler=get_project_series,
        info=ProjectKey,
        answer=schemas.rows("ProjectSeriesRow"),
    ),
    Endpoint(
        path="/put_project_series",
        role="rw",
        handler=put_project_series,
        info=ProjectSeries,
        answer=schemas.rows("ProjectSeriesRow"),
        refusals=(409,),
    ),
    Endpoint(
        path="/delete_project_series",
        role="rw",
        handler=delete_project_series,
        info=ProjectSeriesKey,
        answer=schemas.rows("ProjectSeriesRow"),
    ),
    Endpoint(
        path="/put_project_columns",
        role="rw",
        handler=put_project_columns,
        info=ProjectColumn,
        answer=schemas.rows("ProjectColumnRow"),
        refusals=(409,),
    ),
    Endpoint(
        path="/delete_project_columns",
        role="rw",
        handler=delete_project_columns,
        info=ProjectColumnKey,
        answer=schemas.rows("DeletedColumnRow"),
    ),
)
