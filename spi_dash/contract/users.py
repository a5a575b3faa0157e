"""Accounts."""

from typing import Annotated

from pydantic import ConfigDict, Field

from .base import LETTERS, PRINTABLE, Flag, Info

_USER_NAME = f"^[!-9;-~{LETTERS}]([ !-9;-~{LETTERS}]{{0,30}}[!-9;-~{LETTERS}])?$"  # no colon: HTTP Basic splits there


class NewUser(Info):
    """An account to create."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str, Field(max_length=32, pattern=_USER_NAME)]
    password: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]+$")]
    email: Annotated[str, Field(max_length=64, pattern=PRINTABLE)] | None = None
    is_admin: Flag = False
    can_write: Flag = True
