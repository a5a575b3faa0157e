"""The gate before the pages, and the sign-in form."""

import re
from datetime import datetime, timedelta
from types import SimpleNamespace

import flask
import pytest

from spi_dash import db, gate, policy
from spi_dash.config import Config
from spi_dash.services import passwords, sign_ins, users

NOW = datetime(2026, 7, 1, 12)
PASSWORD = "R3ad_0nly"
SESSION, FORM = gate.SESSION_COOKIE, gate.FORM_COOKIE


@pytest.fixture
def clock(monkeypatch):
    """What the gate takes for now; `clock.now` can be moved."""
    clock = SimpleNamespace(now=NOW)
    monkeypatch.setattr(gate, "utcnow", lambda: clock.now)
    return clock


@pytest.fixture
def spi(sqlite_database: db.Database, tmp_path, clock):
    secrets = {"secret_key": "a secret key for tests", "admin_password": "x", "uid_password": "x"}
    config = Config(data_dir=tmp_path, database_url="sqlite://", **secrets)
    with sqlite_database.begin() as session:
        ada = users.add_user(session, username="ada", password=PASSWORD, now=NOW)
    return SimpleNamespace(
        config=config,
        begin=sqlite_database.begin,
        read=sqlite_database.read,
        passwords=passwords.PasswordCache(),
        ada=ada,
    )


@pytest.fixture
def server(spi):
    """A server with the gate, pages as Dash has them, and routes that look after themselves."""
    server = flask.Flask("spi_dash")
    server.extensions["spi_dash"] = spi
    policy.register_policy(server)
    gate.register_gate(server)
    for name in ("api", "files"):
        blueprint = flask.Blueprint(name, __name__)
        blueprint.add_url_rule(f"/{name}/call", "call", lambda: "open", methods=["GET", "POST"])
        server.register_blueprint(blueprint)
    server.add_url_rule("/", "page", lambda: f"page of {flask.g.user.username}")
    server.add_url_rule("/<path:path>", "any page", lambda path: f"csrf={flask.g.csrf_token}")
    server.add_url_rule("/<path:path>", "unknown", lambda path: ("unknown", 404), methods=["POST", "PUT"])
    server.add_url_rule("/assets/<path:path>", "assets", lambda path: "style", methods=["GET", "POST"])
    server.add_url_rule("/_dash-component-suites/<string:name>/<path:path>", "suites", lambda name, path: "code")
    for path in ("/_dash-layout", "/_dash-dependencies", "/_reload-hash"):
        server.add_url_rule(path, path, lambda: "secret")
    server.add_url_rule("/_dash-update-component", "update", lambda: "secret", methods=["POST"])
    server.add_url_rule("/save", "save", lambda: "saved", methods=["POST", "DELETE"])
    return server


@pytest.fixture
def client(server):
    return server.test_client()


def field(response, name):
    return re.search(rf'name="{name}"[^>]* value="([^"]*)"', response.text)[1].replace("&amp;", "&")


def sign_in(client, password=PASSWORD, username="ada", path="/sign-in", **options):
    form = client.get(path, **options)
    data = {"username": username, "password": password, "csrf": field(form, "csrf"), "next": field(form, "next")}
    return client.post("/sign-in", data=data, **options)


def sign_in_ids(spi):
    with spi.read() as session:
        return [sign_in.id for sign_in in sign_ins.list_sign_ins(session, spi.ada.id, NOW)]


def assert_refused(response, status=401, code="unauthorized"):
    assert response.status_code == status
    assert set(response.json) == {"error"} and set(response.json["error"]) == {"code", "message", "details"}
    assert response.json["error"]["code"] == code
    assert "WWW-Authenticate" not in response.headers  # the browser would ask in a box of its own
    assert_secure(response)


def assert_secure(response):
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "unsafe" not in policy


# Who is not signed in


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/"),
        ("/data?start=2026-06-01&device=0a1b2c3d", "/data?start=2026-06-01&device=0a1b2c3d"),
        ("/image/0a1b2c3d/2026-06-01", "/image/0a1b2c3d/2026-06-01"),
        ("/d%C3%A9j%C3%A0%20vu", "/d%C3%A9j%C3%A0%20vu"),
        ("/static/any", "/static/any"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_leads_to_the_form_and_back(client, path, target, method):
    response = client.open(path, method=method)
    assert response.status_code == 303
    assert_secure(response)
    assert response.location.startswith("/sign-in?next=") and "expired" not in response.location
    if method == "GET":
        assert field(client.get(response.location), "next") == target
        back = sign_in(client, path=response.location)
        assert (back.status_code, back.location) == (303, target)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_dash-layout"),
        ("GET", "/_dash-dependencies"),
        ("GET", "/_reload-hash"),
        ("GET", "/_dash-anything"),
        ("POST", "/_dash-update-component"),
        ("GET", "/_dash-update-component"),
        ("PUT", "/_dash-update-component"),
        ("OPTIONS", "/_dash-update-component"),
        ("POST", "/_dash-layout"),
        ("POST", "/_dash-component-suites/dash/dash.js"),
        ("POST", "/assets/spi.css"),
        ("POST", "/save"),
        ("DELETE", "/save"),
        ("OPTIONS", "/save"),
        ("OPTIONS", "/"),
    ],
)
def test_everything_else_is_refused_in_json(client, method, path):
    assert_refused(client.open(path, method=method))
    client.set_cookie(SESSION, "rubbish")
    assert_refused(client.open(path, method=method))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/call"),
        ("GET", "/files/call"),
        ("GET", "/assets/spi.css"),
        ("HEAD", "/_dash-component-suites/dash/dash.js"),
        ("GET", "/sign-in"),
    ],
)
def test_what_is_public_or_asks_by_itself_is_let_through(client, method, path):
    assert client.open(path, method=method).status_code == 200


