"""Data, as a person uses it: sort, filter, choose columns, open a picture, take files home."""

import csv
import gzip
import io
import json
import re
import secrets
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser.lab import TRAPS
from live import ADMIN, PASSWORD
from playwright.sync_api import Page, expect

from spi_dash.services import export_csv

pytest_plugins = ["browser.fixtures"]

DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"
WHOLE = "60 pictures of 2 traps · 240 insects in 30 of them (30 awaiting detection), detector 1.0"


@pytest.fixture
def table(page, lab):
    """The page, once its first rows are there."""

    def go(search=DAY) -> Page:
        page.goto(f"{lab.url}/data{search}")
        expect(page.locator(".ag-center-cols-container .ag-row").first).to_be_visible()
        expect(cells(page, "device").first).not_to_be_empty()
        return page

    return go


def cells(page, column):
    return page.locator(f'.ag-row:not(.ag-row-loading) [col-id="{column}"]')


def head(page, column):
    return page.locator(f'.ag-header-cell[col-id="{column}"]')


def download(page, name) -> tuple[str, bytes]:
    """In two clicks."""
    page.locator("summary", has_text="Download").click()
    with page.expect_download() as started:
        page.locator("a.download", has=page.get_by_text(name, exact=True)).click()
    return started.value.suggested_filename, Path(started.value.path()).read_bytes()


def from_database(lab, query) -> list:
    with lab.spi.read() as session:
        return [tuple(row) for row in session.execute(sa.text(query))]


def test_the_newest_pictures_come_first_and_the_zone_is_printed(table):
    page = table()
    expect(page.locator(".summary")).to_have_text(WHOLE)
    expect(head(page, "time")).to_contain_text("Time (UTC)")
    expect(cells(page, "time").first).to_have_text("2022-07-01 09:40")
    expect(cells(page, "insects").first).to_have_text("\u2013")
    expect(page.locator("body")).not_to_have_class("is-loading")


def test_times_follow_the_zone(table):
    page = table(DAY.replace("&zone=utc", "") + "&device=" + TRAPS[0])
    expect(head(page, "time")).to_contain_text("Time (UTC\u22127)")
    expect(cells(page, "time").first).to_have_text("2022-07-01 02:40")


def test_sorting_and_filtering_happen_on_the_server(table):
    page = table()
    head(page, "insects").get_by_text("Insects").click()
    expect(cells(page, "insects").first).to_have_text("1")
    head(page, "insects").get_by_text("Insects").click()
    expect(cells(page, "insects").first).to_have_text("15")
    head(page, "device").locator(".ag-header-cell-filter-button").click()
    page.get_by_placeholder("Filter...").first.fill(TRAPS[1][-4:].upper())
    expect(page.locator(".summary")).to_contain_text("30 of 60 pictures of 1 trap · 120 insects in 15 of them")
    expect(cells(page, "device").first).to_have_text(TRAPS[1])
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".summary")).to_have_text(WHOLE)


def test_a_filter_that_nothing_passes_says_so(table):
    page = table()
    head(page, "device").locator(".ag-header-cell-filter-button").click()
    page.get_by_placeholder("Filter...").first.fill("nothing")
    expect(page.get_by_text("No picture passes these filters.")).to_be_visible()
    expect(page.locator(".summary")).to_contain_text("None of 60 pictures passes these filters")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear filters").click()
    expect(cells(page, "device").first).not_to_be_empty()


def test_chosen_columns_are_kept_in_the_browser(table):
    page = table()
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("MD5").check()
    page.get_by_label("Site", exact=True).uncheck()
    expect(head(page, "site")).to_have_count(0)
    page.reload()
    expect(cells(page, "device").first).not_to_be_empty()
    expect(head(page, "site")).to_have_count(0)
    page.locator(".ag-center-cols-viewport").evaluate("box => box.scrollLeft = 10000")
    expect(head(page, "md5")).to_be_visible()


def test_a_row_opens_its_picture_by_click_and_by_key(table):
    page = table(f"{DAY}&device={TRAPS[0]}")
    row = page.locator('.ag-row:has-text("2022-07-01 02:00")').first
    row.click()
    expect(page.locator(".viewer-count")).to_contain_text("7 insects")
    assert f"/image/{TRAPS[0]}/2022-07-01_02-00-00" in page.url
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_be_hidden()
    assert "/data" in page.url
    cells(page, "device").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".viewer-title")).to_contain_text("2022-07-01 09:20")


