"""Wrong passwords have to wait, and only they."""

import threading

import pytest
import sqlalchemy as sa
from sign_in_lab import DAY, HOUR, NOW, SECOND, Lab, count_checks, wait_s

from spi_dash.errors import TooManyRequests, Unauthorized
from spi_dash.models import SignInFailure
from spi_dash.services import users
from spi_dash.services.passwords import PasswordCache


@pytest.fixture
def lab(database):
    return Lab(database)


def test_the_wait_grows_with_each_failure_and_ends(lab):
    waits_s = []
    for _ in range(16):
        lab.fail()
        waits_s.append(wait_s(lab))
    assert waits_s == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert wait_s(lab, now=NOW + 299 * SECOND) == 1
    assert wait_s(lab, now=NOW + 300 * SECOND) == 0
    lab.fail(now=NOW + 300 * SECOND)
    assert wait_s(lab, now=NOW + 300 * SECOND) == 300


def test_an_hour_without_failures_is_forgiven(lab):
    lab.fail(times=12)
    lab.fail(now=NOW + HOUR)
    assert wait_s(lab, now=NOW + HOUR) == 0
    lab.fail(times=4, now=NOW + HOUR)
    assert wait_s(lab, now=NOW + HOUR) == 1


def test_a_clock_that_is_set_back_locks_nobody_out(lab):
    lab.fail(times=12, now=NOW + 10 * HOUR)
    assert wait_s(lab, now=NOW + 10 * HOUR - 5 * SECOND) > 0  # servers' clocks may differ a little
    assert wait_s(lab) == 0
    lab.fail(times=5)
    assert wait_s(lab) == 1


def test_wrong_passwords_are_throttled_alike_for_known_and_unknown_users(lab, monkeypatch):
    checked, told = count_checks(monkeypatch), []
    for username, address in (("ada", "192.0.2.1"), ("nobody", "192.0.2.2")):
        for index in range(8):
            with pytest.raises((Unauthorized, TooManyRequests)) as caught:
                lab.authenticate(username, f"guess {index}", address=address)
            told.append((caught.type, caught.value.message))
    assert told[:8] == told[8:]
    assert [kind for kind, _ in told[:8]] == [Unauthorized] * 5 + [TooManyRequests] * 3
    assert len(checked) == 10  # who has to wait costs nothing
    assert lab.statements(wait_s, lab) == ["SELECT", "SELECT"]


def test_the_same_wrong_password_again_is_no_new_guess(lab, monkeypatch):
    """As of a phone that asks every second with a password that was changed."""
    checked = count_checks(monkeypatch)
    for username in ("ada", "nobody"):
        for seconds in range(0, 3600, 60):
            with pytest.raises(Unauthorized):
                lab.authenticate(username, "forgotten", NOW + seconds * SECOND)
    assert len(checked) == 2
    assert set(lab.do(lambda session: session.scalars(sa.select(SignInFailure.count)).all())) == {1, 2}
    lab.do(users.set_password, lab.ada.id, "forgotten", NOW)
    assert lab.authenticate("ada", "forgotten", NOW + HOUR).user == lab.ada


def test_the_right_password_of_a_disabled_account_is_right_again_later(lab):
    values = {"role": "read_write_user", "email": None, "acting_user_id": None, "now": NOW}
    lab.do(users.update_user, lab.ada.id, **values, disabled=True)
    for _ in range(2):
        with pytest.raises(Unauthorized):
            lab.authenticate()
    lab.do(users.update_user, lab.ada.id, **values, disabled=False)
    assert lab.authenticate().user == lab.ada


def test_the_right_password_has_to_wait_too_but_a_token_and_a_known_password_do_not(lab):
    token = lab.issue(address="198.51.100.7").token
    lab.authenticate()
    lab.fail(times=10)
    assert lab.authenticate().user == lab.ada
    assert lab.authenticate(token, "").user == lab.ada
    lab.cache = PasswordCache()
    with pytest.raises(TooManyRequests):
        lab.authenticate()
    assert lab.authenticate(token, "").user == lab.ada


def test_the_right_password_clears_the_accounts_counter_there(lab):
    lab.fail(times=4)
    lab.fail("192.0.2.9", times=4)
    lab.authenticate()
    lab.fail(times=4)
    assert wait_s(lab) == 0
    lab.fail("192.0.2.9")
    assert wait_s(lab, address="192.0.2.9") == 1


def test_an_address_that_tries_many_names_has_to_wait_for_all(lab):
    for index in range(20):
        lab.fail(username=f"user {index}")
    assert wait_s(lab, username="ada") == 1
    assert wait_s(lab, username="ada", address="192.0.2.2") == 0


def test_an_account_tried_from_everywhere_waits_a_little(lab):
    lab.fail(*(f"198.51.100.{index}" for index in range(120)))
    assert wait_s(lab, address="192.0.2.200") == 60


def test_where_an_account_is_signed_in_only_its_own_failures_count(lab):
    """A phone with an old password must not stop the others behind the router, nor a stranger stop anybody."""
    lab.issue()
    lab.fail(times=30, username="forgotten phone")
    lab.fail(*(f"198.51.100.{index}" for index in range(120)))
    assert wait_s(lab) == 0
    assert wait_s(lab, username="bob") > 0
    assert wait_s(lab, now=NOW + 2 * DAY) == 0
    lab.fail(times=6)
    assert wait_s(lab) > 0


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.5", "192.0.2.5", True),
        ("192.0.2.5", "192.0.2.6", False),
        ("", "", True),
        ("unix", "unix", True),
    ],
)
def test_who_owns_many_ipv6_addresses_is_one(lab, first, second, same):
    lab.fail(first, times=6)
    assert (wait_s(lab, address=second) > 0) == same


def test_counters_hold_no_names_and_are_swept(lab):
    lab.fail(username="bob")
    rows = lab.do(lambda session: session.execute(sa.select(SignInFailure.key, SignInFailure.count)).all())
    assert len(rows) == 3 and all(len(key) == 64 and int(key, 16) and count == 1 for key, count in rows)
    lab.fail("192.0.2.77", username="cleo", now=NOW + 3 * HOUR)
    assert len(lab.do(lambda session: session.scalars(sa.select(SignInFailure.key)).all())) == 3


def test_failures_counted_at_once_are_all_counted(lab):
    failures, barrier = [], threading.Barrier(4)

    def fail():
        barrier.wait()
        try:
            for _ in range(5):
                lab.fail()
        except Exception as error:  # reported below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(lab.do(lambda session: session.scalars(sa.select(SignInFailure.count)).all())) == {20}
