"""Tuboids to look at: what is shown of a scope, on every database, and the page without a browser."""

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

import flask
import pytest
import sqlalchemy as sa
from conftest import ADMIN
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from tuboid_lab import START, encode, name_tuboid, new_label, shot_lines, tuboid_form

from spi_dash.errors import InvalidInput, NotFound
from spi_dash.models import ItcLabel, TiledTuboid, TuboidSeries
from spi_dash.pages import tuboids as page
from spi_dash.services import scope, tuboid_csv, tuboid_gallery, tuboid_index, users
from spi_dash.services.tuboid_gallery import UNLABELLED, View

AUDIT = {"datetime_created": START, "api_version": "1", "api_user_id": None}
DAY = View(start=START, end=START + timedelta(days=1))
SEARCH = "?start=2022-07-01&end=2022-07-01&zone=utc"
FLY, MUSCA, MOTH = ("Insecta", "Diptera"), ("Insecta", "Diptera", "Muscidae", "Musca"), ("Insecta", "Lepidoptera")


@pytest.fixture
def session(database):
    with database.begin() as session:
        yield session


@pytest.fixture
def add(session):
    """A tuboid with the labels that are given, the oldest first; returns its id."""
    series = {}

    def add_tuboid(number, *taxa, device="0a1b2c3d", at=START):
        if device not in series:
            row = TuboidSeries(**AUDIT, device=device, start_datetime=START, end_datetime=START + timedelta(days=9),
                               n_images=9, n_tuboids=99, algo_name="a", algo_version="1")  # fmt: skip
            session.add(row)
            session.flush()
            series[device] = row.id
        name = name_tuboid(number, device)
        row = TiledTuboid(**AUDIT, parent_series_id=series[device], tuboid_id=name, id_in_series=number,
                          start_datetime=at, end_datetime=at + timedelta(hours=1), n_shots=4)  # fmt: skip
        session.add(row)
        session.flush()
        for version, taxon in enumerate(taxa, 1):
            ranks = dict(zip(("type", "order", "family", "genus", "species"), taxon, strict=False))
            session.add(ItcLabel(**AUDIT, parent_tuboid_id=row.id, algo_name="itc", algo_version=str(version),
                                 label=1, pattern="x", **ranks))  # fmt: skip
            session.flush()
        return name

    return add_tuboid


def counts_of(session, view):
    """Everything that was written is seen to before."""
    tuboid_index.refresh_marked(session)
    return tuboid_gallery.count_tuboids(tuboid_gallery.group_tuboids(session, view), view)


def numbers(session, view):
    tuboid_index.refresh_marked(session)
    return [int(card.id[-4:]) for card in tuboid_gallery.list_cards(session, view)]


def test_the_newest_label_of_each_counts(session, add):
    add(0, FLY, MOTH)
    add(1, MUSCA)
    add(2)
    counts = counts_of(session, DAY)
    assert (counts.n, counts.n_unlabelled, counts.traps) == (3, 1, {"0a1b2c3d": 3})
    assert counts.taxa == {MUSCA[:1]: 2, MOTH: 1, FLY: 1, MUSCA[:3]: 1, MUSCA: 1}
    cards = {int(card.id[-4:]): card for card in tuboid_gallery.list_cards(session, DAY)}
    assert [(cards[k].taxon, cards[k].by) for k in range(3)] == [(MOTH, "itc 2"), (MUSCA, "itc 1"), ((), "")]


def test_filters_and_what_each_of_them_leaves(session, add):
    add(0, FLY)
    add(1, MUSCA, device="1b2c3d4e")
    add(2, MOTH)
    add(3, device="1b2c3d4e")
    for taxon, expected in (("Insecta/Diptera", [1, 0]), ("Insecta/Diptera/Muscidae", [1]), (UNLABELLED, [3]),
                            ("Insecta", [2, 1, 0]), ("a/b/c/d/e/f", []), ("Insecta'--", [])):  # fmt: skip
        view = View(start=DAY.start, end=DAY.end, taxon=taxon)
        assert sorted(numbers(session, view)) == sorted(expected), taxon
        assert counts_of(session, view).n == len(expected)
    view = View(start=DAY.start, end=DAY.end, taxon="Insecta/Diptera", trap="1b2c3d4e")
    counts = counts_of(session, view)
    assert (counts.n, counts.traps, counts.n_unlabelled) == (1, {"0a1b2c3d": 1, "1b2c3d4e": 1}, 1)
    assert MOTH not in counts.taxa
    assert numbers(session, View(start=DAY.start, end=DAY.end, devices=("1b2c3d4e",))) == [3, 1]


def test_pages_begin_with_the_newest_and_end_with_the_scope(session, add):
    for number in range(62):
        add(number, at=START + timedelta(minutes=number))
    add(70, at=DAY.end)
    assert numbers(session, DAY) == list(range(61, 1, -1))
    assert numbers(session, View(start=DAY.start, end=DAY.end, page=2)) == [1, 0]
    assert tuboid_gallery.find_newest_s(session, DAY) == int((DAY.end - datetime(1970, 1, 1)).total_seconds())
    assert tuboid_gallery.find_newest_s(session, replace(DAY, devices=("ffffffff",))) is None


def test_only_pictures_of_known_tuboids_have_an_address(session, add):
    name = add(0)
    assert tuboid_gallery.get_picture_key(session, name, "context").endswith(f"/{name}/context.jpg")
    for wrong in ((name, "metadata"), (name.upper(), "tuboid"), ("../" + name, "tuboid")):
        with pytest.raises(NotFound):
            tuboid_gallery.get_picture_key(session, *wrong)