def test_a_csv_has_the_rows_of_the_database(table, lab):
    page = table()
    name, packed = download(page, "CSV.gz")
    assert name.startswith("images_2022-07-01_to_2022-07-01_2-traps_made-") and name.endswith(".csv.gz")
    lines = list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode(), newline="")))
    found = "SELECT i.md5, n_objects FROM images i LEFT JOIN uid_annotations a ON a.parent_image_id = i.id"
    expected = from_database(lab, f"{found} WHERE i.datetime < '2022-07-02' ORDER BY i.datetime DESC, i.device DESC")
    assert [(line["md5"], line["insects"]) for line in lines] == [
        (md5, "" if count is None else str(count)) for md5, count in expected
    ]


def test_a_csv_follows_filter_and_order(table):
    page = table()
    head(page, "insects").get_by_text("Insects").click()
    head(page, "device").locator(".ag-header-cell-filter-button").click()
    page.get_by_placeholder("Filter...").first.fill(TRAPS[1])
    expect(page.locator(".summary")).to_contain_text("30 of 60")
    page.keyboard.press("Escape")
    name, text = download(page, "CSV")
    lines = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    assert "_filtered_" in name
    assert {line["device"] for line in lines} == {TRAPS[1]}
    assert [line["insects"] for line in lines] == [*map(str, range(1, 16)), *[""] * 15]


@pytest.fixture
def slow_csv(monkeypatch):
    """The server makes half of the file, and the rest when the event is set; `ended` when the reader hung up."""
    go_on, ended, write = threading.Event(), threading.Event(), export_csv.write_csv

    def write_half(*arguments, **options):
        whole = b"".join(write(*arguments, **options))
        lines = whole.splitlines(keepends=True)
        try:
            yield b"".join(lines[:31])
            while not go_on.wait(0.05):
                yield secrets.token_hex(20_000).encode()  # what cannot be packed is sent, and shows who listens
            yield b"".join(lines[31:])
        finally:
            ended.set()

    monkeypatch.setattr(export_csv, "write_csv", write_half)
    yield go_on, ended
    go_on.set()


def start_csv(page):
    page.locator("summary", has_text="Download").click()
    page.locator("a.download", has=page.get_by_text("CSV", exact=True)).click()
    return page.get_by_role("group", name="CSV")


def test_a_download_shows_how_far_it_is_and_comes(table, slow_csv):
    page = table()
    with page.expect_download() as started:
        box = start_csv(page)
        expect(box).to_contain_text("50 %")
        expect(box).to_contain_text("kB")
        assert box.locator("progress").get_attribute("value") == "0.5"
        page.get_by_role("link", name="Explore").click()
        expect(page.locator(".row")).to_have_count(2)
        expect(box).to_be_visible()
        slow_csv[0].set()
    assert Path(started.value.path()).read_bytes().count(b"\n") == 61
    expect(box).to_have_count(0)
    expect(page.locator(".toast.shown")).to_contain_text("downloaded")


def test_a_download_is_cancelled(table, slow_csv):
    page, came = table(), []
    page.on("download", lambda download: came.append(download))
    box = start_csv(page)
    expect(box).to_contain_text("50 %")
    box.get_by_role("button", name="Cancel CSV").focus()
    page.keyboard.press("Enter")
    expect(box).to_have_count(0)
    expect(page.locator(".toast.shown")).to_have_text("CSV: the download was cancelled.")
    expect(page.locator("summary", has_text="Download")).to_be_focused()
    assert slow_csv[1].wait(10), "the server goes on although nobody reads"
    assert came == []


def test_a_refused_download_says_why(table):
    page = table()
    refusal = {"error": {"code": "invalid_input", "message": "the filter cannot be read", "details": {}}}
    page.evaluate("body => { window.fetch = async () => new Response(body, {status: 400}); }", json.dumps(refusal))
    start_csv(page)
    expect(page.locator(".toast.shown")).to_have_text("The filter cannot be read.")
    expect(page.locator(".taking")).to_have_count(0)


