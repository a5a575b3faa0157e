"""What Explore asks the server for, and when; and what its buttons change."""

from datetime import datetime

import pytest
from browser.lab import TRAPS, add_outlines
from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]


@pytest.fixture
def asked(page):
    """The paths of all requests from now on, but for the icon."""
    paths = []
    page.on("request", lambda request: paths.append(request.url.split("/", 3)[3]))
    return paths


def ask(page, times: int = 1) -> None:
    """As the clock of the page does every five seconds."""
    for _ in range(times):
        page.evaluate("spi.live.ask()")


def test_nothing_travels_but_one_number_while_nothing_changes(visit, page, asked):
    visit()
    expect(page.locator(".live-text")).to_contain_text("updated")
    page.wait_for_load_state("networkidle")
    asked.clear()
    ask(page, 3)
    assert set(asked) == {"frames/change.json"}


def test_a_hidden_page_asks_for_nothing(visit, page, asked):
    visit()
    expect(page.locator(".live-text")).to_contain_text("updated")
    page.evaluate("Object.defineProperty(document, 'hidden', {configurable: true, get: () => true})")
    asked.clear()
    ask(page, 3)
    assert asked == []
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => performance.getEntriesByType('resource').at(-1).name.endsWith('change.json')")


def test_after_the_session_has_ended_nothing_more_is_asked(visit, page, asked):
    visit()
    expect(page.locator(".live-text")).to_contain_text("updated")
    page.context.clear_cookies()
    page.route(
        "**/sign-in?*", lambda route: route.fulfill(status=204)
    )  # the page stays, as while the form is on its way
    page.evaluate("void spi.live.ask()")  # which never ends: the page is left
    page.wait_for_function("() => spi.session.leaving")
    asked.clear()
    ask(page, 3)
    assert [path for path in asked if "change.json" in path] == []


def test_thumbnails_come_in_one_request_per_row_and_not_again(visit, page, asked):
    visit()
    expect(page.locator(".cell.loaded").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert len([path for path in asked if "/strip/" in path]) == 2
    asked.clear()
    page.mouse.wheel(0, 400)
    page.mouse.wheel(0, -400)
    page.evaluate("spi.explore.again()")
    assert [path for path in asked if "/strip/" in path] == []
    page.evaluate("spi.pointer.zoom(1656633600, 1656648000)")
    page.wait_for_url("**start=2022-07-01T00:00Z**")
    page.wait_for_function("() => !document.body.classList.contains('is-loading')")
    page.wait_for_load_state("networkidle")
    assert 2 <= len([path for path in asked if "/strip/" in path]) <= 4  # from what is there at once, then finer


def test_plots_do_not_wait_for_thumbnails(visit, page):
    held = []
    page.route("**/strip/*.jpg", lambda route: held.append(route))
    visit()
    ink = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean)"""
    assert page.locator("canvas.plot").first.evaluate(ink)
    assert len(held) == 2
    expect(page.locator(".cell.loaded")).to_have_count(0)
    for route in held:
        route.continue_()
    expect(page.locator(".cell.loaded").first).to_be_visible()


def test_series_and_scales_are_switched(visit, page):
    visit()
    plot, picture = page.locator("canvas.plot").first, "(canvas) => canvas.toDataURL()"
    everything = plot.evaluate(picture)
    for name in ("temperature", "humidity", "insects"):
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        expect(button).to_have_attribute("aria-pressed", "false")
        assert plot.evaluate(picture) != everything
        button.click()
        assert plot.evaluate(picture) == everything
    page.get_by_role("button", name="same scale").click()
    assert page.evaluate("[spi.explore.shared, spi.series.scales(spi.explore.rows.slice(0, 1)).insects > 0]") == [
        False,
        True,
    ]


def test_another_version_of_the_detector_counts_anew(visit, page, lab):
    add_outlines(lab.app.test_client(), TRAPS[0], [datetime(2022, 7, 1, 3)], version="0.8")
    visit()
    page.get_by_role("textbox", name="Detector").click()
    page.get_by_role("option", name="detector 0.8").click()
    page.wait_for_url("**detector=uid%200.8**")
    expect(page.locator(".summary")).to_contain_text("1 outline in 1 of them (59 awaiting detection), detector 0.8")


@pytest.fixture
def slow(page):
    """Answers about July's third day wait until they are let go; the others come as they are."""
    held = []

    def hold(route) -> None:
        late = '"search":"?start=2022-07-03' in (route.request.post_data or "")
        held.append(route) if late else route.continue_()

    page.route("**/_dash-update-component*", hold)
    return held


def test_a_late_answer_never_replaces_a_newer_one(visit, page, slow):
    visit()
    page.evaluate("spi.scope.go({start: '2022-07-03', end: '2022-07-03'})")
    expect(page.locator(".loading")).to_be_visible()
    page.evaluate("spi.scope.go({start: '2022-07-01T00:00Z', end: '2022-07-01T04:00Z'})")
    expect(page.locator(".summary")).to_contain_text("24 pictures of 2 traps")
    shown = page.evaluate("[spi.explore.view.start, spi.explore.view.end]")
    for route in slow:
        route.continue_()
    page.wait_for_load_state("networkidle")
    expect(page.locator(".summary")).to_contain_text("24 pictures of 2 traps")
    assert page.evaluate("[spi.explore.view.start, spi.explore.view.end]") == shown


@pytest.mark.parametrize("by", ["key", "button"])
def test_waiting_for_other_dates_is_given_up(visit, page, slow, by):
    visit()
    expect(page.locator(".dates")).to_contain_text("1 Jul 2022")  # controls are drawn after the plots
    before, dates = page.url, page.locator(".dates").inner_text()
    page.evaluate("spi.scope.go({start: '2022-07-03', end: '2022-07-03'})")
    button = page.get_by_role("button", name="Cancel (Esc)")
    expect(button).to_be_visible()
    button.click() if by == "button" else page.keyboard.press("Escape")
    expect(button).to_be_hidden()
    expect(page.locator(".dates")).to_contain_text(dates)
    assert page.url == before
    for route in slow:
        route.continue_()
    page.wait_for_load_state("networkidle")
    expect(page.locator(".summary")).to_contain_text("60 pictures of 2 traps")
    page.evaluate("spi.scope.go({start: '2022-07-01T00:00Z', end: '2022-07-01T04:00Z'})")
    expect(page.locator(".summary")).to_contain_text("24 pictures of 2 traps")


def test_paper_shows_all_rows_in_light_colours_with_dates_and_keys(visit, page):
    page.emulate_media(color_scheme="dark")
    visit()
    scheme = "document.documentElement.dataset.mantineColorScheme"
    assert page.evaluate(f"{scheme}") == "dark"
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(f"[{scheme}, [...spi.explore.nodes.values()].some((node) => node.spiStale)]") == [
        "light",
        False,
    ]
    for selector, seen in ((".dates", True), (".legend .key", True), ("header", False), (".quicks", False)):
        assert page.locator(selector).first.is_visible() is seen
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(scheme) == "dark"
