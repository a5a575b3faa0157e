import threading
from datetime import datetime, timedelta

import pytest
from passlib.hash import sha256_crypt, sha512_crypt

from spi_dash.errors import InvalidInput
from spi_dash.services import passwords
from spi_dash.services.passwords import (
    PasswordCache,
    dummy_verify,
    hash_password,
    needs_upgrade,
    verify_password,
)

NOW = datetime(2026, 7, 1, 12)
HASHER = passwords._HASHER  # the server's own, which conftest replaces by a quick one
OLD_HASHES = {
    "sha512, rounds given": sha512_crypt.using(rounds=1000).hash("R3ad_0nly"),
    "sha512, default rounds": sha512_crypt.using(rounds=5000).hash("R3ad_0nly"),
    "sha256, rounds given": sha256_crypt.using(rounds=1000).hash("R3ad_0nly"),
    "sha256, default rounds": sha256_crypt.using(rounds=5000).hash("R3ad_0nly"),
}


@pytest.fixture(autouse=True)
def real_hasher(monkeypatch):
    monkeypatch.setattr(passwords, "_HASHER", HASHER)


@pytest.mark.parametrize("password", ["R3ad_0nly", "x", "Käfer:auf gelb ✓", "a" * 1024])
def test_a_hashed_password_verifies_and_no_other_does(password):
    stored = hash_password(password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$") and len(stored) <= 128
    assert verify_password(stored, password)
    assert not verify_password(stored, password[:-1] + "!")
    assert not needs_upgrade(stored)
    assert hash_password(password) != stored


@pytest.mark.parametrize("password", ["", "a" * 1025, "a\0b", "\ud800"])
def test_what_is_no_password_is_refused(password):
    with pytest.raises(InvalidInput) as caught:
        hash_password(password)
    assert caught.value.details["field"] == "password"
    assert not verify_password(hash_password("R3ad_0nly"), password)
    assert not verify_password(OLD_HASHES["sha512, rounds given"], password)


@pytest.mark.parametrize("stored", OLD_HASHES.values(), ids=OLD_HASHES)
def test_hashes_of_existing_databases_verify_and_want_an_upgrade(stored):
    assert verify_password(stored, "R3ad_0nly")
    assert not verify_password(stored, "r3ad_0nly")
    assert needs_upgrade(stored)


def test_the_existing_servers_own_rounds_verify():
    stored = sha512_crypt.using(rounds=656_000).hash("R3ad_0nly")
    assert stored.startswith("$6$rounds=656000$") and len(stored) == 120
    assert verify_password(stored, "R3ad_0nly")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "R3ad_0nly",
        "$6$",
        "$6$rounds=many$salt$hash",
        "$6$rounds=1000$salt$short",
        "$5$\0$",
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$c3Bp$!!",
        "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$short",
        "é" * 97,
    ],
)
def test_a_malformed_hash_is_never_right_and_never_an_error(stored):
    assert not verify_password(stored, "R3ad_0nly")
    assert needs_upgrade(stored)


def test_weaker_argon2_wants_an_upgrade():
    from argon2 import PasswordHasher

    stored = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash("R3ad_0nly")
    assert verify_password(stored, "R3ad_0nly") and needs_upgrade(stored)


def test_dummy_verify_returns_nothing_whatever_it_is_given():
    assert dummy_verify("R3ad_0nly") is None and dummy_verify() is None


@pytest.mark.parametrize(("is_right", "life_s"), [(True, 300), (False, 3600)])
def test_the_cache_holds_for_a_while_and_for_one_hash(is_right, life_s):
    cache = PasswordCache()
    key = cache.key("ada", "R3ad_0nly")
    assert cache.find(key, "hash", NOW) is None
    cache.keep(key, "hash", is_right, NOW)
    assert cache.find(key, "hash", NOW + timedelta(seconds=life_s - 1)) is is_right
    assert cache.find(key, "hash", NOW + timedelta(seconds=life_s)) is None
    assert cache.find(key, "another hash", NOW) is None
    assert cache.find(cache.key("ada", "another"), "hash", NOW) is None


def test_cache_keys_tell_names_and_passwords_apart_and_differ_between_processes():
    cache = PasswordCache()
    keys = {cache.key("ab", "c"), cache.key("a", "bc"), cache.key("ab", "C"), cache.key("", "abc")}
    assert len(keys) == 4
    assert PasswordCache().key("ab", "c") not in keys
    assert cache.key("ab", "\ud800")  # what cannot be encoded is no error


def test_the_cache_is_bounded_and_drops_the_oldest():
    cache = PasswordCache(max_entries=2)
    keys = [cache.key(name, "R3ad_0nly") for name in ("ada", "bob", "cleo")]
    for key in keys:
        cache.keep(key, "hash", True, NOW)
    for index in range(5):
        cache.keep(cache.key("eve", str(index)), "hash", False, NOW)
    assert [cache.find(key, "hash", NOW) for key in keys] == [None, True, True]


def test_threads_share_the_cache():
    cache = PasswordCache(max_entries=50)

    def fill(part):
        for index in range(200):
            key = cache.key(f"user {part}", str(index))
            with cache.turn(key):
                cache.keep(key, "hash", bool(index % 2), NOW)
                cache.find(key, "hash", NOW)

    threads = [threading.Thread(target=fill, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(entries) for entries in cache._entries.values()] == [50, 50]