def test_a_call_of_an_endpoint_that_does_not_exist_is_told_so(client):
    assert client.post("/get_nothing").status_code == 404
    assert client.post("/").status_code == 405


@pytest.mark.parametrize(
    "path", ["/assets/../_dash-layout", "//_dash-layout", "/%5fdash-layout", "/assets/..%2f_dash-layout", "/ASSETS/x"]
)
def test_detours_lead_nowhere(client, path):
    response = client.get(path, follow_redirects=False)
    assert "secret" not in response.text and "csrf=" not in response.text
    assert response.status_code in (200, 303, 308, 401) and (response.status_code != 200 or response.text == "style")


# The form


def test_the_form_can_be_read_by_machines_and_loads_nothing(client):
    response = client.get("/sign-in")
    assert response.status_code == 200
    assert_secure(response)
    assert "http" not in response.text.replace('http-equiv="', "") and "<script" not in response.text
    assert re.search(r'<label for="username">', response.text) and re.search(r'<label for="password">', response.text)
    assert re.search(r'id="username"[^>]*autofocus', response.text)
    assert 'autocomplete="current-password"' in response.text and 'lang="en"' in response.text
    nonce = re.search(r'<style nonce="([^"]+)"', response.text)[1]
    assert f"style-src 'nonce-{nonce}'" in response.headers["Content-Security-Policy"]
    assert nonce not in client.get("/sign-in").text
    assert 'role="alert"' not in response.text


def test_signing_in_opens_the_pages(client, spi):
    response = sign_in(client)
    assert (response.status_code, response.location) == (303, "/")
    assert_secure(response)
    (cookie,) = [text for text in response.headers.getlist("Set-Cookie") if text.startswith(f"{SESSION}=")]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie and "Secure" not in cookie
    assert client.get("/").text == "page of ada"
    assert client.post("/_dash-update-component").text == "secret"
    assert client.post("/save").text == "saved"
    again = client.get("/sign-in?next=/data")
    assert (again.status_code, again.location) == (303, "/data")
    assert len(sign_in_ids(spi)) == 1


def test_over_https_cookies_are_bound_to_it_and_to_this_host(client):
    response = sign_in(client, base_url="https://lab.example.org")
    assert response.status_code == 303
    (cookie,) = [text for text in response.headers.getlist("Set-Cookie") if SESSION in text]
    assert cookie.startswith(f"__Host-{SESSION}=") and "; Secure;" in cookie and "Domain" not in cookie
    assert client.get("/", base_url="https://lab.example.org").text == "page of ada"


def test_each_sign_in_has_a_new_session_and_ends_the_one_before(client, spi):
    form = client.get("/sign-in")
    data = {"username": " ada ", "password": PASSWORD, "csrf": field(form, "csrf")}
    client.set_cookie(SESSION, "set by somebody else")
    cookies = []
    for _ in range(2):
        assert client.post("/sign-in", data=data).status_code == 303
        cookies.append(client.get_cookie(SESSION).value)
    assert cookies[0] != cookies[1] and "set by somebody else" not in cookies
    assert sign_in_ids(spi) == [cookies[1].split(".")[0]]


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.org",
        "//evil.example.org",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "/\t/evil.example.org",
        "/\n/evil.example.org",
        "/data\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "data",
        "",
        " /data",
        "/ü",
        "/_dash-layout",
        "/sign-in?next=/",
        "/sign-out",
        "/" + "a" * 5000,
    ],
)
def test_next_never_leaves_this_server(client, target):
    assert gate.safe_next(target) == "/"
    assert field(client.get("/sign-in", query_string={"next": target}), "next") == "/"
    form = client.get("/sign-in")
    data = {"username": "ada", "password": PASSWORD, "csrf": field(form, "csrf"), "next": target}
    assert client.post("/sign-in", data=data).location == "/"


@pytest.mark.parametrize("target", ["/", "/data", "/data?start=2026-06-01&zone=UTC#x", "/sign-ins", "/image/a/b"])
def test_next_may_be_any_page(target):
    assert gate.safe_next(target) == target


def test_wrong_passwords_and_unknown_names_are_told_the_same(client, spi):
    pages = []
    for username in ("ada", "nobody"):
        response = sign_in(client, "wrong", username)
        assert response.status_code == 401
        assert_secure(response)
        assert "WWW-Authenticate" not in response.headers
        assert 'role="alert"' in response.text and "Wrong user name or password." in response.text
        assert field(response, "username") == username and "wrong" not in field(response, "csrf")
        assert re.search(r'id="password"[^>]*autofocus', response.text)
        pages.append(re.sub(r'(nonce|value)="[^"]*"', "", response.text))
    assert pages[0] == pages[1]
    assert client.get_cookie(SESSION) is None and sign_in_ids(spi) == []


