"""Making a backup: the database first, then the files, then the manifest."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .. import __version__
from ..clock import ISO
from ..db import Database, TablesAltered
from ..errors import Conflict, InvalidInput, NotFound
from ..storage import Storage
from .dump import Dumped, dump_database
from .files import Entry, copy_files, objects_of, read_index
from .keep import Running, remove_old, running
from .manifest import Manifest, Part
from .rows import line, pack
from .target import NAME_FORMAT, Target

DUMP_ATTEMPTS = 3  # a project's columns may be changed while they are read


@dataclass(frozen=True, kw_only=True)
class BackupOptions:
    """What to do. `files`: the stored files, None for the database alone; `keep`: how many backups, None for all."""

    utcnow: Callable[[], datetime]
    files: Storage | None = None
    secrets: Path | None = None  # secrets.env, if there is one
    keep: int | None = None
    tick: Callable[[int], None] = lambda _: None  # told how many rows and files were done since
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class Made:
    """A finished backup, and those that were deleted after it."""

    name: str
    manifest: Manifest
    removed: list[str]


def make_backup(database: Database, target: Target, options: BackupOptions) -> Made:
    """Back up the database as it is at one moment, and the files after it: each picture that it knows is there.

    Raises:
        Conflict: another backup is being made in the same target.
        Unavailable: database, storage or target do not answer, or the target is full; it is left as it was.
    """
    made_at = options.utcnow()
    name = made_at.strftime(NAME_FORMAT)
    if name in target.list_names():
        raise Conflict("a backup was made this very second: try again")
    with running(target, name, options.clock) as mark:
        dumped = _dump(database, target, name, mark, options)
        secrets = _copy_secrets(target, name, options)
        index, file_bytes = _copy_files(target, name, mark, options)
        manifest = Manifest(
            made_at=made_at.strftime(ISO),
            finished_at=options.utcnow().strftime(ISO),
            program=__version__,
            database=dumped.kind,
            revision=dumped.revision,
            tables=dumped.tables,
            after=dumped.after,
            files=index,
            file_bytes=file_bytes,
            secrets=secrets,
        )
        target.write_manifest(name, manifest)
        keep, removed = options.keep, list[str]()
        if keep is not None:
            removed = remove_old(target, name, manifest, keep, mark, options.clock())
    return Made(name, manifest, removed)


def _dump(database: Database, target: Target, name: str, mark: Running, options: BackupOptions) -> Dumped:
    def tick(rows: int) -> None:
        mark.say()
        options.tick(rows)

    for _ in range(DUMP_ATTEMPTS - 1):
        with suppress(TablesAltered):
            return dump_database(database, target, name, tick)
    return dump_database(database, target, name, tick)


def _copy_files(target: Target, name: str, mark: Running, options: BackupOptions) -> tuple[Part | None, int]:
    """Copy what is new, and write the index."""
    if options.files is None:
        return None, 0
    storage, count, size = options.files, 0, 0
    with objects_of(target) as objects:

        def lines() -> Iterator[bytes]:
            nonlocal count, size
            for entry in copy_files(storage, target, objects, _previous(target, name), options.tick):
                mark.say()
                count, size = count + 1, size + entry.size
                yield line(entry.row())

        index = target.put(f"{name}/files.jsonl.gz", pack(lines()))
    return Part(path=index.path, size=index.size, sha256=index.sha256, rows=count), size


def _previous(target: Target, name: str) -> Iterator[Entry]:
    """The files of the last backup that has some."""
    for other in reversed(target.list_names()):
        if other == name:
            continue
        with suppress(NotFound, InvalidInput):
            manifest = target.read_manifest(other)
            if manifest.files is not None:
                yield from read_index(target, other, manifest)
                return


def _copy_secrets(target: Target, name: str, options: BackupOptions) -> Part | None:
    if options.secrets is None or not options.secrets.is_file():
        return None
    return target.put(f"{name}/secrets.env", iter([options.secrets.read_bytes()]))
