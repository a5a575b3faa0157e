"""The table of a project's series, `project_series_<id>`: made, read as it is, its columns changed.

It is a real table, as existing databases have it: id, device, start_datetime, end_datetime, and what people add.
MariaDB commits before and after each change of a table. So a project's row is committed before its table is made, and
its deletion before the table goes: whoever is killed in between leaves a project without a table, which is an empty
one and gets its table when it is written to, or a table without a project, which no project takes up.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import Conflict, InvalidInput, NotFound
from ..models import Base, Moment
from ..sql import AddColumn, DropColumn, RenameColumn
from .column_kinds import Kind, kind_of

FIXED = ("id", "device", "start_datetime", "end_datetime")
RESERVED = (*FIXED, "project_id")  # the last one is what calls name the project by
MAX_COLUMNS, MAX_NAME_CHARS = 100, 64
NAME = r"([A-Za-z]|[._][._A-Za-z])[._A-Za-z0-9]*"  # as in R
DUPLICATE_COLUMN, NO_SUCH_COLUMN, ROW_TOO_LARGE, TOO_MANY_COLUMNS = 1060, 1054, 1118, 1117  # of MariaDB


@dataclass(frozen=True)
class Column:
    """A column that somebody added. `kind` is None where another program made it of a type that we do not."""

    name: str
    kind: Kind | None


def table_name(project_id: int) -> str:
    return f"project_series_{int(project_id)}"


def create_table(session: Session, project_id: int) -> None:
    """Make the empty table of a new project. On MariaDB, this commits.

    Raises:
        Conflict: there is one already, of a project that is no more; nothing was committed.
    """
    if _exists(session, project_id):
        raise Conflict(f"the database holds a table {table_name(project_id)} of another project: try again")
    session.connection().execute(sa.schema.CreateTable(_make(project_id, ())))


def drop_table(session: Session, project_id: int) -> None:
    """Delete the table and all that is in it. On MariaDB, this commits."""
    session.connection().execute(sa.schema.DropTable(_make(project_id, ()), if_exists=True))


def list_columns(session: Session, project_id: int) -> list[Column]:
    """The columns that were added, in their order."""
    if not _exists(session, project_id):
        return []
    # The inspector looks into this connection's own database only.
    connection = session.connection()
    found = sa.inspect(connection).get_columns(table_name(project_id))
    tick = (
        "``" if connection.dialect.name != "sqlite" else "`"
    )  # SQLAlchemy takes names as SHOW CREATE TABLE quotes them
    columns = [Column(str(each["name"]).replace(tick, "`"), kind_of(each["type"])) for each in found]
    return [each for each in columns if each.name not in FIXED]


def find_table(session: Session, project_id: int) -> tuple[sa.Table | None, list[Column]]:
    """The table as it is now, and its added columns; None for a project that has no table yet."""
    if not _exists(session, project_id):
        return None, []
    columns = list_columns(session, project_id)
    return _make(project_id, columns), columns


def find_fixed(session: Session, project_id: int) -> sa.Table | None:
    """The table without what people added; None for a project that has no table yet."""
    return _make(project_id, ()) if _exists(session, project_id) else None


def get_table(session: Session, project_id: int) -> tuple[sa.Table, list[Column]]:
    """The table to write to; made where a project has none."""
    if not _exists(session, project_id):
        session.connection().execute(sa.schema.CreateTable(_make(project_id, ()), if_not_exists=True))
    columns = list_columns(session, project_id)
    return _make(project_id, columns), columns


def add_column(session: Session, project_id: int, name: str, kind: Kind) -> None:
    """Add a column, null in all rows. On MariaDB, this commits.

    Raises:
        InvalidInput: the name cannot be one, or there is no room for more columns.
        Conflict: there is such a column.
    """
    _, columns = get_table(session, project_id)
    _check_new_name(name, [each.name for each in columns])
    if len(columns) >= MAX_COLUMNS:
        raise InvalidInput(f"a project has at most {MAX_COLUMNS} columns", field="column_name")
    _alter(session, AddColumn(table_name(project_id), sa.Column(name, kind.sql_type(), nullable=True)), name)


def rename_column(session: Session, project_id: int, old_name: str, new_name: str) -> None:
    """Give a column another name; its values stay. On MariaDB, this commits."""
    _, columns = get_table(session, project_id)
    _check_there(old_name, columns, "old_column_name")
    if new_name == old_name:
        return
    _check_new_name(new_name, [each.name for each in columns if each.name != old_name])
    _alter(session, RenameColumn(table_name(project_id), old_name, new_name), new_name)


def delete_column(session: Session, project_id: int, name: str) -> None:
    """Delete a column with its values. On MariaDB, this commits."""
    _, columns = get_table(session, project_id)
    _check_there(name, columns, "column_name")
    _alter(session, DropColumn(table_name(project_id), name), name)


def _exists(session: Session, project_id: int) -> bool:
    return sa.inspect(session.connection()).has_table(table_name(project_id))


def _make(project_id: int, columns: Sequence[Column]) -> sa.Table:
    return sa.Table(
        table_name(project_id),
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("device", sa.CHAR(8), nullable=False),
        sa.Column("start_datetime", Moment, nullable=False),
        sa.Column("end_datetime", Moment, nullable=False),
        *(sa.Column(each.name, each.kind.sql_type() if each.kind else sa.types.NullType()) for each in columns),
        sa.UniqueConstraint("device", "start_datetime", "end_datetime"),
        **Base.__table_args__,
    )


def _check_there(name: str, columns: Sequence[Column], field: str) -> None:
    if name in RESERVED:
        raise InvalidInput(f"the column {name} belongs to every project: it stays", field=field)
    if all(each.name != name for each in columns):
        raise NotFound(f"the project has no column {name!r}", field=field)


def _check_new_name(name: str, others: Sequence[str]) -> None:
    if len(name) > MAX_NAME_CHARS or re.fullmatch(NAME, name, re.ASCII) is None:
        reason = f"starts with a letter, and has letters, digits, dots and underscores, at most {MAX_NAME_CHARS}"
        raise InvalidInput(f"the name of a column {reason}", field="column_name")
    if name.lower() in RESERVED:
        raise InvalidInput(f"the name {name} is taken: every project has that column", field="column_name")
    if name.lower() in (each.lower() for each in others):
        raise Conflict(f"the project has a column {name!r} already", field="column_name")


def _alter(session: Session, change: Any, name: str) -> None:
    """What MariaDB refuses is said in words; SQLite lets one work at a time, and has room."""
    try:
        session.connection().execute(change)
    except sa.exc.DBAPIError as error:
        code = error.orig.args[0] if error.orig is not None and error.orig.args else None
        if code in (ROW_TOO_LARGE, TOO_MANY_COLUMNS):
            raise InvalidInput(f"the rows have no room for {name!r}: take a shorter type, or TEXT") from None
        if code == DUPLICATE_COLUMN:  # somebody else was faster
            raise Conflict(f"the project has a column {name!r} already", field="column_name") from None
        if code == NO_SUCH_COLUMN:
            raise NotFound(f"the project has no column {name!r} any more", field="column_name") from None
        raise
