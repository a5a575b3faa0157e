"""The viewer's list, picture and outlines, as a person uses them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from browser.lab import TRAPS, add_images, sign_in
from playwright.sync_api import Browser, Page, expect

from spi_dash.clock import unix_s
from spi_dash.demo import tiny_picture

pytest_plugins = ["browser.fixtures"]

DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"


@pytest.fixture
def view(page, lab):
    """Open a frame by its own link."""

    def go(at: str = "2022-07-01_02-00-00", search: str = DAY, device: str = TRAPS[0]):
        page.goto(f"{lab.url}/image/{device}/{at}{search}")
        expect(page.locator(".viewer-count")).not_to_have_text("")
        return page

    return go


@pytest.fixture
def phone(browser: Browser, lab) -> Iterator[Page]:
    """A page of somebody who is signed in, as narrow as a phone and under a finger."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    sign_in(context, lab)
    page = context.new_page()
    yield page
    page.unroute_all(behavior="wait")  # answers on their way would be lost with the page
    context.close()


def scrub(page, *indexes: int) -> None:
    """As a quick hand on the scrubber does."""
    page.locator(".scrubber").evaluate(
        """(slider, values) => values.forEach((value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
        })""",
        indexes,
    )


def test_the_scrubber_spans_the_dates_of_the_link(view):
    page = view(search="?start=2022-07-01T01:00Z&end=2022-07-01T03:00Z&zone=utc")
    expect(page.locator(".position")).to_have_text("4 of 6")
    expect(page.locator(".viewer-foot .from")).to_have_text("2022-07-01 01:00")
    expect(page.locator(".viewer-foot .to")).to_have_text("2022-07-01 02:40")
    page.keyboard.press("End")
    expect(page.locator(".viewer-title")).to_contain_text("02:40")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".toast")).to_have_text("This is the last picture of these dates.")
    expect(page.locator(".position")).to_have_text("6 of 6")
    page.keyboard.press("Home")
    expect(page.locator(".position")).to_have_text("1 of 6")


def test_a_frame_beside_the_dates_stands_among_its_neighbours(view):
    page = view(search="?start=2022-01-01&end=2022-01-01&zone=utc")
    expect(page.locator(".position")).to_have_text("7 of 30")
    expect(page.locator(".viewer-title")).to_contain_text("2022-07-01 02:00")


def test_after_a_zoom_of_explore_the_scrubber_spans_what_is_shown(visit):
    page = visit("?start=2022-07-01T01:00Z&end=2022-07-01T03:00Z&zone=utc")
    page.locator(".cell[data-t]").first.click()
    expect(page.locator(".position")).to_have_text("1 of 6")


def test_the_scrubber_shows_where_it_rests_and_asks_for_little_on_the_way(view):
    page = view()
    expect(page.locator(".position")).to_have_text("7 of 30")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "frame.json" in request.url else None)
    scrub(page, *range(10, 30), 11)
    expect(page.locator(".position")).to_have_text("12 of 30")
    expect(page.locator(".viewer-count")).to_contain_text("12 insects")
    page.wait_for_url("**/2022-07-01_03-40-00?**")
    assert len(asked) <= 7  # the frame and its neighbours, not what lay on the way


def test_a_long_list_grows_at_its_end(view, page, lab):
    device, client = TRAPS[1], lab.app.test_client()
    start = datetime(2022, 9, 1)
    add_images(client, device, [start, start + timedelta(hours=1)])
    view("2022-09-01_00-00-00", "?start=2022-09-01&end=2022-09-30&zone=utc", device)
    expect(page.locator(".position")).to_have_text("1 of 2")
    expect(page.locator(".live-text")).to_contain_text("updated")
    page.wait_for_function("() => spi.live.change > 0")
    add_images(client, device, [start + timedelta(hours=2)])
    page.evaluate("spi.live.ask()")
    expect(page.locator(".position")).to_have_text("1 of 3")
    expect(page.locator(".viewer-foot .to")).to_have_text("2022-09-01 02:00")


def point_at(page, x: float, y: float) -> None:
    """Move the mouse to a pixel of the picture."""
    box = page.locator(".stage").bounding_box()
    left, top, scale = page.evaluate("[spi.stage.left, spi.stage.top, spi.stage.fit * spi.stage.scale]")
    page.mouse.move(box["x"] + left + x * scale, box["y"] + top + y * scale)


def drawn(page, **counts: int):
    """The canvas of the outlines when it shows so many of each kind."""
    return page.locator(".viewer .outlines" + "".join(f'[data-{kind}="{n}"]' for kind, n in counts.items()))


