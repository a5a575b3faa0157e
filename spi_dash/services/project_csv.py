"""A project's series as CSV: taken home, and brought in, all rows or none."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ..contract import ProjectSeries, parse
from ..errors import InvalidInput
from . import project_tables
from .project_series import MANDATORY, check_dates, list_series, put_series, read_device, read_values
from .project_tables import FIXED, Column
from .projects import EDITOR, get_project
from .users import UserInfo

FORMULA = ("=", "+", "-", "@", "\t", "\r")
MAX_ROWS, MAX_BYTES, MAX_PROBLEMS = 5000, 5 * 2**20, 200


@dataclass(frozen=True)
class Problem:
    """What is wrong with one cell; the heading is line 1."""

    line: int
    field: str
    text: str


def write_csv(session: Session, user: UserInfo, project_id: int) -> str:
    """All series with their ids and the project's own columns; times in UTC."""
    rows = list_series(session, user, project_id)
    names = [*FIXED, *(each.name for each in project_tables.list_columns(session, project_id))]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([[_cell(row[name]) for name in names] for row in rows])
    return text.getvalue()


def check_csv(
    session: Session, user: UserInfo, project_id: int, text: str
) -> tuple[list[ProjectSeries], list[Problem]]:
    """The rows of a file, and what is wrong with them, by line. Rows with an id change those that are there.

    Raises:
        InvalidInput: it is no table of series at all.
    """
    get_project(session, user, project_id, EDITOR)
    columns = project_tables.list_columns(session, project_id)
    there = {row["id"]: _key(row) for row in list_series(session, user, project_id)}
    infos: list[ProjectSeries] = []
    problems: list[Problem] = []
    for line, cells in _read_table(text, columns):
        try:
            info = _read_row(project_id, cells, columns)
        except InvalidInput as error:
            field = str(error.details.get("field", ""))
            problems.append(Problem(line, field, error.message.removeprefix(f"{field}: ")))
            continue
        problems += [Problem(line, field, words) for field, words in _misfit(info, there)]
        infos.append(info)
    return infos, problems[:MAX_PROBLEMS]


def import_csv(session: Session, user: UserInfo, project_id: int, text: str) -> int:
    """Store all rows of a file without problems; how many there were.

    Raises:
        InvalidInput: names the first line with a problem.
    """
    infos, problems = check_csv(session, user, project_id, text)
    if problems:
        first = problems[0]
        raise InvalidInput(f"line {first.line}, {first.field}: {first.text}", field=first.field)
    return len(put_series(session, user, infos))


def _read_table(text: str, columns: Sequence[Column]) -> Iterable[tuple[int, dict[str, str | None]]]:
    """Line numbers and cells by column; commas, semicolons and tabs are told apart by the heading."""
    if len(text.encode()) > MAX_BYTES:
        raise InvalidInput(f"the file is larger than {MAX_BYTES // 2**20} MB", field="file")
    text = text.removeprefix("\ufeff")
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="")
    names = [name.strip() for name in reader.fieldnames or []]
    known = {*FIXED, *(each.name for each in columns)}
    _check_heading(names, known)
    reader.fieldnames = names
    rows = []
    try:
        for cells in reader:
            if any(cells.values()):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num} is no CSV: {error}", field="file") from None
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InvalidInput(f"a file has 1 to {MAX_ROWS} rows below its heading, this one {len(rows)}", field="file")
    return rows


def _check_heading(names: Sequence[str], known: set[str]) -> None:
    missing = [name for name in MANDATORY if name not in names]
    if missing:
        raise InvalidInput(f"the first line must name the columns; it has no {', '.join(missing)}", field="file")
    strange = [name for name in names if name not in known]
    if strange:
        raise InvalidInput(f"the project has no column {strange[0][:64]!r}: add it first", field="file")
    if len(set(names)) < len(names):
        raise InvalidInput("a column stands twice in the first line", field="file")


def _read_row(project_id: int, cells: Mapping[Any, Any], columns: Sequence[Column]) -> ProjectSeries:
    if "" in cells:
        raise InvalidInput("has more cells than the first line", field="line")
    typed = {name: _plain(value) for name, value in cells.items()}
    for name in MANDATORY:
        if typed[name] is None:
            raise InvalidInput(f"{name}: is needed", field=name)
    if typed.get("id") is not None:
        typed["id"] = int(typed["id"]) if typed["id"].isdecimal() and len(typed["id"]) < 10 else typed["id"]
    info = parse(ProjectSeries, {**typed, "device": read_device(typed["device"]), "project_id": project_id})
    read_values(info.model_extra or {}, columns)
    check_dates(info.model_dump())
    return info


def _misfit(info: ProjectSeries, there: dict[int, tuple]) -> Iterable[tuple[str, str]]:
    """Rows that are not there, and series that are there twice; remembers this one."""
    key = _key(info.model_dump())
    if info.id is not None and info.id not in there:
        yield "id", f"the project has no row {info.id}"
    elif any(key == other for row_id, other in there.items() if row_id != info.id):
        yield "device", "this trap with these dates is there already, or stands twice in the file"
    there[info.id if info.id is not None else -len(there) - 1] = key


def _key(row: Mapping[str, Any]) -> tuple:
    return (row["device"].lower(), row["start_datetime"], row["end_datetime"])


def _cell(value: Any) -> Any:
    """No spreadsheet takes a text for a formula; _plain() takes the mark away again."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else value


def _plain(text: str | None) -> str | None:
    text = (text or "").strip() or None
    return text[1:] if text and text[0] == "'" and text[1:].startswith(FORMULA) else text
