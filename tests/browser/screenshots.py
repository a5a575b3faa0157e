"""`make screenshots`: every page, desktop and phone, light and dark, full and empty, into the folder screenshots/.

Drawn cards of five traps, four days; it takes a minute or two, which is why it is not among the tests.
"""

from datetime import timedelta
from pathlib import Path

import pytest
from live import ADMIN, PASSWORD, live_server
from tuboid_lab import START, encode, name_tuboid, new_label, shot_lines, tuboid_form

from spi_dash.clock import utcnow
from spi_dash.demo import demo_pictures, make_traps

pytest_plugins = ["browser.fixtures"]

FOLDER = Path(__file__).parents[2] / "screenshots"
SIZES = {"desktop": (1440, 900), "phone": (390, 844)}
VERSION = {"algo_name": "demo-outlines", "algo_version": "1"}


@pytest.fixture(scope="module")
def full_lab(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("full")) as live, live.client() as client:
        end = utcnow()
        for name, data, outlines in demo_pictures(1, make_traps(1, 5), end - timedelta(days=4), end, every_s=3600):
            row = client.upload_image(name, data)
            contours = [{"contour": [[list(point)] for point in one.points], "name": one.name} for one in outlines]
            key = {"device": row["device"], "datetime": row["datetime"], "md5": row["md5"]}
            client.put_uid_annotations([{"annotations": contours, "metadata": {**VERSION, **key}}])
        add_tuboids(live.app.test_client())
        yield live


def add_tuboids(client):
    """Fifteen films, most of them labelled."""
    who, orders = (ADMIN, PASSWORD), ("Diptera", "Hymenoptera", "Lepidoptera", None)
    for number in range(15):
        form = tuboid_form(number, n_shots=9, metadata=shot_lines(9, START + timedelta(hours=number % 7)))
        assert client.post("/_put_tiled_tuboids", auth=who, **encode(form)).status_code == 200
    labels = [new_label(name_tuboid(number), order=orders[number % 4]) for number in range(12)]
    assert client.post("/put_itc_labels", json=labels, auth=who).status_code == 200


@pytest.fixture(scope="module")
def empty_lab(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("empty")) as live:
        yield live


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
@pytest.mark.parametrize("state", ["full", "empty"])
def test_screenshots(browser, request, state, size, theme):
    live = request.getfixturevalue(f"{state}_lab")
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    page = context.new_page()
    shot = Camera(page, FOLDER, f"{state}-{size}-{theme}")
    page.goto(f"{live.url}/sign-in")
    shot("sign-in")
    page.fill("input[name=username]", ADMIN)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    for path, name in (
        ("/?start=-7d", "explore"),
        ("/data?start=-7d", "data"),
        ("/tuboids?start=2022-07-01&end=2022-07-01&zone=utc", "tuboids"),
        ("/projects", "projects"),
        ("/settings", "settings"),
    ):
        page.goto(live.url + path)
        shot(name)
    if state == "full":
        with live.client() as client:
            row = client.get_image_series("%", utcnow() - timedelta(days=1), utcnow())[-1]
        page.goto(f"{live.url}/image/{row['device']}/{row['datetime']:%Y-%m-%d_%H-%M-%S}")
        shot("viewer")
    context.close()
    assert len(shot.taken) == (7 if state == "full" else 6)


class Camera:
    def __init__(self, page, folder, suffix):
        self.page, self.folder, self.suffix, self.taken = page, folder, suffix, []
        folder.mkdir(exist_ok=True)

    def __call__(self, name):
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_timeout(1000)  # pictures are painted after they have come
        path = self.folder / f"{name}-{self.suffix}.png"
        self.page.screenshot(path=path)
        self.taken.append(path)