def test_an_outline_under_the_pointer_says_number_area_and_class(view):
    page = view()
    expect(drawn(page, known=6, new=1)).to_be_visible()
    point_at(page, 4 * 6 + 1.5, 6.5)
    expect(page.locator(".outline-text")).to_have_text("Outline 7: 9 px², insect, new")
    expect(page.locator(".pointed .hovered.new")).to_be_visible()
    point_at(page, 1.5, 6.5)
    expect(page.locator(".outline-text")).to_have_text("Outline 1: 9 px², insect")
    point_at(page, 1.5, 1)
    expect(page.locator(".outline-text")).to_have_text("")
    expect(page.locator(".pointed")).to_be_hidden()


def test_outlines_are_toggled_and_stay_off_on_the_next_frame(view):
    page = view()
    page.keyboard.press("c")
    expect(page.locator(".viewer .outlines")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer-count")).to_contain_text("8 insects")
    expect(page.locator(".viewer .outlines")).to_be_hidden()
    page.get_by_role("button", name="Outlines (c)").click()
    expect(drawn(page, known=7, new=1)).to_be_visible()


def test_of_a_thousand_outlines_those_in_sight_are_drawn_also_where_they_leave_the_frame(view):
    page = view()
    expect(drawn(page, known=6, new=1)).to_be_visible()
    found = page.evaluate(
        """() => {
            const turns = Array.from({length: 60}, (_, k) => (k / 60) * 2 * Math.PI);
            const ring = (x, y) => turns.flatMap((turn) => [x + 9 * Math.cos(turn), y + 9 * Math.sin(turn)]);
            const outlines = Array.from({length: 1000}, (_, k) => ring((k % 40) * 65, Math.floor(k / 40) * 78));
            outlines.push([-1e6, -1e6, 1e6, -1e6, 1e6, -9e5], [5, 5, 5, 5, 5, 5], [-30, 50, -20, 50, -25, 60]);
            const frame = {width: 2592, height: 1944, outlines, names: [], new: [0], compared: null};
            spi.viewer.frame = frame;
            spi.stage.outlines(frame);
            const all = {...spi.overlay.canvas().dataset};
            spi.stage.zoomBy(8);
            spi.overlay.draw();
            const [hit, beside] = [[65, 78], [30, 30]].map((at) => spi.outlines.find(frame, ...at));
            return [all, {...spi.overlay.canvas().dataset}, hit, beside];
        }"""
    )
    everything, zoomed, hit, beside = found
    assert (everything["known"], everything["new"], hit, beside) == ("1001", "1", 41, -1)  # one lies far above
    assert 0 < int(zoomed["known"]) < 50


def test_a_frame_whose_description_is_broken_leaves_the_viewer_usable(page, lab):
    page.route("**/1656640800/frame.json?*", lambda route: route.fulfill(body="{", content_type="application/json"))
    page.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-00-00{DAY}")
    expect(page.locator(".viewer-count")).to_have_text("this picture could not be loaded")
    expect(drawn(page, known=0, new=0)).to_be_attached()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".viewer-count")).to_contain_text("8 insects")


def test_a_picture_whose_file_is_missing_says_so_and_keeps_its_outlines(page, lab):
    page.route("**/thumbnail.jpg", lambda route: route.fulfill(content_type="image/jpeg", body=b""))
    page.goto(f"{lab.url}/image/{TRAPS[1]}/2022-07-01_01-20-00?zone=utc")
    expect(page.locator(".no-picture")).to_be_visible()
    expect(page.locator(".viewer-count")).to_contain_text("5 insects")


def test_before_and_after_are_compared_by_a_slider_that_keys_move(view):
    page = view()
    page.keyboard.press("b")
    slider = page.get_by_label("Before and after")
    expect(page.locator(".stage img.before")).to_be_visible()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    split = page.locator(".viewer .split").bounding_box()["x"], page.locator(".stage").bounding_box()
    assert abs(split[0] - split[1]["x"] - 0.49 * split[1]["width"]) < 2
    expect(page.locator(".position")).to_have_text("7 of 30")
    assert "/1656639600/" in page.locator(".stage img.before").get_attribute("src")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_be_hidden()


@pytest.mark.parametrize(("speed", "apart_ms"), [("20", 50), ("2", 500)])
def test_playing_keeps_its_speed(view, speed, apart_ms):
    page = view()
    page.get_by_label("Pictures per second").select_option(speed)
    gaps = page.evaluate(
        """async () => {
            const times = [], step = spi.viewer.step;
            spi.viewer.step = (by) => (times.push(performance.now()), step(by));
            spi.viewer.play();
            while (times.length < 4) await new Promise((done) => setTimeout(done, 10));
            spi.viewer.stop();
            spi.viewer.step = step;
            return times.slice(1).map((t, k) => t - times[k]);
        }"""
    )
    assert min(gaps) > 0.9 * apart_ms


