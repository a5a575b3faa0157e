"""The rows of a project: a trap, from when to when, and what the project's own columns say of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import ProjectSeries, parse
from ..errors import Conflict, InvalidInput, NotFound
from . import project_tables
from .project_tables import FIXED, Column
from .projects import ADMIN, EDITOR, get_project
from .users import UserInfo

FIRST_DAY = datetime(1970, 1, 1)
MANDATORY = FIXED[1:]
Row = dict[str, Any]


def list_series(session: Session, user: UserInfo, project_id: int) -> list[Row]:
    """The rows of a project, by device and time: id, device, start_datetime, end_datetime, and its own columns."""
    get_project(session, user, project_id)
    table, _ = project_tables.find_table(session, project_id)
    if table is None:
        return []
    c = table.c
    query = sa.select(table).order_by(c.device, c.start_datetime, c.id)
    return [_row(table, found._mapping) for found in session.execute(query)]


def list_periods(session: Session, project_id: int) -> list[tuple[str, datetime, datetime]]:
    """Device, start and end of each row, for somebody whose right to look was checked."""
    table = project_tables.find_fixed(session, project_id)
    if table is None:
        return []
    c = table.c
    query = sa.select(c.device, c.start_datetime, c.end_datetime).order_by(c.device, c.start_datetime, c.id)
    return [tuple(row) for row in session.execute(query)]


def put_series(session: Session, user: UserInfo, infos: Sequence[ProjectSeries]) -> list[Row]:
    """Add rows; those with an id are changed instead, as far as they say. Returns them as they are then.

    Raises:
        NotFound: the project or the row does not exist.
        InvalidInput: names the row and the field.
        Conflict: there is such a series, of the same trap and dates.
    """
    tables: dict[int, tuple[sa.Table, list[Column]]] = {}
    for project_id in dict.fromkeys(info.project_id for info in infos):
        get_project(session, user, project_id, EDITOR)
        tables[project_id] = project_tables.get_table(session, project_id)
    rows = []
    for index, info in enumerate(infos):
        table, columns = tables[info.project_id]
        rows.append(_put(session, table, columns, info, index))
    return rows


def put_values(session: Session, user: UserInfo, project_id: int, values: Mapping[str, Any]) -> Row:
    """Add or change one row with what somebody typed; empty text is nothing. As put_series()."""
    typed = {name: value.strip() or None if isinstance(value, str) else value for name, value in values.items()}
    if isinstance(typed.get("device"), str):
        typed["device"] = read_device(typed["device"])
    for name in MANDATORY:
        if name in typed and typed[name] is None:
            raise InvalidInput(f"{name}: is needed", field=name)
    return put_series(session, user, [parse(ProjectSeries, {**typed, "project_id": project_id})])[0]


def read_device(text: str) -> str:
    """A trap as people name it; scripts may name other devices.

    Raises:
        InvalidInput: it is none.
    """
    if re.fullmatch("[0-9a-fA-F]{8}", text) is None:
        raise InvalidInput("device: must be eight hexadecimal digits, as in 0a1b2c3d", field="device")
    return text.lower()


def delete_series(session: Session, user: UserInfo, project_id: int, row_id: int) -> list[Row]:
    """Delete one row, for admins of the project, and return it; nothing where it is gone already."""
    get_project(session, user, project_id, ADMIN)
    table, _ = project_tables.find_table(session, project_id)
    if table is None:
        return []
    mine = table.c.id == row_id
    found = session.execute(sa.select(table).where(mine)).one_or_none()
    if found is None:
        return []
    session.execute(sa.delete(table).where(mine))
    return [_row(table, found._mapping)]


def read_values(given: Mapping[str, Any], columns: Iterable[Column], where: str = "") -> Row:
    """Values of a project's own columns as they are stored.

    Args:
        where: the words before a field's name in an error.

    Raises:
        InvalidInput: names the field.
    """
    known = {each.name: each.kind for each in columns}
    values = {}
    for name, value in given.items():
        if name not in known:
            raise InvalidInput(f"{where}{name}: the project has no such column", field=f"{where}{name}")
        kind = known[name]
        if kind is None:
            reason = "holds values that only the program that made it can write"
            raise InvalidInput(f"{where}{name}: {reason}", field=f"{where}{name}")
        try:
            values[name] = kind.read(value)
        except ValueError as error:
            raise InvalidInput(f"{where}{name}: {error}", field=f"{where}{name}") from None
    return values


def check_dates(row: Mapping[str, Any], where: str = "") -> None:
    """Raises InvalidInput where a series ends before it starts, or is older than computers."""
    if row["start_datetime"] < FIRST_DAY:
        raise InvalidInput(f"{where}start_datetime: is before 1970", field=f"{where}start_datetime")
    if row["end_datetime"] < row["start_datetime"]:
        raise InvalidInput(f"{where}end_datetime: is before start_datetime", field=f"{where}end_datetime")


def _put(session: Session, table: sa.Table, columns: Sequence[Column], info: ProjectSeries, index: int) -> Row:
    where = f"[{index}]."
    given = {name: getattr(info, name) for name in MANDATORY}
    own = read_values(info.model_extra or {}, columns, where)
    # A null says nothing of a mandatory column of a row that is there.
    values = {name: value for name, value in given.items() if value is not None} | own
    before = {} if info.id is None else _find(session, table, info.id, where)
    for name in MANDATORY:
        if name not in values and name not in before:
            raise InvalidInput(f"{where}{name}: Field required", field=f"{where}{name}")
    if "start_datetime" in values or "end_datetime" in values:
        check_dates({**before, **values}, where)
    row_id = _write(session, table, values, info.id, where)
    return _row(table, _find(session, table, row_id, where))


def _write(session: Session, table: sa.Table, values: Row, row_id: int | None, where: str) -> int:
    try:
        if row_id is None:
            (row_id,) = session.execute(sa.insert(table).values(values)).inserted_primary_key
        elif values:
            session.execute(sa.update(table).where(table.c.id == row_id).values(values))
    except sa.exc.IntegrityError:
        reason = "the project has this trap with these dates already"
        raise Conflict(f"{where}device: {reason}", field=f"{where}device") from None
    except sa.exc.DataError as error:  # a column that another program made narrower than its kind
        name = next((name for name in values if f"'{name}'" in str(error.orig)), "")
        raise InvalidInput(f"{where}{name}: does not fit the column", field=f"{where}{name}") from None
    return row_id


def _find(session: Session, table: sa.Table, row_id: int, where: str) -> Mapping[str, Any]:
    found = session.execute(sa.select(table).where(table.c.id == row_id)).one_or_none()
    if found is None:
        raise NotFound(f"{where}id: the project has no row {row_id}", field=f"{where}id")
    return found._mapping


def _row(table: sa.Table, found: Mapping[str, Any]) -> Row:
    row = {str(name): _plain(value) for name, value in found.items()}
    # SQLite keeps the decimal 5.0 as the integer 5.
    decimals = (column.name for column in table.c if isinstance(column.type, sa.Numeric))
    return row | {name: float(row[name]) for name in decimals if isinstance(row[name], int)}


def _plain(value: Any) -> Any:
    """As the wire has it: decimals are numbers, dates are text; times are written by whoever answers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.replace(microsecond=0)
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
