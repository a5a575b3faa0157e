"""Every route of the whole server, without a sign-in: closed, but for those that are named here."""

import pytest
from conftest import READER, assert_error

OPEN = {
    "/healthz": "for monitors",
    "/readyz": "for monitors",
    "/metrics": "for monitors of the own network",
    "/openapi.json": "what the calls are, not what they say",
    "/api-docs": "likewise",
    "/sign-in": "the way in",
    "/assets/<path:filename>": "scripts, styles and icons of the pages",
    "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": "the libraries' own scripts",
}
FILLED = {"<path:filename>": "00-base.css", "<string:package_name>": "dash", "<path:fingerprinted_path>": "x.js"}
REFUSALS = {303, 401, 403, 404, 405}


def routes(server):
    for rule in server.url_map.iter_rules():
        path = rule.rule
        for variable, value in FILLED.items():
            path = path.replace(variable, value)
        while "<" in path:
            path = path[: path.index("<")] + "1" + path[path.index(">") + 1 :]
        for method in sorted(rule.methods - {"OPTIONS", "HEAD"}):
            yield rule.rule, path, method


def test_strangers_find_closed_doors(server, client):
    tried = 0
    for rule, path, method in routes(server):
        response = client.open(path, method=method, json={} if method != "GET" else None, buffered=True)
        response.close()
        tried += 1
        if rule in OPEN and (method == "GET" or rule == "/sign-in"):
            assert response.status_code in (200, 400, 404), (method, path)
            continue
        assert response.status_code in REFUSALS, (method, path, response.status_code)
        if response.status_code == 303:
            assert response.headers["Location"].startswith("/sign-in"), (method, path)
        elif path.startswith("/_dash"):
            assert_error(response, response.status_code)
    assert tried > 60


@pytest.mark.usefixtures("accounts")
def test_a_password_of_the_api_opens_no_page(client):
    """HTTP Basic is for devices: browsers would send it along with requests that other sites make."""
    for path in ("/_dash-layout", "/_dash-dependencies"):
        assert_error(client.get(path, auth=READER), 401, "unauthorized")
    assert_error(client.post("/_dash-update-component", json={}, auth=READER), 401, "unauthorized")
    assert client.get("/", auth=READER).status_code == 303
