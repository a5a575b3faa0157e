"""Real data in a real browser: the rows of a season as a server of May 2021 kept them, and tuboids of that season."""

import csv
import io
import re
from datetime import datetime

import pytest
from browser.lab import sign_in
from conftest import NO_PICTURES, REAL_PICTURES
from live import live_server
from playwright.sync_api import expect
from stack.old_databases import load_season
from tuboid_lab import REAL_TUBOIDS

from spi_dash.services import rollups

pytest_plugins = ["browser.fixtures"]

TABLE = REAL_PICTURES.parent / "tables" / "images.csv"
pytestmark = pytest.mark.skipif(
    not (TABLE.exists() and REAL_TUBOIDS.exists()),
    reason=f"the rows and tuboids of a season are not there: {NO_PICTURES}",
)
PATIENT_MS = 30_000  # for the first answer of a page
ALGO = "siamese-insect-matcher"
TAXA = {
    "0000": {"type": "Background"},
    "0028": {"type": "Insecta", "order": "Diptera", "family": "Muscidae"},
    "0029": {"type": "Insecta", "order": "Diptera", "family": "Drosophilidae", "genus": "Drosophila"},
    "0030": {"type": "Insecta", "order": "Diptera"},
    "0031": {"type": "Insecta", "order": "Coleoptera"},
}
SEASON, NIGHT = "?start=season&zone=utc", "?start=2020-07-08&end=2020-07-09&zone=utc"
GONE = "404 (NOT FOUND)"  # of pictures: the rows are real, their files are not here


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Adopted when it starts; six tuboids sent by the Python client, five of them labelled."""
    folder = tmp_path_factory.mktemp("real")
    load_season(f"sqlite:///{folder / 'spi.db'}", TABLE)
    with live_server(folder) as live, live.client() as client:
        (series,) = (path for path in REAL_TUBOIDS.iterdir() if path.is_dir())
        rows = client.put_tiled_tuboids(series, ALGO, progress=False)
        assert len(rows) == 6
        common = {"algo_name": "insect-tuboid-classifier", "algo_version": "1-real", "label": 1, "pattern": ".*"}
        client.put_itc_labels(
            [{"tuboid_id": f"{series.name}.{number}", **common, **taxon} for number, taxon in TAXA.items()]
        )
        rollups.refresh(live.spi.begin, live.spi.read, for_s=60)
        yield live


@pytest.fixture
def page(browser, lab):
    """Signed in. The rows are real, the files of their pictures are not here: only that is said in the console."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    sign_in(context, lab)
    yield page
    context.close()
    assert [text for text in errors if GONE not in text] == []


def cells(page, column):
    return page.locator(f'.ag-row:not(.ag-row-loading) [col-id="{column}"]')


@pytest.fixture
def films(page, lab):
    page.goto(f"{lab.url}/tuboids{NIGHT}")
    expect(page.locator(".tuboid")).to_have_count(6, timeout=PATIENT_MS)
    expect(page.locator("body")).not_to_have_class("is-loading")
    return page


def test_real_tuboids_are_counted_and_play(films):
    page = films
    expect(page.locator(".summary")).to_contain_text("6 tuboids that began in these dates, of 1 trap")
    expect(page.locator(".summary")).to_contain_text("5 of 6 have a label")
    filters = page.locator(".gallery aside")
    expect(filters).to_contain_text("All6Background1Insecta4Coleoptera1Diptera3unlabelled1")
    steps = page.locator(".film .step").all_text_contents()
    assert sorted(int(text.split("/ ")[1]) for text in steps) == [11, 25, 27, 36, 37, 53]
    film = page.locator(".film").nth(1)
    assert film.locator("img").evaluate("image => image.naturalWidth") == 4 * 224
    film.hover()
    expect(film).to_have_attribute("data-step", re.compile("[1-9]"))


def test_real_labels_filter_count_and_go_home(films):
    page = films
    page.locator("button.tuboid-filter", has_text="Diptera").click()
    expect(page.locator(".tuboid")).to_have_count(3, timeout=PATIENT_MS)
    page.get_by_text("Counts per day and per hour").click()
    expect(page.locator(".chart-row > span").first).to_have_text("Insecta \u203a Diptera: 1", timeout=PATIENT_MS)
    expect(page.locator(".chart-row")).to_have_count(3)
    with page.expect_download() as started:
        page.get_by_role("link", name="Labels (CSV)").click()
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text(), newline="")))
    assert sorted(row["family"] for row in rows) == ["", "Drosophilidae", "Muscidae"]
    assert {row["order"] for row in rows} == {"Diptera"} and {row["newest_label"] for row in rows} == {"true"}


def test_context_and_first_shot_of_a_real_tuboid(films):
    page = films
    page.get_by_role("button", name="Context").nth(1).click()
    context = page.get_by_role("dialog").locator("img")
    expect(context).to_be_visible()
    assert context.evaluate("image => image.complete && image.naturalWidth") > 500
    page.keyboard.press("Escape")
    page.get_by_role("link", name="First shot").last.click()
    expect(page.locator(".viewer-title")).to_contain_text("08038ade")
    assert re.search(r"/image/08038ade/2020-07-08_22-16-46", page.url)
    expect(page.locator(".no-picture")).to_be_visible()


def test_a_season_is_explored_down_to_single_pictures(page, lab):
    page.goto(f"{lab.url}/{SEASON}")
    expect(page.locator(".summary")).to_contain_text("19\u202f631 pictures of 10 traps", timeout=PATIENT_MS)
    expect(page.locator(".row")).to_have_count(10)
    found = page.evaluate("spi.explore.data.rows.map(row => [row.bucket, row.gaps.length])")
    assert all(bucket > 0 for bucket, _ in found) and sum(gaps for _, gaps in found) > 10
    assert (
        page.evaluate(
            "Math.min(...spi.explore.data.rows.flatMap(row => [...spi.series.row(row).temp]).filter(t => t === t))"
        )
        > 0
    )
    page.goto(f"{lab.url}/?start=2020-07-08&end=2020-07-08&device=08038ade")
    expect(page.locator(".summary")).to_contain_text("44 pictures of 1 trap", timeout=PATIENT_MS)
    assert page.evaluate("spi.explore.data.rows[0].bucket") == 0
    expect(page.get_by_text("Vancouver time").first).to_be_attached()  # swapped coordinates are put right


def test_a_season_as_a_table_and_as_a_file(page, lab):
    page.goto(f"{lab.url}/data{SEASON}")
    expect(page.locator(".summary")).to_contain_text("19\u202f631 pictures of 10 traps", timeout=PATIENT_MS)
    temperature = page.locator('.ag-header-cell[col-id="temp"]')
    temperature.get_by_text("Temperature").click()
    temperature.get_by_text("Temperature").click()
    expect(cells(page, "temp").first).not_to_have_text("\u2013")
    page.locator("summary", has_text="Download").click()
    with page.expect_download() as started:
        page.locator("a.download", has=page.get_by_text("CSV", exact=True)).click()
    rows = list(csv.DictReader(io.StringIO(started.value.path().read_text(), newline="")))
    assert len(rows) == 19_631
    hottest = [float(row["temperature_c"]) for row in rows if row["temperature_c"]]
    assert hottest == sorted(hottest, reverse=True)
    assert all(49 < float(row["latitude_deg"]) < 50 for row in rows if row["latitude_deg"])
    assert "true" in {row["gps_corrected"] for row in rows}  # put right, and said
    assert len({(row["device"], datetime.fromisoformat(row["time_utc"])) for row in rows}) == 19_631
