"""What a key may look like, and what follows from it: its form in a URL and its content type."""

import re
from urllib.parse import quote

from ..errors import InvalidInput

STAGING = ".staging"  # where the disk keeps what is not published yet: no key may lead there
MAX_KEY_BYTES = 1024  # of S3
MAX_SEGMENT_BYTES = 255  # of Linux file systems; kept on S3 too, so that files can move from one storage to the other

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
_PLAIN = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9_.~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9_.~-]*")
_CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".thumbnail": "image/jpeg",
    ".thumbnail-mini": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
}


def check_key(key: str) -> str:
    """Return the key if it is a plain relative path that every storage can hold.

    Raises:
        InvalidInput: it is empty, absolute or too long, or has an empty, `.` or `..` part, control characters or
            backslashes.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidInput("a file key must be valid Unicode", key=ascii(key)) from None
    if not 0 < size <= MAX_KEY_BYTES:
        raise InvalidInput(f"a file key has 1 to {MAX_KEY_BYTES} bytes", key=key[:MAX_KEY_BYTES])
    if _FORBIDDEN.search(key):
        raise InvalidInput("a file key has no control characters and no backslashes", key=key)
    segments = key.split("/")
    if segments[0] == STAGING or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidInput("a file key is a relative path without empty, '.' or '..' parts", key=key)
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise InvalidInput(f"a part of a file key has at most {MAX_SEGMENT_BYTES} bytes", key=key)
    return key


def is_key(key: str) -> bool:
    """Whether `check_key` takes it: others may have put files there under names that we would refuse."""
    try:
        check_key(key)
    except InvalidInput:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """Return the prefix if keys can begin with it; it need not end at a slash, and may be empty."""
    check_key(prefix + "x")
    return prefix


def quote_key(key: str) -> str:
    """The key as it stands in a URL, slashes kept: only letters, digits and `-_.~/%`, as AWS encodes it.

    Raises:
        InvalidInput: not a key.
    """
    if _PLAIN.fullmatch(key) and len(key) <= MAX_SEGMENT_BYTES:  # nearly all: 50,000 links must cost no time
        return key
    return quote(check_key(key), safe="/~")


def content_type(key: str) -> str:
    """The media type by the suffix of the key."""
    _, dot, suffix = key.rpartition("/")[2].rpartition(".")
    return _CONTENT_TYPES.get(dot + suffix.lower(), "application/octet-stream")
