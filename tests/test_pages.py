"""The pages hang together: ids, callbacks, words, and what their scripts fetch."""

import gzip
import json
import re
from collections import Counter
from datetime import timedelta

import brotli
import dash
import flask
import pytest
from conftest import ADMIN, NOON, READER, WRITER
from dash.development.base_component import Component

from spi_dash.errors import Forbidden
from spi_dash.pages import PAGES, explore, shell
from spi_dash.pages.components import number, short_version
from spi_dash.services import users


@pytest.fixture
def signed_in(client):
    """Sign in as the admin, or as somebody else, with the form."""

    def sign_in(user=ADMIN):
        form = client.get("/sign-in").text
        csrf = form.split('name="csrf" value="')[1].split('"')[0]
        answer = client.post("/sign-in", data={"username": user[0], "password": user[1], "csrf": csrf})
        assert answer.status_code == 303, answer.text
        return client

    return sign_in


@pytest.fixture
def asked(server, spi):
    """Call a callback as it is called for the admin, or for somebody else."""

    def ask(callback, *arguments, user=ADMIN[0]):
        with server.test_request_context("/_dash-update-component"):
            with spi.read() as session:
                flask.g.user = users.find_user_by_name(session, user)
            return callback(*arguments)

    return ask


def wiring(client) -> tuple[set[str], list[str]]:
    """(ids that callbacks name, ids that layouts contain)."""
    client.get("/")
    used: set[str] = set()
    for callback in client.get("/_dash-dependencies").json:
        outputs = callback["output"].strip(".").split("...")
        used |= {output.rsplit(".", 1)[0] for output in outputs if "." in output}  # others have none
        used |= {dependency["id"] for dependency in callback["inputs"] + callback["state"]}
    roots = [shell.layout(), *(page.layout() for page in PAGES)]
    present = [part.id for root in roots for part in [root, *root._traverse()] if getattr(part, "id", None)]
    return {each for each in used if each and not each.startswith(("_pages", "{"))}, present


def text_of(component) -> str:
    if isinstance(component, list | tuple):
        return "".join(text_of(each) for each in component)
    if isinstance(component, Component):
        return text_of(getattr(component, "children", None) or "")
    return "" if component is None else str(component)


def test_every_callback_id_exists_once(signed_in):
    used, present = wiring(signed_in())
    assert used <= set(present)
    assert [each for each, count in Counter(present).items() if count > 1] == []


def test_ids_start_with_the_page_name():
    for page in (*PAGES, shell):
        prefix = page.__name__.rsplit(".", 1)[1] + "-"
        assert all(value.startswith(prefix) for name, value in vars(page.ids).items() if name.isupper())


def test_two_apps_do_not_share_callbacks(restart, signed_in):
    other = restart().test_client()
    client = signed_in()
    other.set_cookie("spi_session", client.get_cookie("spi_session").value)
    assert wiring(client)[0] == wiring(other)[0] != set()


def test_without_images_the_page_says_what_to_do(asked):
    packed, summary, empty = asked(explore.show_rows, {"search": ""})
    assert json.loads(packed)["rows"] == []
    assert summary == []
    assert "No pictures yet" in text_of(empty)


def test_every_count_says_what_it_is_made_of(asked, make_image):
    for minutes in (0, 20):
        make_image(at=NOON + timedelta(minutes=minutes))
    packed, summary, empty = asked(explore.show_rows, {"search": "?start=2022-07-01&end=2022-07-01"})
    assert text_of(summary).startswith("2 pictures of 1 trap")
    assert "no detector has looked at them yet" in text_of(summary)
    assert json.loads(packed)["rows"][0]["annotated"] == 0
    assert empty == []


def test_outside_of_the_data_the_page_leads_to_it(asked, make_image):
    make_image()
    _, _, empty = asked(explore.show_rows, {"search": "?start=2019-12-01&end=2019-12-02"})
    assert "The newest are from 1 Jul 2022" in text_of(empty)


