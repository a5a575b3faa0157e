"""axe-core on every page: nothing serious or critical, on a desktop in light and dark, and on a phone."""

from collections.abc import Iterator

import dash
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser.lab import TRAPS
from live import ADMIN, PASSWORD, Live
from playwright.sync_api import Browser, Page, expect

pytest_plugins = ["browser.fixtures"]

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
SCOPE = "?start=2022-07-01&end=2022-07-01&zone=utc"
AXE = Axe()
ALL_RULES = {"resultTypes": ["violations"]}
COLOURS = {**ALL_RULES, "runOnly": ["color-contrast"]}  # the dark theme is another in nothing else
PHONE_PX = 640  # in the dark, phones have the colours of desktops


@pytest.fixture(scope="module")
def places(lab: Live) -> dict[str, str]:
    """What stands in the placeholders of the pages' paths."""
    answer = lab.app.test_client().post("/put_projects", json=[{"name": "axe"}], auth=(ADMIN, PASSWORD))
    return {"<project_id>": str(answer.json[0]["id"]), "<device>": TRAPS[0], "<taken_at>": "2022-07-01_02-00-00"}


@pytest.fixture(params=list(SIZES))
def reader(request, browser: Browser, lab: Live) -> Iterator[Page]:
    """A browser of one size, at the sign-in form."""
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{lab.url}/sign-in")
    yield page
    context.close()


def violations(page: Page) -> list[str]:
    """The serious and the critical ones of both themes, with where they are."""
    found = []
    themes = {"light": ALL_RULES} | ({"dark": COLOURS} if page.viewport_size["width"] > PHONE_PX else {})
    for theme, options in themes.items():
        page.emulate_media(color_scheme=theme)
        for each in AXE.run(page, options=options).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found += [f"{theme} {each['id']} {node['html'][:160]} {node['any']}" for node in each["nodes"]]
    page.emulate_media(color_scheme="light")
    return found


def addresses(places: dict[str, str]) -> Iterator[str]:
    """Of every registered page."""
    for page in dash.page_registry.values():
        path = page["path_template"] or page["path"]
        for placeholder, value in places.items():
            path = path.replace(placeholder, value)
        assert "<" not in path, f"say in `places` what stands in {path}"
        yield path


def test_no_page_has_a_serious_violation(reader, lab, places):
    found = {"/sign-in": violations(reader)}
    reader.fill("input[name=username]", ADMIN)
    reader.fill("input[name=password]", PASSWORD)
    reader.click("button[type=submit]")
    reader.wait_for_selector("#page > *")
    for path in addresses(places):
        reader.goto(lab.url + path + SCOPE)
        reader.wait_for_load_state("networkidle")
        if path.startswith("/image/"):
            expect(reader.locator(".viewer-count")).to_contain_text("7 insects")
        found[path] = violations(reader)
    reader.goto(f"{lab.url}/settings")
    reader.get_by_role("button", name="Add user").click()
    expect(reader.locator("dialog").get_by_label("Name", exact=True)).to_be_focused()
    found["a dialog"] = violations(reader)
    assert {place: problems for place, problems in found.items() if problems} == {}


def test_the_link_of_the_open_page_says_so(visit, lab):
    page = visit()
    links = page.get_by_role("navigation", name="Pages")
    expect(links.locator("[aria-current]")).to_have_text("Explore")
    links.get_by_role("link", name="Data").click()
    expect(links.locator("[aria-current=page]")).to_have_text("Data")
    expect(links.locator("[aria-current]")).to_have_count(1)
    page.go_back()
    expect(links.locator("[aria-current]")).to_have_text("Explore")
    page.goto(f"{lab.url}/projects/1")
    expect(links.locator("[aria-current=true]")).to_have_text("Projects")
