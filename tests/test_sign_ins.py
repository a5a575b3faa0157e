"""Tokens and page sessions."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from sign_in_lab import ADDRESS, DAY, HOUR, NOW, PHONE, SECOND, SECRET, Lab

from spi_dash.clock import unix_s
from spi_dash.errors import NotFound, Unauthorized
from spi_dash.models import SignIn
from spi_dash.services import sign_ins, users
from spi_dash.services.sign_ins import Caller


@pytest.fixture
def lab(database):
    return Lab(database)


def test_a_token_fits_a_basic_header_and_tells_whose_it_is(lab):
    token = lab.issue()
    assert token.expires_at == unix_s(NOW) + 86_400
    assert token.token.isascii() and ":" not in token.token and len(token.token) < 128
    caller = lab.check(token.token)
    assert caller.user == lab.ada
    assert (caller.sign_in.kind, caller.sign_in.client, caller.sign_in.address) == ("token", PHONE, ADDRESS)
    assert lab.statements(lab.check, token.token) == ["SELECT"]


def test_a_token_ends_after_a_day(lab):
    token = lab.issue().token
    assert lab.check(token, NOW + DAY - SECOND) is not None
    assert lab.check(token, NOW + DAY) is None


def test_forged_tokens_are_refused(lab):
    token = lab.issue().token
    user_id, sign_in_id, expires_s, seal = token.split(".")
    later = str(int(expires_s) + 1)
    forged = ["", "...", "x", "\ud800", "é.é.é.é", token[:-1], token + "x", f"{user_id}.{sign_in_id}.{later}.{seal}"]
    forged += [f"{int(user_id) + 1}.{sign_in_id}.{expires_s}.{seal}", lab.issue(secret="another secret key").token]
    forged += [lab.do(sign_ins.open_page_session, SECRET, lab.ada.id, "Firefox", ADDRESS, NOW)]
    for text in forged:
        assert lab.check(text) is None, text
        if text:
            with pytest.raises(Unauthorized):
                lab.authenticate(text, "")


@pytest.mark.parametrize("end", ["revoke", "revoke all", "delete", "disable", "new password"])
def test_a_token_ends_at_once_when_it_should(lab, end):
    token = lab.issue().token
    sign_in = lab.check(token).sign_in
    if end == "revoke":
        lab.do(sign_ins.revoke_sign_in, lab.ada.id, sign_in.id, NOW)
    elif end == "revoke all":
        lab.do(sign_ins.revoke_all, lab.ada.id, NOW)
    elif end == "delete":
        lab.do(users.delete_users, [{"username": "ada"}], None)
    elif end == "disable":
        values = {"role": lab.ada.role, "email": None, "disabled": True, "acting_user_id": None, "now": NOW}
        lab.do(users.update_user, lab.ada.id, **values)
        assert lab.list() == []
        lab.do(users.update_user, lab.ada.id, **values | {"disabled": False})
    else:
        lab.do(users.set_password, lab.ada.id, "another password", NOW)
    assert lab.check(token) is None
    with pytest.raises(Unauthorized):
        lab.authenticate(token, "")


def test_a_phone_that_asks_every_second_writes_once_an_hour(lab):
    caller = lab.check(lab.issue().token)
    writes = []
    for seconds in range(0, 7200, 60):
        now = NOW + seconds * SECOND
        statements = lab.statements(lab.issue, caller, now)
        writes += ["UPDATE" in statements]
        assert len(statements) <= 1
        token = lab.issue(caller, now)
        assert token.expires_at == unix_s(now + DAY)
        assert lab.check(token.token, now + DAY - SECOND) is not None
        caller = lab.authenticate(token.token, "", now)
    assert sum(writes) == 1
    assert len(lab.list()) == 1
    assert lab.list()[0].id == caller.sign_in.id


def test_scripts_that_ask_by_password_share_a_row_per_client_and_address(lab):
    tokens = [lab.issue().token for _ in range(5)]
    assert len(lab.list()) == 1
    lab.issue(client="python-requests/2.32")
    lab.issue(address="192.0.2.2")
    assert len(lab.list()) == 3
    late = NOW + 2 * HOUR
    tokens.append(lab.issue(now=late).token)
    assert len(lab.list(late)) == 3
    assert {lab.check(token, late).sign_in.id for token in tokens} == {lab.check(tokens[0]).sign_in.id}


def test_a_revoked_sign_in_is_not_used_again(lab):
    first = lab.check(lab.issue().token)
    lab.do(sign_ins.revoke_sign_in, lab.ada.id, first.sign_in.id, NOW)
    assert lab.check(lab.issue().token).sign_in.id != first.sign_in.id
    # It was revoked between the check of the token and its renewal, when it was due:
    renewed = lab.issue(first, NOW + 2 * HOUR)
    assert lab.check(renewed.token, NOW + 2 * HOUR).sign_in.id != first.sign_in.id


def test_rows_are_bounded_and_swept(lab, monkeypatch):
    monkeypatch.setattr(sign_ins, "MAX_LIVE_TOKENS", 3)
    tokens = [lab.issue(client=f"client {index}").token for index in range(6)]
    assert len(lab.list()) == 3
    assert all(lab.check(token) is not None for token in tokens)
    lab.issue(now=NOW + 3 * DAY)
    assert lab.do(lambda session: session.scalar(sa.select(sa.func.count()).select_from(SignIn))) == 1


def test_what_clients_call_themselves_is_cut_and_printable(lab):
    lab.issue(client="x\n" * 200, address="2001:db8::1" + "x" * 100)
    assert lab.list()[0].client == "x?" * 64 and len(lab.list()[0].address) == 45


def test_a_user_sees_and_revokes_her_own_sign_ins_only(lab):
    bob = lab.do(users.add_user, username="bob", password="another password", now=NOW)
    lab.issue()
    lab.issue(Caller(bob))
    lab.do(sign_ins.open_page_session, SECRET, lab.ada.id, "Firefox", ADDRESS, NOW + HOUR)
    assert [sign_in.kind for sign_in in lab.list()] == ["page", "token"]
    assert lab.list(NOW + 2 * DAY) == []
    (of_bob,) = lab.do(sign_ins.list_sign_ins, bob.id, NOW)
    for sign_in_id in (of_bob.id, "no such id"):
        with pytest.raises(NotFound):
            lab.do(sign_ins.revoke_sign_in, lab.ada.id, sign_in_id, NOW)
    assert lab.do(sign_ins.list_sign_ins, bob.id, NOW) == [of_bob]


# Page sessions


def test_a_page_session_lasts_twelve_hours_after_the_last_request(lab):
    cookie = lab.do(sign_ins.open_page_session, SECRET, lab.ada.id, "Firefox", ADDRESS, NOW)

    def check(now):
        return lab.do(sign_ins.check_page_session, SECRET, cookie, now)

    caller = check(NOW + 12 * HOUR - SECOND)
    assert caller.user == lab.ada and check(NOW + 12 * HOUR) is None
    assert lab.statements(sign_ins.touch, lab.database.begin, caller, NOW + 60 * SECOND) == []
    sign_ins.touch(lab.database.begin, caller, NOW + 11 * HOUR)
    caller = check(NOW + 23 * HOUR - SECOND)
    assert caller is not None and check(NOW + 23 * HOUR) is None
    sign_ins.touch(lab.database.begin, replace(caller), NOW + 30 * DAY - HOUR)
    assert check(NOW + 30 * DAY - SECOND) is not None and check(NOW + 30 * DAY) is None


def test_forged_and_ended_page_sessions_are_refused(lab):
    cookie = lab.do(sign_ins.open_page_session, SECRET, lab.ada.id, "Firefox", ADDRESS, NOW)
    other = lab.do(sign_ins.open_page_session, SECRET, lab.ada.id, "Firefox", ADDRESS, NOW)
    assert cookie != other
    sign_in_id, seal = cookie.split(".")
    for text in ("", sign_in_id, f"{other.split('.')[0]}.{seal}", "\ud800", lab.issue().token):
        assert lab.do(sign_ins.check_page_session, SECRET, text, NOW) is None
    lab.do(sign_ins.revoke_sign_in, lab.ada.id, sign_in_id, NOW)
    assert lab.do(sign_ins.check_page_session, SECRET, cookie, NOW) is None
    assert lab.do(sign_ins.check_page_session, SECRET, other, NOW) is not None
