"""Rows back into a database: tables as they were made, rows, then indexes and triggers: nothing counts twice."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice

import sqlalchemy as sa

from ..db import UNFINISHED, Database
from ..errors import InvalidInput
from .dump import quote
from .manifest import Manifest, Table
from .rows import unpack
from .target import Target

ROWS_AT_ONCE = 200


def load_sqlite(database: Database, target: Target, name: str, manifest: Manifest, tick: Callable[[int], None]) -> None:
    """Fill a new file, in one transaction."""
    with database.engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF").close()
        with connection.begin():
            for table in manifest.tables:
                if table.create:
                    connection.exec_driver_sql(table.create)
            if any(table.name == "sqlite_sequence" for table in manifest.tables):
                connection.exec_driver_sql("DELETE FROM sqlite_sequence")
            _load_all(connection, target, name, manifest, tick)
            for statement in manifest.after:
                connection.exec_driver_sql(statement)
        connection.invalidate()  # its settings were for this alone


def load_mariadb(
    database: Database, target: Target, name: str, manifest: Manifest, tick: Callable[[int], None]
) -> None:
    """Drop what is there and fill the database. While it lasts, a table says so: no server starts on a part."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        connection.exec_driver_sql("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")  # rows as they are, zeros included
        connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {UNFINISHED} (id INTEGER PRIMARY KEY)")
        for table in list_tables(connection):
            if table != UNFINISHED:
                connection.exec_driver_sql(f"DROP TABLE {quote(connection, table)}")
        for made in manifest.tables:
            connection.exec_driver_sql(made.create.replace("%", "%%"))  # the driver formats it
        _load_all(connection, target, name, manifest, tick)
        for statement in manifest.after:
            connection.exec_driver_sql(statement.replace("%", "%%"))
        connection.exec_driver_sql(f"DROP TABLE {UNFINISHED}")
        connection.commit()
        connection.invalidate()


def list_tables(connection: sa.Connection) -> list[str]:
    return sa.inspect(connection).get_table_names()


def _load_all(
    connection: sa.Connection, target: Target, name: str, manifest: Manifest, tick: Callable[[int], None]
) -> None:
    for table in manifest.tables:
        count = 0
        found = _rows(target, name, table)
        while rows := list(islice(found, ROWS_AT_ONCE)):
            connection.exec_driver_sql(_insert(connection, table), [tuple(row) for row in rows])
            count += len(rows)
            tick(len(rows))
        if count != table.part.rows:
            raise InvalidInput(f"the backup is damaged: {table.name} has {count} rows instead of {table.part.rows}")
        if manifest.database == "mariadb":
            connection.commit()  # a transaction of millions of rows would only be slow: UNFINISHED guards the whole


def _rows(target: Target, name: str, table: Table) -> Iterator[list]:
    with closing(target.open(f"{name}/{table.part.path}")) as file:
        yield from unpack(file)


def _insert(connection: sa.Connection, table: Table) -> str:
    columns = ", ".join(quote(connection, column) for column in table.columns)
    marks = ", ".join(["?" if connection.dialect.paramstyle == "qmark" else "%s"] * len(table.columns))
    return f"INSERT INTO {quote(connection, table.name)} ({columns}) VALUES ({marks})"
