"""Time: naive UTC everywhere below the edges (SQLite and MariaDB keep no zone)."""

from datetime import UTC, datetime

LEGACY = "%Y-%m-%d_%H-%M-%S"  # file names, tuboid ids, and what clients of 2021 send and read
ISO = "%Y-%m-%dT%H:%M:%SZ"


def utcnow() -> datetime:
    """Now, as naive UTC, in whole seconds: what the wire and the existing tables hold."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def unix_s(moment: datetime) -> int:
    """Seconds since 1970 of a naive UTC moment."""
    return int(moment.replace(tzinfo=UTC).timestamp())