def test_what_is_typed_is_escaped(client):
    response = sign_in(client, "wrong", '"><script>alert(1)</script>', path="/sign-in?next=/data%22%3E%3Cscript%3E")
    assert response.status_code == 401
    assert "<script" not in response.text


def test_too_many_wrong_passwords_have_to_wait(client, clock):
    statuses = [sign_in(client, f"guess {index}").status_code for index in range(6)]
    assert statuses == [401] * 5 + [429]
    response = sign_in(client)
    assert response.status_code == 429 and response.headers["Retry-After"] == "1"
    assert "try again in 1 s" in response.text
    clock.now += timedelta(seconds=2)
    assert sign_in(client).status_code == 303


@pytest.mark.parametrize("csrf", ["", "rubbish", "é", "of another browser"])
def test_a_form_that_is_not_ours_signs_nobody_in(client, server, spi, csrf):
    client.get("/sign-in")
    if csrf == "of another browser":
        csrf = field(server.test_client().get("/sign-in"), "csrf")
    response = client.post("/sign-in", data={"username": "ada", "password": PASSWORD, "csrf": csrf, "next": "/data"})
    assert response.status_code == 400
    assert "Please try again" in response.text and field(response, "next") == "/data"
    assert sign_in_ids(spi) == []


def test_a_browser_without_cookies_is_told(server):
    client = server.test_client(use_cookies=False)
    assert "takes no cookies" in sign_in(client).text


def test_two_forms_of_one_browser_both_work(client):
    first = client.get("/sign-in")
    client.get("/sign-in")
    data = {"username": "ada", "password": PASSWORD, "csrf": field(first, "csrf")}
    assert client.post("/sign-in", data=data).status_code == 303


def test_a_huge_form_is_refused(client):
    form = client.get("/sign-in")
    data = {"username": "ada", "password": "x" * 100_000, "csrf": field(form, "csrf")}
    assert client.post("/sign-in", data=data).status_code == 413


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_requests_from_other_sites_change_nothing(client, spi, site):
    headers = {"Sec-Fetch-Site": site}
    form = client.get("/sign-in", headers=headers)
    data = {"username": "ada", "password": PASSWORD, "csrf": field(form, "csrf")}
    assert client.post("/sign-in", data=data, headers=headers).status_code == 400
    sign_in(client)
    assert client.get("/", headers=headers).text == "page of ada"  # a link in a mail
    assert_refused(client.post("/save", headers=headers), 403, "forbidden")
    assert client.post("/save", headers={"Sec-Fetch-Site": "same-origin"}).text == "saved"
    data = {"csrf": client.get("/data").text.removeprefix("csrf=")}
    assert_refused(client.post("/sign-out", data=data, headers=headers), 403, "forbidden")
    assert len(sign_in_ids(spi)) == 1


# The end of a session


def test_an_expired_session_is_polite_and_returns(client, clock):
    sign_in(client)
    clock.now += timedelta(hours=11)
    assert client.get("/").status_code == 200
    clock.now += timedelta(hours=11)
    assert client.get("/").status_code == 200
    clock.now += timedelta(hours=13)
    assert_refused(client.post("/_dash-update-component"))
    response = client.get("/data?zone=UTC")
    assert response.status_code == 303 and "expired=1" in response.location
    form = client.get(response.location)
    assert "session has expired" in form.text and field(form, "next") == "/data?zone=UTC"
    assert sign_in(client, path=response.location).location == "/data?zone=UTC"


def test_a_revoked_session_ends_at_once(client, spi):
    sign_in(client)
    with spi.begin() as session:
        sign_ins.revoke_all(session, spi.ada.id, NOW)
    assert_refused(client.post("/_dash-update-component"))


def test_signing_out_ends_the_session_for_good(client, spi):
    sign_in(client)
    cookie = client.get_cookie(SESSION).value
    response = client.post("/sign-out", data={"csrf": client.get("/data").text.removeprefix("csrf=")})
    assert (response.status_code, response.location) == (303, "/sign-in?signed_out=1")
    assert client.get_cookie(SESSION) is None and sign_in_ids(spi) == []
    assert "signed out" in client.get(response.location).text
    client.set_cookie(SESSION, cookie)
    assert_refused(client.post("/_dash-update-component"))
    assert client.post("/sign-out").status_code == 303  # a second time does no harm


@pytest.mark.parametrize("csrf", ["", "rubbish", "of the form"])
def test_signing_out_takes_a_form_of_ours(client, spi, csrf):
    csrf = field(client.get("/sign-in"), "csrf") if csrf == "of the form" else csrf
    sign_in(client)
    assert_refused(client.post("/sign-out", data={"csrf": csrf}), 403, "forbidden")
    assert client.get("/sign-out").status_code in (303, 405, 200)
    assert len(sign_in_ids(spi)) == 1
