"""The database connection, built once by app.create_app; what differs between SQLite and MariaDB lives here."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.orm import Session

from . import adoption
from .breaker import Breaker
from .engines import mariadb_engine, sqlite_engine
from .errors import ConfigError, Unavailable

LOCK_WAIT_S = 120
ALTERED = (1054, 1146, 1412)  # of MariaDB: a column or table is not what it was when the snapshot began
BUSY = {  # of MariaDB, which answers
    1205: "others keep what this needs",
    1213: "others were in the way",
    1969: "this takes too long",
}
UNFINISHED = "spi_restore_unfinished"  # a table that is there while a restore is under way


class DatabaseAway(Unavailable):
    """The database cannot be reached, or did not answer within the time."""


class TablesAltered(Unavailable):
    """Somebody changed the columns of a table while a snapshot was being read; another one may succeed."""


@dataclass(frozen=True)
class Database:
    """`with database.begin() as session:` is one writing transaction, committed unless it raises.

    `with database.read() as session:` sees one state of the data and never waits for writers.
    """

    engine: sa.Engine
    breaker: Breaker | None = None  # of a server, which answers others while its database hangs

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        with self._asking(), Session(self._writer(), expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        with self._asking(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def patient(self) -> Iterator["Database"]:
        """The same database for work that may take an hour: changes of tables, first counts."""
        if self.breaker is None:
            yield self
            return
        other = connect(self.engine.url)
        try:
            yield other
        finally:
            other.engine.dispose()

    @property
    def kind(self) -> str:
        """ "sqlite" or "mariadb"."""
        return "sqlite" if self.engine.dialect.name == "sqlite" else "mariadb"

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """One state of the whole database, however long it takes to read; writers do not wait for it."""
        with _translated(), _stable(), self.engine.connect() as connection:
            if self.kind == "sqlite":
                connection.exec_driver_sql("SELECT 1 FROM sqlite_master").close()  # a transaction begins when it reads
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
                connection.exec_driver_sql("SET SESSION net_write_timeout = 3600")  # who copies may be slower
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            yield connection

    @contextlib.contextmanager
    def lenient(self, connection: sa.Connection) -> Iterator[None]:
        """In a snapshot: what is read inside may be altered again afterwards, MariaDB lets nobody before."""
        if self.kind == "sqlite":
            yield
            return
        connection.exec_driver_sql("SAVEPOINT lenient")
        yield
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT lenient")

    def check(self) -> None:
        """Raises Unavailable when the database does not answer."""
        with self.read() as session:
            session.execute(sa.select(1))

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        with self.breaker.call(DatabaseAway) if self.breaker else contextlib.nullcontext(), _translated():
            yield

    def _writer(self) -> sa.Engine:
        return self.engine.execution_options(spi_write=True)


def connect(url: str | sa.URL, breaker: Breaker | None = None) -> Database:
    """Connect to `url`; SQLite and MariaDB (mysql+pymysql) are supported. Creates no tables: see upgrade().

    Args:
        breaker: of a server: its requests wait for MariaDB for seconds, where commands do for an hour.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(sqlite_engine(parsed))
    if parsed.get_backend_name() in ("mysql", "mariadb"):
        return Database(mariadb_engine(parsed, breaker), breaker)
    raise ConfigError(f"databases of kind {parsed.get_backend_name()!r} are not supported, only SQLite and MariaDB")


def upgrade(
    database: Database,
    adopt: bool = True,
    found: Callable[[adoption.Plan], None] = lambda plan: None,
    tell: Callable[[adoption.Step], None] = lambda step: None,
) -> adoption.Plan | None:
    """Bring the tables to this version. Safe to call from several processes at once: one works, the others wait.

    Tables of an existing Sticky Pi server are adopted: what was found is told first and returned, each step is told
    before it begins.

    Raises:
        ConfigError: the tables were made by another program, or are to be adopted and `adopt` is false.
    """
    config = _alembic_config()
    with (
        _translated(),
        database.patient() as patient,
        patient.engine.connect() as connection,
        _migration_lock(connection),
    ):
        _refuse_unfinished_tables(connection)
        _refuse_newer_tables(connection)
        plan = adoption.find_plan(connection)
        if plan is not None and not adopt:
            raise ConfigError(
                f"this is the database of another Sticky Pi server ({plan.generation}, {plan.when}): "
                "see `spi-dash db adopt --dry-run`"
            )
        if plan is not None:
            found(plan)
            adoption.take_over(connection, plan, tell)
        config.attributes["connection"] = connection
        with _collation(connection):
            command.upgrade(config, "head")
    return plan


def plan_adoption(database: Database) -> adoption.Plan | None:
    """What upgrade() would do to the tables of another server; None where there is nothing to adopt.

    Raises:
        ConfigError: they cannot be adopted.
    """
    with _translated(), database.engine.connect() as connection, _migration_lock(connection):
        return adoption.find_plan(connection)


@contextlib.contextmanager
def _collation(connection: sa.Connection) -> Iterator[None]:
    """New tables in the collation of the pictures': MariaDB's default may have changed since those were made."""
    if connection.dialect.name == "sqlite":
        yield
        return
    wanted = adoption.collation_of(adoption.read_tables(connection))

    def set_collation(table: sa.Table, target: sa.Connection, **_: Any) -> None:
        if wanted and target is connection:
            table.dialect_kwargs["mysql_collate"] = wanted

    event.listen(sa.Table, "before_create", set_collation)
    try:
        yield
    finally:
        event.remove(sa.Table, "before_create", set_collation)


def is_known(revision: str) -> bool:
    """Whether this version of the program knows tables of this revision."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions()}


def _alembic_config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _refuse_newer_tables(connection: sa.Connection) -> None:
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is not None and not is_known(revision):
        raise ConfigError(
            f"a newer version of Spi Dash has changed this database (revision {revision}): update the program, "
            "or restore a backup of the time before"
        )


def _refuse_unfinished_tables(connection: sa.Connection) -> None:
    if UNFINISHED in sa.inspect(connection).get_table_names():
        raise ConfigError("a restore of this database did not finish: run spi-dash restore --replace again")


@contextlib.contextmanager
def _migration_lock(connection: sa.Connection) -> Iterator[None]:
    if connection.dialect.name == "sqlite":  # its DDL is transactional: the write lock is all it takes
        connection = connection.execution_options(spi_write=True)
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA foreign_keys=OFF").close()  # tables that are made anew keep what refers to them
        try:
            with connection.begin():
                yield
        finally:
            raw.execute("PRAGMA foreign_keys=ON").close()
        return
    if connection.scalar(sa.select(sa.func.get_lock("spi_dash_migration", LOCK_WAIT_S))) != 1:
        raise Unavailable("another process has been changing the database's tables for too long")
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.release_lock("spi_dash_migration")))


@contextlib.contextmanager
def _stable() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        if error.orig is not None and error.orig.args[:1] and error.orig.args[0] in ALTERED:
            raise TablesAltered("a table was altered while it was being read: try again") from error
        raise


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Connection failures and lock time-outs become Unavailable; everything else is a bug and stays what it is."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        code = error.orig.args[0] if error.orig is not None and error.orig.args else None
        reason = {"reason": type(error.orig).__name__}
        if code in BUSY:
            raise Unavailable(f"the database is busy: {BUSY[code]}", **reason) from error
        raise DatabaseAway("the database does not answer", **reason) from error
    except sa.exc.DisconnectionError as error:
        raise DatabaseAway("the database does not answer") from error
    except sa.exc.TimeoutError as error:
        raise Unavailable("all database connections are in use", retry_after_s=5) from error
