"""Projects: which devices were where and when, with columns of their own, shared with other users."""

from collections.abc import Iterable
from typing import Any, Literal

from .info import Table, dicts, moment
from .rows import PermissionRow, ProjectRow, Rows
from .transport import Transport

Level = Literal[0, 1, 2, 3]  # none, viewer, editor, admin


class ProjectCalls(Transport):
    """The calls of projects, their members, series and columns."""

    def get_projects(self, info: Table | None = None) -> list[ProjectRow]:
        """The projects of this user that match any of the filters (LIKE patterns by column); without filters, all."""
        return self.post_json("get_projects", [{}] if info is None else dicts(info))

    def put_projects(self, info: Table) -> list[ProjectRow]:
        """Create projects: `name`, and `description` (20 characters), `notes` where they matter.

        Names may be taken twice, so a call whose answer was lost is not repeated.
        """
        return self.post_json("put_projects", dicts(info), again=False)

    def delete_projects(self, info: Table) -> list[ProjectRow]:
        """Delete those projects of this user that match any of the filters, with their series; `[{}]` is all of them.

        Returns:
            What was deleted; projects that this user may not delete are left out.
        """
        return self.post_json("delete_projects", dicts(info))

    def get_project_permissions(self, info: Table | None = None) -> list[PermissionRow]:
        """Who may do what in the projects that match any of the filters; without filters, in all."""
        return self.post_json("get_project_permissions", [{}] if info is None else dicts(info))

    def put_project_permission(self, project_id: int, user_id: int, level: Level) -> PermissionRow:
        """Let a user look (1), edit (2), or do everything (3) in a project, or nothing (0), whatever it was."""
        info = [{"project_id": int(project_id), "user_id": int(user_id), "level": level}]
        return self.post_json("put_project_permissions", info)[0]

    def get_project_series(self, project_id: int) -> Rows:
        """A project's series: `id`, `device`, `start_datetime`, `end_datetime`, and the project's own columns."""
        return self.post_json("get_project_series", [{"project_id": int(project_id)}])

    def put_project_series(self, project_id: int, series: Table) -> Rows:
        """Add series, or change those whose `id` is given; keys beside the three of every project are its own columns.

        Raises:
            Conflict: the project has a series of this device, start and end; also when the answer to a first attempt
                was lost on the way.
        """
        rows = [_with_times(row) | {"project_id": int(project_id)} for row in dicts(series)]
        return self.post_json("put_project_series", rows) if rows else []

    def delete_project_series(self, project_id: int, ids: Iterable[int]) -> Rows:
        """Delete series of a project by their ids."""
        info = [{"project_id": int(project_id), "id": int(each)} for each in ids]
        return self.post_json("delete_project_series", info) if info else []

    def add_project_column(self, project_id: int, name: str, sql_type: str) -> None:
        """Give a project a column of its own: `sql_type` as in CHAR(64), DOUBLE, INTEGER, DATETIME."""
        self._put_column(project_id, column_name=name, column_SQL_type=sql_type)

    def rename_project_column(self, project_id: int, old_name: str, name: str) -> None:
        """Rename one of a project's own columns."""
        self._put_column(project_id, column_name=name, old_column_name=old_name)

    def delete_project_columns(self, project_id: int, names: Iterable[str]) -> None:
        """Delete columns of a project, with all that is in them."""
        info = [{"project_id": int(project_id), "column_name": name} for name in names]
        if info:
            self.post_json("delete_project_columns", info)

    def _put_column(self, project_id: int, **values: str) -> None:
        self.post_json("put_project_columns", [{"project_id": int(project_id), **values}])


def _with_times(row: dict[str, Any]) -> dict[str, Any]:
    """The same row, times read where they must be some; ids of new rows in a DataFrame are missing values."""
    names = [name for name in ("start_datetime", "end_datetime") if isinstance(row.get(name), str)]
    row |= {name: moment(row[name], name) for name in names}
    if "id" in row and _is_missing(row["id"]):
        del row["id"]
    elif isinstance(row.get("id"), float):  # what pandas makes of whole numbers with gaps
        row["id"] = int(row["id"])
    return row


def _is_missing(value: Any) -> bool:
    """None, NaN, or NA of pandas, which need not be there and cannot be compared."""
    return value is None or type(value).__name__ == "NAType" or value != value
