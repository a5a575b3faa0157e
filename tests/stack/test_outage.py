"""The database stops, the S3 server goes away: what people see meanwhile, and that they need not reload afterwards."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from browser.lab import START, TRAPS, add_images, add_outlines
from live import ADMIN, PASSWORD, live_server, plain_session
from playwright.sync_api import Page, expect
from stack.proxy import wire_to
from stack.servers import database_variables, s3_variables

pytest_plugins = ["browser.fixtures"]
pytestmark = [pytest.mark.stack, pytest.mark.browser]
DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"
HTML = {"Accept": "text/html,*/*"}
SLOW_MS = 30_000  # the machine is busy, and pages wait between two questions


@pytest.fixture
def outage(tmp_path, own_mariadb, rgw):
    """A server on a database and a wire to S3 that can both be stopped; originals come from S3, another origin."""
    with closing(rgw.client()) as s3:
        s3.create_bucket(Bucket="outage")
    with wire_to(rgw.host) as wire:
        variables = database_variables(own_mariadb.url) | s3_variables(rgw, "outage", f"http://127.0.0.1:{wire.port}")
        with live_server(tmp_path, **variables) as live:
            client = live.app.test_client()
            for trap in TRAPS:
                add_images(client, trap, [START, START.replace(hour=1)])
            add_outlines(client, TRAPS[0], [START])
            yield live, wire, own_mariadb


@pytest.fixture
def page(browser, outage, rgw) -> Iterator[Page]:
    """Signed in. Refusals are seen in the console, but nothing else is: no violation of the policy either."""
    live, *_ = outage
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page, errors, outside = context.new_page(), [], set()
    context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    context.on("request", lambda request: outside.add("/".join(request.url.split("/")[:3])))
    page.goto(f"{live.url}/sign-in")
    page.fill("input[name=username]", ADMIN)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    yield page
    context.close()
    assert [each for each in errors if "status of 503" not in each] == []
    assert outside <= {live.url, rgw.host, "data:"}


def test_the_database_stops_and_comes_back(page, outage):
    live, _, mariadb = outage
    page.goto(f"{live.url}/{DAY}")
    expect(page.locator(".row canvas").first).to_be_attached(timeout=SLOW_MS)
    page.evaluate("window.sameDocument = true")
    banner = page.locator(".outage:visible")
    expect(banner).to_have_count(0)
    page.get_by_role("link", name="Data").hover()
    page.wait_for_function("() => window.dash_ag_grid")
    mariadb.kill()
    page.get_by_role("link", name="Data").click()
    expect(banner).to_have_text("The server cannot reach its database. Trying again.", timeout=SLOW_MS)
    expect(page.locator(".toast.shown")).to_have_count(0)
    other = page.context.new_page()
    answer = other.goto(f"{live.url}/settings")
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
    expect(other.get_by_role("heading")).to_have_text("The server cannot show this now")
    expect(other.get_by_text("The database does not answer")).to_be_visible()
    expect(other.locator(".hint")).to_have_text(f"Request {answer.headers['x-request-id']}")
    _what_programs_get(live, {each["name"]: each["value"] for each in page.context.cookies()})
    mariadb.start()
    expect(page.locator(".ag-center-cols-container .ag-row").first).to_be_visible(timeout=SLOW_MS)
    expect(banner).to_have_count(0)
    assert page.evaluate("window.sameDocument")
    expect(other.get_by_role("heading", name="Settings", exact=True)).to_be_visible(timeout=SLOW_MS)


def _what_programs_get(live, cookies: dict[str, str]) -> None:
    with plain_session() as session:
        session.cookies.update(cookies)
        for path in ("/_dash-layout", "/frames/change.json", "/data"):
            answer = session.get(live.url + path, headers={"Accept": "*/*"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable"), path
            assert int(answer.headers["Retry-After"]) > 0
        for path in ("/_dash-layout", "/readyz"):
            assert session.get(live.url + path, headers=HTML).headers["Content-Type"] == "application/json"
        answer = session.get(f"{live.url}/data", headers=HTML)
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert int(answer.headers["Retry-After"]) > 0 and "http-equiv" not in answer.text


def test_what_is_done_during_an_outage_is_refused_and_not_done_later(page, outage):
    live, _, mariadb = outage
    page.goto(f"{live.url}/projects")
    page.get_by_role("button", name="New project").click()
    dialog = page.locator("dialog")
    dialog.get_by_label("Name", exact=True).fill("orchard")
    mariadb.kill()
    page.keyboard.press("Enter")
    words = "The server cannot reach its database. Nothing was changed."
    expect(dialog.locator(".problem:visible")).to_have_text(words, timeout=SLOW_MS)
    mariadb.start()
    expect(page.locator(".outage:visible")).to_have_count(0, timeout=SLOW_MS)
    assert live.app.test_client().post("/get_projects", auth=(ADMIN, PASSWORD)).json == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="orchard")).to_be_visible(timeout=SLOW_MS)


def test_the_s3_server_goes_and_comes_back(page, outage, rgw):
    live, wire, _ = outage
    sharp = "() => document.querySelector('.stage img.now')?.currentSrc.endsWith('original.jpg')"
    page.goto(f"{live.url}/image/{TRAPS[0]}/2022-07-01_00-00-00{DAY}")
    page.wait_for_function(sharp)
    wire.set("refuses")
    page.goto(f"{live.url}/image/{TRAPS[1]}/2022-07-01_01-00-00{DAY}")
    banner = page.locator(".outage:visible")
    expect(banner).to_have_text("The server cannot reach its file storage. Trying again.", timeout=SLOW_MS)
    expect(page.locator(".toast.shown")).to_have_count(0)
    other = page.context.new_page()
    answer = other.goto(f"{live.url}/frames/{TRAPS[1]}/1656633600/thumbnail.jpg")
    assert (answer.status, int(answer.headers["retry-after"]) > 0) == (503, True)
    expect(other.get_by_text("The object storage does not answer")).to_be_visible()
    wire.set("up")
    expect(banner).to_have_count(0, timeout=SLOW_MS)
    page.wait_for_function("() => document.querySelector('.stage img.now').naturalWidth > 0")
    page.wait_for_function(sharp)
    other.wait_for_function(
        "() => document.images.length === 1 && document.images[0].naturalWidth > 0", timeout=SLOW_MS
    )
