"""The page Data without a browser: its callbacks, and the routes of its downloads for every role."""

import csv
import gzip
import io
import json
from datetime import timedelta
from urllib.parse import quote

import flask
import pytest
from conftest import ADMIN, NOON, READER, WRITER
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate

from spi_dash.errors import InvalidInput, Unavailable
from spi_dash.pages import data, downloads
from spi_dash.services import export, export_csv, users

DAY = "?start=2022-07-01&end=2022-07-01&zone=utc"
FILES = [f"/download/{file}" for file, _, _ in data.FILES]


@pytest.fixture
def signed_in(client):
    """Sign in as the admin, or as somebody else, with the form."""

    def sign_in(user=ADMIN):
        csrf = client.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
        answer = client.post("/sign-in", data={"username": user[0], "password": user[1], "csrf": csrf})
        assert answer.status_code == 303, answer.text
        return client

    return sign_in


@pytest.fixture
def asked(server, spi):
    """Call a callback as it is called for the admin."""

    def ask(callback, *arguments):
        with server.test_request_context("/_dash-update-component"):
            with spi.read() as session:
                flask.g.user = users.find_user_by_name(session, ADMIN[0])
            return callback(*arguments)

    return ask


@pytest.fixture
def annotate(post):
    """One outline on a picture, by a version of a detector."""

    def add(row, version="1.0"):
        key = {"device": row["device"], "datetime": f"{NOON:%Y-%m-%dT%H:%M:%SZ}"}
        outline = {"contour": [[[1, 1]], [[9, 1]], [[9, 9]]], "name": "insect"}
        metadata = {**key, "algo_name": "uid", "algo_version": version, "md5": row["md5"]}
        post("/put_uid_annotations", [{"annotations": [outline], "metadata": metadata}])

    return add


def block(start=0, end=100, sort=(), filters=None):
    """As the table asks for rows."""
    sorted_by = [{"colId": key, "sort": way} for key, way in sort]
    return {"startRow": start, "endRow": end, "sortModel": sorted_by, "filterModel": filters or {}}


def text_of(component) -> str:
    if isinstance(component, list | tuple):
        return "".join(text_of(each) for each in component)
    if isinstance(component, Component):
        return text_of(getattr(component, "children", None) or "")
    return "" if component is None else str(component)


def test_rows_come_in_blocks_sorted_and_filtered_by_the_server(asked, make_image):
    for hour in range(5):
        make_image("aaaaaaaa" if hour % 2 else "bbbbbbbb", NOON + timedelta(hours=hour))
    asked(data.show_summary, {"search": DAY}, None)
    answer = asked(data.show_block, block(1, 3, [("time", "asc")]), {"search": DAY})
    assert answer["rowCount"] == 5
    assert [row["device"] for row in answer["rowData"]] == ["aaaaaaaa", "bbbbbbbb"]
    only = {"device": {"filterType": "text", "type": "startsWith", "filter": "A"}}
    assert asked(data.show_block, block(filters=only), {"search": DAY})["rowCount"] == 2
    json.dumps(answer)


def test_before_the_page_knows_its_scope_nothing_is_asked(asked):
    for request, search in ((None, {"search": ""}), (block(), None)):
        with pytest.raises(PreventUpdate):
            asked(data.show_block, request, search)


def test_a_made_up_column_is_refused(asked):
    with pytest.raises(InvalidInput):
        asked(data.show_block, block(sort=[("password_hash", "asc")]), {"search": DAY})


def test_the_count_says_what_it_is_made_of(asked, make_image, annotate):
    annotate(make_image("aaaaaaaa"))
    make_image("bbbbbbbb")
    summary, empty = asked(data.show_summary, {"search": DAY}, {})
    assert text_of(summary) == "2 pictures of 2 traps · 1 insect in 1 of them (1 awaiting detection), detector 1.0"
    assert empty == []
    found = asked(data.show_summary, {"search": DAY}, {"insects": {"type": "greaterThan", "filter": 0}})[0]
    assert text_of(found).startswith("1 of 2 pictures of 1 trap · 1 insect in 1 of them, detector 1.0")


def test_an_empty_page_says_the_next_step(asked, make_image):
    assert "No pictures yet" in text_of(asked(data.show_summary, {"search": ""}, None)[1])
    make_image()
    there = asked(data.show_summary, {"search": "?start=2019-12-01&end=2019-12-02"}, None)
    assert there[0] == [] and "The newest are from 1 Jul 2022" in text_of(there[1])


