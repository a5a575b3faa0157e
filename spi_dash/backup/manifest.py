"""What a backup consists of. Written when everything else is there: without it, a folder is no backup."""

import hashlib
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from ..errors import InvalidInput

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of the backup, by its path in it."""

    path: str
    size: int  # bytes, as stored
    sha256: str
    rows: int  # of a table, or files that an index names


@dataclass(frozen=True, kw_only=True)
class Table:
    """How a table is made, and where its rows are."""

    name: str
    create: str  # SQL; "" where the database makes the table by itself
    columns: list[str]
    part: Part


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A complete backup. Times are naive UTC in ISO form."""

    made_at: str
    finished_at: str
    program: str  # version of Spi Dash
    database: str  # "sqlite" or "mariadb"
    revision: str  # of the tables, see migrations/
    tables: list[Table]
    after: list[str]  # SQL that runs when the rows are there: indexes, triggers
    files: Part | None = None  # the index of the files, if they were asked for
    file_bytes: int = 0
    secrets: Part | None = None  # secrets.env of an embedded server
    format: int = field(default=FORMAT)

    @property
    def rows(self) -> int:
        return sum(table.part.rows for table in self.tables)

    @property
    def parts(self) -> list[Part]:
        """Everything but the contents of the files."""
        return [part for part in (*(table.part for table in self.tables), self.files, self.secrets) if part is not None]


def to_json(manifest: Manifest) -> bytes:
    """The manifest with its own checksum, so that a damaged one is seen."""
    body = asdict(manifest)
    return orjson.dumps(body | {"sha256": _checksum(body)}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def from_json(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        InvalidInput: it is damaged, or of a format that this program does not know.
    """
    try:
        body = orjson.loads(data)
        known, checksum = body["format"] == FORMAT, body.pop("sha256")
        if known and checksum != _checksum(body):
            raise InvalidInput("the manifest of the backup is damaged")
        if known:
            return _read(body)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvalidInput("the manifest of the backup is damaged") from None
    raise InvalidInput("this backup was made by a newer version of Spi Dash: update the program first")


def _read(body: dict[str, Any]) -> Manifest:
    tables = [Table(**table | {"part": Part(**table["part"])}) for table in body["tables"]]
    parts = {name: Part(**body[name]) for name in ("files", "secrets") if body[name] is not None}
    return Manifest(**body | {"tables": tables} | parts)


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()
