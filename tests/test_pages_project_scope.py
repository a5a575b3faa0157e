"""The pages in the scope of a project, without a browser: what is said and shown, and to whom."""

import csv
import gzip
import io
import json
from datetime import timedelta

import flask
import pytest
from conftest import ADMIN, NOON, READER, WRITER
from dash.development.base_component import Component
from tuboid_lab import START, encode, name_tuboid, tuboid_form

from spi_dash.clock import unix_s
from spi_dash.pages import data, explore, project, project_actions, projects, shell, tuboids
from spi_dash.services import users

TRAPS = ("0a1b2c3d", "1b2c3d4e")
HOUR = timedelta(hours=1)
FILES = ("images.csv", "images.csv.gz", "annotations.json", "tuboids.csv")
GONE = "There is no such project here"


@pytest.fixture
def signed_in(client):
    """Sign in with the form."""

    def sign_in(user=ADMIN):
        client.delete_cookie("spi_session")
        csrf = client.get("/sign-in").text.split('name="csrf" value="')[1].split('"')[0]
        answer = client.post("/sign-in", data={"username": user[0], "password": user[1], "csrf": csrf})
        assert answer.status_code == 303, answer.text
        return client

    return sign_in


@pytest.fixture
def asked(server, spi):
    """Call a callback as it is called for the admin, or for somebody else."""

    def ask(callback, *arguments, user=ADMIN):
        with server.test_request_context("/_dash-update-component"):
            with spi.read() as session:
                flask.g.user = users.find_user_by_name(session, user[0])
            return callback(*arguments)

    return ask


@pytest.fixture
def lab(asked, accounts, make_image, post, client):
    """Two traps of five pictures each, outlines on the first; a project of the writer without series."""
    for trap in TRAPS:
        for k in range(5):
            row = make_image(trap, NOON + k * timedelta(minutes=20))
            key = {"device": trap, "datetime": row["datetime"], "md5": row["md5"]}
            found = {"contour": [[[1, 1]], [[9, 1]], [[9, 9]]], "name": "insect"}
            metadata = {**key, "algo_name": "uid", "algo_version": "1.0"}
            if k == 0:
                post("/put_uid_annotations", [{"annotations": [found], "metadata": metadata}])
    assert client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(tuboid_form(0))).status_code == 200
    return Lab(asked)


class Lab:
    def __init__(self, asked):
        self.asked = asked
        go = self.act("add_project", name="Orchard", description="", notes="")["go"]
        self.id = int(go.rsplit("/", 1)[1])
        self.search = f"?project={self.id}"

    def act(self, action, user=WRITER, **values):
        answer = self.asked(project_actions.act, {"action": action, "values": values, "n": 1}, user=user)
        assert "error" not in answer, answer
        return answer

    def add_series(self, device=TRAPS[0], start=NOON, end=NOON + HOUR):
        row = {"device": device, "start_datetime": str(start), "end_datetime": str(end)}
        return self.act("save_row", project_id=self.id, row=row)

    def share(self, level):
        self.act("add_member", project_id=self.id, username=READER[0], level=level)

    def withdraw(self):
        with_id = self.asked(lambda: current_id(READER[0]), user=WRITER)
        self.act("remove_member", project_id=self.id, user_id=with_id, name=READER[0])


def current_id(name):
    from spi_dash.context import current

    with current().read() as session:
        return users.find_user_by_name(session, name).id


def text_of(component) -> str:
    if isinstance(component, list | tuple):
        return "".join(text_of(each) for each in component)
    if isinstance(component, Component):
        return text_of(getattr(component, "children", None) or "")
    return "" if component is None else str(component)


def block():
    return {"startRow": 0, "endRow": 100, "sortModel": [], "filterModel": {}}


def test_the_pages_show_the_pictures_of_the_series_and_say_so(lab):
    lab.add_series()
    scope = {"search": lab.search}
    packed, summary, empty = lab.asked(explore.show_rows, scope, user=WRITER)
    packed = json.loads(packed)
    assert text_of(summary).startswith("3 pictures of 1 trap in project Orchard (1 series)")
    assert ([row["device"] for row in packed["rows"]], empty) == ([TRAPS[0]], [])
    assert packed["spans"] == {TRAPS[0]: [[unix_s(NOON), unix_s(NOON + HOUR)]]}
    table = lab.asked(data.show_block, block(), scope, user=WRITER)
    assert (table["rowCount"], {row["device"] for row in table["rowData"]}) == (3, {TRAPS[0]})
    words = text_of(lab.asked(data.show_summary, scope, {}, user=WRITER)[0])
    assert words.startswith("3 pictures of 1 trap in project Orchard (1 series) · 1 insect in 1 of them")
    assert text_of(lab.asked(tuboids.show_tuboids, scope, user=WRITER)[3]).startswith("No tuboids in Orchard")
    lab.add_series(start=START, end=START + HOUR)
    _, packed, summary, _, _ = lab.asked(tuboids.show_tuboids, scope, user=WRITER)
    assert [card["id"] for card in packed["cards"]] == [name_tuboid(0)]
    assert "began in these dates and in project Orchard (2 series), of 1 trap" in text_of(summary)


