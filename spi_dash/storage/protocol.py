"""What a storage of files can do."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from .links import UploadForms, UploadGrant

Signer = Callable[[str], str]  # key -> link that needs no sign-in


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is known of a file without reading it."""

    key: str
    size: int  # bytes
    modified_at: float  # UNIX seconds
    etag: str  # opaque, without quotes: another one means other content


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is written but not visible yet; only the storage that made it may look inside."""

    key: str
    content: bytes | Path = field(repr=False)


class Storage(Protocol):
    """Files by key. Every method checks its keys and raises InvalidInput, and Unavailable when the storage fails."""

    uploads: UploadForms

    def stage(self, key: str, data: bytes) -> Staged:
        """Make a file ready, safely on disk where there is one, without showing it under its key."""
        ...

    def publish(self, staged: Sequence[Staged]) -> None:
        """Show files under their keys, in this order, each at once or not at all; on return, they survive a crash.

        After an error the first ones may be visible, the others are still staged.
        """
        ...

    def discard(self, staged: Iterable[Staged]) -> None:
        """Throw away what was staged. Published files stay; never raises."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Store one file, replacing what is there."""
        staged = [self.stage(key, data)]
        try:
            self.publish(staged)
        finally:
            self.discard(staged)

    def put_file(self, key: str, file: BinaryIO) -> None:
        """Store a file of any size from where it stands to its end, replacing what is there.

        At most 15 MiB of it are in memory. The file is left open; what its `read` raises comes through, and nothing is
        stored.
        """
        ...

    def get(self, key: str) -> bytes:
        """The whole content.

        Raises:
            NotFound: no such file.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """The content as a stream, to be closed by the caller; it can seek on disk and in memory, not on S3.

        Raises:
            NotFound: no such file.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files; those that do not exist are no error."""
        ...

    def stat(self, key: str) -> FileInfo:
        """Size, age and etag.

        Raises:
            NotFound: no such file.
        """
        ...

    def list(self, prefix: str) -> Iterator[FileInfo]:
        """All files whose key begins with this string, in the order of the keys' UTF-8 bytes.

        Files that others have put there under names that are no keys are left out.
        """
        ...

    def signer(self, base_url: str, now: datetime) -> Signer:
        """A function that makes the links of one answer; `base_url` is this server, and "" gives relative links."""
        ...

    def verify_link(self, key: str, expires: str, signature: str, now: datetime) -> None:
        """Check a link to this server (`/files/<key>?e=<expires>&s=<signature>`).

        Raises:
            Forbidden: altered, expired, or this storage serves its files itself.
        """
        ...

    def upload_form(self, base_url: str, key: str, max_bytes: int, now: datetime) -> tuple[str, dict[str, str]]:
        """URL and fields of a form that stores one file under this key, through this server, without sign-in."""
        return self.uploads.form(base_url, key, max_bytes, now)

    def verify_upload(self, fields: Mapping[str, str], now: datetime) -> UploadGrant:
        """What the fields of an upload form allow.

        Raises:
            Forbidden: altered, incomplete or expired.
        """
        return self.uploads.verify(fields, now)

    def check(self) -> None:
        """Ask whether files can be stored now; cheap enough for a readiness probe.

        Raises:
            Unavailable: the storage does not answer.
            ConfigError: it answers, but keys or bucket are wrong.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        return None
