"""Dates that are typed into the scope bar."""

import pytest
from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]

NOW = 1656720000  # 2022-07-02T00:00:00Z


@pytest.fixture
def parse(visit):
    """What the address says of a text at NOW in UTC: (start, end), or the sentence of the refusal."""
    page = visit()

    def parse(text):
        script = "([t, now]) => { try { return spi.typed.parse(t, now); } catch (problem) { return String(problem); } }"
        found = page.evaluate(script, [text, NOW])
        return found if isinstance(found, str) else (found["start"], found["end"])

    return parse


def test_ranges_are_read(parse):
    day = ("2020-06-01T00:00Z", "2020-06-02T00:00Z")
    expected = {
        "2020-06-01": day,
        " 2020-6-1 ": day,
        "2020-06-01 to 2020-06-20": (day[0], "2020-06-21T00:00Z"),
        "2020-06-01\u20132020-06-20": (day[0], "2020-06-21T00:00Z"),
        "2020-06-01 - 2020-06-01": day,
        "2020-06": (day[0], "2020-07-01T00:00Z"),
        "2019 to 2020-06": ("2019-01-01T00:00Z", "2020-07-01T00:00Z"),
        "2020-06-01 14:00 to 16:30": ("2020-06-01T14:00Z", "2020-06-01T16:30Z"),
        "2020-06-01 14:00 to 2020-06-02": ("2020-06-01T14:00Z", "2020-06-03T00:00Z"),
        "since 2020-06-01": (day[0], ""),
        "2020-06-01 to now": (day[0], ""),
        "yesterday": ("2022-07-01T00:00Z", "2022-07-02T00:00Z"),
        "2022-06-30 to today": ("2022-06-30T00:00Z", "2022-07-03T00:00Z"),
        "last 3 days": ("-3d", ""),
        "Last day": ("-1d", ""),
        "24 h": ("-24h", ""),
        "-7d": ("-7d", ""),
        "2 weeks": ("-14d", ""),
        "season": ("season", ""),
        "all": ("all", ""),
    }
    assert {text: parse(text) for text in expected} == expected


def test_nonsense_is_refused_in_words(parse):
    for text, words in (
        ("next tuesday", "\u201cnext tuesday\u201d is not a date: write 2020-06-01 to"),
        ("2020-02-31", "There is no 2020-02-31."),
        ("2020-13", "There is no 2020-13."),
        ("2020-06-01 25:00 to 2020-06-02", "There is no 2020-06-01 25:00."),
        ("2020-06-20 to 2020-06-01", "The range ends before it starts."),
        ("2020-06-01 14:00", "Say until when"),
        ("1066-10-14", "Choose dates from 1970 to 2199."),
        ("last 0 days", "Choose from 1 to 9999 days."),
        ("99999 h", "Choose from 1 to 9999 hours."),
        ("2020 to 2021 to 2022", "A range has two ends"),
        ("2020-06-01 to", "is not a date"),
    ):
        assert words in parse(text), text


def test_a_typed_range_changes_the_page_without_a_mouse(visit):
    page = visit("?start=2022-06-20&end=2022-07-03&zone=utc&device=0a1b2c3d")
    field = page.get_by_label("Type dates")
    page.get_by_role("group", name="Quick ranges").get_by_role("button", name="All").focus()
    page.keyboard.press("Tab")
    expect(field).to_be_focused()
    page.keyboard.type("2022-07-01")
    page.keyboard.press("Enter")
    page.wait_for_url("**start=2022-07-01T00:00Z&end=2022-07-02T00:00Z**")
    assert "device=0a1b2c3d" in page.url
    expect(page.get_by_label("Dates", exact=True)).to_contain_text("1 Jul 2022 \u2013 1 Jul 2022")
    expect(field).to_have_value("")
    expect(field).to_be_focused()


def test_days_begin_at_midnight_of_the_zone(visit):
    page = visit("?start=2022-07-01&end=2022-07-01")
    page.get_by_label("Type dates").fill("2022-06-30 to 2022-07-01")
    page.keyboard.press("Enter")
    page.wait_for_url("**start=2022-06-30T07:00Z&end=2022-07-02T07:00Z**")


def test_a_wrong_range_is_said_at_the_field_and_the_scope_stays(visit):
    page = visit()
    before, field, problem = page.url, page.get_by_label("Type dates"), page.locator(".typed-problem")
    field.fill("2022-07-32")
    page.keyboard.press("Enter")
    expect(problem).to_have_text("There is no 2022-07-32.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("2022-07-32")
    assert page.url == before
    page.keyboard.press("Backspace")
    expect(problem).to_be_hidden()
    page.keyboard.press("Escape")
    expect(field).to_have_value("")


def test_the_bar_holds_all_of_its_controls(visit):
    page = visit()
    for width in (1440, 1280, 1121):
        page.set_viewport_size({"width": width, "height": 900})
        over = page.locator(".scope-bar").evaluate("bar => bar.scrollWidth - bar.clientWidth")
        assert over <= 0, f"{over} px do not fit at {width} px"


@pytest.mark.parametrize(
    ("site", "day", "midnight", "hours", "label"),
    [
        ("Asia/Kolkata", "2022-07-01", "2022-06-30T18:30Z", 24, "UTC+5:30"),
        ("Asia/Kathmandu", "2022-07-01", "2022-06-30T18:15Z", 24, "UTC+5:45"),
        ("Australia/Adelaide", "2022-10-02", "2022-10-01T14:30Z", 23, "UTC+9:30/+10:30"),
        ("Australia/Adelaide", "2022-04-03", "2022-04-02T13:30Z", 25, "UTC+10:30/+9:30"),
    ],
)
def test_days_begin_at_the_midnight_of_the_site(visit, site, day, midnight, hours, label):
    page = visit()
    found = page.evaluate(
        """([site, day]) => {
            spi.time.use({zone: "site", site});
            const {start, end} = spi.typed.parse(day), [from, to] = [start, end].map((text) => Date.parse(text) / 1000);
            const ticks = spi.time.ticks(from, to, 1200), strong = ticks.filter((tick) => tick.strong);
            const clocks = ticks.map(({t}) => spi.time.clock(t));
            const full = clocks.every((text) => text.endsWith(":00")), once = new Set(clocks).size === clocks.length;
            return [start, (to - from) / 3600, spi.time.labels(from, to), spi.time.midnight(day) === from,
                strong.length, full, once, spi.time.day(to - 1)];
        }""",
        [site, day],
    )
    assert found == [midnight, hours, label, True, 1, True, True, day]
