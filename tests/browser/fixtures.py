"""Test modules say `pytest_plugins = ["browser.fixtures"]`: a real Chromium, on a real server with a few pictures.

A test fails on any request that leaves this machine, and on errors in the console.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser.chromium import CHROMIUM, OPTIONS
from browser.lab import fill, sign_in
from live import Live, live_server
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect

expect.set_options(timeout=20_000)  # nothing is timed here, and other tests run beside these


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """For tests that need a person of their own: each has a fresh profile, which parses all scripts anew."""
    _need_chromium()
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def profile(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """A profile on disk, as people have one: it keeps scripts, and what was made of them, from test to test."""
    _need_chromium()
    folder = tmp_path_factory.mktemp("profile")
    profile = playwright.chromium.launch_persistent_context(
        folder, executable_path=CHROMIUM, args=OPTIONS, viewport={"width": 1440, "height": 900}
    )
    yield profile
    profile.close()


def _need_chromium() -> None:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A running server with the traps of browser.lab."""
    with live_server(tmp_path_factory.mktemp("lab")) as live:
        fill(live.app.test_client())
        yield live


@pytest.fixture
def page(profile: BrowserContext, lab: Live) -> Iterator[Page]:
    """A page of somebody who is signed in, still empty; of earlier tests only the cache is left.

    The test fails on requests that leave the machine, and on errors in the console.
    """
    page = profile.new_page()
    _forget(page, lab)
    outside, errors = [], []
    page.on("request", lambda r: outside.append(r.url) if not r.url.startswith((lab.url, "data:", "blob:")) else None)
    page.on("console", lambda message: errors.append(message.text) if is_error(message) else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(profile, lab)
    yield page
    for each in profile.pages[1:]:  # the first one is the browser's own, without which it ends
        each.close()
    profile.clear_permissions()
    assert (outside, errors) == ([], [])


def _forget(page: Page, lab: Live) -> None:
    page.context.clear_cookies()
    session = page.context.new_cdp_session(page)
    session.send("Storage.clearDataForOrigin", {"origin": lab.url, "storageTypes": "local_storage,indexeddb"})
    session.detach()


def is_error(message: ConsoleMessage) -> bool:
    """An expired session is refused, and the browser says so in the console: that is as it should be."""
    return message.type == "error" and "401 (UNAUTHORIZED)" not in message.text


@pytest.fixture
def visit(page: Page, lab: Live) -> Callable[[str], Page]:
    """Open a page and wait until its rows, and then the controls, are drawn."""

    def go(search: str = "?start=2022-07-01&end=2022-07-01&zone=utc") -> Page:
        page.goto(f"{lab.url}/{search}")
        page.wait_for_selector(".row canvas", state="attached")
        page.wait_for_function("() => !document.body.classList.contains('is-loading') && spi.scope.controls")
        return page

    return go