def test_the_scope_bar_offers_the_projects_that_one_may_see(lab):
    lab.add_series()

    def offered(user, search=""):
        resolved = lab.asked(shell.show_scope, {"search": search}, user=user)
        traps, _, _, choices = lab.asked(shell.offer_choices, {"search": search}, user=user)
        assert resolved["projects"] == choices
        key = (resolved["project"] or {}).get("key")
        return [each["label"] for each in choices], resolved["project_note"], len(traps), key

    assert offered(WRITER) == (["All traps", "Orchard"], "", 2, None)
    assert offered(WRITER, lab.search) == (["All traps", "Orchard"], "1 series", 1, str(lab.id))
    assert offered(ADMIN, f"?project=0{lab.id}")[3] == str(lab.id)
    assert offered(READER) == (["All traps"], "", 2, None)
    assert offered(READER, lab.search) == (["All traps", "no such project"], "", 0, "lost")
    assert offered(READER, "?project=all")[3] == "lost"
    lab.share("viewer")
    assert offered(READER, lab.search) == (["All traps", "Orchard"], "1 series", 1, str(lab.id))
    lab.act("add_project", name="Orchard", description="", notes="")
    assert offered(WRITER)[0] == ["All traps", f"Orchard ({lab.id})", f"Orchard ({lab.id + 1})"]


def test_other_choices_have_another_fingerprint(lab):
    held = lab.asked(shell.show_scope, {"search": lab.search}, user=WRITER)
    assert lab.asked(shell.show_scope, {"search": lab.search}, user=WRITER) == held
    lab.act("add_project", name="Meadow", description="", notes="")
    changed = lab.asked(shell.show_scope, {"search": lab.search}, user=WRITER)
    assert [each["label"] for each in changed["projects"]] == ["All traps", "Orchard", "Meadow"]
    other = lab.asked(shell.show_scope, {"search": ""}, user=WRITER)
    assert other["choices"] != changed["choices"] == held["choices"]


def what_is_shown(lab, user, search):
    """The words and the number of rows of each page."""
    scope = {"search": search}
    packed, summary, empty = lab.asked(explore.show_rows, scope, user=user)
    yield text_of([summary, empty]), len(json.loads(packed)["rows"])
    told = text_of(list(lab.asked(data.show_summary, scope, {}, user=user)))
    table = lab.asked(data.show_block, block(), scope, user=user)
    assert table["rowCount"] == len(table["rowData"])
    yield told, table["rowCount"]
    _, packed, summary, empty, filters = lab.asked(tuboids.show_tuboids, scope, user=user)
    yield text_of([summary, empty, filters]), len(packed["cards"])


def test_a_stranger_reads_the_same_words_as_of_a_project_that_never_was(lab):
    lab.add_series()
    lab.add_series(start=START, end=START + HOUR)
    told = "It may have been deleted, or it is not shared with you. Ask one of its admins."
    for dates in ("", "&start=2022-07-01&end=2022-07-02&zone=utc", f"&device={TRAPS[1]}&start=all"):
        for key in (lab.id, 999999, "x"):
            answers = list(what_is_shown(lab, READER, f"?project={key}{dates}"))
            assert answers == [(f"{GONE}{told}Show all traps", 0)] * 3


def test_files_ask_for_the_right_again(lab, signed_in):
    lab.add_series()

    def statuses(user):
        client = signed_in(user)
        return {client.get(f"/download/{file}{lab.search}").status_code for file in FILES}

    assert (statuses(WRITER), statuses(ADMIN), statuses(READER)) == ({200}, {200}, {404})
    lab.share("viewer")
    assert statuses(READER) == {200}
    lab.withdraw()
    client = signed_in(READER)
    for file in FILES:
        answer = client.get(f"/download/{file}{lab.search}")
        assert (answer.status_code, "Content-Disposition" in answer.headers) == (404, False)
        assert answer.json["error"]["message"].startswith("there is no such project here")
        assert answer.json == client.get(f"/download/{file}?project=999999").json
        page = client.get(f"/download/{file}{lab.search}", headers={"Accept": "text/html"})
        assert (page.status_code, GONE in page.text) == (404, True)


def test_files_hold_the_pictures_of_the_series(lab, signed_in):
    lab.add_series()
    client = signed_in(WRITER)
    plain = client.get(f"/download/images.csv{lab.search}")
    lines = list(csv.DictReader(io.StringIO(plain.text, newline="")))
    assert [line["device"] for line in lines] == [TRAPS[0]] * 3
    assert f"images_project-{lab.id}-Orchard_2022-07-01" in plain.headers["Content-Disposition"]
    assert gzip.decompress(client.get(f"/download/images.csv.gz{lab.search}").data) == plain.data
    coco = client.get(f"/download/annotations.json{lab.search}").json
    assert (len(coco["images"]), coco["info"]["project"]) == (1, "Orchard")


