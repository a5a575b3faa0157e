"""Sign-ins: tokens for devices and scripts, sessions for people.

Each token and each page session belongs to a row of `sign_ins`: users see theirs and revoke them. Tokens and session
cookies are signed as well, so that a copy of the database signs nobody in.
"""

import contextlib
import hashlib
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from itsdangerous import BadSignature, Signer
from sqlalchemy.orm import Session

from ..clock import unix_s
from ..errors import NotFound, Unavailable
from ..models import SignIn, User
from .users import COLUMNS, UserInfo, user_from_row
from .users import revoke_all as revoke_all

OpenSession = Callable[[], AbstractContextManager[Session]]

TOKEN_LIFE = timedelta(seconds=86_400)
PAGE_LIFE = timedelta(hours=12)  # after the last request
PAGE_LONGEST = timedelta(days=30)  # however often the page is looked at
TOKEN_SEEN_EVERY, PAGE_SEEN_EVERY = timedelta(hours=1), timedelta(minutes=5)  # not worth a write per request
MAX_LIVE_TOKENS = 200  # of one user; further clients share a row
MAX_CLIENT_CHARS, MAX_ADDRESS_CHARS = 128, 45


@dataclass(frozen=True, kw_only=True)
class SignInInfo:
    """One sign-in, as its user sees it."""

    id: str
    kind: str
    client: str
    address: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Caller:
    """Who asks, and by which sign-in; None when by password."""

    user: UserInfo
    sign_in: SignInInfo | None = None


@dataclass(frozen=True)
class Token:
    """What get_token answers. `expires_at` is in UNIX seconds."""

    token: str
    expires_at: int


_SIGN_IN_COLUMNS = tuple(getattr(SignIn, name) for name in SignInInfo.__dataclass_fields__)


def issue_token(
    begin: OpenSession, read: OpenSession, secret_key: str, caller: Caller, client: str, address: str, now: datetime
) -> Token:
    """A token for a day. Renewed by token it stays the same sign-in, by password that of this client and address.

    Args:
        client: what the client calls itself, its User-Agent.
    """
    expires_at = now + TOKEN_LIFE
    sign_in = caller.sign_in
    client, address = _printable(client, MAX_CLIENT_CHARS), _printable(address, MAX_ADDRESS_CHARS)
    if sign_in is None:
        with read() as session:
            sign_in = _find_live_token(session, caller.user.id, client, address, now)
    if sign_in is not None and sign_in.expires_at >= expires_at:
        sign_in_id = sign_in.id
    else:
        with begin() as session:
            sign_in_id = _extend(session, sign_in, now) or _add_token(session, caller.user.id, client, address, now)
    text = f"{caller.user.id}.{sign_in_id}.{unix_s(expires_at)}"
    return Token(_signer(secret_key, "token").sign(text).decode(), unix_s(expires_at))


def check_token(session: Session, secret_key: str, token: str, now: datetime) -> Caller | None:
    """Who holds this token; None if it is forged, expired, revoked, or its user is deleted or disabled."""
    try:
        user_id, sign_in_id, expires_s = _signer(secret_key, "token").unsign(token).decode().split(".")
    except (BadSignature, ValueError):
        return None
    if int(expires_s) <= unix_s(now):
        return None
    caller = _find_caller(session, sign_in_id, "token", now)
    return caller if caller is not None and caller.user.id == int(user_id) else None


def open_page_session(session: Session, secret_key: str, user_id: int, client: str, address: str, now: datetime) -> str:
    """Sign a person in: the value of her session cookie, new for each sign-in."""
    client, address = _printable(client, MAX_CLIENT_CHARS), _printable(address, MAX_ADDRESS_CHARS)
    sign_in_id = _add(session, "page", user_id, client, address, now, now + PAGE_LIFE)
    return _signer(secret_key, "page").sign(sign_in_id).decode()


def check_page_session(session: Session, secret_key: str, cookie: str, now: datetime) -> Caller | None:
    """Whose session cookie this is; None like check_token()."""
    try:
        sign_in_id = _signer(secret_key, "page").unsign(cookie).decode()
    except (BadSignature, ValueError):
        return None
    return _find_caller(session, sign_in_id, "page", now)


def touch(begin: OpenSession, caller: Caller, now: datetime) -> None:
    """Note that a sign-in was used, at most hourly for tokens; page sessions last twelve hours from here."""
    sign_in = caller.sign_in
    if sign_in is None:
        return
    is_page = sign_in.kind == "page"
    if now - sign_in.seen_at < (PAGE_SEEN_EVERY if is_page else TOKEN_SEEN_EVERY):
        return
    values = {"seen_at": now}
    if is_page:
        values["expires_at"] = min(now + PAGE_LIFE, sign_in.created_at + PAGE_LONGEST)
    with contextlib.suppress(Unavailable), begin() as session:  # a busy database must not refuse who is signed in
        session.execute(_update_live(sign_in.id).values(values))


