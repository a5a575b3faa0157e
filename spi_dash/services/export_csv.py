"""The table of images as CSV (RFC 4180, UTF-8); the database writes its lines, in a tenth of what Python would take."""

from collections.abc import Iterable, Iterator
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from isal import isal_zlib
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import GenericFunction

from ..errors import InvalidInput
from ..models import Image
from .export_columns import COLUMNS, Kind
from .export_query import View, select_images
from .scope import Scope, moment
from .zones import list_offsets, load_zone

LINES_PER_PIECE = 1000
LEVEL, GZIP_WINDOW = 2, 31  # of isal: gzip's header, 15 bits of window
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
SLOW_READER_S = 3600  # how long MariaDB waits for somebody on a slow link before it hangs up


class csv_line(GenericFunction[str]):
    """Texts and numbers with commas between them, nothing for null."""

    type = sa.String()
    inherit_cache = True


class time_in_zone(GenericFunction[str]):
    """A DATETIME column, moved by seconds, as 2020-06-20 21:33:24."""

    type = sa.String()
    inherit_cache = True


@compiles(csv_line, "sqlite")
def _sqlite_line(element: csv_line, compiler: Any, **kw: Any) -> str:
    return " || ',' || ".join(f"coalesce({compiler.process(clause, **kw)}, '')" for clause in element.clauses)


@compiles(csv_line, "mysql", "mariadb")
def _mariadb_line(element: csv_line, compiler: Any, **kw: Any) -> str:
    parts = (f"COALESCE({compiler.process(clause, **kw)}, '')" for clause in element.clauses)
    return f"CONCAT_WS(',', {', '.join(parts)})"


@compiles(time_in_zone, "sqlite")
def _sqlite_time(element: time_in_zone, compiler: Any, **kw: Any) -> str:
    column, seconds = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"datetime({column}, ({seconds}) || ' seconds')"


@compiles(time_in_zone, "mysql", "mariadb")
def _mariadb_time(element: time_in_zone, compiler: Any, **kw: Any) -> str:
    column, seconds = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(DATE_ADD({column}, INTERVAL ({seconds}) SECOND) AS CHAR(19))"


def header() -> list[str]:
    """The first line, as names."""
    names = [column.header for column in COLUMNS]
    return ["time_utc", names[0], "local_minus_utc_h", "time_zone", *names[1:]]


def write_csv(session: Session, scope: Scope, view: View, zone: str) -> Iterator[bytes]:
    """The file in pieces; no more than a piece is in memory.

    Args:
        zone: IANA name of the reader's zone, for scopes that are in it.

    Raises:
        InvalidInput: nobody knows the zone.
    """
    columns = [_line(offset_s(scope, zone), zone_of(scope, zone).key)]
    query = select_images(scope, view, columns, {column.joined for column in COLUMNS}).order_by(*view.order)
    wait_for_slow_readers(session)
    yield (",".join(header()) + "\r\n").encode()
    found = session.execute(query.execution_options(yield_per=LINES_PER_PIECE)).scalars()
    for lines in found.partitions():
        yield ("\r\n".join(lines) + "\r\n").encode()


def gzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same as one gzip file."""
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def wait_for_slow_readers(session: Session) -> None:
    """SQLite waits anyway."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(sa.text(f"SET SESSION net_write_timeout = {SLOW_READER_S}"))


def offset_s(scope: Scope, zone: str) -> sa.ColumnElement[int]:
    """Seconds from UTC to the scope's zone at the time of an image, as SQL."""
    clocks = zone_of(scope, zone)
    first_s = min((info.first_s for info in scope.devices), default=scope.start_s)
    spans = list_offsets(clocks, max(scope.start_s, first_s), scope.end_s)
    later = [(Image.datetime >= moment(from_s), sa.literal_column(str(offset))) for from_s, offset in spans[:0:-1]]
    first = sa.literal_column(str(spans[0][1]))
    return sa.case(*later, else_=first) if later else first


def zone_of(scope: Scope, reader: str) -> ZoneInfo:
    """The zone in which a scope is read; `reader` names that of the browser."""
    if scope.zone != "reader":
        return scope.site.info if scope.zone == "site" else ZoneInfo("UTC")
    try:
        return load_zone(reader)
    except ZoneInfoNotFoundError:
        raise InvalidInput(f"the zone {reader[:40]!r} is not known here: choose UTC above", field="zone") from None


def _line(offset: sa.ColumnElement[int], zone: str) -> sa.ColumnElement[str]:
    taken = [time_in_zone(Image.datetime, sa.literal_column("0")), time_in_zone(Image.datetime, offset)]
    hours = sa.func.round(offset / sa.literal_column("3600.0"), 2)
    return csv_line(*taken, hours, sa.literal(zone), *(cell(column.value, column.kind) for column in COLUMNS[1:]))


def cell(value: Any, kind: Kind) -> sa.ColumnElement:
    """Text is quoted, and no spreadsheet takes it for a formula; numbers stay numbers."""
    if kind == "time":
        return time_in_zone(value, sa.literal_column("0"))
    if kind == "flag":
        return sa.case((value.is_(sa.true()), "true"), (value.is_(sa.false()), "false"))
    if kind == "number":
        return value
    harmless = sa.case((sa.func.substr(value, 1, 1).in_(FORMULA_STARTS), sa.literal("'").concat(value)), else_=value)
    return sa.literal('"').concat(sa.func.replace(harmless, '"', '""')).concat('"')
