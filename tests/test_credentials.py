"""Tokens first, then passwords, which are remembered and upgraded."""

import contextlib
import threading
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from passlib.hash import sha512_crypt
from sign_in_lab import DAY, HOUR, NOW, SECOND, Lab, count_checks, set_hash, stored_hash

from spi_dash.errors import Unauthorized, Unavailable
from spi_dash.models import SignInFailure
from spi_dash.services import throttle, users
from spi_dash.services.passwords import PasswordCache
from spi_dash.services.sign_ins import Caller


@pytest.fixture
def lab(database):
    return Lab(database)


def test_a_token_or_a_password_tells_who_asks(lab):
    assert lab.authenticate() == Caller(lab.ada, None)
    caller = lab.authenticate(lab.issue().token, "ignored")
    assert caller.user == lab.ada and caller.sign_in is not None


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (None, None),
        (None, ""),
        ("", ""),
        ("null", ""),
        ("ada", ""),
        ("ada", None),
        ("ada", "r3ad_0nly"),
        ("ADA", "R3ad_0nly"),
        ("ada ", "R3ad_0nly"),
        ("a_a", "R3ad_0nly"),
        ("%", "R3ad_0nly"),
        ("adá", "R3ad_0nly"),
        ("nobody", "R3ad_0nly"),
        ("ada", "\ud800"),
        ("\ud800", "R3ad_0nly"),
        ("a\0b", "R3ad_0nly"),
        ("a" * 5000, "b" * 5000),
    ],
)
def test_wrong_credentials_are_all_refused_in_the_same_words(lab, username, password):
    with pytest.raises(Unauthorized) as caught:
        lab.authenticate(username, password)
    assert (caught.value.message, caught.value.details) == ("wrong user name or password", {})


def test_no_password_is_no_guess(lab):
    """Android begins with the user "null" and keeps asking with tokens that have expired."""
    token = lab.issue().token

    def ask(username, password, now):
        with pytest.raises(Unauthorized):
            lab.authenticate(username, password, now)

    assert lab.statements(ask, "null", "", NOW) == []
    assert lab.statements(ask, token, "", NOW + 2 * DAY) == []
    assert lab.do(lambda session: session.scalars(sa.select(SignInFailure.key)).all()) == []


def test_a_disabled_user_cannot_sign_in(lab):
    lab.authenticate()
    values = {"role": "read_write_user", "email": None, "disabled": True, "acting_user_id": None, "now": NOW}
    lab.do(users.update_user, lab.ada.id, **values)
    with pytest.raises(Unauthorized):
        lab.authenticate()


def test_a_right_password_is_checked_once_in_five_minutes_with_one_query(lab, monkeypatch):
    checked = count_checks(monkeypatch)
    for seconds in (0, 100, 299):
        lab.authenticate(now=NOW + seconds * SECOND)
    assert len(checked) == 1
    assert lab.statements(lab.authenticate) == ["SELECT"]
    lab.authenticate(now=NOW + 300 * SECOND)
    assert len(checked) == 2


def test_a_password_changed_by_another_process_holds_at_once(lab):
    lab.authenticate()
    lab.do(users.set_password, lab.ada.id, "another password", NOW)
    with pytest.raises(Unauthorized):
        lab.authenticate()
    assert lab.authenticate(password="another password").user == lab.ada


def test_an_old_hash_is_upgraded_at_sign_in_and_only_by_the_right_password(lab, monkeypatch):
    old = sha512_crypt.using(rounds=1000).hash("R3ad_0nly")
    set_hash(lab, old)
    with pytest.raises(Unauthorized):
        lab.authenticate(password="wrong")
    assert stored_hash(lab) == old
    checked = count_checks(monkeypatch)
    assert lab.authenticate().user == lab.ada
    upgraded = stored_hash(lab)
    assert upgraded.startswith("$argon2id$")
    lab.authenticate()
    assert checked == [old] and stored_hash(lab) == upgraded
    lab.cache = PasswordCache()
    assert lab.authenticate().user == lab.ada


def test_an_old_hash_is_kept_where_the_old_server_may_be_needed(lab):
    set_hash(lab, old := sha512_crypt.using(rounds=1000).hash("R3ad_0nly"))
    lab.cache = PasswordCache(keep_hashes=True)
    for _ in range(2):
        assert lab.authenticate().user == lab.ada
    assert stored_hash(lab) == old
    lab.do(users.set_password, lab.ada.id, "another password", NOW)
    assert stored_hash(lab).startswith("$argon2id$")  # what is set anew is ours


def test_a_database_too_busy_to_write_refuses_nobody_who_is_right(lab, monkeypatch):
    """Writes that only tidy up may fail; a wrong password that cannot be counted is not answered."""

    @contextlib.contextmanager
    def begin():
        raise Unavailable("the database does not answer")
        yield

    token, late = lab.issue().token, NOW + 2 * HOUR
    set_hash(lab, old := sha512_crypt.using(rounds=1000).hash("R3ad_0nly"))
    lab.fail()
    monkeypatch.setattr(lab, "database", SimpleNamespace(begin=begin, read=lab.database.read))
    assert lab.authenticate(token, "", late).user == lab.ada
    assert lab.authenticate().user == lab.ada
    with pytest.raises(Unavailable):
        lab.authenticate(password="wrong")
    monkeypatch.undo()
    assert stored_hash(lab) == old


def test_who_asks_twice_at_once_pays_for_one_check(lab, monkeypatch):
    set_hash(lab, sha512_crypt.using(rounds=20_000).hash("R3ad_0nly"))
    checked, answers, barrier = count_checks(monkeypatch), [], threading.Barrier(4)

    def ask():
        barrier.wait()
        answers.append(lab.authenticate().user.id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [lab.ada.id] * 4
    assert len([stored for stored in checked if stored.startswith("$6$")]) == 1


def test_who_waited_while_the_hash_was_upgraded_pays_for_no_check(lab, monkeypatch):
    """She has read the old hash, and gets her turn when the new one is stored."""
    set_hash(lab, sha512_crypt.using(rounds=20_000).hash("R3ad_0nly"))
    checked, has_read, go_on = count_checks(monkeypatch), threading.Event(), threading.Event()
    check_attempt, answers = throttle.check_attempt, []

    def wait(*arguments):
        if threading.current_thread() is late:
            has_read.set()
            assert go_on.wait(20)
        return check_attempt(*arguments)

    monkeypatch.setattr(throttle, "check_attempt", wait)
    late = threading.Thread(target=lambda: answers.append(lab.authenticate().user.id))
    late.start()
    assert has_read.wait(20)
    assert lab.authenticate().user.id == lab.ada.id
    go_on.set()
    late.join()
    assert answers == [lab.ada.id] and len(checked) == 1


def test_an_unknown_name_costs_the_check_of_some_stored_hash(lab, monkeypatch):
    for name in ("bob", "cleo", "dora"):
        lab.do(users.add_user, username=name, password="R3ad_0nly", now=NOW)
    checked = count_checks(monkeypatch)
    for index in range(12):
        for password in ("R3ad_0nly", "another guess"):
            with pytest.raises(Unauthorized):
                lab.authenticate(f"nobody {index}", password, address=f"192.0.2.{index}")
    assert len(checked) == 24 and len(set(checked)) > 1
    assert checked[::2] == checked[1::2]  # the same name, the same time
