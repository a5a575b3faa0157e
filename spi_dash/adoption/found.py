"""What a database holds, read from its own catalogue: nothing here guesses from the models."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa


@dataclass(frozen=True)
class Column:
    """`type` is what a column definition says, its character set included; `default` is SQL."""

    name: str
    type: str
    nullable: bool
    default: str | None


@dataclass(frozen=True)
class Key:
    """An index. On SQLite one without `sql` belongs to the table's own definition."""

    name: str
    columns: tuple[str, ...]
    unique: bool
    sql: str | None = None


@dataclass(frozen=True)
class ForeignKey:
    column: str
    table: str
    on_delete: str


@dataclass
class Table:
    """`engine` and `collation` are empty on SQLite."""

    name: str
    engine: str = ""
    collation: str = ""
    sql: str = ""
    columns: dict[str, Column] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)
    foreign: list[ForeignKey] = field(default_factory=list)

    def has_unique(self, columns: Iterable[str]) -> bool:
        wanted = set(columns)
        return any(key.unique and set(key.columns) == wanted for key in self.keys)


def read_tables(connection: sa.Connection) -> dict[str, Table]:
    """Every table of the database that the connection is in, by name."""
    return _read_sqlite(connection) if connection.dialect.name == "sqlite" else _read_mariadb(connection)


def is_owned(connection: sa.Connection) -> bool:
    """Whether the migrations have made, or taken over, these tables."""
    tables = sa.inspect(connection).get_table_names()
    return "alembic_version" in tables and connection.scalar(sa.text("SELECT COUNT(*) FROM alembic_version")) > 0


def _rows(connection: sa.Connection, query: str, **values: Any) -> list[Any]:
    return list(connection.execute(sa.text(query), values))


def _read_mariadb(connection: sa.Connection) -> dict[str, Table]:
    here = "table_schema = DATABASE()"
    basic = f"SELECT table_name, engine, table_collation FROM information_schema.tables WHERE {here}"
    basic += " AND table_type = 'BASE TABLE'"
    tables = {name: Table(name, engine or "", collation or "") for name, engine, collation in _rows(connection, basic)}
    columns = (
        "SELECT table_name, column_name, column_type, is_nullable, column_default, character_set_name, collation_name "
        f"FROM information_schema.columns WHERE {here} ORDER BY ordinal_position"
    )
    for table, name, kind, nullable, default, charset, collation in _rows(connection, columns):
        if table in tables:
            text = f"{kind} CHARACTER SET {charset} COLLATE {collation}" if charset else kind
            tables[table].columns[name] = Column(name, text, nullable == "YES", default)
    parts = defaultdict(list)
    indexes = (
        "SELECT table_name, index_name, non_unique, column_name FROM information_schema.statistics "
        f"WHERE {here} ORDER BY table_name, index_name, seq_in_index"
    )
    for table, name, non_unique, column in _rows(connection, indexes):
        parts[table, name, not non_unique].append(column)
    for (table, name, unique), names in parts.items():
        tables[table].keys.append(Key(name, tuple(names), unique))
    foreign = (
        "SELECT k.table_name, k.column_name, k.referenced_table_name, r.delete_rule "
        "FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r "
        "ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name "
        "AND r.table_name = k.table_name WHERE k.table_schema = DATABASE() AND k.referenced_table_name IS NOT NULL"
    )
    for table, column, other, rule in _rows(connection, foreign):
        tables[table].foreign.append(ForeignKey(column, other, rule))
    return tables


def _read_sqlite(connection: sa.Connection) -> dict[str, Table]:
    listed = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    tables = {name: Table(name, sql=sql) for name, sql in _rows(connection, listed)}
    for name, table in tables.items():
        columns = 'SELECT name, type, "notnull", dflt_value FROM pragma_table_info(:table)'
        for column, kind, not_null, default in _rows(connection, columns, table=name):
            table.columns[column] = Column(column, kind, not not_null, default)
        sql = dict(_rows(connection, "SELECT name, sql FROM sqlite_master WHERE type = 'index'"))
        for index, unique in _rows(connection, 'SELECT name, "unique" FROM pragma_index_list(:table)', table=name):
            names = _rows(connection, "SELECT name FROM pragma_index_info(:index) ORDER BY seqno", index=index)
            table.keys.append(Key(index, tuple(row.name for row in names), bool(unique), sql.get(index)))
        foreign = 'SELECT "from", "table", on_delete FROM pragma_foreign_key_list(:table)'
        table.foreign.extend(ForeignKey(*row) for row in _rows(connection, foreign, table=name))
    return tables
