"""What surrounds every page: header and scope bar on narrow screens, titles, links whose dates are odd."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from browser.lab import sign_in
from live import ADMIN, PASSWORD, Live
from playwright.sync_api import Browser, Page, expect

pytest_plugins = ["browser.fixtures"]
DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"
DRAWN = "() => !document.body.classList.contains('is-loading') && spi.scope.controls"
LONG = ("maximiliana-alexandrowna-von-und", "the password of Maximiliana")
SIZES = {390: 844, 600: 800, 650: 800, 768: 1024, 1440: 900}


@contextmanager
def person(browser: Browser, lab: Live, who: tuple[str, str] = (ADMIN, PASSWORD), **options) -> Iterator[Page]:
    """A browser of her own."""
    context = browser.new_context(**options)
    sign_in(context, lab, *who)
    yield context.new_page()
    context.close()


def box(page: Page, selector: str) -> tuple[float, float]:
    """(left, right) in the window."""
    found = page.locator(selector).first.bounding_box()
    return found["x"], found["x"] + found["width"]


def width(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def test_the_calendar_fits_into_a_phone(page, visit):
    page.set_viewport_size({"width": 390, "height": 844})
    visit()
    page.get_by_label("Dates", exact=True).click()
    months = page.locator(".mantine-DatePickerInput-calendarHeader")
    expect(months).to_have_count(1)
    for selector in (".mantine-Popover-dropdown:visible", "button[data-direction=next]:visible"):
        left, right = box(page, selector)
        assert 0 <= left < right <= 390, selector
    assert width(page) == 390
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_label("Dates", exact=True).click()
    expect(months).to_have_count(2)


def test_a_sentence_at_the_foot_of_a_phone_takes_its_width(page, visit):
    page.set_viewport_size({"width": 390, "height": 844})
    visit().evaluate("spi.toast.show('A sentence that says what is wrong, and what somebody could do about it.')")
    left, right = box(page, ".toast.shown")
    assert 0 <= left < 40 and 350 < right <= 390


def test_chosen_dates_stand_on_one_line(page, visit):
    visit("?start=2022-05-20&end=2022-11-30&zone=utc")
    dates = page.get_by_label("Dates", exact=True)
    for each in (*SIZES, 1121, 1281):
        page.set_viewport_size({"width": each, "height": 800})
        assert dates.bounding_box()["height"] <= 32, each
        assert dates.evaluate("field => field.scrollWidth <= field.clientWidth"), each


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ("start=foo&end=bar", "'foo' is not a date"),
        ("start=2022-07-01&end=bar", "'bar' is not a date"),
        ("start=2022-07-09&end=2022-07-01", "The range ends before it starts"),
        ("start=2022-02-30&end=2022-07-01", "'2022-02-30' is not a date"),
        ("start=-003766-01-24T13Z&end=2022-07-01", "'-003766-01-24T13Z' is not a date"),
        ("start=2022-07-01&end=8729-01-01", "'8729-01-01' is beyond reach: choose dates from 1970"),
        ("start=2190-01-01", "The range ends before it starts"),
    ],
)
def test_a_link_with_unreadable_dates_says_so_once_and_shows_the_newest(page, lab, dates, words):
    page.goto(f"{lab.url}/?{dates}&zone=utc&device=0a1b2c3d")
    expect(page.locator(".row canvas")).to_have_count(1)
    page.wait_for_function(DRAWN)
    expect(page.locator(".toast")).to_contain_text("The dates of this link could not be read")
    expect(page.locator(".toast")).to_contain_text(words)
    assert page.url == f"{lab.url}/?zone=utc&device=0a1b2c3d"
    expect(page.locator(".summary")).to_contain_text("the newest there are")
    page.evaluate("() => { document.querySelector('.toast').textContent = ''; return spi.live.ask(); }")
    page.get_by_label("Type dates").fill("2022-07-01")
    page.keyboard.press("Enter")
    page.wait_for_url("**start=2022-07-01T00:00Z**")
    page.wait_for_function(DRAWN)
    expect(page.locator(".toast")).to_have_text("")


def test_other_pages_take_links_with_unreadable_dates(page, lab):
    page.goto(f"{lab.url}/data?start=foo")
    expect(page.locator("#data-grid .ag-row").first).to_be_visible()
    expect(page.locator(".toast")).to_contain_text("'foo' is not a date")
    page.goto(f"{lab.url}/image/0a1b2c3d/2022-07-01_02-00-00?start=foo")
    expect(page.locator(".viewer-count")).to_contain_text("7 insects")
    expect(page.locator(".toast")).to_contain_text("'foo' is not a date")


def test_what_was_put_into_the_controls_is_no_choice_of_a_person(visit):
    """Another answer may have come between the setting of a control and the callback that this makes."""
    page = visit(DAY)
    page.wait_for_function("() => !spi.scope.expected.has('shell-dates') && !spi.scope.expected.has('shell-devices')")
    before, choose = page.url, "days => dash_clientside.scope.dates(days, spi.scope.resolved)"
    page.evaluate("() => spi.scope.expected.set('shell-dates', JSON.stringify(['2020-01-01', '2020-01-02']))")
    page.evaluate(choose, ["2020-01-01", "2020-01-02"])
    assert page.url == before
    page.evaluate(choose, ["2022-07-01", "2022-07-02"])
    page.wait_for_url("**start=2022-07-01T00:00Z&end=2022-07-03T00:00Z**")


def test_dates_that_are_written_in_other_ways_are_taken(page, lab):
    for dates in (
        "start=2022-07-01T00:00:00Z&end=2022-07-31",
        "start=2022-06-30&end=2022-07-01T09:00Z",
        "start=-9999d",
    ):
        page.goto(f"{lab.url}/?{dates}&zone=utc")
        page.wait_for_function(DRAWN)
        assert page.url == f"{lab.url}/?{dates}&zone=utc"
        expect(page.locator(".row canvas")).to_have_count(2)


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("America/New_York", "2022-06-20T04:00Z", "2022-06-23T04:00Z"),
        ("Asia/Kolkata", "2022-06-19T18:30Z", "2022-06-22T18:30Z"),
    ],
)
def test_days_of_a_link_are_those_of_the_readers_zone(browser, lab, zone, start, end):
    def expect_days(page):
        page.wait_for_function(DRAWN)
        expect(page.get_by_label("Dates", exact=True)).to_contain_text("20 Jun 2022 \u2013 22 Jun 2022")
        assert f"start={start}&end={end}" in page.url

    with person(browser, lab, timezone_id=zone) as page:
        page.goto(f"{lab.url}/?start=2022-06-20&end=2022-06-22&zone=reader")
        expect_days(page)
        page.goto(f"{lab.url}/?start=2022-06-20&end=2022-06-22")
        page.wait_for_function(DRAWN)
        page.locator("#shell-zone").click()
        page.get_by_role("option", name="my time").click()
        page.wait_for_url("**zone=reader**")
        expect_days(page)
        page.evaluate("localStorage.setItem('spi-zone', 'reader')")
        page.goto(f"{lab.url}/?start=2022-06-20&end=2022-06-22")
        expect_days(page)
        page.goto(f"{lab.url}/?start=2022-06-29&end=2022-06-31")
        expect(page.locator(".toast")).to_contain_text("'2022-06-31' is not a date")


def test_long_names_give_way(browser, lab):
    client, auth = lab.app.test_client(), (ADMIN, PASSWORD)
    account = {"username": LONG[0], "password": LONG[1]}
    assert client.post("/put_users", json=[account], auth=auth).status_code == 200
    with person(browser, lab, LONG) as page:
        page.goto(f"{lab.url}/settings")
        expect(page.locator("#shell-live")).to_contain_text("updated")
        for each, height in SIZES.items():
            page.set_viewport_size({"width": each, "height": height})
            assert width(page) == each
            assert box(page, ".user .icon")[1] <= each
            assert page.locator("#shell-live").bounding_box()["height"] <= 24
            cut = page.locator(".user-name").evaluate("name => name.scrollWidth > name.clientWidth")
            assert cut == (each < 900), each
        expect(page.locator(".user summary")).to_have_attribute("title", f"{LONG[0]}: theme, sign out")
        page.set_viewport_size({"width": 390, "height": 844})
        page.locator(".user summary").click()
        expect(page.locator(".user .menu")).to_contain_text(LONG[0])
        left, right = box(page, ".user .menu")
        assert 0 <= left < right <= 390


def test_the_open_pages_link_is_in_sight_on_a_phone(page, lab):
    page.set_viewport_size({"width": 390, "height": 844})

    def expect_in_sight(name):
        link = page.get_by_role("navigation", name="Pages").locator("[aria-current]")
        expect(link).to_have_text(name)
        page.wait_for_function("""() => {
            const list = document.querySelector("header nav"), nav = list.getBoundingClientRect();
            const link = list.querySelector("[aria-current]").getBoundingClientRect();
            return link.left >= nav.left - 1 && link.right <= nav.right + 1;
        }""")

    page.goto(f"{lab.url}/settings")
    expect_in_sight("Settings")
    for name in ("Projects", "Explore"):
        page.evaluate(
            "name => [...document.querySelectorAll('.page-link')].find((link) => link.textContent === name).click()",
            name,
        )
        expect_in_sight(name)
    assert page.evaluate("[scrollX, scrollY]") == [0, 0]


def test_each_page_has_a_title_and_it_is_read_out(page, lab):
    project = (
        lab.app.test_client().post("/put_projects", json=[{"name": "Vineyard"}], auth=(ADMIN, PASSWORD)).json[0]["id"]
    )
    page.goto(f"{lab.url}/{DAY}")
    expect(page).to_have_title("Explore - Spi Dash")
    spoken = page.locator("#shell-title")
    expect(spoken).to_have_text("")
    for name in ("Data", "Tuboids", "Projects", "Settings", "Explore"):
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=name).click()
        expect(page).to_have_title(f"{name} - Spi Dash")
        expect(spoken).to_have_text(f"{name} - Spi Dash")
    page.go_back()
    expect(spoken).to_have_text("Settings - Spi Dash")
    page.goto(f"{lab.url}/projects/{project}")
    expect(page).to_have_title("Vineyard - Spi Dash")


def test_the_numbers_of_a_project_stand_on_one_line(page, lab):
    project = (
        lab.app.test_client().post("/put_projects", json=[{"name": "small"}], auth=(ADMIN, PASSWORD)).json[0]["id"]
    )
    page.goto(f"{lab.url}/projects/{project}")
    numbers = page.get_by_role("heading", name="0 series, 0 pictures")
    for each in SIZES:
        page.set_viewport_size({"width": each, "height": 844})
        expect(numbers).to_be_visible()
        assert numbers.bounding_box()["height"] <= 30, each
        assert width(page) == each