@pytest.mark.parametrize(
    ("dates", "problem"),
    [
        ("", ""),
        ("start=2022-07-01&end=2022-07-31", ""),
        ("start=foo&end=bar", "'foo' is not a date: write 2020-06-20."),
        ("start=2022-07-02&end=2022-07-01", "The range ends before it starts: choose other dates."),
        ("start=8729-01-01", "'8729-01-01' is beyond reach: choose dates from 1970 to 2199."),
    ],
)
def test_what_is_wrong_with_the_dates_of_a_link_is_said(signed_in, dates, problem):
    answer = signed_in().get(f"/scope/dates.json?{dates}")
    assert (answer.status_code, answer.json) == (200, {"problem": problem})


def test_each_page_has_a_title(signed_in):
    signed_in().get("/")
    titles = [page["title"] for page in dash.page_registry.values()]
    assert titles[:3] == ["Explore - Spi Dash", "Data - Spi Dash", "Tuboids - Spi Dash"]
    assert len(set(titles)) == len(PAGES)


def test_the_scope_bar_offers_traps_with_counts(asked, make_image):
    make_image()
    assert asked(shell.show_scope, {"search": ""})["devices"] == ["0a1b2c3d"]
    devices, detectors, zones, _ = asked(shell.offer_choices, {"search": ""})
    assert (len(devices), detectors) == (1, [])
    assert [each["value"] for each in zones] == ["site", "utc", "reader"]


def test_only_changed_rows_are_sent_again(asked, make_image):
    for device in ("aaaaaaaa", "bbbbbbbb"):
        make_image(device)
    held = json.loads(asked(explore.show_rows, {"search": ""})[0])
    nothing = json.loads(asked(explore.show_rows, {"search": "", "since": held["change"]})[0])
    assert (nothing["partial"], nothing["rows"]) == (True, [])
    make_image("bbbbbbbb", NOON + timedelta(minutes=20))
    changed = json.loads(asked(explore.show_rows, {"search": "", "since": held["change"]})[0])
    assert [row["device"] for row in changed["rows"]] == ["bbbbbbbb"]
    assert changed["change"] > held["change"]


def test_days_that_the_browser_holds_are_not_sent_again(asked, make_image):
    make_image()
    held = json.loads(asked(explore.show_rows, {"search": ""})[0])
    again = json.loads(asked(explore.show_rows, {"search": "?start=-7d"}, held["days_key"])[0])
    assert (held["days"] is None, again["days"]) == (False, None)
    make_image("bbbbbbbb")
    assert json.loads(asked(explore.show_rows, {"search": ""}, held["days_key"])[0])["days"] is not None


def test_a_writer_names_a_trap_and_a_reader_may_not(asked, accounts, make_image):
    make_image()
    asked(shell.show_scope, {"search": ""})
    change = {"device": "0a1b2c3d", "name": "Hedge", "site": "east"}
    asked(explore.name_trap, change, user=WRITER[0])
    assert json.loads(asked(explore.show_rows, {"search": ""})[0])["rows"][0]["name"] == "Hedge"
    with pytest.raises(Forbidden):
        asked(explore.name_trap, change, user=READER[0])


def test_numbers_have_thin_spaces():
    assert number(1_300_000) == "1\u202f300\u202f000"


