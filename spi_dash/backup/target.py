"""Where backups are kept: a folder, or a bucket and the beginning of its keys."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from ..config import Config
from ..errors import ConfigError, InvalidInput, NotFound
from ..storage import DiskStorage, S3Storage, Storage, endpoint_url
from .manifest import Manifest, Part, from_json, to_json
from .rows import Outgoing

MANIFEST, RUNNING, OBJECTS = "manifest.json", "running", "objects"
NAME_FORMAT = "%Y-%m-%d_%H-%M-%S"
NAME = re.compile(r"2\d{3}-\d\d-\d\d_\d\d-\d\d-\d\d")
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?")


@dataclass(frozen=True)
class Target:
    """A storage of its own for backups. `prefix` is empty or ends at a slash."""

    storage: Storage
    prefix: str
    text: str  # as the person named it
    shared_prefix: str | None = None  # of these keys in the server's own bucket, where it is the same

    def put(self, path: str, pieces: Iterator[bytes], rows: int = 0) -> Part:
        """Store what these pieces make, under a path of this target."""
        outgoing = Outgoing(pieces)
        self.storage.put_file(self.prefix + path, outgoing)  # type: ignore[arg-type]
        return Part(path=path.partition("/")[2], size=outgoing.size, sha256=outgoing.sha256, rows=rows)

    def open(self, path: str) -> BinaryIO:
        """A file of this target; NotFound if it is not there."""
        return self.storage.open(self.prefix + path)

    def list_names(self) -> list[str]:
        """The folders of backups, whole ones and others, oldest first."""
        found = (info.key[len(self.prefix) :].split("/")[0] for info in self.storage.list(f"{self.prefix}2"))
        return sorted({name for name in found if NAME.fullmatch(name)})

    def read_manifest(self, name: str) -> Manifest:
        """What belongs to a backup.

        Raises:
            NotFound: there is no such backup, or it was never finished.
            InvalidInput: damaged.
        """
        with closing(self.open(f"{name}/{MANIFEST}")) as file:
            return from_json(file.read())

    def write_manifest(self, name: str, manifest: Manifest) -> None:
        self.storage.put(f"{self.prefix}{name}/{MANIFEST}", to_json(manifest))

    def is_backup(self, name: str) -> bool:
        """Whether it was finished."""
        try:
            self.storage.stat(f"{self.prefix}{name}/{MANIFEST}")
        except NotFound:
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete a backup, its manifest first: what is left is none any more. Contents of files stay."""
        start = f"{self.prefix}{name}/"
        self.storage.delete([start + MANIFEST])
        self.storage.delete([info.key for info in self.storage.list(start)])


def object_path(sha256: str) -> str:
    """Where the content of a file lies."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256}"


def open_target(text: str, config: Config, existing: bool = False) -> Target:
    """The target that a person named: a folder, or s3://bucket/prefix.

    Args:
        existing: refuse a folder that is not there, where a backup would make it, and write nothing to it.

    Raises:
        ConfigError: it cannot be used.
    """
    if "://" in text:
        return _open_bucket(text, config)
    folder = Path(text)
    if existing and not folder.is_dir():
        raise ConfigError(f"the folder {folder} does not exist")
    if config.s3 is None and folder.resolve().is_relative_to((config.data_dir / "files").resolve()):
        raise ConfigError("backups cannot lie among the server's own files: choose another folder")
    return Target(DiskStorage(folder, b"", read_only=existing), "", text)


def find_backup(text: str, config: Config) -> tuple[Target, str]:
    """The backup that a person named, or the newest one in the target that she named.

    Raises:
        NotFound: there is none.
        ConfigError: it cannot be used.
    """
    parent, _, last = text.rstrip("/").rpartition("/")
    if NAME.fullmatch(last):
        target, name = open_target(parent if parent or text.startswith("/") else ".", config, existing=True), last
        if not target.is_backup(name):
            raise NotFound(f"there is no backup at {text}: its manifest is missing")
        return target, name
    target = open_target(text, config, existing=True)
    whole = [name for name in target.list_names() if target.is_backup(name)]
    if not whole:
        raise NotFound(f"there is no backup at {text}")
    return target, whole[-1]


def _open_bucket(text: str, config: Config) -> Target:
    found = _URL.fullmatch(text.rstrip("/"))
    if found is None:
        raise ConfigError(f"{text!r} is neither a folder nor s3://bucket/prefix")
    server = config.backup_s3 or config.s3
    if server is None:
        raise ConfigError(f"{text} needs BACKUP_S3_HOST, BACKUP_S3_ACCESS_KEY and BACKUP_S3_PRIVATE_KEY")
    server = replace(server, bucket=found[1])
    keys = (server.access_key, server.private_key)
    storage = S3Storage(server.host, server.bucket, *keys, b"", region=server.region)
    prefix = f"{found[2]}/" if found[2] else ""
    target = Target(storage, prefix, text, prefix if _is_ours(server.host, server.bucket, config) else None)
    try:
        next(iter(storage.list(prefix)), None)
    except InvalidInput as error:
        raise ConfigError(f"{text!r}: {error.message}") from None
    if target.shared_prefix == "":
        raise ConfigError(
            "backups in the server's own bucket need a prefix: s3://bucket/backups; better, another bucket"
        )
    return target


def _is_ours(host: str, bucket: str, config: Config) -> bool:
    s3 = config.s3
    return s3 is not None and s3.bucket == bucket and endpoint_url(s3.host) == endpoint_url(host)
