"""The database as it is at one moment, read while others write: its tables, and how to make them again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from ..db import Database
from ..errors import ConfigError
from .manifest import Part, Table
from .rows import line, pack, shortest_single
from .target import Target

ROWS_AT_ONCE = 100  # annotations may have 100 kB each


@dataclass(frozen=True)
class _Source:
    """A table before it is read."""

    name: str
    create: str
    columns: list[str]
    singles: frozenset[int]  # positions of columns of 32-bit floats


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """What was written."""

    kind: str
    revision: str
    tables: list[Table]
    after: list[str]


def dump_database(database: Database, target: Target, folder: str, tick: Callable[[int], None]) -> Dumped:
    """Write every table into `folder` of the target, all as they were at one moment.

    Args:
        tick: told how many rows were written since.

    Raises:
        ConfigError: no server has made these tables.
        Unavailable: the database or the target does not answer, or a table was altered meanwhile.
    """
    tables = []
    with database.snapshot() as connection:
        schema = _Sqlite(connection) if database.kind == "sqlite" else _MariaDb(connection)
        sources, after = schema.tables(), schema.after()
        revision = _revision(connection, sources)
        for source in sources:
            with database.lenient(connection):
                part = _write(schema, connection, source, target, folder, tick)
            tables.append(Table(name=source.name, create=source.create, columns=source.columns, part=part))
    return Dumped(kind=database.kind, revision=revision, tables=tables, after=after)


def quote(connection: sa.Connection, name: str) -> str:
    """A name of a table or column in SQL that goes to the driver as it is."""
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _revision(connection: sa.Connection, sources: list[_Source]) -> str:
    if not any(source.name == "alembic_version" for source in sources):
        raise ConfigError("this database has no tables of Spi Dash: start the server once")
    return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) or "")


def _write(
    schema: "_Sqlite | _MariaDb",
    connection: sa.Connection,
    source: _Source,
    target: Target,
    folder: str,
    tick: Callable[[int], None],
) -> Part:
    count = 0

    def lines() -> Iterator[bytes]:
        nonlocal count
        columns = ", ".join(schema.column(source, number) for number in range(len(source.columns)))
        query = f"SELECT {columns} FROM {quote(connection, source.name)}"
        options = {"stream_results": True, "yield_per": ROWS_AT_ONCE}
        with connection.exec_driver_sql(query, execution_options=options) as result:
            for rows in result.partitions():
                count += len(rows)
                tick(len(rows))
                for row in rows:
                    yield line(_exact(row, source.singles) if source.singles else row)

    part = target.put(f"{folder}/tables/{source.name}.jsonl.gz", pack(lines()))
    return Part(path=part.path, size=part.size, sha256=part.sha256, rows=count)


def _exact(row: sa.Row, singles: frozenset[int]) -> list:
    return [shortest_single(value) if number in singles else value for number, value in enumerate(row)]


class _Sqlite:
    """The schema as SQLite keeps it: text."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        query = "SELECT type, name, sql FROM sqlite_master ORDER BY rowid"
        self.items = [tuple(row) for row in connection.exec_driver_sql(query)]

    def tables(self) -> list[_Source]:
        found = [(name, sql) for kind, name, sql in self.items if kind == "table" and not name.startswith("sqlite_")]
        if any(name == "sqlite_sequence" for _, name, _ in self.items):
            found.append(("sqlite_sequence", ""))  # the highest ids that were given out
        return [_Source(name, sql, self._columns(name), frozenset()) for name, sql in found]

    def after(self) -> list[str]:
        return [sql for kind, _, sql in self.items if kind in ("index", "trigger", "view") and sql]

    def column(self, source: _Source, number: int) -> str:
        return quote(self.connection, source.columns[number])

    def _columns(self, table: str) -> list[str]:
        rows = self.connection.exec_driver_sql(f"PRAGMA table_info({quote(self.connection, table)})")
        return [row[1] for row in rows]


class _MariaDb:
    """The schema as MariaDB tells it."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def tables(self) -> list[_Source]:
        names = [name for name, kind in self.connection.exec_driver_sql("SHOW FULL TABLES") if kind == "BASE TABLE"]
        return [self._source(name) for name in names]

    def after(self) -> list[str]:
        """Triggers, without the account that made them: it may not exist where they are restored."""
        triggers = self.connection.exec_driver_sql("SHOW TRIGGERS").mappings()
        return [
            f"CREATE TRIGGER {quote(self.connection, row['Trigger'])} {row['Timing']} {row['Event']} "
            f"ON {quote(self.connection, row['Table'])} FOR EACH ROW {row['Statement']}"
            for row in triggers
        ]

    def column(self, source: _Source, number: int) -> str:
        """MariaDB shows a FLOAT with six digits and keeps seven and more."""
        name = quote(self.connection, source.columns[number])
        return f"CAST({name} AS DOUBLE)" if number in source.singles else name

    def _source(self, name: str) -> _Source:
        create = self.connection.exec_driver_sql(f"SHOW CREATE TABLE {quote(self.connection, name)}").one()[1]
        query = sa.text(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "
            "table_name = :name AND extra NOT LIKE '%GENERATED%' ORDER BY ordinal_position"
        )
        columns = self.connection.execute(query, {"name": name}).all()
        singles = frozenset(number for number, (_, kind) in enumerate(columns) if kind == "float")
        return _Source(name, create, [column for column, _ in columns], singles)
