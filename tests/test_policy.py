"""The Content-Security-Policy of every kind of answer, and the pages that errors are."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from conftest import ADMIN, assert_error

from spi_dash.config import S3Config

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def person(client):
    """Signed in."""
    form = client.get("/sign-in").text
    csrf = re.search('name="csrf" value="([^"]+)"', form)[1]
    fields = {"csrf": csrf, "next": "/", "username": ADMIN[0], "password": ADMIN[1]}
    assert client.post("/sign-in", data=fields).status_code == 303
    return client


def policy(response) -> dict[str, list[str]]:
    """Directive -> sources; each directive is there once."""
    (value,) = response.headers.getlist("Content-Security-Policy")
    found = [part.split() for part in value.split(";")]
    assert len({name for name, *_ in found}) == len(found)
    return {name: sources for name, *sources in found}


class Scripts(HTMLParser):
    """The inline scripts that a browser runs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.inline: list[str] = []
        self._runs = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        kind = dict(attrs).get("type", "text/javascript")
        self._runs = tag == "script" and "src" not in dict(attrs) and kind.endswith("javascript")

    def handle_data(self, data):
        if self._runs:
            self.inline.append(data)
        self._runs = False


def hash_of(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@pytest.mark.parametrize("path", ["/", "/data", "/tuboids", "/projects", "/settings", "/image/0a1b2c3d/x"])
def test_pages_run_their_own_scripts_only(person, path):
    response = person.get(path, headers=HTML)
    rules, scripts = policy(response), Scripts(response.text).inline
    assert rules["script-src"][0] == "'self'" and scripts
    assert set(rules["script-src"][1:]) == {hash_of(script) for script in scripts}
    assert rules["default-src"] == rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]
    assert rules["connect-src"] == rules["form-action"] == rules["font-src"] == ["'self'"]
    assert rules["img-src"] == ["'self'", "data:", "blob:"]
    assert "unsafe-eval" not in str(rules)
    assert [name for name, sources in rules.items() if "'unsafe-inline'" in sources] == ["style-src"]


@pytest.mark.parametrize(
    "host, public, origin",
    [
        ("s3.lab.test", None, "https://s3.lab.test"),
        ("http://spi_s3:3900", "s3.lab.test", "https://s3.lab.test"),
        ("s3.lab.test", "http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
    ],
)
def test_originals_come_from_the_public_s3_server(restart, host, public, origin):
    s3 = S3Config(host=host, access_key="a", private_key="b", bucket="c", public_host=public)
    client = restart(s3=s3).test_client()
    form = client.get("/sign-in").text
    csrf = re.search('name="csrf" value="([^"]+)"', form)[1]
    client.post("/sign-in", data={"csrf": csrf, "next": "/", "username": ADMIN[0], "password": ADMIN[1]})
    assert policy(client.get("/"))["img-src"] == ["'self'", "data:", "blob:", origin]


def test_what_is_no_page_may_do_nothing(client, make_image, post):
    make_image()
    for response in (client.get("/healthz"), client.post("/get_users", auth=ADMIN), client.get("/")):
        assert policy(response)["default-src"] == ["'none'"] and "script-src" not in policy(response)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/sign-in", "/api-docs"])
def test_pages_that_stand_alone_carry_a_nonce(client, path):
    response, other = client.get(path), client.get(path)
    (nonce,) = set(re.findall('nonce="([^"]+)"', response.text))
    assert policy(response)["style-src"] == [f"'nonce-{nonce}'"] and "unsafe" not in str(policy(response))
    assert nonce not in other.text and " style=" not in response.text


def test_an_unknown_page_is_404_for_people_and_programs(person):
    page = person.get("/nowhere/at/all", headers=HTML)
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "There is no such page" in page.text and page.headers["X-Request-Id"] in page.text
    assert "again" not in page.text and "unsafe" not in str(policy(page))
    assert_error(person.get("/nowhere/at/all"), 404, "not_found")
    assert person.get("/data/", headers=HTML).status_code == 200


def test_a_bug_shows_its_number_and_nothing_else(server, person, monkeypatch):
    monkeypatch.setitem(server.view_functions, "/", lambda **_: 1 / 0)
    page = person.get("/", headers=HTML)
    assert (page.status_code, page.mimetype) == (500, "text/html")
    assert page.headers["X-Request-Id"] in page.text and "ZeroDivision" not in page.text
    assert assert_error(person.get("/"), 500)["details"]["request_id"]


def test_messages_are_escaped(person):
    page = person.get("/frames/<b>x/1/frame.json", headers=HTML)
    assert page.status_code >= 400 and "<b>" not in page.text


def test_apis_and_scripts_never_get_pages(client, person):
    for path in ("/files/a.jpg", "/assets/none.js", "/get_users", "/_dash-component-suites/x/y.js"):
        response = person.get(path, headers=HTML)
        assert response.status_code >= 400 and response.is_json, path
