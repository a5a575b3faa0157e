"""What scripts pass in, made into the lists of objects that requests carry."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, Union

from ..clock import LEGACY
from ..errors import InvalidInput

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
Moment = datetime | date | str  # naive is UTC; a day is its midnight; text as 2022-07-01, 2022-07-01T12:00:00Z
Table = Union[Iterable[Mapping[str, Any]], "DataFrame"]
Devices = str | Sequence[str]

OLDEST, NEWEST = datetime(1970, 1, 1), datetime(2200, 1, 1)
IMAGE_KEY = ("device", "datetime")
KEYS_PER_REQUEST = 500


def dicts(table: Table) -> list[dict[str, Any]]:
    """Rows of answers, a DataFrame, or any list of mappings, as new dicts; one mapping alone is a mistake.

    Raises:
        InvalidInput: it is something else.
    """
    if hasattr(table, "to_dict"):  # a DataFrame; pandas is not imported for it
        return table.to_dict("records")
    if isinstance(table, (str, bytes, Mapping)):
        raise InvalidInput("a list of rows is needed, or a DataFrame", field="info")
    rows = list(table)
    if not all(isinstance(row, Mapping) for row in rows):
        raise InvalidInput("a list of rows is needed, or a DataFrame", field="info")
    return [dict(row) for row in rows]


def pick(table: Table, *names: str) -> list[dict[str, Any]]:
    """Only what identifies: whole rows of earlier answers are often passed in."""
    try:
        return [{name: row[name] for name in names} for row in dicts(table)]
    except KeyError as error:
        raise InvalidInput(f"{error.args[0]} is missing", field=error.args[0]) from None


def ranges(device: Devices, start: Moment | None, end: Moment | None) -> list[dict[str, Any]]:
    """One element per device or pattern; None is the beginning, or the end, of time."""
    first = OLDEST if start is None else moment(start, "start")
    last = NEWEST if end is None else moment(end, "end")
    devices = [device] if isinstance(device, str) else list(device)
    return [{"device": each, "start_datetime": first, "end_datetime": last} for each in devices]


def chosen(device: Devices, start: Moment | None, end: Moment | None, series: Table | None) -> list[dict[str, Any]]:
    """Ranges of devices, or those of a project's series."""
    if series is None:
        return ranges(device, start, end)
    if device != "%" or start is not None or end is not None:
        raise InvalidInput("series: give either these, or device, start and end", field="series")
    return pick(series, "device", "start_datetime", "end_datetime")


def moment(value: Moment, field: str) -> datetime:
    """A time as a datetime.

    Raises:
        InvalidInput: text that is none.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    try:
        return datetime.strptime(value, LEGACY) if "_" in value else datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise InvalidInput(f"{field}: {value!r} is not a time: write 2022-07-01T12:00:00Z", field=field) from None


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """The same rows in lists of at most this size."""
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk


def image_key(name: str) -> dict[str, Any]:
    """Device and time of a picture, from its file name.

    Raises:
        InvalidInput: not the name of a trap's picture.
    """
    from ..trap_image import parse_name  # with Pillow: scripts that only read need none of it

    device, taken_at = parse_name(name)
    return {"device": device, "datetime": taken_at}
