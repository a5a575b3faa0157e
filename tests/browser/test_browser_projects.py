"""Projects, as their admin, a viewer and a stranger use them."""

import re
from datetime import timedelta

import pytest
from browser.lab import START, TRAPS
from browser.test_browser_settings import other_browser
from live import ADMIN, PASSWORD
from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]
VIEWER = ("viewer", "the viewer's password")
HEADING = "device,start_datetime,end_datetime,bait\n"


@pytest.fixture
def viewer(lab):
    """An account that may write, but only looks at projects."""
    client, auth = lab.app.test_client(), (ADMIN, PASSWORD)
    client.post("/delete_users", json=[{"username": VIEWER[0]}], auth=auth)
    account = {"username": VIEWER[0], "password": VIEWER[1]}
    assert client.post("/put_users", json=[account], auth=auth).status_code == 200


def cell(page, column, row=0):
    return page.locator(f'.project-grid .ag-center-cols-container [row-index="{row}"] [col-id="{column}"]')


def type_into(page, column, text):
    cell(page, column).dblclick()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def import_file(page, text):
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import CSV").click()
    chooser.value.set_files({"name": "rows.csv", "mimeType": "text/csv", "buffer": text.encode()})


def test_a_project_from_the_first_row_to_its_end(page, lab, browser, viewer):
    dialog = page.locator("dialog")
    page.goto(f"{lab.url}/projects")
    page.get_by_role("button", name="New project").click()
    assert page.evaluate("getComputedStyle(document.body, '::after').display") == "none"  # no bar of a load without end
    dialog.get_by_label("Name", exact=True).fill("orchard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="orchard")).to_be_visible()

    page.get_by_role("button", name="Add column").click()
    dialog.get_by_label("Name", exact=True).fill("bait")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="bait")).to_be_visible()

    page.get_by_role("button", name="Add row").click()
    for label, text in (("Trap", "0a1b2c3d"), ("Start (UTC)", "2022-07-01"), ("End (UTC)", "2022-06-01")):
        dialog.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Enter")
    expect(dialog.locator("[data-name=end_datetime] .problem")).to_contain_text("before start_datetime")
    dialog.get_by_label("End (UTC)").fill("2022-07-02")
    page.keyboard.press("Enter")
    expect(cell(page, "#n_images")).to_have_text("30")
    expect(cell(page, "#first")).to_have_text("2022-07-01 00:00")

    type_into(page, "bait", "sweet")
    expect(cell(page, "bait")).to_have_class(re.compile(r"\bwrong\b"))
    expect(page.locator(".toast")).to_contain_text("Must be a number")
    type_into(page, "bait", "2.5")
    expect(cell(page, "bait")).not_to_have_class(re.compile(r"\bwrong\b"))
    type_into(page, "end_datetime", "yesterday")
    expect(cell(page, "end_datetime")).to_have_class(re.compile(r"\bwrong\b"))
    page.reload()
    expect(cell(page, "end_datetime")).to_have_text("2022-07-02")
    expect(cell(page, "bait")).to_have_text("2.5")

    import_file(page, HEADING + "1b2c3d4e,2022-07-01,2022-07-02,1\n1b2c3d4e,2022-07-05,2022-07-04,x\n")
    expect(dialog.locator("li")).to_have_text(["Line 3, bait: must be a number"])
    dialog.get_by_role("button", name="Close").click()
    import_file(page, HEADING + "1b2c3d4e,2022-07-01 01:00:00,2022-07-02,1\n")
    dialog.get_by_role("button", name="Import 1 row").click()
    expect(cell(page, "device", 1)).to_have_text("1b2c3d4e")

    page.get_by_role("button", name="Add member").click()
    dialog.get_by_label("Name of the account").fill(VIEWER[0])
    page.keyboard.press("Enter")
    expect(page.locator(".members")).to_contain_text("viewer")
    page.get_by_label("Remove admin").click()
    dialog.get_by_role("button", name="Remove admin").click()
    expect(dialog.locator(".problem:visible")).to_contain_text("somebody else")
    dialog.get_by_role("button", name="Cancel").click()
    address = page.url.removeprefix(lab.url)
    with other_browser(browser, lab, *VIEWER, target=address) as hers:
        expect(cell(hers, "bait")).to_have_text("2.5")
        cell(hers, "bait").dblclick()
        expect(hers.locator(".project-grid input[type=text]")).to_have_count(0)
        expect(hers.get_by_role("button", name="Add row")).to_have_count(0)

    page.get_by_label("Remove viewer").click()
    dialog.get_by_role("button", name="Remove viewer").click()
    expect(page.get_by_label("Remove viewer")).to_have_count(0)
    with other_browser(browser, lab, *VIEWER, target=address) as hers:
        expect(hers.get_by_role("heading", name="There is no such project here")).to_be_visible()

    page.locator(".project-grid .ag-row .ag-checkbox-input").first.check()
    page.get_by_role("button", name="Delete rows").click()
    dialog.get_by_role("button", name="Delete 1 row").click()
    expect(cell(page, "device", 1)).to_have_count(0)
    page.get_by_label("Delete project").click()
    dialog.get_by_label("Type orchard to confirm").fill("orchard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="orchard", exact=True)).to_have_count(0)


def test_cells_that_change_at_once_are_all_stored(page, lab):
    """As when somebody pastes, or types faster than her line is; what is refused is said of its own cell."""
    with lab.client() as client:
        project = client.put_projects([{"name": "fast"}])[0]["id"]
        client.add_project_column(project, "bait", "DOUBLE")
        client.add_project_column(project, "crop", "CHAR(8)")
        dates = {"start_datetime": START, "end_datetime": START + timedelta(days=1)}
        client.put_project_series(project, [{"device": device, **dates} for device in TRAPS])
        page.goto(f"{lab.url}/projects/{project}")
        expect(cell(page, "device", 1)).to_have_text(TRAPS[1])
        page.evaluate("""() => {
            const api = dash_ag_grid.getApi("project-grid");
            const [one, other] = [0, 1].map((i) => api.getDisplayedRowAtIndex(i));
            one.setDataValue("bait", "1.5");
            one.setDataValue("crop", "apple");
            other.setDataValue("bait", "sweet");
            other.setDataValue("crop", "pear");
        }""")
        expect(cell(page, "bait", 1)).to_have_class(re.compile(r"\bwrong\b"))
        page.wait_for_function("() => spi.settings.waiting.size === 0")
        rows = client.get_project_series(project)
        assert [(row["bait"], row["crop"]) for row in rows] == [(1.5, "apple"), (None, "pear")]
        expect(page.locator(".project-grid .wrong")).to_have_count(1)
        client.delete_projects([{"id": project}])
