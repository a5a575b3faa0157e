"""People and programs with an account, and how they are signed in."""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Audited, Base, table_args


class User(Audited, Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("username", name="username"),
        Index("ix_users_email", "email"),
        # A deleted user's id is not given out again: it stands on what she uploaded.
        {**Base.__table_args__, "sqlite_autoincrement": True},
    )

    username: Mapped[str] = mapped_column(String(32))
    email: Mapped[str | None] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(String(128))
    is_admin: Mapped[bool | None] = mapped_column(default=False)
    can_write: Mapped[bool | None] = mapped_column(default=True)
    disabled_at: Mapped[DateTime | None]  # ours; null in adopted databases
    preferences: Mapped[str | None] = mapped_column(sa.Text)  # ours; JSON: zone, theme


class SignIn(Base):
    """One sign-in of one user from one client: tokens and page sessions carry its id, revoking it ends them."""

    __tablename__ = "sign_ins"
    __table_args__ = table_args(Index("sign_ins_user", "user_id", "client"), Index("sign_ins_expiry", "expires_at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # random, not guessable
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))  # "token" or "page"
    client: Mapped[str] = mapped_column(String(128))  # what the client calls itself, for the list of one's tokens
    address: Mapped[str] = mapped_column(String(45))
    created_at: Mapped[DateTime]
    seen_at: Mapped[DateTime]  # to the hour: not worth a write per request
    expires_at: Mapped[DateTime]
    revoked_at: Mapped[DateTime | None]


class SignInFailure(Base):
    """Failed passwords counted per account and address, shared by all server processes."""

    __tablename__ = "sign_in_failures"
    __table_args__ = table_args(Index("sign_in_failures_last", "last_at"))

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a hash: no user names or addresses are kept
    count: Mapped[int]
    last_at: Mapped[DateTime]
