"""Failed passwords, counted in the database so that all server processes know of them.

Three counters: for an account from an address, for an address, and, looser, for an account from anywhere. Beyond its
free failures each one doubles the wait. Where an account is signed in already, only the first one counts: a phone with
a forgotten password must not stop the others behind the same router, and a stranger cannot lock anybody out.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import Session

from ..errors import TooManyRequests
from ..models import SignIn, SignInFailure, User

FORGET_AFTER = timedelta(hours=1)  # without another failure
CLOCKS_DIFFER = timedelta(
    minutes=1
)  # of failures in the future: the clock was set back, nobody waits until it is there again
SWEEP_ROWS = 200


@dataclass(frozen=True)
class Limit:
    """How many failures cost nothing, and the longest wait, in seconds."""

    free: int
    longest_s: int

    def wait_s(self, count: int) -> int:
        """Seconds from the last of `count` failures to the next attempt."""
        return 0 if count < self.free else min(self.longest_s, 2 ** min(count - self.free, 16))


LIMITS = {"pair": Limit(5, 300), "address": Limit(20, 300), "account": Limit(100, 60)}


def check_attempt(session: Session, secret_key: str, username: str, address: str, now: datetime) -> bool:
    """Whether there is something for clear_failures() to do.

    Raises:
        TooManyRequests: this account or address has to wait; the same for accounts that do not exist.
    """
    keys = _keys(secret_key, username, address)
    rows = session.execute(
        sa.select(SignInFailure.key, SignInFailure.count, SignInFailure.last_at).where(
            SignInFailure.key.in_(keys.values()),
            SignInFailure.last_at > now - FORGET_AFTER,
            SignInFailure.last_at < now + CLOCKS_DIFFER,
        )
    )
    failures = {key: (count, last_at) for key, count, last_at in rows}
    waits_s = {
        kind: LIMITS[kind].wait_s(failures[key][0]) - max(0, int((now - failures[key][1]).total_seconds()))
        for kind, key in keys.items()
        if key in failures
    }
    longest_s = max(waits_s.values(), default=0)
    if longest_s > 0 and _is_signed_in(session, username, address, now):
        longest_s = waits_s.get("pair", 0)
    if longest_s > 0:
        raise TooManyRequests(f"too many failed sign-ins: try again in {longest_s} s", retry_after_s=longest_s)
    return keys["pair"] in failures


def record_failure(session: Session, secret_key: str, username: str, address: str, now: datetime) -> None:
    """Count one wrong password."""
    rows = [{"key": key, "count": 1, "last_at": now} for key in _keys(secret_key, username, address).values()]
    outlived = sa.or_(SignInFailure.last_at <= now - FORGET_AFTER, SignInFailure.last_at >= now + CLOCKS_DIFFER)
    count = sa.case((outlived, 1), else_=SignInFailure.count + 1)
    # MariaDB assigns from left to right: the count is made from the old time.
    changes = [(SignInFailure.count.name, count), (SignInFailure.last_at.name, now)]
    # One statement, always in this order: writers at the same time wait for each other and never deadlock.
    if session.get_bind().dialect.name == "sqlite":
        upsert = sqlite.insert(SignInFailure).values(rows)
        session.execute(upsert.on_conflict_do_update(index_elements=["key"], set_=dict(changes)))
    else:
        session.execute(mysql.insert(SignInFailure).values(rows).on_duplicate_key_update(changes))
    sweep(session, now)


def clear_failures(session: Session, secret_key: str, username: str, address: str) -> None:
    """Forget the failures of an account from an address: the right password came. The other counters stay."""
    key = _keys(secret_key, username, address)["pair"]
    session.execute(sa.delete(SignInFailure).where(SignInFailure.key == key))


def sweep(session: Session, now: datetime) -> None:
    """Delete some of the counters that no longer count."""
    old = sa.select(SignInFailure.key).where(SignInFailure.last_at <= now - FORGET_AFTER * 2).limit(SWEEP_ROWS)
    keys = session.scalars(old).all()
    if keys:
        session.execute(sa.delete(SignInFailure).where(SignInFailure.key.in_(keys)))


def _keys(secret_key: str, username: str, address: str) -> dict[str, str]:
    """The keys of the three counters, in the order in which they are written."""
    network = _network(address)
    parts = {"pair": f"{network} {username}", "address": network, "account": username}
    return {
        kind: hmac.digest(secret_key.encode(), f"{kind} {text}".encode(errors="surrogatepass"), "sha256").hex()
        for kind, text in parts.items()
    }


def _network(address: str) -> str:
    """An IPv4 address; of an IPv6 address the 64 bits that its owner cannot choose."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def _is_signed_in(session: Session, username: str, address: str, now: datetime) -> bool:
    live = sa.select(User.username).join(SignIn, SignIn.user_id == User.id)
    live = live.where(User.username == username, SignIn.address == address)
    live = live.where(SignIn.expires_at > now, SignIn.revoked_at.is_(None))
    return username in session.scalars(live).all()
