"""Taking over the database of an existing Sticky Pi server, in place. db.py calls this under its lock.

Nothing that is there is taken away but claims on images and the rule that e-mail addresses differ: tables and columns
are added, columns that only the old server fills may be empty. The migrations do the rest and own the tables then.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from ..errors import ConfigError
from ..models import Base
from .found import Table, is_owned, read_tables
from .generations import TABLES, WHEN, Generation, kind_of, recognise, wire_columns
from .steps import Step, list_steps

__all__ = ["Plan", "Step", "collation_of", "find_plan", "read_tables", "take_over"]

SERIES_TABLE = re.compile(r"project_series_\d+")
PROBE = "spi_dash_may_create_triggers"


@dataclass(frozen=True)
class Plan:
    """What was found and what is left to do, before the migrations."""

    generation: Generation
    counts: Mapping[str, int]  # rows by table
    steps: tuple[Step, ...]
    new_tables: tuple[str, ...]

    @property
    def when(self) -> str:
        return WHEN[self.generation]

    @property
    def known(self) -> set[str]:
        """The tables that belong to the server; others are the lab's own, and stay as they are."""
        ours = {*Base.metadata.tables, "alembic_version"}
        return {name for name in self.counts if name in ours or SERIES_TABLE.fullmatch(name)}


def find_plan(connection: sa.Connection) -> Plan | None:
    """The plan for a database that the migrations do not own; None where there is nothing to adopt.

    Raises:
        ConfigError: it cannot be adopted, or this account may not; nothing was changed.
    """
    if is_owned(connection):
        return None
    tables = read_tables(connection)
    if not {"images", "users"} & set(tables):
        return None
    generation = recognise(tables)
    _refuse_zero_dates(connection, tables)
    _require_triggers(connection)
    quote = connection.dialect.identifier_preparer.quote
    counts = {name: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {quote(name)}").scalar() for name in tables}
    new = tuple(name for name in Base.metadata.tables if name not in tables)
    return Plan(generation, counts, tuple(list_steps(connection, tables)), new)


def take_over(connection: sa.Connection, plan: Plan, tell: Callable[[Step], None]) -> None:
    """Do the steps; `tell` is told of each before it begins."""
    for step in plan.steps:
        tell(step)
        for statement in step.statements:
            connection.exec_driver_sql(statement)
        if connection.dialect.name != "sqlite":  # there all is one transaction
            connection.commit()


def collation_of(tables: Mapping[str, Table]) -> str:
    """The collation in which new tables must be made to be compared with the old ones; empty: any will do."""
    found = tables["images"].collation if "images" in tables else ""
    return found if found.startswith("utf8mb4_") else ""


def _refuse_zero_dates(connection: sa.Connection, tables: Mapping[str, Table]) -> None:
    """MariaDB may hold 0000-00-00, which is no time to anybody."""
    if connection.dialect.name == "sqlite":
        return
    for name, column in ((table, column) for table in TABLES if table in tables for column in wire_columns(table)):
        # Rows of annotations are large, and nobody asks when they were made: not worth reading them all.
        if kind_of(column) == "time" and (name, column) != ("uid_annotations", "datetime_created"):
            zero = f"SELECT COUNT(*) FROM `{name}` WHERE TO_DAYS(`{column}`) IS NULL AND `{column}` IS NOT NULL"
            if count := connection.exec_driver_sql(zero).scalar():
                raise ConfigError(
                    f"this database cannot be adopted: {name}.{column} is 0000-00-00, or no real date, in {count} "
                    "rows: give them a date, or delete them. Nothing was changed."
                )


def _require_triggers(connection: sa.Connection) -> None:
    """Found out by trying, on a table of its own: privileges come in many ways, and binary logs ask for more."""
    if connection.dialect.name == "sqlite":
        return
    try:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {PROBE}")
        connection.exec_driver_sql(f"CREATE TABLE {PROBE} (id INT) ENGINE=InnoDB")
        body = f"CREATE TRIGGER {PROBE} AFTER INSERT ON {PROBE} FOR EACH ROW BEGIN END"
        connection.exec_driver_sql(body)
    except sa.exc.DBAPIError as error:
        code = error.orig.args[0] if error.orig is not None and error.orig.args else 0
        if code == 1419:
            raise ConfigError(
                "the database server logs changes and lets only its root make triggers: run "
                "SET GLOBAL log_bin_trust_function_creators = 1; as its root, and set it in the server's "
                "configuration. Nothing was changed."
            ) from None
        if code not in (1044, 1142, 1227, 1370):
            raise
        user, database = connection.execute(sa.text("SELECT CURRENT_USER(), DATABASE()")).one()
        name, _, host = user.rpartition("@")
        raise ConfigError(
            f"the account {user} may not make what is needed; nothing was changed. As root of the database server run: "
            f"GRANT CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER, SELECT, INSERT, UPDATE, DELETE ON `{database}`.* "
            f"TO '{name}'@'{host}';"
        ) from None
    finally:
        with contextlib.suppress(sa.exc.DBAPIError):  # who may not make it may not drop it either
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {PROBE}")
        connection.commit()
