"""SQL expressions that SQLite and MariaDB write differently."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction


class time_text(GenericFunction[str]):
    """A DATETIME column as text: "iso" (2020-06-20T21:33:24Z) or "legacy" (2020-06-20_21-33-24).

    Made by the database, 50,000 rows cost a tenth of what they cost in Python.
    """

    type = sa.String()
    inherit_cache = True

    def __init__(self, column: Any, style: str) -> None:
        super().__init__(column, sa.literal_column(f"'{style}'"))
        self.style = style


@compiles(time_text, "sqlite")
def _sqlite(element: time_text, compiler: Any, **kw: Any) -> str:
    column, style = element.clauses
    text = f"substr({compiler.process(column, **kw)}, 1, 19)"  # rows of other programs may carry microseconds
    if style.name == "'legacy'":
        return f"replace(replace({text}, ' ', '_'), ':', '-')"
    return f"replace({text}, ' ', 'T') || 'Z'"


@compiles(time_text, "mysql", "mariadb")
def _mariadb(element: time_text, compiler: Any, **kw: Any) -> str:
    column, style = element.clauses
    pattern = "%%Y-%%m-%%d_%%H-%%i-%%S" if style.name == "'legacy'" else "%%Y-%%m-%%dT%%H:%%i:%%SZ"
    return f"DATE_FORMAT({compiler.process(column, **kw)}, '{pattern}')"


class float_text(GenericFunction[float]):
    """A FLOAT column as JSON writes a number with a fraction: MariaDB alone would make 60 of 60.0, an integer."""

    type = sa.Float()
    inherit_cache = True


@compiles(float_text, "sqlite")
def _sqlite_float(element: float_text, compiler: Any, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(float_text, "mysql", "mariadb")
def _mariadb_float(element: float_text, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS DECIMAL(12,4))"


class decimal_number(GenericFunction[float]):
    """A DECIMAL column as JSON writes a number with a fraction: SQLite keeps 49.0 as the integer 49."""

    type = sa.Float()
    inherit_cache = True


@compiles(decimal_number, "sqlite")
def _sqlite_decimal(element: decimal_number, compiler: Any, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS REAL)"


@compiles(decimal_number, "mysql", "mariadb")
def _mariadb_decimal(element: decimal_number, compiler: Any, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


def as_text(expression: sa.ColumnElement, dialect: sa.Dialect) -> str:
    """An expression as SQL, for sa.literal_column(): a large one costs milliseconds each time it is compiled."""
    compiled = str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return compiled.replace("%%", "%") if dialect.paramstyle == "pyformat" else compiled


def insert_or_ignore(table: Any) -> sa.Insert:
    """An INSERT that does nothing where a unique key is taken; its rowcount tells."""
    return sa.insert(table).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")


def insert_or_lock(table: Any, dialect: sa.Dialect) -> sa.Insert:
    """An INSERT that, where a unique key is taken, locks that row as a writer; several at once do not deadlock.

    A plain INSERT that finds the key taken leaves MariaDB with a reader's lock, and two of them wait for each other.
    """
    if dialect.name == "sqlite":
        return insert_or_ignore(table)  # its writers come one after the other
    return mysql.insert(table).on_duplicate_key_update(id=table.id)


def delete_ids(table: Any, ids: Sequence[int], dialect: sa.Dialect) -> sa.Executable:
    """A DELETE of rows by their id that waits for nobody else's rows.

    Given a list, MariaDB may read the whole table, and then waits for rows in it that others have not committed; a join
    that begins with the ids looks each of them up.
    """
    if dialect.name == "sqlite":
        return sa.delete(table).where(table.id.in_(ids)).execution_options(synchronize_session=False)
    seen = " UNION ALL ".join(f"SELECT {int(key)} AS id" for key in ids)
    return sa.text(f"DELETE t FROM ({seen}) AS seen STRAIGHT_JOIN {table.__tablename__} AS t ON t.id = seen.id")


class AddColumn(sa.schema.ExecutableDDLElement):
    """ALTER TABLE ... ADD COLUMN: the column as a table would be made with it."""

    def __init__(self, table_name: str, column: sa.Column) -> None:
        self.table = sa.Table(table_name, sa.MetaData(), column)
        self.column = column


class RenameColumn(sa.schema.ExecutableDDLElement):
    """ALTER TABLE ... RENAME COLUMN."""

    def __init__(self, table_name: str, old_name: str, new_name: str) -> None:
        self.table = sa.Table(table_name, sa.MetaData())
        self.old_name, self.new_name = old_name, new_name


class DropColumn(sa.schema.ExecutableDDLElement):
    """ALTER TABLE ... DROP COLUMN."""

    def __init__(self, table_name: str, name: str) -> None:
        self.table = sa.Table(table_name, sa.MetaData())
        self.name = name


@compiles(AddColumn)
def _add_column(element: AddColumn, compiler: Any, **_kw: Any) -> str:
    return f"{_alter(element, compiler)} ADD COLUMN {compiler.get_column_specification(element.column)}"


@compiles(RenameColumn)
def _rename_column(element: RenameColumn, compiler: Any, **_kw: Any) -> str:
    old_name, new_name = (_quoted(each, compiler) for each in (element.old_name, element.new_name))
    return f"{_alter(element, compiler)} RENAME COLUMN {old_name} TO {new_name}"


@compiles(DropColumn)
def _drop_column(element: DropColumn, compiler: Any, **_kw: Any) -> str:
    return f"{_alter(element, compiler)} DROP COLUMN {_quoted(element.name, compiler)}"


def _alter(element: Any, compiler: Any) -> str:
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)}"


def _quoted(name: str, compiler: Any) -> str:
    return compiler.preparer.quote(name)
