"""Tuboids, as a person looks at them: films that play and step, filters, context, the first shot."""

import pytest
from browser.lab import START, TRAPS
from live import ADMIN, PASSWORD
from playwright.sync_api import expect
from tuboid_lab import encode, name_tuboid, new_label, tuboid_form

pytest_plugins = ["browser.fixtures"]

DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"


@pytest.fixture(scope="module")
def films(lab):
    """Two tuboids of five shots, the first labelled."""
    client, who = lab.app.test_client(), (ADMIN, PASSWORD)
    assert TRAPS[0] in name_tuboid(0) and START.isoformat() == "2022-07-01T00:00:00"
    for number in range(2):
        answer = client.post("/_put_tiled_tuboids", auth=who, **encode(tuboid_form(number)))
        assert answer.status_code == 200, answer.text
    answer = client.post("/put_itc_labels", json=[new_label(name_tuboid(0))], auth=who)
    assert answer.status_code == 200, answer.text
    return lab


@pytest.fixture
def gallery(page, films):
    def go(search=DAY):
        page.mouse.move(0, 0)  # a film under the mouse plays
        page.goto(f"{films.url}/tuboids{search}")
        expect(page.locator("body")).not_to_have_class("is-loading")
        return page

    return go


def test_films_step_and_play(gallery):
    page = gallery()
    expect(page.locator(".summary")).to_contain_text("2 tuboids that began in these dates, of 1 trap")
    film = page.locator(".film").first
    expect(film.locator(".step")).to_have_text("1 / 5")
    film.focus()
    page.keyboard.press("ArrowRight")
    at = int(film.get_attribute("data-step"))
    page.keyboard.press("ArrowRight")
    expect(film).to_have_attribute("data-step", str((at + 1) % 5))
    expect(film).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("Space")
    expect(film).to_have_attribute("aria-pressed", "true")
    expect(film).not_to_have_attribute("data-step", str((at + 1) % 5))
    page.get_by_role("button", name="Play all visible").click()
    other = page.locator(".film").nth(1)
    before = other.get_attribute("data-step")
    expect(other).not_to_have_attribute("data-step", before)


def test_who_wants_no_motion_starts_films_by_hand(gallery):
    page = gallery()
    page.emulate_media(reduced_motion="reduce")
    film = page.locator(".film").first
    film.hover()
    expect(film).to_have_attribute("aria-pressed", "false")
    film.click()
    expect(film).to_have_attribute("aria-pressed", "true")


def test_filter_context_and_first_shot(gallery):
    page = gallery()
    page.locator("button.tuboid-filter", has_text="Diptera").click()
    expect(page.locator(".tuboid")).to_have_count(1)
    assert "taxon=Insecta" in page.url
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".tuboid")).to_have_count(2)
    page.get_by_role("button", name="Context").first.click()
    expect(page.get_by_role("dialog").locator("img")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog.context")).to_have_count(0)
    page.get_by_role("link", name="First shot").first.click()
    expect(page.locator(".viewer-title")).to_contain_text("2022-07-01 00:00")


def test_counts_are_drawn_and_told_as_a_table(gallery):
    page = gallery()
    page.get_by_text("Counts per day and per hour of the day").click()
    expect(page.locator(".charts p")).to_contain_text("(UTC)")
    expect(page.locator(".chart-row .bars")).to_have_count(4)
    page.get_by_text("As a table").click()
    expect(page.locator(".charts table").first.locator("tr").last).to_have_text("2022-07-0111")


def test_outside_of_the_data_the_page_leads_back(gallery):
    page = gallery("?start=2020-01-01&end=2020-01-02")
    page.get_by_role("button", name="Go there").click()
    expect(page.locator(".tuboid")).to_have_count(2)
