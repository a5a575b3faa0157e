"""A project as the scope, as a member chooses it, looks around in it, takes a file home, and loses the right to."""

import csv

import pytest
from browser.lab import TRAPS
from browser.test_browser_projects import VIEWER
from browser.test_browser_settings import other_browser
from live import ADMIN, PASSWORD
from playwright.sync_api import expect

pytest_plugins = ["browser.fixtures"]
AUTH = (ADMIN, PASSWORD)


@pytest.fixture
def project(lab):
    """Three hours of the first trap, shared with somebody who only looks; returns (its id, hers)."""
    client = lab.app.test_client()

    def post(path, body):
        answer = client.post(path, json=body, auth=AUTH)
        assert answer.status_code == 200, answer.text
        return answer.json

    client.post("/delete_users", json=[{"username": VIEWER[0]}], auth=AUTH)
    post("/put_users", [{"username": VIEWER[0], "password": VIEWER[1]}])
    found = post("/get_users", [{"username": VIEWER[0]}])
    (made,) = post("/put_projects", [{"name": "Hedgerow"}])
    row = {"project_id": made["id"], "device": TRAPS[0]}
    ends = [{name: f"2022-07-01T{hour:02}:10:00Z" for name, hour in (("start_datetime", k), ("end_datetime", k + 2))}
            for k in (1, 2)]  # fmt: skip
    post("/put_project_series", [row | each for each in ends])
    level = {"project_id": made["id"], "user_id": found[0]["id"], "level": 1}
    post("/put_project_permissions", [level])
    yield made["id"], lambda: post("/put_project_permissions", [{**level, "level": 0}])
    post("/delete_projects", [{"id": made["id"]}])


def devices_of(page):
    return page.locator(".explore .row").evaluate_all("rows => rows.map((row) => row.dataset.device)")


def test_a_member_looks_around_in_a_project_until_she_may_no_more(lab, browser, project, tmp_path):
    key, withdraw = project
    with other_browser(browser, lab, *VIEWER, target="/?start=all&zone=utc") as page:
        expect(page.locator(".explore .row")).to_have_count(2)  # a browser that has nothing yet
        page.get_by_role("textbox", name="Project").click()
        page.get_by_role("option", name="Hedgerow").click()
        expect(page.locator(".summary")).to_contain_text("9 pictures of 1 trap in project Hedgerow (2 series)")
        assert page.url == f"{lab.url}/?zone=utc&project={key}"
        assert devices_of(page) == [TRAPS[0]]
        expect(page.locator(".project-note")).to_have_text("2 series")
        expect(page.locator("#shell-devices-button")).to_have_text("all 1 traps")
        expect(page.get_by_role("button", name="All", exact=True).first).to_have_attribute("aria-pressed", "true")

        page.get_by_label("Type dates").fill("2022-07-01 02:00 to 03:00")
        page.keyboard.press("Enter")
        expect(page.locator(".summary")).to_contain_text("3 pictures of 1 trap in project Hedgerow")
        page.reload()
        expect(page.locator(".summary")).to_contain_text("3 pictures of 1 trap in project Hedgerow")
        page.go_back()
        expect(page.locator(".summary")).to_contain_text("9 pictures of 1 trap")

        page.get_by_role("link", name="Data", exact=True).click()
        expect(page.locator(".summary")).to_contain_text("9 pictures of 1 trap in project Hedgerow (2 series)")
        page.get_by_text("Download", exact=True).click()
        with page.expect_download() as taken:
            page.locator('[data-file="images.csv"]').click()
        taken.value.save_as(tmp_path / "images.csv")
        assert f"project-{key}-Hedgerow" in taken.value.suggested_filename
        with (tmp_path / "images.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert {line["device"] for line in lines} == {TRAPS[0]}
        assert sorted(line["time_utc"][11:16] for line in lines)[::8] == ["01:20", "04:00"]

        withdraw()
        page.get_by_role("button", name="Season").click()
        expect(page.get_by_role("heading", name="There is no such project here")).to_be_visible()
        page.get_by_role("link", name="Explore").click()
        expect(page.get_by_role("heading", name="There is no such project here")).to_be_visible()
        assert devices_of(page) == [] and f"project={key}" in page.url
        page.get_by_role("button", name="Show all traps").click()
        expect(page.locator(".explore .row")).to_have_count(2)
        assert page.url == f"{lab.url}/?zone=utc"


def test_the_projects_page_leads_to_the_pictures_of_a_project_and_of_a_series(page, lab, project):
    key, _ = project
    page.goto(f"{lab.url}/projects", wait_until="networkidle")
    page.get_by_title("Show pictures of Hedgerow").click()
    expect(page.locator(".summary")).to_contain_text("9 pictures of 1 trap in project Hedgerow")
    page.goto(f"{lab.url}/projects/{key}", wait_until="networkidle")
    expect(page.locator(".project-tools h2")).to_have_text("2 series, 9 pictures")
    page.locator('[row-index="0"] [col-id="#address"] a').click()
    expect(page.locator(".summary")).to_contain_text("6 pictures of 1 trap in project Hedgerow")
    assert f"/?project={key}&device={TRAPS[0]}&start=2022-07-01T01:10Z&end=2022-07-01T03:10Z" in page.url