def test_id_and_link_are_copied_and_the_original_comes_byte_by_byte(view, page, lab):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view()
    page.keyboard.press("i")
    page.get_by_role("button", name="Copy image id").click()
    expect(page.locator(".toast")).to_have_text("Image id copied.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{TRAPS[0]}.2022-07-01_02-00-00"
    page.keyboard.press("ArrowRight")
    expect(page.locator(".details")).to_contain_text("02:20")
    page.locator(".details").get_by_role("button", name="Copy link").click()
    expect(page.locator(".toast")).to_have_text("Link copied.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-20-00{DAY}"
    name, data = tiny_picture(TRAPS[0], datetime(2022, 7, 1, 2, 20))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download original").click()
    assert download.value.suggested_filename == name
    assert Path(download.value.path()).read_bytes() == data
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Open original").click()
    popup.value.wait_for_load_state()
    assert popup.value.evaluate("document.contentType") == "image/jpeg"


def test_the_back_button_closes_the_viewer_and_leaves_the_page(visit, page):
    visit()
    page.locator(".cell[data-t]").first.click()
    expect(page.locator(".viewer")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.go_back()
    expect(page.locator(".viewer")).to_be_hidden()
    assert page.url.endswith(f"/{DAY}")
    expect(page.locator(".row")).to_have_count(2)


def test_with_keys_alone_from_the_plot_to_a_frame_and_back(visit, page):
    visit()
    plot = page.locator("canvas.plot").first
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip.shown")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".position")).to_have_text("2 of 30")
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.viewer') !== null")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_be_hidden()
    expect(plot).to_be_focused()


def test_live_arrivals_keep_zoom_scroll_and_the_open_viewer(visit, page, lab):
    visit("?start=2022-10-01T00:00Z&end=2022-10-02T00:00Z&zone=utc")
    page.set_viewport_size({"width": 1000, "height": 400})
    page.wait_for_function("() => spi.live.change > 0")
    page.evaluate("scrollTo(0, 60)")
    before = page.evaluate("[scrollY, spi.explore.view.start, spi.explore.view.end]")
    assert before[0] > 0
    add_images(lab.app.test_client(), TRAPS[0], [datetime(2022, 10, 1, 3)])
    page.evaluate("spi.live.ask()")
    expect(page.locator(".summary")).to_contain_text("1 picture of 1 trap")
    assert page.evaluate("[scrollY, spi.explore.view.start, spi.explore.view.end]") == before
    page.evaluate(f"spi.viewer.open('{TRAPS[0]}', {unix_s(datetime(2022, 10, 1, 3))})")
    expect(page.locator(".position")).to_have_text("1 of 1")
    page.keyboard.press("+")
    zoom = page.locator(".zoom-text").inner_text()
    add_images(lab.app.test_client(), TRAPS[0], [datetime(2022, 10, 1, 4)])
    page.evaluate("spi.live.ask()")
    expect(page.locator(".position")).to_have_text("1 of 2")
    assert page.locator(".zoom-text").inner_text() == zoom
    page.keyboard.press("Escape")
    assert page.evaluate("[scrollY, spi.explore.view.start, spi.explore.view.end]") == before


def test_on_a_phone_the_head_keeps_its_buttons_beside_two_versions_and_a_long_name(phone, lab):
    name = "Orchard on the north-eastern slope beside the old irrigation po"
    phone.route("**/frame.json?*", compare)
    phone.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-00-00{DAY}")
    expect(phone.locator(".viewer-count")).to_have_text("7 insects1 new0 by 0.8.1-beta (dashed)")
    phone.evaluate("row => (spi.explore.rows.push(row), spi.viewerFrame.place())", {"device": TRAPS[0], "name": name})
    title = phone.locator(".viewer-title .name")
    expect(title).to_have_attribute("title", name)
    assert title.evaluate("node => node.scrollWidth > node.clientWidth && node.clientHeight < 24")
    head = phone.locator(".viewer-head")
    for part in (*head.locator(".tool").all(), head.locator(".when"), head.locator(".viewer-count")):
        box = part.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, part
    assert head.evaluate("node => node.scrollWidth <= node.clientWidth && node.clientHeight < 84")
    phone.get_by_role("button", name="Close (Esc)").tap()
    expect(phone.locator(".viewer")).to_be_hidden()


def test_a_picture_by_its_own_link_is_of_the_trap_by_its_name(view, page):
    page.route("**/frame.json?*", lambda route: named(route, "Orchard"))
    view("2022-07-01_02-00-00", DAY)
    expect(page.locator(".viewer-title")).to_have_text("Orchard · 2022-07-01 02:00 (UTC)")
    page.unroute_all(behavior="wait")


def named(route, name: str) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), "trap": name})


