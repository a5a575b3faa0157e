"""Databases of existing servers, made in SQLite and MariaDB, and what is in them before and after an adoption."""

import os

import pytest
import sqlalchemy as sa
from passlib.hash import sha512_crypt

from spi_dash import db

from .old_databases import PASSWORD, definitions, fill

SHA512 = sha512_crypt.using(rounds=5000).hash(PASSWORD)
MAY_GO = {"uid_intents"}  # claims, which last for hours
CATALOGUE = {  # what a database of MariaDB is made of
    "columns": "table_name, column_name, column_type, collation_name, is_nullable, column_default",
    "statistics": "table_name, index_name, seq_in_index, non_unique, column_name",
    "triggers": "event_object_table, trigger_name, event_manipulation, action_timing, action_statement",
    "key_column_usage": "table_name, constraint_name, column_name, referenced_table_name, referenced_column_name",
    "referential_constraints": "table_name, constraint_name, delete_rule, update_rule",
    "tables": "table_name, engine, table_collation",
}


@pytest.fixture(params=["sqlite", "mariadb"])
def make_old(request, tmp_path):
    """An old database of a generation; gives its URL."""
    urls = []
    is_sqlite = request.param == "sqlite"

    def make(generation, compressed=False, collation="utf8mb4_general_ci"):
        name = f"old_{len(urls)}_{os.getpid()}"
        charset = f"CHARSET={collation.split('_')[0]} COLLATE {collation}"
        if is_sqlite:
            url = f"sqlite:///{tmp_path / name}.db"
        else:
            parsed = sa.make_url(request.getfixturevalue("mariadb_url"))
            run_sql(parsed, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} {charset}")
            url = parsed.set(database=name).render_as_string(hide_password=False)
        urls.append(url)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in definitions(generation, not is_sqlite, compressed):
                connection.exec_driver_sql(statement.replace("CHARSET=utf8mb4", charset))
            fill(connection, generation, SHA512, ".000000" if is_sqlite else "")
        engine.dispose()
        return url

    return make


def run_sql(url, *statements):
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def ask(url, query):
    """The rows of one query."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(query).all()
    engine.dispose()
    return rows


def contents(url, columns=None):
    """Every row of every table, and how all is defined; or only the columns that are named, by table."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        names = _columns(connection) if columns is None else columns
        found = {table: _rows(connection, table, wanted) for table, wanted in names.items()}
        found["definitions"] = _definitions(connection) if columns is None else []
    engine.dispose()
    return (found, names)


def upgrade(url, **options):
    database = db.connect(url)
    try:
        return db.upgrade(database, **options)
    finally:
        database.engine.dispose()


def assert_kept(before, url):
    old, names = before
    new, _ = contents(url, names)
    for table in names:
        if table not in MAY_GO:
            assert new[table] == old[table], table


def _columns(connection):
    inspector = sa.inspect(connection)
    tick = "`" if connection.dialect.name == "sqlite" else "``"  # as SQLAlchemy reads them from MariaDB
    return {
        table: [each["name"].replace(tick, "`") for each in inspector.get_columns(table)]
        for table in inspector.get_table_names()
    }


def _rows(connection, table, columns):
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(map(quote, columns))
    rows = connection.exec_driver_sql(f"SELECT {names} FROM {quote(table)} ORDER BY 1")
    return [tuple(str(value).removesuffix(".000000") for value in row) for row in rows]


def _definitions(connection):
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY name").all()
    found = {}
    for catalogue, columns in CATALOGUE.items():
        schema = {"triggers": "trigger_schema", "referential_constraints": "constraint_schema"}
        where = f"{schema.get(catalogue, 'table_schema')} = DATABASE()"
        query = f"SELECT {columns} FROM information_schema.{catalogue} WHERE {where}"
        found[catalogue] = sorted(connection.exec_driver_sql(query).all(), key=str)
    return found
