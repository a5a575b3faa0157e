"""The two databases as SQLAlchemy's engines: how they are set up, and for how long one waits for them."""

import sqlite3
import time
from typing import Any

import pymysql
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from .breaker import Breaker

GROUP_CONCAT_BYTES = 16 * 2**20
SWITCH_WAIT_S = 30
# There, nobody can listen; elsewhere MariaDB is talked to in TLS where it offers that, which costs 50 ms to begin with.
LOOPBACK = ("127.0.0.1", "::1", "localhost")
CONNECT_S, PING_S = 4, 3
# How long MariaDB may be silent: to requests, to answers in pieces, which may sort a lot first, and to commands.
READ_S, STREAM_S, PATIENT_S = 15, 60, 3600
STATEMENT_S, ROW_LOCK_S = 12, 10  # after which it ends a statement of a request by itself, before we hang up


def sqlite_engine(url: sa.URL) -> sa.Engine:
    """Writers wait for each other; who reads waits for nobody."""
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


def mariadb_engine(url: sa.URL, breaker: Breaker | None) -> sa.Engine:
    """With the patience of a server that has a breaker, or that of a command."""
    read_s = PATIENT_S if breaker is None else READ_S
    # The numbers of one trap's season are one text: longer ones would be cut without an error.
    settings = f"SET SESSION group_concat_max_len = {GROUP_CONCAT_BYTES}"
    if breaker is not None:
        settings += f", max_statement_time = {STATEMENT_S}, innodb_lock_wait_timeout = {ROW_LOCK_S}"
    # Since 11.6.2 MariaDB answers UPDATE of a row changed since this transaction's first SELECT with error 1020
    # under its default REPEATABLE READ.
    engine = sa.create_engine(
        url.update_query_dict({"charset": "utf8mb4"}),
        isolation_level="READ COMMITTED",
        pool_recycle=3600,
        pool_size=16,
        max_overflow=16,
        pool_timeout=20,
        connect_args={
            "connect_timeout": CONNECT_S,
            "read_timeout": CONNECT_S,  # of the greeting; afterwards see below
            "write_timeout": read_s,
            "ssl_disabled": url.host in LOOPBACK or None,
            "init_command": settings,
        },
    )

    @event.listens_for(engine, "connect")
    def is_there(connection: Any, record: Any) -> None:
        _wait_at_most(connection, read_s)
        record.info["is_new"] = True

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.pop("is_new", False):
            return
        _wait_at_most(connection, PING_S)
        try:
            connection.ping(reconnect=False)
        except pymysql.Error as error:
            raise sa.exc.DisconnectionError from error  # the pool makes another one
        _wait_at_most(connection, read_s)

    if breaker is not None:
        _give_streams_time(engine, breaker)
    return engine


def _give_streams_time(engine: sa.Engine, breaker: Breaker) -> None:
    """A list or an export of a season goes as slowly as its reader, and is not ended when it has begun."""

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def begin(connection: Any, _cursor: Any, statement: str, values: Any, context: Any, _many: bool) -> tuple[str, Any]:
        if not _is_stream(context):
            return statement, values
        _wait_at_most(connection.connection.driver_connection, STREAM_S)
        return f"SET STATEMENT max_statement_time = 0 FOR {statement}", values

    @event.listens_for(engine, "after_cursor_execute")
    def began(_connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: bool) -> None:
        if _is_stream(context):
            breaker.answered()


def _is_stream(context: Any) -> bool:
    return bool(
        context and (context.execution_options.get("yield_per") or context.execution_options.get("stream_results"))
    )


def _wait_at_most(connection: Any, seconds: float) -> None:
    """For each answer of MariaDB from now on; the driver has no public way after it has connected."""
    connection._read_timeout = seconds