def compare(route) -> None:
    """As if a second version had found nothing."""
    answer = route.fetch()
    second = {"version": "0.8.1-beta", "detector": {"name": "uid"}, "outlines": []}
    route.fulfill(response=answer, json={**answer.json(), "compared": second})


def test_on_a_phone_details_leave_the_picture_in_sight(phone, lab):
    phone.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-00-00{DAY}")
    expect(drawn(phone, known=6, new=1)).to_be_visible()
    phone.get_by_role("button", name="Details (i)").tap()
    expect(phone.locator(".details")).to_contain_text("Copy link")
    details, picture = (phone.locator(each).bounding_box() for each in (".details", ".stage .picture"))
    head = phone.locator(".viewer-head").bounding_box()
    assert head["y"] + head["height"] - 1 < picture["y"]
    assert picture["y"] + picture["height"] < details["y"] + 1
    assert picture["height"] > 200


def test_a_tap_on_or_beside_an_outline_says_its_words(phone, lab):
    phone.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-00-00{DAY}")
    expect(drawn(phone, known=6, new=1)).to_be_visible()
    tap_at(phone, 4 * 6 + 1.5, 6.5)
    expect(phone.locator(".outline-text")).to_have_text("Outline 7: 9 px², insect, new")
    expect(phone.locator(".outline-text")).to_be_visible()
    assert phone.locator(".outline-text").bounding_box()["x"] == 0
    tap_at(phone, 0.5, 5 - 8 / phone.evaluate("spi.stage.fit"))
    expect(phone.locator(".outline-text")).to_have_text("Outline 1: 9 px², insect")
    phone.evaluate("spi.viewerFrame.place()")  # as with each picture that comes
    expect(phone.locator(".outline-text")).to_be_visible()
    tap_at(phone, 15, 20)
    expect(phone.locator(".outline-text")).to_be_hidden()


def tap_at(phone, x: float, y: float) -> None:
    """Tap a pixel of the picture."""
    box = phone.locator(".stage").bounding_box()
    left, top, scale = phone.evaluate("[spi.stage.left, spi.stage.top, spi.stage.fit * spi.stage.scale]")
    phone.touchscreen.tap(box["x"] + left + x * scale, box["y"] + top + y * scale)


@pytest.mark.parametrize("at", ["2026-13-45_99-99-99", "2022-02-30_00-00-00", "0000-01-01_00-00-00", "notadate"])
def test_a_link_with_a_moment_that_no_clock_shows_says_so(page, lab, at):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if f"/frames/{TRAPS[0]}" in request.url else None)
    page.goto(f"{lab.url}/image/{TRAPS[0]}/{at}")
    expect(page.locator(".toast")).to_have_text("This link names no picture. Check it, or open Explore.")
    expect(page.locator(".live-text")).to_contain_text("updated")
    expect(page.locator(".viewer")).to_have_count(0)
    assert asked == []


def test_of_an_unknown_trap_nothing_is_asked_for_but_the_list_until_a_picture_comes(page, lab):
    asked, lists = [], f"**/frames/{TRAPS[0]}/list.json*"
    page.on("request", lambda request: asked.append(request.url) if f"/frames/{TRAPS[0]}" in request.url else None)
    page.route(lists, lambda route: route.continue_(url=route.request.url.replace(TRAPS[0], "zzz")))
    page.goto(f"{lab.url}/image/{TRAPS[0]}/2022-07-01_02-00-00{DAY}")
    expect(page.locator(".no-picture")).to_have_text("There is no picture of this trap and moment.")
    expect(page.locator(".no-picture")).to_be_visible()
    expect(page.locator(".viewer-count")).to_have_text("no such picture")
    expect(page.locator(".position")).to_have_text("no pictures")
    for key in ("ArrowRight", "End", " ", "i"):
        page.keyboard.press(key)
    page.evaluate("spi.viewer.renew()")
    assert asked and {url.split("?")[0].rsplit("/", 1)[1] for url in asked} == {"list.json"}
    page.unroute(lists)
    page.evaluate("spi.viewer.renew()")
    expect(page.locator(".viewer-count")).to_contain_text("7 insects")
    expect(page.locator(".no-picture")).to_be_hidden()
