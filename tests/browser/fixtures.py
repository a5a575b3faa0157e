"""Test modules say `pytest_plugins = ["browser.fixtures"]`: a real Chromium, on a real server with a few pictures.

A test fails on any request that leaves this machine, and on errors in the console.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser.lab import fill
from live import ADMIN, PASSWORD, Live, live_server
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running server with the traps of browser.lab."""
    with live_server(tmp_path_factory.mktemp("lab")) as live:
        fill(live.app.test_client())
        yield live


@pytest.fixture
def page(browser: Browser, lab: Live) -> Iterator[Page]:
    """A signed-in page. The test fails on requests that leave the machine, and on errors in the console."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    outside, errors = [], []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith((lab.url, "data:", "blob:")) else None)
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab.url}/sign-in")
    page.fill("input[name=username]", ADMIN)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    yield page
    assert (outside, errors) == ([], [])
    context.close()


def is_error(message: ConsoleMessage) -> bool:
    """An expired session is refused, and the browser says so in the console: that is as it should be."""
    return message.type == "error" and "401 (UNAUTHORIZED)" not in message.text


@pytest.fixture
def visit(page: Page, lab: Live) -> Callable[[str], Page]:
    """Open a page and wait until its rows are drawn."""

    def go(search: str = "?start=2022-07-01&end=2022-07-01&zone=utc") -> Page:
        page.goto(f"{lab.url}/{search}")
        page.wait_for_selector(".row canvas", state="attached")
        page.wait_for_function("!document.body.classList.contains('is-loading')")
        return page

    return go
