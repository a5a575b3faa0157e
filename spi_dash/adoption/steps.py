"""What is still to be done to old tables before the migrations can own them.

Steps are made from what is there, so a run that was killed leaves fewer of them for the next one, and a finished one
leaves none. MariaDB commits every statement by itself: each leaves a database that the old server can work with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from .found import Column, Table
from .generations import ADDED, TABLES, wire_columns


@dataclass(frozen=True)
class Step:
    """`words` is for people; `rows` is how many rows the statements read or write."""

    words: str
    rows: int
    statements: tuple[str, ...]


def list_steps(connection: sa.Connection, tables: Mapping[str, Table]) -> list[Step]:
    """In the order in which they must be done."""
    make = _Maker(connection)
    there = [tables[name] for name in TABLES if name in tables]
    steps = [step for table in there for step in make.definition(table)]
    steps += [step for table in there for step in make.uploaders(table)]
    if connection.dialect.name == "sqlite":
        steps += [step for table in there for step in make.whole_seconds(table)]
    return steps + ([*make.claims(tables["uid_intents"])] if "uid_intents" in tables else [])


class _Maker:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._quote = connection.dialect.identifier_preparer.quote
        self._is_sqlite = connection.dialect.name == "sqlite"

    def definition(self, table: Table) -> Iterator[Step]:
        """Columns that are added, columns that may be empty from now on, and e-mail addresses that may repeat."""
        added = {name: kind for (of, name), kind in ADDED.items() if of == table.name and name not in table.columns}
        loose = [column for column in table.columns.values() if _must_be_loosened(table, column)]
        emails = [key for key in table.keys if table.name == "users" and key.unique and key.columns == ("email",)]
        words = [f"add {', '.join(added)} (empty)"] if added else []
        words += [f"let {', '.join(column.name for column in loose)} be empty"] if loose else []
        words += ["let two accounts have one e-mail address"] if emails else []
        if not words:
            return
        rows = self._count(f"SELECT COUNT(*) FROM {self._quote(table.name)}")
        if self._is_sqlite:
            inside = bool(loose) or any(key.sql is None for key in emails)  # no ALTER TABLE for those
            dropped = [f"DROP INDEX {self._quote(key.name)}" for key in emails if key.sql is not None]
            adding = [
                f"ALTER TABLE {self._quote(table.name)} ADD COLUMN {self._quote(n)} {k}" for n, k in added.items()
            ]
            statements = [*dropped, *adding, *(self._rebuild(table, added, loose) if inside else [])]
        else:
            changes = [f"ADD COLUMN {self._quote(name)} {kind} NULL" for name, kind in added.items()]
            changes += [f"MODIFY {self._quote(column.name)} {_loosened(column)}" for column in loose]
            changes += [f"DROP INDEX {self._quote(key.name)}" for key in emails]
            statements = [f"ALTER TABLE {self._quote(table.name)} {', '.join(changes)}"]
        yield Step(f"{table.name}: {'; '.join(words)}", rows, tuple(statements))

    def uploaders(self, table: Table) -> Iterator[Step]:
        """Names of uploaders become ids; names that nobody has any more stay names only."""
        if "api_user" not in table.columns:
            return
        name = self._quote(table.name)
        known = "api_user IN (SELECT username FROM users) AND api_user IS NOT NULL"
        new = "" if "api_user_id" not in table.columns else " AND api_user_id IS NULL"
        rows = self._count(f"SELECT COUNT(*) FROM {name} WHERE {known}{new}")
        if rows:
            # Out of the way of a table that is changed by what it says: users name users too.
            person = f"(SELECT u.id FROM (SELECT id, username FROM users) u WHERE u.username = {name}.api_user)"
            fill = f"UPDATE {name} SET api_user_id = {person} WHERE api_user_id IS NULL AND api_user IS NOT NULL"
            yield Step(f"{table.name}: fill api_user_id from the names in api_user", rows, (fill,))

    def claims(self, intents: Table) -> Iterator[Step]:
        """An image is claimed once; of several claims, which last for hours, the newest stays."""
        if intents.has_unique(["parent_image_id"]):
            return
        newest = "SELECT id FROM (SELECT MAX(id) AS id FROM uid_intents GROUP BY parent_image_id) newest"
        rows = self._count(f"SELECT COUNT(*) FROM uid_intents WHERE id NOT IN ({newest})")
        if rows:
            delete = f"DELETE FROM uid_intents WHERE id NOT IN ({newest})"
            yield Step("uid_intents: end claims of detectors on images that are claimed twice", rows, (delete,))
        unique = "CREATE UNIQUE INDEX uid_intents_image ON uid_intents (parent_image_id)"
        yield Step("uid_intents: allow one claim per image", 0, (unique,))

    def whole_seconds(self, table: Table) -> Iterator[Step]:
        """SQLite keeps times as texts: those that are looked up must be written in one way."""
        for column in ("datetime", "start_datetime", "end_datetime"):
            if column in table.columns:
                long = f"{self._quote(table.name)} WHERE {column} LIKE '%.000000'"
                if rows := self._count(f"SELECT COUNT(*) FROM {long}"):
                    cut = long.replace(" WHERE", f" SET {column} = substr({column}, 1, 19) WHERE")
                    words = f"{table.name}: write {column} without empty microseconds"
                    yield Step(words, rows, (f"UPDATE {cut}",))

    def _rebuild(self, table: Table, added: Mapping[str, str], loose: list[Column]) -> list[str]:
        """The table once more with another definition; foreign keys are not enforced meanwhile, see db.py."""
        new, old = self._quote(f"adopted_{table.name}"), self._quote(table.name)
        columns = [*table.columns.values(), *(Column(name, kind, True, None) for name, kind in added.items())]
        never = " AUTOINCREMENT" if table.name == "users" else ""  # ids of deleted users are not given out again
        parts = [f"id INTEGER NOT NULL PRIMARY KEY{never}"]
        for column in columns:
            if column.name != "id":
                default = f" DEFAULT {column.default}" if column.default is not None else ""
                null = "" if column.nullable or column in loose else " NOT NULL"
                parts.append(f"{self._quote(column.name)} {column.type}{null}{default}")
        own = [key for key in table.keys if key.sql is None and key.columns != ("email",)]
        parts += [f"UNIQUE ({', '.join(map(self._quote, key.columns))})" for key in own]
        parts += [
            f"FOREIGN KEY ({self._quote(key.column)}) REFERENCES {self._quote(key.table)} (id) "
            f"ON DELETE {key.on_delete}"
            for key in table.foreign
        ]
        names = ", ".join(self._quote(column.name) for column in columns)
        kept = [key.sql for key in table.keys if key.sql and not (key.unique and key.columns == ("email",))]
        return [
            f"CREATE TABLE {new} ({', '.join(parts)})",
            f"INSERT INTO {new} ({names}) SELECT {names} FROM {old}",
            f"DROP TABLE {old}",
            f"ALTER TABLE {new} RENAME TO {old}",
            *kept,
        ]

    def _count(self, query: str) -> int:
        return int(self._connection.exec_driver_sql(query).scalar() or 0)


def _must_be_loosened(table: Table, column: Column) -> bool:
    """Rows of ours leave it empty, and the database would not take that."""
    if column.nullable:
        return False
    wanted = wire_columns(table.name)
    return wanted[column.name] if column.name in wanted else column.default is None


def _loosened(column: Column) -> str:
    return f"{column.type} NULL" + (f" DEFAULT {column.default}" if column.default is not None else "")
