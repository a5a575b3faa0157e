"""Explore and the viewer, as a person uses them."""

import json
import re
from datetime import datetime

from browser.lab import TRAPS, add_images, add_outlines
from live import ADMIN, PASSWORD
from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]


def middle(page, row=0):
    """A point of a row's plot where pictures are: two hours after midnight of a day."""
    box = page.locator(".row canvas").nth(row).bounding_box()
    return box["x"] + 40 + (box["width"] - 80) * 2 / 24, box["y"] + 40


def test_rows_counts_and_a_tooltip_with_the_frame(visit):
    page = visit()
    expect(page.locator(".row")).to_have_count(2)
    expect(page.locator(".summary")).to_have_text(
        "60 pictures of 2 traps · 240 outlines in 30 of them (30 awaiting detection), detector 1.0"
    )
    page.mouse.move(*middle(page))
    expect(page.locator(".tip.shown .tip-title")).to_contain_text("02:00 (UTC)")
    expect(page.locator(".tip.shown .tip-text")).to_contain_text("7 insects")
    expect(page.locator('.tip.shown .outlines[data-known="6"][data-new="1"]')).to_be_attached()


def test_a_click_opens_the_frame_and_keys_step(visit):
    page = visit()
    page.mouse.click(*middle(page))
    expect(page.locator(".viewer-count")).to_contain_text("7 insects")
    assert f"/image/{TRAPS[0]}/2022-07-01_02-00-00" in page.url
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer-count")).to_have_text("8 insects1 new")
    page.keyboard.press("c")
    expect(page.locator(".viewer .outlines")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_be_hidden()
    assert "/image/" not in page.url


def test_the_address_is_the_scope(visit, page):
    visit()
    page.get_by_role("button", name="All", exact=True).first.click()
    page.wait_for_url("**start=all**")
    page.go_back()
    page.wait_for_url("**start=2022-07-01&end=2022-07-01**")
    expect(page.locator(".dates")).to_contain_text("1 Jul 2022")
    page.reload()
    expect(page.locator(".row")).to_have_count(2)


def test_dragging_zooms(visit, page):
    visit()
    x, y = middle(page)
    page.mouse.move(x - 60, y)
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=4)
    page.mouse.up()
    page.wait_for_url("**start=2022-07-01T00**")
    expect(page.locator(".summary")).not_to_contain_text("60 pictures")


def test_a_link_to_a_frame_opens_it(page, lab):
    page.goto(f"{lab.url}/image/{TRAPS[1]}/2022-07-01_01-20-00?zone=utc")
    expect(page.locator(".viewer-title")).to_contain_text("2022-07-01 01:20")
    expect(page.locator(".viewer-count")).to_contain_text("5 insects")


def test_outside_of_the_data_the_page_leads_back(page, lab):
    page.goto(f"{lab.url}/?start=2020-01-01&end=2020-01-02")
    page.get_by_role("button", name="Go there").click()
    expect(page.locator(".summary")).to_contain_text(re.compile(r"\d pictures? of \d traps?"))


def test_the_newest_pictures_are_reached_before_the_controls_know_of_them(page, lab):
    """The answer for the controls is held back; the one for the plots is another."""
    held = []

    def hold(route):
        late = "shell-resolved.data" in json.loads(route.request.post_data)["output"]
        held.append(route) if late else route.continue_()

    page.route("**/_dash-update-component*", hold)
    page.goto(f"{lab.url}/?start=2020-01-01&end=2020-01-02")
    page.get_by_role("button", name="Go there").click()
    expect(page.locator(".summary")).to_contain_text(re.compile(r"\d pictures? of \d traps?"))
    assert len(held) == 2
    for route in held:
        route.continue_()
    expect(page.locator(".dates")).to_contain_text("2022")  # other tests may have added newer ones


def test_an_expired_session_leads_to_the_form_and_back(visit, page):
    visit()
    page.route("**/frames/change.json", lambda route: route.fulfill(json={"change": 0, "tuboids": 0}))
    page.context.clear_cookies()
    page.get_by_role("button", name="7 d", exact=True).click()
    page.wait_for_url("**/sign-in?expired=1&next=**start%3D-7d**")
    page.fill("input[name=username]", ADMIN)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url("**/?**start=-7d**")
    expect(page.locator(".live-text")).to_contain_text("updated")


def test_new_pictures_and_detections_appear_by_themselves(visit, page, lab):
    visit("?start=2022-07-02&end=2022-07-02&device=0a1b2c3d&zone=utc")
    client, moments = lab.app.test_client(), [datetime(2022, 7, 2, 1), datetime(2022, 7, 2, 2)]
    expect(page.locator(".live-text")).to_contain_text("updated")
    add_images(client, TRAPS[0], moments)
    expect(page.locator(".summary")).to_contain_text("2 pictures of 1 trap")
    add_outlines(client, TRAPS[0], moments)
    expect(page.locator(".summary")).to_contain_text("3 outlines in 2 of them")


