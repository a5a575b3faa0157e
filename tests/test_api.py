"""What holds for every call: who may make it, the one error shape, and the OpenAPI document."""

import base64

import pytest
from conftest import ADMIN, READER, WRITER, assert_error

from spi_dash.api import ENDPOINTS
from spi_dash.api.auth import ROLES

CALLERS = {"anonymous": None, "reader": READER, "writer": WRITER, "admin": ADMIN}
CALLER_ROLES = {"reader": "read_only_user", "writer": "read_write_user", "admin": "admin"}
PATHS = [
    (endpoint.path.replace("<what>", endpoint.whats[0] if endpoint.whats else "data"), endpoint)
    for endpoint in ENDPOINTS
]
ids = [endpoint.name for endpoint in ENDPOINTS]


@pytest.mark.usefixtures("accounts")
@pytest.mark.parametrize("path, endpoint", PATHS, ids=ids)
def test_who_may_call_what(client, path, endpoint):
    for caller, auth in CALLERS.items():
        response = client.post(path, json=[], auth=auth)
        if auth is None:
            assert_error(response, 401, "unauthorized")
        elif CALLER_ROLES[caller] in ROLES[endpoint.role]:
            assert response.status_code not in (401, 403), (caller, response.text)
        else:
            assert_error(response, 403, "forbidden")
        if response.status_code in (401, 403):
            assert response.headers["WWW-Authenticate"] == 'Basic realm="Authentication Required"'


@pytest.mark.parametrize("path, endpoint", PATHS, ids=ids)
def test_only_post(client, path, endpoint):
    for method in ("get", "put", "patch", "delete"):
        response = getattr(client, method)(path, auth=ADMIN)
        assert_error(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path, endpoint", PATHS, ids=ids)
def test_broken_bodies(client, path, endpoint):
    if endpoint.body in ("none", "files"):
        return
    assert_error(client.post(path, data="[{", auth=ADMIN, content_type="application/json"), 400, "bad_request")
    assert_error(client.post(path, data="[]", auth=ADMIN, content_type="text/plain"), 415, "unsupported_media_type")
    assert_error(client.post(path, json=17, auth=ADMIN), 422, "invalid_input")
    assert_error(client.post(path, json=[17], auth=ADMIN), 422, "invalid_input")


@pytest.mark.parametrize(
    "path", ["/nope", "/get_images", "/get_images/", "/get_images/metadata/x", "/get_image_series/nope"]
)
def test_unknown_paths(client, path):
    assert_error(client.post(path, json=[], auth=ADMIN), 404, "not_found")


def test_unknown_users_and_odd_credentials(client):
    header = base64.b64encode(b"null:").decode()
    for auth in (
        ("null", ""),
        ("", ""),
        ("nobody", "x"),
        ("admin", "wrong"),
        ("a\u00e9\u4e2d", "x"),
        ("x" * 5000, "y"),
    ):
        assert_error(client.post("/get_token", auth=auth), 401, "unauthorized")
    for value in (
        f"Basic {header}",
        "Basic",
        "Basic !!!",
        "Bearer x",
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
    ):
        assert_error(client.post("/get_token", headers={"Authorization": value}), 401, "unauthorized")


def test_bugs_are_json_too(client, monkeypatch):
    monkeypatch.setattr("spi_dash.services.users.list_users", lambda *_: 1 / 0)
    error = assert_error(client.post("/get_users", auth=ADMIN), 500, "internal")
    assert error["details"]["request_id"]


def test_the_database_being_away_is_503(client, monkeypatch, spi):
    from sqlalchemy.exc import OperationalError

    def fail(*_):
        raise OperationalError("SELECT", {}, ConnectionError())

    token = client.post("/get_token", auth=ADMIN).json["token"]
    monkeypatch.setattr("spi_dash.services.users.list_users", fail)
    response = client.post("/get_users", auth=(token, ""))
    assert_error(response, 503, "unavailable")
    assert int(response.headers["Retry-After"]) > 0


def test_the_document_names_every_call(client):
    document = client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {endpoint.path.replace("<what>", "{what}") for endpoint in ENDPOINTS}
    for item in document["paths"].values():
        assert item["post"]["summary"] and {"200", "401", "403", "422"} <= set(item["post"]["responses"])
    page = client.get("/api-docs")
    assert page.status_code == 200 and "_put_new_images" in page.text


def test_health(client):
    assert client.get("/healthz").json == client.get("/readyz").json == {"status": "ok"}