def test_a_member_whose_right_is_taken_sees_the_sentence(lab):
    lab.add_series()
    for level in ("viewer", "editor", "admin"):
        lab.share(level)
        assert [rows for _, rows in what_is_shown(lab, READER, lab.search)][:2] == [1, 3]
        held = json.loads(lab.asked(explore.show_rows, {"search": lab.search}, user=READER)[0])
        lab.withdraw()
        assert {rows for _, rows in what_is_shown(lab, READER, lab.search)} == {0}
        scope = {"search": lab.search, "since": held["change"]}
        live, summary, empty = lab.asked(explore.show_rows, scope, user=READER)
        assert (json.loads(live)["rows"], summary, text_of(empty).startswith(GONE)) == ([], [], True)


def test_live_answers_know_when_the_series_are_others(lab):
    lab.add_series()
    held = json.loads(lab.asked(explore.show_rows, {"search": lab.search}, user=WRITER)[0])
    scope = {"search": lab.search, "since": held["change"]}
    live = json.loads(lab.asked(explore.show_rows, scope, user=WRITER)[0])
    assert (live["partial"], live["rows"], live["series"]) == (True, [], held["series"])
    lab.add_series(start=NOON + HOUR, end=NOON + 2 * HOUR)
    again = json.loads(lab.asked(explore.show_rows, scope, held["days_key"], user=WRITER)[0])
    assert again["series"] != held["series"] and again["days"] is not None


def test_a_project_without_series_or_pictures_says_the_next_step(lab):
    for words, rows in what_is_shown(lab, WRITER, lab.search):
        assert words.startswith("Orchard has no series yet") and words.endswith("Open the projectShow all traps")
        assert rows == 0
    lab.add_series("ffffffff")
    explored, table, films = what_is_shown(lab, WRITER, lab.search)
    assert explored == table
    assert explored[0].startswith("No pictures in OrchardNo pictures were taken in its 1 series")
    assert films[0].startswith("No tuboids in OrchardNone began in its 1 series")


def test_other_dates_and_traps_are_the_reader_s_to_change(lab):
    lab.add_series()
    words, _ = next(what_is_shown(lab, WRITER, f"{lab.search}&start=2019-01-01&end=2019-01-02"))
    assert words == "No pictures in these datesThe newest are from 1 Jul 2022 (UTC). Go there"
    words, _ = next(what_is_shown(lab, WRITER, f"{lab.search}&device={TRAPS[1]}"))
    assert words.startswith("No pictures of these traps")


def test_a_project_leads_to_its_pictures_and_so_does_each_series(lab):
    lab.add_series(TRAPS[0].upper(), NOON, NOON + timedelta(minutes=61, seconds=5))
    listed = lab.asked(projects.show_list, user=WRITER)
    links = [part.href for part in listed[1]._traverse() if getattr(part, "href", None)]
    assert links == [f"/projects/{lab.id}", f"/?project={lab.id}"]
    head = lab.asked(project.show_head, None, str(lab.id), user=WRITER)[0]
    assert f"/?project={lab.id}" in [getattr(part, "href", "") for part in head[1]._traverse()]
    tools, _, (row,) = lab.asked(project.show_series, None, str(lab.id), user=WRITER)
    dates = "start=2022-07-01T12:00Z&end=2022-07-01T13:02Z"
    assert row["#address"] == f"/?project={lab.id}&device={TRAPS[0]}&{dates}"
    lab.add_series(end=NOON + 2 * HOUR)
    changed = lab.act("save_row", project_id=lab.id, row={"id": row["id"], "end_datetime": str(NOON + HOUR)})
    assert changed["address"].endswith("start=2022-07-01T12:00Z&end=2022-07-01T13:00Z")
    tools, _, rows = lab.asked(project.show_series, None, str(lab.id), user=WRITER)
    assert [each["#n_images"] for each in rows] == [3, 5]
    assert text_of(tools).startswith("2 series, 5 pictures")


def test_the_viewer_steps_through_the_frames_of_the_project(lab, signed_in):
    lab.add_series(end=NOON + timedelta(minutes=20))
    lab.add_series(start=NOON + HOUR, end=NOON + 2 * HOUR)
    at = [unix_s(NOON) + 1200 * k for k in range(5)]

    def list_frames(k, user=WRITER, device=TRAPS[0], more=""):
        return signed_in(user).get(f"/frames/{device}/list.json{lab.search}{more}&around={at[k]}")

    codes = list_frames(3).json["moments"].split(" ")[1]
    assert (len(codes), list_frames(3).json["outside"]) == (3, False)
    assert len(list_frames(4, more=f"&start=2022-07-01T13:00Z&device={TRAPS[1]}").json["moments"].split(" ")[1]) == 2
    for beside in (list_frames(1), list_frames(0, device=TRAPS[1])):
        assert (len(beside.json["moments"].split(" ")[1]), beside.json["outside"]) == (1, True)
    answer = list_frames(0, user=READER)
    assert (answer.status_code, answer.json["error"]["message"][:29]) == (404, "there is no such project here")
