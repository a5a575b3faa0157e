"""Credentials: whose they are. Tokens first, then passwords, which are costly to check and therefore remembered."""

import contextlib
import hmac
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import InvalidInput, Unauthorized, Unavailable
from ..models import User
from . import throttle
from .passwords import PasswordCache, dummy_verify, hash_password, needs_upgrade, verify_password
from .sign_ins import Caller, OpenSession, check_token, touch
from .users import COLUMNS, UserInfo, user_from_row


def authenticate(
    begin: OpenSession,
    read: OpenSession,
    secret_key: str,
    username: str | None,
    password: str | None,
    address: str,
    now: datetime,
    cache: PasswordCache,
) -> Caller:
    """Who sent these credentials: the name is tried as a token first, then with the password.

    Raises:
        Unauthorized: they are wrong, or there are none.
        TooManyRequests: too many passwords were wrong; never for a token or a password that is known to be right.
    """
    if username and username.count(".") == 3:
        with read() as session:
            caller = check_token(session, secret_key, username, now)
        if caller is not None:
            touch(begin, caller, now)
            return caller
    return Caller(check_password(begin, read, secret_key, username, password, address, now, cache))


def check_password(
    begin: OpenSession,
    read: OpenSession,
    secret_key: str,
    username: str | None,
    password: str | None,
    address: str,
    now: datetime,
    cache: PasswordCache,
) -> UserInfo:
    """The user with this name and password; raises like authenticate(), in the same time for an unknown name.

    The same wrong password again is no new guess: a phone that keeps sending a forgotten one costs nothing, counts
    once an hour, and is told the truth.
    """
    if not username or not password or not username.isprintable():  # no guess at all: Android begins like this
        raise _wrong()
    key = cache.key(username, password)
    with read() as session:
        user, stored = _find_login(session, username)
        is_right = cache.find(key, stored, now)
        if is_right is not None:
            return _known(user, is_right)
        has_failed = throttle.check_attempt(session, secret_key, username, address, now)
        decoy = _decoy(session, secret_key, username)
    with cache.turn(key):
        is_right = cache.find(key, stored, now)
        if is_right is None and cache.knows(key):  # of another stored hash: it was upgraded while we waited
            with read() as session:
                user, stored = _find_login(session, username)
            is_right = cache.find(key, stored, now)
        if is_right is not None:  # found while we waited
            return _known(user, is_right)
        is_right = _verify(stored, decoy, password)
        cache.keep(key, stored, is_right, now)
    if not is_right:
        with begin() as session:
            throttle.record_failure(session, secret_key, username, address, now)
        raise _wrong()
    if has_failed:
        with contextlib.suppress(Unavailable), begin() as session:  # a busy database must not refuse who is right
            throttle.clear_failures(session, secret_key, username, address)
    if user is not None and not cache.keep_hashes and needs_upgrade(stored):
        cache.keep(key, _upgrade(begin, user.id, stored, password), True, now)
    return _known(user, is_right)


def _known(user: UserInfo | None, is_right: bool) -> UserInfo:
    """The user if the password is right; disabled accounts have none."""
    if user is None or not is_right:
        raise _wrong()
    return user


def _wrong() -> Unauthorized:
    return Unauthorized("wrong user name or password")


def _find_login(session: Session, username: str) -> tuple[UserInfo | None, str]:
    """The enabled user with exactly this name, and the stored hash of the account even if it is disabled."""
    rows = session.execute(sa.select(*COLUMNS, User.password_hash).where(User.username == username))
    for *values, stored in rows:
        user = user_from_row(values)
        if user.username == username:  # MariaDB finds more than what is equal
            return (user if user.disabled_at is None else None), stored
    return None, ""


def _decoy(session: Session, secret_key: str, username: str) -> str:
    """The hash to spend time on for a name without an account: always the same one, of some account.

    Where some accounts still have old, slow hashes, a constant one would tell the names of their users.
    """
    hashes = session.scalars(sa.select(User.password_hash).order_by(User.id)).all()
    digest = hmac.digest(secret_key.encode(), f"decoy {username}".encode(), "sha256")
    return hashes[int.from_bytes(digest[:8], "big") % len(hashes)] if hashes else ""


def _verify(stored: str, decoy: str, password: str) -> bool:
    """Check a password; without an account, against the decoy and in vain."""
    if not stored and not decoy:
        dummy_verify(password)
        return False
    return verify_password(stored or decoy, password) and bool(stored)


def _upgrade(begin: OpenSession, user_id: int, stored: str, password: str) -> str:
    """Keep a password the modern way. Returns the hash that is stored now."""
    unchanged = sa.update(User).where(User.id == user_id, User.password_hash == stored)
    # Neither a busy database nor a password that we would not take as a new one must refuse who is right.
    with contextlib.suppress(InvalidInput, Unavailable):
        upgraded = hash_password(password)
        with begin() as session:
            is_upgraded = session.execute(unchanged.values(password_hash=upgraded)).rowcount
        return upgraded if is_upgraded else stored
    return stored