def test_scripts_get_thumbnails_strips_and_frames(signed_in, make_image):
    row = make_image()
    client, at = signed_in(), int(NOON.timestamp())
    base = f"/frames/{row['device']}"
    for size in ("mini", "thumbnail"):
        answer = client.get(f"{base}/{at}/{size}.jpg")
        assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
        assert "max-age" in answer.headers["Cache-Control"]
        again = client.get(f"{base}/{at}/{size}.jpg", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
    assert client.get(f"{base}/{at}/original.jpg").status_code == 302
    assert client.get(f"{base}/strip/{_base36(at)}.{_base36(at + 9)}.jpg").mimetype == "image/jpeg"
    frame = client.get(f"{base}/{at}/frame.json").json
    assert (frame["outlines"], frame["detector"], frame["uploader"]) == ([], None, "admin")
    listed = client.get(f"{base}/list.json?around={at}").json
    assert (listed["moments"], listed["outside"]) == (f"1200 ~ {at - 1200}", False)
    assert client.get(f"{base}/list.json?around={at}&since={listed['change']}").json["moments"] is None
    assert client.get(f"{base}/list.json?around={at}&start=2022-08-01&end=2022-08-02").json["outside"]
    assert client.get(f"{base}/list.json?around={at}&start=soon").status_code == 422
    assert client.get("/frames/change.json").json["change"] > 0


@pytest.mark.parametrize(
    "path", ["/frames/x/1/huge.jpg", "/frames/x/1/mini.jpg", "/frames/x/1/frame.json", "/frames/0a1b2c3d/strip/+.jpg"]
)
def test_what_is_not_there_is_said(signed_in, path):
    answer = signed_in().get(path)
    assert answer.status_code in (404, 422)
    assert set(answer.json) == {"error"}


def test_nobody_sees_frames_without_signing_in(client, make_image):
    row = make_image()
    for path in (f"/frames/{row['device']}/{int(NOON.timestamp())}/mini.jpg", "/frames/change.json"):
        assert client.get(path).status_code in (303, 401)


def _base36(value: int) -> str:
    digits = ""
    while value:
        value, rest = divmod(value, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits


def test_versions_are_short_where_they_are_checksums():
    assert short_version("1.2") == "1.2"
    assert short_version("1795383740-fc8495c3daca3bd0b36865d36bcad413") == "1795383740"


@pytest.mark.parametrize(
    ("path", "loads"),
    [("/", False), ("/settings", False), ("/projects", False), ("/data", True), ("/projects/1", True)],
)
def test_only_pages_with_a_table_load_its_script(signed_in, path, loads):
    page = signed_in().get(path).text
    assert ("/dash_ag_grid." in page, page.count('<meta name="spi-tables"')) == (True, 0 if loads else 1)
    assert (re.search(r'<script src="[^"]*dash_ag_grid', page) is not None) == loads


@pytest.mark.parametrize("path", ["dash_ag_grid/async-community.js", "dash/dcc/async-markdown.js"])
def test_a_browser_that_has_a_script_is_not_sent_it_again(client, path):
    """Scripts without a version in their address: Dash compares the ETag of the unpacked answer."""
    client.get("/sign-in")  # Dash knows its scripts from the first request on
    packed = {"Accept-Encoding": "gzip, br"}
    first = client.get(f"/_dash-component-suites/{path}", headers=packed)
    assert (first.status_code, first.headers["Content-Encoding"]) == (200, "br")
    again = client.get(f"/_dash-component-suites/{path}", headers={**packed, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    other = client.get(f"/_dash-component-suites/{path}", headers={**packed, "If-None-Match": 'W/"another"'})
    assert other.status_code == 200


def test_scripts_are_packed_as_the_browser_takes_them(client):
    path = "/assets/20-scope.js"
    plain = client.get(path, headers={"Accept-Encoding": "identity"}, buffered=True)
    assert "Content-Encoding" not in plain.headers
    for taken, encoding, unpack in (("gzip, deflate", "gzip", gzip.decompress), ("gzip, br", "br", brotli.decompress),
                                    ("br;q=0, gzip", "gzip", gzip.decompress)):  # fmt: skip
        for _ in range(2):  # made, and kept
            packed = client.get(path, headers={"Accept-Encoding": taken}, buffered=True)
            assert packed.headers["Content-Encoding"] == encoding and "Accept-Encoding" in packed.headers["Vary"]
            assert unpack(packed.data) == plain.data and len(packed.data) == packed.content_length