def test_every_column_is_offered_and_described():
    grid = next(part for part in data.layout()._traverse() if getattr(part, "id", None) == data.ids.GRID)
    assert all(definition["headerTooltip"] for definition in grid.columnDefs)
    assert [definition["field"] for definition in grid.columnDefs if definition.get("sort")] == ["time"]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("user", [ADMIN, WRITER, READER], ids=["admin", "read-write", "read-only"])
def test_everybody_who_is_signed_in_takes_data_home(signed_in, accounts, make_image, annotate, path, user):
    annotate(make_image())
    answer = signed_in(user).get(f"{path}{DAY}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="')
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", FILES)
def test_nobody_else_does(client, make_image, path):
    make_image()
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/sign-in?next={path}")
    assert client.post(path).status_code in (401, 404, 405)
    assert client.get(path, auth=ADMIN).status_code == 303


def test_files_hold_the_rows_of_the_table(signed_in, make_image, annotate):
    annotate(make_image("aaaaaaaa"))
    make_image("bbbbbbbb")
    client = signed_in()
    plain = client.get(f"/download/images.csv{DAY}&sort=device:asc")
    lines = list(csv.DictReader(io.StringIO(plain.text, newline="")))
    assert [(line["device"], line["insects"]) for line in lines] == [("aaaaaaaa", "1"), ("bbbbbbbb", "")]
    assert plain.mimetype == "text/csv"
    packed = client.get(f"/download/images.csv.gz{DAY}&sort=device:asc")
    assert (packed.mimetype, gzip.decompress(packed.data)) == ("application/gzip", plain.data)
    wanted = quote(json.dumps({"device": {"type": "equals", "filter": "bbbbbbbb"}}))
    one = client.get(f"/download/images.csv{DAY}&filter={wanted}")
    assert len(one.text.splitlines()) == 2
    assert "_filtered_" in one.headers["Content-Disposition"]
    coco = client.get(f"/download/annotations.json{DAY}")
    assert len(coco.json["annotations"]) == len(coco.json["images"]) == 1
    assert "annotations-uid-1.0_2022-07-01_to_2022-07-01_2-traps_made-" in coco.headers["Content-Disposition"]
    assert client.get("/download/data-dictionary.md").text == export.data_dictionary()


def test_the_answer_may_travel_packed(signed_in, make_image):
    for hour in range(8):
        make_image(at=NOON + timedelta(hours=hour))
    answer = signed_in().get(f"/download/images.csv{DAY}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(answer.data).splitlines()) == 9


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("&sort=nothing:asc", 422),
        ("&filter={", 422),
        ("&filter=[]", 422),
        ("&sort=temp:sideways", 422),
        ("&end=x", 422),
    ],
)
def test_a_request_that_makes_no_sense_is_an_error_not_a_file(signed_in, make_image, query, status):
    make_image()
    answer = signed_in().get(f"/download/images.csv{DAY}{query}")
    assert answer.status_code == status
    assert set(answer.json["error"]) == {"code", "message", "details"}
    assert "Content-Disposition" not in answer.headers


def test_a_person_reads_a_sentence(signed_in, make_image):
    make_image()
    answer = signed_in().get(f"/download/annotations.json{DAY}", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "No detector has looked at these pictures yet" in answer.text


def test_an_error_page_shows_no_markup_of_others(signed_in, make_image):
    make_image()
    query = "?start=all&zone=reader&tz=<script>"
    page = signed_in().get(f"/download/images.csv{query}", headers={"Accept": "text/html"})
    assert page.status_code == 422
    assert "&lt;script&gt;" in page.text and "<script>" not in page.text


def test_a_failure_before_the_first_line_is_an_error(signed_in, make_image, monkeypatch):
    make_image()

    def fail(*_, **__):
        raise Unavailable("the database does not answer")
        yield

    monkeypatch.setattr(export_csv, "write_csv", fail)
    client = signed_in()
    for file in ("images.csv", "images.csv.gz"):
        answer = client.get(f"/download/{file}{DAY}")
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")


def test_whoever_hangs_up_ends_the_session(server, signed_in, make_image, monkeypatch):
    for hour in range(3):
        make_image(at=NOON + timedelta(hours=hour))
    monkeypatch.setattr(export_csv, "LINES_PER_PIECE", 1)
    ended = []
    in_session = downloads._in_session

    def watched(*arguments):
        try:
            yield from in_session(*arguments)
        finally:
            ended.append(True)

    monkeypatch.setattr(downloads, "_in_session", watched)
    answer = signed_in().get(f"/download/images.csv{DAY}", buffered=False)
    pieces = iter(answer.response)
    next(pieces)
    assert ended == []
    answer.close()
    assert ended == [True]
