"""Tokens and accounts over HTTP."""

import time

import pytest
from conftest import ADMIN, READER, WRITER, assert_error

ROW_KEYS = {
    *("id", "username", "email", "password_hash", "is_admin", "can_write"),
    *("datetime_created", "api_version", "api_user_id"),
}


@pytest.fixture
def with_pages():
    return False


def test_a_token_stands_for_the_password(client, post):
    answer = post("/get_token")
    assert set(answer) == {"token", "expiration"} and isinstance(answer["expiration"], int)
    assert abs(answer["expiration"] - time.time() - 86_400) < 60
    assert ":" not in answer["token"] and answer["token"].isascii()
    again = post("/get_token", auth=(answer["token"], ""))
    assert post("/get_users", auth=(again["token"], "anything"))


def test_tokens_survive_a_restart(post, restart):
    token = post("/get_token")["token"]
    assert restart().test_client().post("/get_users", auth=(token, "")).status_code == 200


@pytest.mark.parametrize("body", ["", "{}", "null"])
@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain"])
def test_get_token_ignores_its_body(client, body, content_type):
    assert client.post("/get_token", data=body, content_type=content_type, auth=ADMIN).status_code == 200


@pytest.mark.parametrize("content_type", [None, "application/json", "text/html"])
def test_no_body_is_null(client, content_type):
    rows = client.post("/get_users", content_type=content_type, auth=ADMIN).json
    assert [row["username"] for row in rows] == ["admin", "spi_uid"]  # exactly these on a fresh server
    assert all(set(row) == ROW_KEYS and row["password_hash"] == "***********" for row in rows)
    assert all(row["is_admin"] is True and row["can_write"] is True for row in rows)


@pytest.mark.usefixtures("accounts")
def test_filters(post):
    def names(*filters):
        return [row["username"] for row in post("/get_users", list(filters))]

    assert names({}) == ["admin", "spi_uid", "writer", "reader"]
    assert names({"username": "%r%"}) == ["writer", "reader"]
    assert names({"id": 1}) == names({"id": [1]}) == names({"username": "ADMIN"}) == ["admin"]
    assert names({"is_admin": 0, "can_write": True}) == ["writer"]
    assert names({"id": 1}, {"id": 1}) == ["admin", "admin"]


@pytest.mark.usefixtures("accounts")
def test_addresses_are_for_admins(post):
    post("/put_users", [{"username": "x", "password": "y", "email": "x@example.org"}])
    assert post("/get_users", [{"username": "x"}])[0]["email"] == "x@example.org"
    assert post("/get_users", [{"username": "x"}], auth=READER)[0]["email"] is None


def test_put_users_answers_all(post):
    users = [
        {"username": f"u{i}", "password": "R3ad_0nly", "is_admin": 0, "email": "", "can_write": 0} for i in range(3)
    ]
    rows = post("/put_users", users)
    assert [row["username"] for row in rows] == ["u0", "u1", "u2"]
    assert rows[0]["can_write"] is False and rows[0]["is_admin"] is False and rows[0]["api_user_id"] == 1


def test_users_before_a_refused_one_stay(client, post):
    users = [
        {"username": "one", "password": "p"},
        {"username": "admin", "password": "p"},
        {"username": "two", "password": "p"},
    ]
    assert_error(client.post("/put_users", json=users, auth=ADMIN), 409, "conflict")
    assert [row["username"] for row in post("/get_users")] == ["admin", "spi_uid", "one"]


@pytest.mark.parametrize(
    "user, field",
    [
        ({"username": "x"}, "password"),
        ({"password": "x"}, "username"),
        ({"username": "x" * 33, "password": "x"}, "username"),
        ({"username": "a:b", "password": "x"}, "username"),
        ({"username": "x", "password": "y", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_named(client, user, field):
    error = assert_error(client.post("/put_users", json=[user], auth=ADMIN), 422, "invalid_input")
    assert error["details"]["field"].endswith(field)


def test_an_unknown_filter_is_named(client):
    error = assert_error(client.post("/get_users", json=[{"colour": "red"}], auth=ADMIN), 422, "invalid_input")
    assert "colour" in error["message"]


@pytest.mark.usefixtures("accounts")
def test_delete_users(client, post):
    token = post("/get_token", auth=WRITER)["token"]
    assert [row["username"] for row in post("/delete_users", [{"username": "writer"}])] == ["writer"]
    assert_error(client.post("/get_users", auth=WRITER), 401)
    assert_error(client.post("/get_users", auth=(token, "")), 401)
    assert_error(client.post("/delete_users", json=[{"username": "admin"}], auth=ADMIN), 409, "conflict")
    assert [row["username"] for row in post("/get_users")] == ["admin", "spi_uid", "reader"]


def test_names_with_wildcards_sign_in_exactly(client, post):
    post("/put_users", [{"username": "a_b", "password": "one"}, {"username": "axb", "password": "two"}])
    assert client.post("/get_token", auth=("a_b", "one")).status_code == 200
    assert_error(client.post("/get_token", auth=("a_b", "two")), 401)
    assert_error(client.post("/get_token", auth=("a%", "one")), 401)


def test_guessing_is_slowed_down_but_tokens_are_not(client, post):
    token = post("/get_token")["token"]
    answers = [client.post("/get_token", auth=("admin", f"guess {i}")) for i in range(25)]
    assert {answer.status_code for answer in answers} == {401, 429}
    response = [answer for answer in answers if answer.status_code == 429][-1]
    assert_error(response, 429, "too_many_requests")
    assert int(response.headers["Retry-After"]) > 0
    assert client.post("/get_users", auth=(token, "")).status_code == 200
    assert client.post("/get_users", auth=ADMIN).status_code == 200  # known to be right a moment ago
