"""The names of downloaded files."""

import re
from datetime import datetime
from pathlib import Path

from ..clock import LEGACY
from ..errors import InvalidInput

PICTURES = {"image": ".jpg", "thumbnail": ".thumbnail.jpg", "thumbnail-mini": ".thumbnail-mini.jpg"}
_SAFE_NAME = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,254}")


def picture_path(device: str, taken_at: datetime, what: str) -> Path:
    """Where a picture is stored, below the folder of a download."""
    return Path(safe_name(device), f"{device}.{taken_at.strftime(LEGACY)}{PICTURES[what]}")


def safe_name(name: str) -> str:
    """A name that the server gave, as the name of a file: it must not lead anywhere else on this machine."""
    if not _SAFE_NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(f"{name[:80]!r} cannot be the name of a file")
    return name
