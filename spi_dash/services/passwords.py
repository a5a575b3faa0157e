"""Passwords: how they are kept, checked, and remembered for a few minutes."""

import contextlib
import hmac
import secrets
import threading
from collections import OrderedDict
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from passlib.hash import sha256_crypt, sha512_crypt

from ..errors import InvalidInput

MAX_CHARS = 1024
RIGHT_FOR, WRONG_FOR = timedelta(minutes=5), timedelta(hours=1)

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes, 1 lane. 25 ms of CPU a check.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_OLD = {"$6$": sha512_crypt, "$5$": sha256_crypt}  # what existing Sticky Pi databases hold; 0.4 s a check
_DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$SS1m1CCoLvTnrpNELxSPDQ$Y52S/54QS7blpl4bUu7++uUmQ1wkRDIFfVS896VIXmI"


def hash_password(password: str) -> str:
    """The text to keep in place of a password: argon2id, 97 characters.

    Raises:
        InvalidInput: the password is empty, longer than 1024 characters, or not text that can be encoded.
    """
    if not password:
        raise InvalidInput("the password is empty", field="password")
    if not _is_usable(password):
        raise InvalidInput(f"the password must be text of at most {MAX_CHARS} characters", field="password")
    return _HASHER.hash(password)


def verify_password(password_hash: str, password: str) -> bool:
    """Whether `password` is the one that was hashed. A malformed hash is never right, and takes as long to refuse."""
    if not _is_usable(password):
        return False
    old = _OLD.get(password_hash[:3])
    try:
        if old is not None:
            return old.verify(password, password_hash)
        return _HASHER.verify(password_hash, password)
    except VerificationError:
        return False
    except (ValueError, TypeError):  # not a hash
        dummy_verify(password)
        return False


def needs_upgrade(password_hash: str) -> bool:
    """Whether the hash is of an older kind than hash_password() makes."""
    try:
        return _HASHER.check_needs_rehash(password_hash)
    except InvalidHashError:
        return True


def dummy_verify(password: str = "") -> None:
    """Spend the time of one check: an unknown user must not be told apart by the clock."""
    with contextlib.suppress(VerificationError):
        _HASHER.verify(_DUMMY, password)


class PasswordCache:
    """Passwords found right or wrong a short while ago, in this process: devices send theirs with every upload.

    An entry holds for one stored hash only, so that a password changed by any process ends it at once. Keys are keyed
    hashes under a random key of this process. Bounded: the oldest entry goes first, and wrong ones push out no right
    ones. `keep_hashes`: whoever signs in with an old hash keeps it, for the old server may be needed again.
    """

    def __init__(self, max_entries: int = 1024, keep_hashes: bool = False) -> None:
        self.keep_hashes = keep_hashes
        self._key = secrets.token_bytes(32)
        self._max_entries = max_entries
        self._entries: dict[bool, OrderedDict[bytes, tuple[str, datetime]]] = {
            True: OrderedDict(),
            False: OrderedDict(),
        }
        self._lock = threading.Lock()
        self._turns = [threading.Lock() for _ in range(64)]

    def key(self, username: str, password: str) -> bytes:
        """Where the pair is kept; the length of the name keeps ("ab", "c") apart from ("a", "bc")."""
        text = f"{len(username)}:{username}{password}"
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), "sha256")

    def find(self, key: bytes, password_hash: str, now: datetime) -> bool | None:
        """Whether the password is right or wrong for this very hash; None if that has to be checked."""
        with self._lock:
            found = {is_right: entries.get(key) for is_right, entries in self._entries.items()}
        for is_right, entry in found.items():
            if entry is not None and entry[0] == password_hash and now < entry[1]:
                return is_right
        return None

    def knows(self, key: bytes) -> bool:
        """Whether something was found for this pair, be it for another hash."""
        with self._lock:
            return any(key in entries for entries in self._entries.values())

    def keep(self, key: bytes, password_hash: str, is_right: bool, now: datetime) -> None:
        """Remember what was found."""
        entries = self._entries[is_right]
        with self._lock:
            entries[key] = (password_hash, now + (RIGHT_FOR if is_right else WRONG_FOR))
            entries.move_to_end(key)
            while len(entries) > self._max_entries:
                entries.popitem(last=False)

    def turn(self, key: bytes) -> threading.Lock:
        """Held while a password is checked: who asks the same at the same time waits and then finds the answer here."""
        return self._turns[key[0] % len(self._turns)]


def _is_usable(password: str) -> bool:
    try:
        return len(password) <= MAX_CHARS and "\0" not in password and bool(password.encode())
    except UnicodeEncodeError:
        return False
