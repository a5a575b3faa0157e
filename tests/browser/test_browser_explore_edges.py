"""Explore at the ends of what is there, and after other pages: nothing freezes, nothing is left behind."""

from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]
TEMPERATURE, SCALE = '[data-series="temp"]', "[data-scale]"


def view(page):
    return page.evaluate("() => [spi.explore.view.start, spi.explore.view.end]")


def plot(page, row=0):
    return page.locator(".row canvas").nth(row)


def point_at(page, row=0, hour=2):
    box = plot(page, row).bounding_box()
    page.mouse.move(box["x"] + 40 + (box["width"] - 80) * hour / 24, box["y"] + 40)


def test_zooming_out_ends_where_everything_is_shown(visit):
    page = visit()
    point_at(page)
    page.keyboard.down("Control")
    for _ in range(25):
        page.mouse.wheel(0, 200)
    page.keyboard.up("Control")
    page.wait_for_function("() => !spi.pointer.zooming()")
    whole = view(page)
    first_day, now = page.evaluate("() => [spi.series.unpack(spi.explore.data.days[0])[0], Date.now() / 1000]")
    assert first_day - 60 <= whole[0] <= first_day and now - 120 <= whole[1] <= now + 120
    for _ in range(3):
        page.get_by_label("Zoom out").click()
    assert view(page)[0] == whole[0]
    expect(page.locator(".zone-name")).to_have_text("UTC")
    expect(page.locator(".toast.shown")).to_have_count(0)


def test_the_window_of_the_slider_stays_where_pictures_are(visit):
    page = visit("?start=2022-07-01T06:00Z&end=2022-07-01T09:00Z&zone=utc")
    moved = "shift => spi.slider.moved('pan', shift, spi.explore.view)"
    days = page.evaluate("() => [...spi.series.unpack(spi.explore.data.days[0])]")
    assert page.evaluate(moved, -1e10) == [days[0], days[0] + 3 * 3600]
    start, end = page.evaluate(moved, 1e10)
    assert end >= days[-1] + 86_400 and end - start == 3 * 3600
    for kind in ("left", "right"):
        start, end = page.evaluate(
            "kind => spi.slider.moved(kind, kind === 'left' ? -1e10 : 1e10, spi.explore.view)", kind
        )
        assert start >= days[0] and end <= page.evaluate("spi.slider.end")


def test_buttons_say_what_is_drawn_after_another_page(visit):
    page = visit()
    for button in (TEMPERATURE, SCALE):
        page.locator(button).click()
    page.get_by_role("link", name="Data", exact=True).click()
    expect(page.locator(".ag-root").first).to_be_visible()
    page.get_by_role("link", name="Explore", exact=True).click()
    for button in (TEMPERATURE, SCALE):
        expect(page.locator(button)).to_have_attribute("aria-pressed", "false")
        page.locator(button).click()
        expect(page.locator(button)).to_have_attribute("aria-pressed", "true")


def test_no_tooltip_stays_over_the_next_page(visit):
    page = visit()
    page.get_by_role("link", name="Data", exact=True).click()
    page.wait_for_url("**/data**")
    page.get_by_role("link", name="Explore", exact=True).click()
    expect(plot(page)).to_be_visible()
    page.wait_for_function("() => spi.explore.view")
    point_at(page)
    expect(page.locator(".tip.shown")).to_be_attached()
    page.go_back()
    page.wait_for_url("**/data**")
    expect(page.locator(".tip.shown, .cursor-line.shown")).to_have_count(0)


def test_news_that_came_on_another_page_are_no_error_of_this_one(visit):
    """The address remembers since when there are news; a page that holds nothing cannot take a part."""
    page = visit()
    page.get_by_role("link", name="Data", exact=True).click()
    page.wait_for_url("**/data**")
    page.reload()
    expect(page.locator(".ag-root").first).to_be_visible()
    page.evaluate("() => spi.scope.tell({since: 1})")
    page.get_by_role("link", name="Explore", exact=True).click()
    expect(page.locator(".row")).to_have_count(2)
    expect(plot(page)).to_be_visible()


def test_enter_opens_the_point_where_the_keys_were_also_in_a_shorter_range(visit):
    page = visit("?start=2022-07-01T00:00Z&end=2022-07-01T10:00Z&zone=utc")
    plot(page).focus()
    page.keyboard.press("End")
    expect(page.locator(".tip.shown")).to_be_attached()
    page.evaluate("() => spi.pointer.zoom(Date.UTC(2022, 6, 1, 3) / 1000, Date.UTC(2022, 6, 1, 5) / 1000)")
    page.wait_for_url("**start=2022-07-01T03:00Z**")
    page.wait_for_function("() => spi.explore.data.end - spi.explore.data.start === 7200")
    plot(page).focus()
    page.keyboard.press("Enter")
    device, last = page.evaluate(
        "() => { const {device, t, inside} = spi.explore.rows[0]; return [device, spi.time.legacy(t[inside[1] - 1])]; }"
    )
    assert last == "2022-07-01_04-40-00"
    page.wait_for_url(f"**/image/{device}/{last}**")


def test_lines_reach_the_ends_of_a_short_range_and_nothing_is_hatched_there(visit):
    page = visit("?start=2022-07-01T03:10Z&end=2022-07-01T04:10Z&zone=utc")
    row = page.evaluate(
        "() => { const {t, inside, images, gaps} = spi.explore.rows[0]; return {t: [...t], inside, images, gaps}; }"
    )
    minutes = [(t - row["t"][0]) / 60 for t in row["t"]]
    assert (minutes, row["inside"], row["images"], row["gaps"]) == ([0, 20, 40, 60, 80], [1, 4], 3, [])
    expect(page.locator(".row").first.locator(".cell.none:not(.beyond)")).to_have_count(0)
    expect(page.locator(".row").first.locator(".cell:not(.none)")).to_have_count(3)
    box = plot(page).bounding_box()
    page.mouse.move(box["x"] + 42, box["y"] + 40)  # nearer to the picture before the range, which is not in it
    expect(page.locator(".tip.shown .tip-title")).to_contain_text("03:20")
