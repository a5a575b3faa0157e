"""The database connection, built once by app.create_app; what differs between SQLite and MariaDB lives here."""

import contextlib
import sqlite3
import time
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
from sqlalchemy.pool import StaticPool

from . import adoption
from .errors import ConfigError, Unavailable

LOCK_WAIT_S = 120
GROUP_CONCAT_BYTES = 16 * 2**20
READ_S, PATIENT_S = 60, 3600  # for a database that hangs: of requests, and of changes to large tables
ALTERED = (1054, 1146, 1412)  # of MariaDB: a column or table is not what it was when the snapshot began
UNFINISHED = "spi_restore_unfinished"  # a table that is there while a restore is under way
SWITCH_WAIT_S = 30


class TablesAltered(Unavailable):
    """Somebody changed the columns of a table while a snapshot was being read; another one may succeed."""


@dataclass(frozen=True)
class Database:
    """`with database.begin() as session:` is one writing transaction, committed unless it raises.

    `with database.read() as session:` sees one state of the data and never waits for writers.
    """

    engine: sa.Engine

    @contextlib.contextmanager
    def begin(self) -> Iterator[Session]:
        with _translated(), Session(self._writer(), expire_on_commit=False) as session, session.begin():
            yield session

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        with _translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

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

    def _writer(self) -> sa.Engine:
        return self.engine.execution_options(spi_write=True)


def connect(url: str) -> Database:
    """Connect to `url`; SQLite and MariaDB (mysql+pymysql) are supported. Creates no tables: see upgrade()."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite_engine(parsed)
    elif parsed.get_backend_name() in ("mysql", "mariadb"):
        engine = _mariadb_engine(parsed)
    else:
        raise ConfigError(f"databases of kind {parsed.get_backend_name()!r} are not supported, only SQLite and MariaDB")
    return Database(engine)


def upgrade(
    database: Database, adopt: bool = True, tell: Callable[[adoption.Step], None] = lambda step: None
) -> adoption.Plan | None:
    """Bring the tables to this version. Safe to call from several processes at once: one works, the others wait.

    Tables of an existing Sticky Pi server are adopted: what was found and done is returned, and told step by step.

    Raises:
        ConfigError: the tables were made by another program, or are to be adopted and `adopt` is false.
    """
    config = _alembic_config()
    with _translated(), _patient(database) as connection, _migration_lock(connection):
        _refuse_unfinished_tables(connection)
        _refuse_newer_tables(connection)
        plan = adoption.find_plan(connection)
        if plan is not None and not adopt:
            raise ConfigError(
                f"this is the database of another Sticky Pi server ({plan.generation}, {plan.when}): "
                "see `spi-dash db adopt --dry-run`"
            )
        if plan is not None:
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
    wanted = adoption.collation_of(adoption.read_tables(connection))

    def set_collation(table: sa.Table, target: sa.Connection, **_: Any) -> None:
        if wanted and target is connection:
            table.dialect_kwargs["mysql_collate"] = wanted

    event.listen(sa.Table, "before_create", set_collation)
    try:
        yield
    finally:
        event.remove(sa.Table, "before_create", set_collation)


@contextlib.contextmanager
def _patient(database: Database) -> Iterator[sa.Connection]:
    """A connection that waits for long changes of tables, and for others that make them."""
    if database.kind == "sqlite":
        with database.engine.connect() as connection:
            yield connection
        return
    engine = _mariadb_engine(database.engine.url, PATIENT_S)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


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


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    memory = url.database in (None, "", ":memory:")
    options: dict[str, Any] = {"poolclass": StaticPool} if memory else {"pool_size": 16, "max_overflow": 16}
    engine = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, **options)

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        _switch_to_wal(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later may fail at once instead of waiting for its turn.
        write = connection.get_execution_options().get("spi_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for its turn here, whatever the time-out: others may be switching the same new file."""
    deadline = time.monotonic() + SWITCH_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _mariadb_engine(url: sa.URL, read_s: int = READ_S) -> sa.Engine:
    # Since 11.6.2 MariaDB answers UPDATE of a row changed since this transaction's first SELECT with error 1020
    # under its default REPEATABLE READ.
    return sa.create_engine(
        url.update_query_dict({"charset": "utf8mb4"}),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_recycle=3600,
        pool_size=16,
        max_overflow=16,
        pool_timeout=20,
        connect_args={
            "connect_timeout": 5,
            "read_timeout": read_s,
            "write_timeout": read_s,
            # The numbers of one trap's season are one text: longer ones would be cut without an error.
            "init_command": f"SET SESSION group_concat_max_len = {GROUP_CONCAT_BYTES}",
        },
    )


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
        raise Unavailable("the database does not answer", reason=type(error.orig).__name__) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable("all database connections are in use", retry_after_s=5) from error
