"""The way back: checksums first, then the files, then the database in one go."""

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..config import Config
from ..db import connect, upgrade
from ..errors import ConfigError, Conflict
from ..storage import Storage
from .check import check_backup
from .files import Entry, Verified, ahead, read_index
from .load import list_tables, load_mariadb, load_sqlite
from .manifest import Manifest
from .target import NAME_FORMAT, Target, object_path


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """How to restore.

    Args:
        replace: the database that is there goes, and files of the same key are overwritten; no file is deleted.
        wait_s: for connections of servers that were stopped a moment ago, seconds.
    """

    now: datetime
    replace: bool = False
    wait_s: float = 10.0
    tick: Callable[[int], None] = lambda _: None


def restore_backup(config: Config, storage: Storage, target: Target, name: str, options: RestoreOptions) -> Manifest:
    """Restore a backup on a server that is stopped.

    Raises:
        Conflict: database or storage is not empty, or in use.
        ConfigError: the backup is of another kind of database, or of a newer version.
        InvalidInput: the backup is damaged; nothing was changed.
    """
    kind = "sqlite" if config.database_url.startswith("sqlite") else "mariadb"
    if target.read_manifest(name).database != kind:
        raise ConfigError(f"this backup is not of a {kind} database: restore it on the same kind, then move")
    _refuse_database(config, kind, options)
    manifest = check_backup(target, name, options.tick)
    if manifest.files is not None and not options.replace and _has_files(storage, target):
        raise Conflict("there are files in the storage already: give --replace to restore over them")
    _restore_files(storage, target, name, manifest, options)
    if kind == "sqlite":
        _restore_sqlite(Path(sa.make_url(config.database_url).database or ""), target, name, manifest, options)
    else:
        _restore_mariadb(config.database_url, target, name, manifest, options)
    _restore_secrets(config.data_dir / "secrets.env", target, name, manifest)
    return manifest


def _has_files(storage: Storage, target: Target) -> bool:
    """Whether there is more than backups, where these lie in the same bucket."""
    ours = target.shared_prefix
    return any(ours is None or not info.key.startswith(ours) for info in storage.list(""))


def _refuse_database(config: Config, kind: str, options: RestoreOptions) -> None:
    if kind == "sqlite":
        path = Path(sa.make_url(config.database_url).database or "")
        if path.exists() and not options.replace:
            raise Conflict(f"there is a database in {path.parent} already: give --replace to put it aside")
        if path.exists():
            _refuse_if_open(path)
        return
    database = connect(config.database_url)
    try:
        with database.read() as session:
            if list_tables(session.connection()) and not options.replace:
                raise Conflict("the database has tables already: give --replace to drop them")
            _refuse_others(session, options.wait_s)
    finally:
        database.engine.dispose()


def _refuse_others(session: Session, wait_s: float) -> None:
    """Raise Conflict where others are connected to the same MariaDB for longer than a server takes to end."""
    statement = sa.text(
        "SELECT user, host FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    )
    deadline = time.monotonic() + wait_s
    while others := session.execute(statement).all():
        if time.monotonic() > deadline:
            names = sorted({f"{user} from {host.rpartition(':')[0] or host}" for user, host in others})
            raise Conflict(f"others are connected to the database ({', '.join(names)}): stop the servers first")
        time.sleep(0.1)


def _refuse_if_open(path: Path) -> None:
    """Only whoever has a database for himself may end its write-ahead log."""
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE").close()
    except sqlite3.OperationalError:
        raise Conflict(f"{path} is in use: stop the server first") from None
    except sqlite3.DatabaseError:  # it is broken: that is why somebody restores
        return


def _restore_sqlite(path: Path, target: Target, name: str, manifest: Manifest, options: RestoreOptions) -> None:
    """Make a new file beside the old one, and put it in its place when it is whole."""
    new = path.with_name(f"{path.name}.restoring-{secrets.token_hex(4)}")
    database = connect(f"sqlite:///{new}")
    try:
        load_sqlite(database, target, name, manifest, options.tick)
        upgrade(database)
        database.engine.dispose()
        with closing(sqlite3.connect(new)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE").close()
        _sync(new)
        if path.exists():
            os.rename(path, path.with_name(f"{path.name}.before-{options.now:{NAME_FORMAT}}"))
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.rename(new, path)
        _sync(path.parent)
    finally:
        database.engine.dispose()
        for suffix in ("", "-wal", "-shm", "-journal"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)


def _restore_mariadb(url: str, target: Target, name: str, manifest: Manifest, options: RestoreOptions) -> None:
    database = connect(url)
    try:
        load_mariadb(database, target, name, manifest, options.tick)
        upgrade(database)
    finally:
        database.engine.dispose()


def _restore_files(storage: Storage, target: Target, name: str, manifest: Manifest, options: RestoreOptions) -> None:
    def restore(entry: Entry) -> None:
        with closing(target.open(object_path(entry.sha256))) as file:
            verified: Any = Verified(file, entry.sha256, entry.key)
            storage.put_file(entry.key, verified)

    for _ in ahead(restore, read_index(target, name, manifest)):
        options.tick(1)


def _restore_secrets(path: Path, target: Target, name: str, manifest: Manifest) -> None:
    """The secrets that belong to the database; those that are there are kept beside them."""
    if manifest.secrets is None:
        return
    with closing(target.open(f"{name}/{manifest.secrets.path}")) as file:
        data = file.read()
    if path.exists() and path.read_bytes() == data:
        return
    with suppress(FileNotFoundError):
        os.rename(path, path.with_name("secrets.env.old"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as secret:
        secret.write(data)
        secret.flush()
        os.fsync(secret.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