def list_sign_ins(session: Session, user_id: int, now: datetime) -> list[SignInInfo]:
    """The live sign-ins of a user, last used first."""
    live = sa.select(*_SIGN_IN_COLUMNS).where(SignIn.user_id == user_id, *_is_live(now))
    return [_sign_in_from_row(row) for row in session.execute(live.order_by(SignIn.seen_at.desc(), SignIn.id))]


def revoke_sign_in(session: Session, user_id: int, sign_in_id: str, now: datetime) -> None:
    """End one sign-in of this user at once; NotFound if she has no such live one."""
    one = _update_live(sign_in_id).where(SignIn.user_id == user_id)
    if not session.execute(one.values(revoked_at=now)).rowcount:
        raise NotFound("this sign-in does not exist, or has ended already", sign_in_id=sign_in_id)


def _signer(secret_key: str, purpose: str) -> Signer:
    return Signer(secret_key, salt=f"spi-dash {purpose}", key_derivation="hmac", digest_method=hashlib.sha256)


def _find_caller(session: Session, sign_in_id: str, kind: str, now: datetime) -> Caller | None:
    row = session.execute(_CALLER, {"sign_in_id": sign_in_id, "kind": kind, "now": now}).one_or_none()
    if row is None:
        return None
    return Caller(user_from_row(row[: len(COLUMNS)]), _sign_in_from_row(row[len(COLUMNS) :]))


def _sign_in_from_row(values: Any) -> SignInInfo:
    return SignInInfo(**dict(zip(SignInInfo.__dataclass_fields__, values, strict=True)))


def _is_live(now: Any) -> tuple[sa.ColumnElement[bool], ...]:
    return SignIn.expires_at > now, SignIn.revoked_at.is_(None)


_CALLER = (
    sa.select(*COLUMNS, *_SIGN_IN_COLUMNS)
    .join(SignIn, SignIn.user_id == User.id)
    .where(SignIn.id == sa.bindparam("sign_in_id"), SignIn.kind == sa.bindparam("kind"))
    .where(*_is_live(sa.bindparam("now")), User.disabled_at.is_(None))
)


def _update_live(sign_in_id: str) -> sa.Update:
    live = sa.update(SignIn).where(SignIn.id == sign_in_id, SignIn.revoked_at.is_(None))
    return live.execution_options(synchronize_session=False)


def _find_live_token(session: Session, user_id: int, client: str, address: str, now: datetime) -> SignInInfo | None:
    live = sa.select(*_SIGN_IN_COLUMNS).where(SignIn.user_id == user_id, SignIn.kind == "token", *_is_live(now))
    rows = session.execute(live.order_by(SignIn.expires_at.desc()).limit(MAX_LIVE_TOKENS)).all()
    found = [_sign_in_from_row(row) for row in rows]
    mine = [sign_in for sign_in in found if (sign_in.client, sign_in.address) == (client, address)]
    if not mine and len(found) >= MAX_LIVE_TOKENS:
        return found[0]
    return mine[0] if mine else None


def _extend(session: Session, sign_in: SignInInfo | None, now: datetime) -> str | None:
    """Let a token's row live an hour longer than the token, so that the next hour's renewals write nothing."""
    if sign_in is None:
        return None
    values = {"seen_at": now, "expires_at": now + TOKEN_LIFE + TOKEN_SEEN_EVERY}
    return sign_in.id if session.execute(_update_live(sign_in.id).values(values)).rowcount else None


def _add_token(session: Session, user_id: int, client: str, address: str, now: datetime) -> str:
    there = _find_live_token(session, user_id, client, address, now)  # another request may have been faster
    if there is not None:
        return _extend(session, there, now) or there.id
    return _add(session, "token", user_id, client, address, now, now + TOKEN_LIFE + TOKEN_SEEN_EVERY)


def _add(
    session: Session, kind: str, user_id: int, client: str, address: str, now: datetime, expires_at: datetime
) -> str:
    """Insert a row, and delete those that have expired: as many come as go."""
    session.execute(sa.delete(SignIn).where(SignIn.expires_at <= now).execution_options(synchronize_session=False))
    sign_in_id = secrets.token_hex(16)
    moments = {"created_at": now, "seen_at": now, "expires_at": expires_at}
    row = {"id": sign_in_id, "user_id": user_id, "kind": kind, "client": client, "address": address}
    session.execute(sa.insert(SignIn).values(row | moments))
    return sign_in_id


def _printable(text: str, max_chars: int) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:max_chars])