def test_a_trap_gets_a_name(visit, page):
    visit()
    page.locator(".row").nth(1).hover()
    page.locator(".rename").nth(1).click()
    page.get_by_label("Name", exact=True).fill("Hedge low")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".row .name").first).to_contain_text("Hedge low")


def test_it_plays_and_stops(visit, page):
    visit()
    page.mouse.click(*middle(page))
    expect(page.locator(".position")).to_have_text("7 of 30")
    page.keyboard.press("Space")
    expect(page.locator(".position")).not_to_have_text("7 of 30")
    page.keyboard.press("Space")
    stopped = page.locator(".position").inner_text()
    page.wait_for_timeout(700)
    assert page.locator(".position").inner_text() == stopped
    page.keyboard.press("End")
    expect(page.locator(".position")).to_have_text("30 of 30")
    expect(page.locator(".viewer-count")).to_have_text("not processed yet")


def test_zoom_is_kept_from_frame_to_frame(visit, page):
    visit()
    page.mouse.click(*middle(page))
    expect(page.locator(".position")).to_have_text("7 of 30")
    expect(page.locator(".viewer-count")).to_contain_text("7 insects")  # the size of the frame is known now
    page.keyboard.press("+")
    zoomed = page.locator(".zoom-text").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".position")).to_have_text("8 of 30")
    assert page.locator(".zoom-text").inner_text() == zoomed
    page.keyboard.press("0")
    assert page.locator(".zoom-text").inner_text() != zoomed


def test_a_step_through_cached_frames_waits_for_no_request(visit, page):
    """How long it takes is measured by benchmarks/viewer.py."""
    visit()
    page.mouse.click(*middle(page))
    expect(page.locator(".position")).to_have_text("7 of 30")
    page.wait_for_function(
        """() => [1, 2, 3].map((n) => spi.stage.url(spi.viewer.device, spi.viewer.neighbour(n), "thumbnail"))
            .every((url) => spi.stage.kept.get(url)?.complete)"""
    )
    shown = page.evaluate(
        """async () => {
            const asked = [], fetched = spi.stage.fetch, shown = [];
            spi.stage.fetch = (url) => {
                if (!spi.stage.kept.has(url) && url.includes("thumbnail")) asked.push(url);
                return fetched(url);
            };
            for (let k = 0; k < 3; k++) {
                const url = spi.stage.url(spi.viewer.device, spi.viewer.neighbour(1), "thumbnail");
                await spi.viewer.step(1);
                shown.push(spi.stage.part("img.now").src.endsWith(url) && !asked.includes(url));
            }
            spi.stage.fetch = fetched;
            return shown;
        }"""
    )
    assert shown == [True, True, True]


def test_a_link_to_a_moment_without_picture_leads_to_the_nearest(page, lab):
    page.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_01-21-00?zone=utc")
    expect(page.locator(".viewer-title")).to_contain_text("2022-07-01 01:20")
    expect(page.locator(".viewer-count")).to_contain_text("5 insects")


def test_an_open_viewer_grows_and_shows_a_new_detection(page, lab):
    device, moments = TRAPS[1], [datetime(2022, 8, 1, 1), datetime(2022, 8, 1, 2)]
    add_images(lab.app.test_client(), device, moments[:1])
    page.goto(f"{lab.url}/image/{device}/2022-08-01_01-00-00?zone=utc")
    expect(page.locator(".viewer-count")).to_have_text("not processed yet")
    expect(page.locator(".live-text")).to_contain_text("updated")
    page.keyboard.press("+")
    zoomed = page.locator(".zoom-text").inner_text()
    add_images(lab.app.test_client(), device, moments[1:])
    add_outlines(lab.app.test_client(), device, moments[:1])
    expect(page.locator(".position")).to_have_text("1 of 2")
    expect(page.locator(".viewer-count")).to_have_text("1 insect")
    assert page.locator(".zoom-text").inner_text() == zoomed


def test_two_versions_are_compared_in_plot_tooltip_and_viewer(visit, page, lab):
    add_outlines(lab.app.test_client(), TRAPS[0], [datetime(2022, 7, 1, 2)], version="0.9")
    visit("?start=2022-07-01&end=2022-07-01&zone=utc&detector=uid%201.0")
    page.get_by_label("Compare with another detector").select_option("0.9")
    page.wait_for_url("**compare=uid%200.9**")
    expect(page.locator(".summary")).to_contain_text("1 outline in 1 of them (59 awaiting detection), detector 0.9")
    row = page.locator(".row").evaluate_all(
        "(rows, device) => rows.findIndex((r) => r.dataset.device === device)", TRAPS[0]
    )
    page.mouse.move(*middle(page, row))
    expect(page.locator(".tip.shown .tip-also")).to_have_text("1 insect by 0.9")
    page.mouse.click(*middle(page, row))
    expect(page.locator(".viewer-count")).to_contain_text("1 by 0.9 (dashed)")
    expect(page.locator('.viewer .outlines[data-also="1"]')).to_be_visible()
    page.keyboard.press("v")
    expect(page.locator('.viewer .outlines[data-also="0"]')).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer-count")).to_contain_text("not processed by 0.9")