def test_counts_per_day_and_hour_are_one_rank_below_the_filter(session, add):
    add(0, MUSCA, at=START + timedelta(minutes=14))
    add(1, FLY, at=START + timedelta(hours=7))
    add(2, at=START + timedelta(hours=23))
    tuboid_index.refresh_marked(session)
    day, utc = (START - datetime(1970, 1, 1)).days, sa.literal_column("0")
    everything = [{"path": (), "days": [(day, 1)], "hours": [(23, 1)]},
                  {"path": FLY, "days": [(day, 2)], "hours": [(0, 1), (7, 1)]}]  # fmt: skip
    assert tuboid_gallery.count_times(session, DAY, utc) == everything
    flies = View(start=DAY.start, end=DAY.end, taxon="Insecta/Diptera")
    assert [row["path"] for row in tuboid_gallery.count_times(session, flies, utc)] == [FLY, MUSCA[:3]]


def test_counts_follow_the_clocks_of_the_zone(session, add):
    """Berlin's clocks were put forward on 27 March 2022 at 1 o'clock UTC."""
    change = datetime(2022, 3, 27, 1)
    add(0, at=change - timedelta(minutes=1))
    add(1, at=change)
    add(2, at=datetime(2022, 3, 26, 23))
    tuboid_index.refresh_marked(session)
    query = scope.parse("?start=2022-03-20&end=2022-04-02&zone=reader")
    found = scope.resolve(session, query, change)
    view = tuboid_gallery.make_view("", query, found)
    (row,) = tuboid_gallery.count_times(session, view, tuboid_gallery.offset_s(found, "Europe/Berlin"))
    day = (change - datetime(1970, 1, 1)).days
    assert row == {"path": (), "days": [(day, 3)], "hours": [(0, 1), (1, 1), (3, 1)]}
    with pytest.raises(InvalidInput):
        tuboid_gallery.offset_s(found, "Europe/Atlantis")


def test_a_csv_has_every_label(session, add):
    names = [add(0, ("=Insecta",), MUSCA), add(1)]
    tuboid_index.refresh_marked(session)
    text = b"".join(tuboid_csv.write_csv(session, DAY)).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    seen = [(row["tuboid_id"], row["type"], row["genus"], row["newest_label"]) for row in rows]
    first, second = names
    assert seen == [(first, "'=Insecta", "", "false"), (first, "Insecta", "Musca", "true"), (second, "", "", "")]
    assert (rows[0]["start_utc"], rows[0]["shots"]) == ("2022-07-01 00:00:00", "4")


@pytest.fixture
def shown(server, spi):
    """The page's callback, called as it is for the admin."""

    def show(search=SEARCH, drawn=None, **more):
        with server.test_request_context("/_dash-update-component"):
            with spi.read() as session:
                flask.g.user = users.find_user_by_name(session, ADMIN[0])
            return page.show_tuboids({"search": search, **more}, drawn)

    return show


@pytest.fixture
def upload_tuboids(client, post):
    """Three, of which the first is labelled."""
    for number in range(3):
        form = tuboid_form(number, tuboid_id=name_tuboid(number), metadata=shot_lines(5))
        assert client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(form)).status_code == 200
    post("/put_itc_labels", [new_label(name_tuboid(0))])


def text_of(component) -> str:
    if isinstance(component, list | tuple):
        return "".join(text_of(each) for each in component)
    if isinstance(component, Component):
        return text_of(getattr(component, "children", None) or "")
    return "" if component is None else str(component)


def test_the_page_says_what_its_counts_are_made_of(shown, upload_tuboids, make_image):
    make_image("0a1b2c3d", START)
    _, data, summary, empty, filters = shown()
    says = "3 tuboids that began in these dates, of 1 trap \u00b7 1 of 3 have a label; the newest of each counts"
    assert (text_of(summary), empty) == (says, [])
    assert text_of(filters) == "TaxonAll3Insecta1Diptera1unlabelled2TrapAll30a1b2c3d3"
    assert [card["shot"] for card in data["cards"]] == [True] * 3
    _, data, summary, _, _ = shown(f"{SEARCH}&taxon=Insecta/Diptera&page=7&page=999999")
    assert text_of(summary).startswith("1 of 3 tuboids") and text_of(summary).endswith("Clear filters")
    assert (data["page"], len(data["cards"])) == (1, 1)
    assert shown(f"{SEARCH}&taxon=Nothing")[1]["cards"] == []


def test_an_empty_page_leads_to_the_newest(shown, client, upload_tuboids):
    _, data, summary, empty, filters = shown("")
    assert (data["cards"], summary, filters) == ([], [], [])
    assert "The newest began on 1 Jul 2022" in text_of(empty) and "Go there" in text_of(empty)
    assert "Choose other traps" in text_of(shown(f"{SEARCH}&device=ffffffff")[3])


def test_without_any_tuboid_it_says_what_they_are(shown, server):
    assert "No tuboids yet" in text_of(shown()[3])
    with pytest.raises(PreventUpdate):
        page.show_tuboids(None)


def test_pictures_are_behind_the_gate(client, upload_tuboids):
    address = f"/tuboids/{name_tuboid(0)}/tuboid.jpg"
    assert client.get(address).status_code != 200
    csrf = client.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
    client.post("/sign-in", data={"username": ADMIN[0], "password": ADMIN[1], "csrf": csrf})
    answer = client.get(address, follow_redirects=True)
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert client.get("/tuboids/nothing/tuboid.jpg").status_code == 404
    answer = client.get(f"/download/tuboids.csv{SEARCH}&taxon=Insecta")
    assert answer.text.count(name_tuboid(0)) == 1 and name_tuboid(1) not in answer.text
    assert "tuboids_2022-07-01_to_2022-07-01_filtered_made-" in answer.headers["Content-Disposition"]
