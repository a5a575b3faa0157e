"""Tuboids and labels appear, change and go while somebody looks; what is on the page stays as it is."""

import json

import pytest
from browser.lab import post
from live import ADMIN, PASSWORD
from playwright.sync_api import expect
from tuboid_lab import ALL, START, encode, first_shot, name_tuboid, new_label, series_info, shot_lines, tuboid_form

pytest_plugins = ["browser.fixtures"]

DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"


@pytest.fixture
def client(lab):
    return lab.app.test_client()


@pytest.fixture
def put(client):
    def send(number, **changes):
        form = tuboid_form(number, metadata=shot_lines(5, first_shot(number)), series_info=series_info(n_tuboids=99))
        answer = client.post("/_put_tiled_tuboids", auth=(ADMIN, PASSWORD), **encode({**form, **changes}))
        assert answer.status_code == 200, answer.text

    return send


@pytest.fixture
def gallery(page, lab, client, put):
    """The page with twelve films."""
    post(client, "/delete_tiled_tuboids", ALL)
    for number in range(12):
        put(number)
    page.mouse.move(0, 0)
    page.goto(f"{lab.url}/tuboids{DAY}")
    expect(page.locator(".tuboid")).to_have_count(12)
    expect(page.locator("body")).not_to_have_class("is-loading")
    return page


def card(page, number):
    return page.locator(".tuboid", has=page.locator(f'[title="{name_tuboid(number)}"]'))


def film(page, number):
    return card(page, number).locator(".film")


def mark(page, number):
    """Something by which a film is known again, if it is the same element."""
    film(page, number).evaluate("film => { film.marked = true; }")


def is_marked(page, number):
    return film(page, number).evaluate("film => film.marked === true")


def test_tuboids_and_labels_appear_and_films_play_on(gallery, put, client):
    page = gallery
    page.set_viewport_size({"width": 1440, "height": 400})
    playing = film(page, 1)
    playing.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    playing.click()
    page.mouse.move(0, 0)
    playing.evaluate("film => { spi.tuboids.play(film, true); }")
    mark(page, 1)
    before = playing.bounding_box()["y"]
    put(12)
    put(13)
    post(client, "/put_itc_labels", [new_label(name_tuboid(1)), new_label(name_tuboid(3))])
    expect(page.locator(".summary")).to_contain_text("14 tuboids")
    expect(page.locator(".tuboid")).to_have_count(14)
    expect(page.locator(".summary")).to_contain_text("2 of 14 have a label")
    expect(page.locator(".gallery aside")).to_contain_text("Diptera2")
    names = page.locator(".tuboid p:first-of-type").evaluate_all("all => all.map(each => each.title)")
    assert names == [name_tuboid(number) for number in range(13, -1, -1)]
    expect(card(page, 1).locator("h3")).to_contain_text("Diptera")
    assert is_marked(page, 1)
    expect(playing).to_have_attribute("aria-pressed", "true")
    at = playing.get_attribute("data-step")
    expect(playing).not_to_have_attribute("data-step", at)
    assert abs(playing.bounding_box()["y"] - before) < 400  # anchored, not thrown to the top
    assert page.evaluate("scrollY") > 0


def test_a_filter_stays_and_deletions_are_seen(gallery, put, client):
    page = gallery
    other = name_tuboid(40, "1b2c3d4e")
    info = series_info(device="1b2c3d4e")
    put(40, tuboid_id=json.dumps(other).encode(), series_info=json.dumps(info).encode(),
        metadata=shot_lines(5, START, "1b2c3d4e").encode())  # fmt: skip
    post(client, "/put_itc_labels", [new_label(other), new_label(name_tuboid(0))])
    page.locator("button.tuboid-filter", has_text="Diptera").click()
    expect(page.locator(".tuboid")).to_have_count(2)
    post(client, "/delete_tiled_tuboids", [{**ALL[0], "device": "1b2c3d4e"}])
    expect(page.locator(".tuboid")).to_have_count(1)
    expect(page.locator(".summary")).to_contain_text("1 of 12 tuboids")
    assert "taxon=Insecta" in page.url
    post(client, "/delete_tiled_tuboids", ALL)
    expect(page.get_by_role("heading", name="No tuboids yet")).to_be_visible()


def test_nothing_is_sent_again_when_nothing_changed(gallery, client, put):
    page = gallery
    asked = []
    page.on("response", lambda r: asked.append((r.url, r.body())) if "_dash-update" in r.url else None)
    for _ in range(3):
        page.evaluate("spi.live.ask()")
    assert asked == []
    number = page.evaluate("spi.live.change")
    with page.expect_response(lambda r: "_dash-update" in r.url and b"tuboids-change" in r.body()) as told:
        page.evaluate("spi.scope.tell({since: 1})")  # as when a picture came: the page is the same
    assert "cards" not in told.value.text() and b"tuboids-summary" not in told.value.body()
    assert page.evaluate("spi.live.change") == number


def test_the_newest_day_is_that_of_the_zone(gallery, lab):
    """The newest began on 1 July, 3:40 UTC: in Vancouver that was still June."""
    page = gallery
    for zone, day in (("utc", "1 Jul 2022 (UTC)"), ("site", "30 Jun 2022 (UTC\u22127)")):
        page.goto(f"{lab.url}/tuboids?start=2020-01-01&end=2020-01-02&zone={zone}")
        expect(page.locator(".empty")).to_contain_text(f"The newest began on {day}.")
        expect(page.locator(".empty")).to_be_visible()
    page.goto(f"{lab.url}/?start=2020-01-01&end=2020-01-02")
    expect(page.locator(".empty")).to_contain_text("The newest are from")
    expect(page.locator(".empty")).to_contain_text("2022 (UTC\u22127).")