def test_coco_has_the_outlines_of_the_database(table, lab):
    name, text = download(table(), "Annotations (COCO JSON)")
    file = json.loads(text)
    assert name.endswith(".coco.json") and "uid-1.0" in name
    rows = from_database(lab, "SELECT parent_image_id, json FROM uid_annotations WHERE algo_version = '1.0'")
    outlines = {image: [each["contour"] for each in json.loads(body)["annotations"]] for image, body in rows}
    listed = {image["id"] for image in file["images"]}
    assert len(listed) == 30 and listed <= set(outlines)
    for image in listed:
        mine = [each["segmentation"][0] for each in file["annotations"] if each["image_id"] == image]
        assert mine == [[v for point in contour for v in point[0]] for contour in outlines[image]]


def test_outside_of_the_data_the_page_leads_back(page, lab):
    page.goto(f"{lab.url}/data?start=2020-01-01&end=2020-01-02")
    page.get_by_role("button", name="Go there").click()
    expect(page.locator(".summary")).to_contain_text(re.compile(r"\d pictures? of \d traps?"))
    expect(cells(page, "device").first).not_to_be_empty()
    expect(page.locator("summary", has_text="Download")).to_be_visible()


def test_the_scope_changes_the_rows(table):
    page = table()
    page.get_by_role("button", name="All", exact=True).first.click()
    page.wait_for_url("**start=all**")
    page.go_back()
    expect(page.locator(".summary")).to_have_text(WHOLE)
    expect(cells(page, "time").first).to_have_text("2022-07-01 09:40")


def test_from_explore_to_data_and_back(visit, page):
    visit()
    page.get_by_role("link", name="Data").click()
    expect(cells(page, "time").first).to_have_text("2022-07-01 09:40")
    page.get_by_role("link", name="Explore").click()
    expect(page.locator(".row")).to_have_count(2)


def loaded(page):
    return page.evaluate("() => Boolean(window.dash_ag_grid)")


def test_the_script_of_tables_comes_when_their_link_is_pointed_at(visit, page):
    page = visit()
    assert not loaded(page)
    page.evaluate("() => (window.spiStayed = true)")
    page.get_by_role("link", name="Data").hover()
    page.wait_for_function("() => window.dash_ag_grid")
    page.get_by_role("link", name="Data").click()
    expect(cells(page, "time").first).to_have_text("2022-07-01 09:40")
    assert page.evaluate("() => window.spiStayed")


@pytest.mark.parametrize(("link", "comes"), [("Data", True), ("Data", False), ("Projects", True), ("Projects", False)])
def test_a_table_opens_whether_its_script_comes_or_not(visit, page, lab, link, comes):
    body = [{"name": f"Opened by {link} {comes}"}]
    project = lab.app.test_client().post("/put_projects", json=body, auth=(ADMIN, PASSWORD)).json[0]["id"]
    visit()
    page.evaluate("() => (window.spiStayed = true)")
    if not comes:
        page.evaluate("() => (spi.tables.load = () => Promise.reject())")
    page.get_by_role("link", name=link).click()
    if link == "Projects":
        page.wait_for_url("**/projects?**")
        assert not loaded(page)
        page.get_by_role("link", name=body[0]["name"], exact=True).click()
        page.wait_for_url(f"**/projects/{project}**")
    expect(page.locator(".ag-root").first).to_be_visible()
    assert page.evaluate("() => Boolean(window.spiStayed)") == comes
    page.go_back()
    pages = page.get_by_role("navigation", name="Pages")
    before = pages.get_by_role("link", name="Explore" if link == "Data" else link)
    expect(before).to_have_attribute("aria-current", "page")


def test_a_yes_or_no_column_is_filtered(table):
    page = table()
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("Button", exact=True).check()
    page.keyboard.press("Escape")
    page.evaluate("""spi.data.grid().ensureColumnVisible("button")""")
    head(page, "button").locator(".ag-header-cell-filter-button").click()
    page.locator(".ag-filter-select .ag-picker-field-wrapper").first.click()
    page.get_by_role("option", name="Yes").click()
    expect(page.locator(".summary")).to_contain_text("60 pictures")
    expect(page.get_by_role("button", name="Clear filters")).to_be_visible()
