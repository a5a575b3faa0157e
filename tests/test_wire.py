"""Sentences of the wire contract that hold for many calls at once: empty bodies, both dialects, types, odd lists."""

import io
import json
import re
from datetime import timedelta

import pytest
from conftest import ADMIN, NOON, READER, WRITER, assert_error, multipart
from tuboid_lab import encode, name_tuboid, new_label, tuboid_form

from spi_dash.api import ENDPOINTS
from spi_dash.demo.pictures import tiny_picture

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
LEGACY = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
DEVICE, NAME = "0a1b2c3d", "Zoë Müller-Łuk"
KEY = {"device": DEVICE, "datetime": "2022-07-01T12:00:00Z"}
RANGE = {"device": "%", "start_datetime": "2022-06-01T00:00:00Z", "end_datetime": "2022-08-01T00:00:00Z"}
ALGORITHM = {"algo_name": "universal-insect-detector", "algo_version": "1598113346-ad2cd78d"}
PROJECT = {"project_id": 1}
ROW = {
    **PROJECT,
    "device": "0123abcd",
    "start_datetime": "2021-01-01T12:00:00Z",
    "end_datetime": "2021-01-12T12:00:00Z",
}
BUNDLE_FILE = {"key": "data/a.svg", "path": "/x/a.svg", "md5": "0" * 32, "mtime": 123.4, "bundle_name": "matcher"}

# Path, one element of the list, and how many rows `filled` has for it.
READS = [
    ("/get_users", {"username": "%"}, 3),
    ("/get_images/metadata", KEY, 1),
    ("/get_images/thumbnail-mini", KEY, 1),
    ("/get_image_series/image", RANGE, 2),
    ("/get_uid_annotations/metadata", KEY, 1),
    ("/get_uid_annotations_series/data", RANGE, 1),
    ("/get_tiled_tuboid_series/data", RANGE, 2),
    ("/_get_itc_labels", {"tuboid_id": name_tuboid(0)}, 1),
    ("/get_projects", {"name": "%"}, 1),
    ("/get_project_permissions", {"name": "p%"}, 1),
    ("/get_project_series", PROJECT, 1),
]
DELETIONS = [
    ("/delete_images", KEY, 1),
    ("/delete_tiled_tuboids", RANGE, 1),
    ("/delete_project_series", {**PROJECT, "id": 1}, 1),
    ("/delete_project_columns", {**PROJECT, "column_name": "bait"}, 1),
    ("/delete_projects", {"name": "%"}, 1),
    ("/delete_users", {"username": NAME}, 1),
]
PATHS = [
    (endpoint.path.replace("<what>", endpoint.whats[0] if endpoint.whats else "data"), endpoint)
    for endpoint in ENDPOINTS
]


@pytest.fixture
def with_pages():
    return False


def legacy(text):
    return text.replace("T", "_").replace(":", "-").rstrip("Z")


def as_legacy(info):
    return {key: legacy(value) if ISO.fullmatch(str(value)) else value for key, value in info.items()}


def values_of(answer):
    """Every (key, value) of an answer, however deep."""
    if isinstance(answer, list):
        return [pair for each in answer for pair in values_of(each)]
    if isinstance(answer, dict):
        return [pair for key, value in answer.items() for pair in ((key, value), *values_of(value))]
    return []


def annotate(image):
    outline = {"contour": [[[1, 2]], [[3, 4]], [[5, 6]]], "name": "insect"}
    return {"annotations": [outline], "metadata": {**ALGORITHM, **{name: image[name] for name in ("md5", *KEY)}}}


@pytest.fixture
def filled(client, post, make_image):
    """Something of everything, made by the admin: two pictures, one of them annotated, two tuboids, a project."""
    image, _ = make_image(T=21.5, H=60), make_image(at=NOON + timedelta(hours=1))
    post("/put_uid_annotations", [annotate(image)])
    for number in (0, 1):
        assert client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(tuboid_form(number))).status_code == 200
    post("/put_itc_labels", [new_label(name_tuboid(0))])
    post("/put_projects", [{"name": "p1"}])
    post("/put_project_columns", [{**PROJECT, "column_name": "bait", "column_SQL_type": "DOUBLE"}])
    post("/put_project_series", [{**ROW, "bait": 2}])
    post("/put_users", [{"username": NAME, "password": "hopper", "is_admin": True}])
    return image


@pytest.mark.usefixtures("filled")
def test_times_of_answers_are_written_as_the_request_writes_them(post):
    for path, info, n in READS:
        for sent in (info, as_legacy(info)):
            answer = post(path, [sent])
            times = [value for key, value in values_of(answer) if "datetime" in key]
            style = ISO if sent == info else LEGACY
            assert len(answer) == n and len(times) >= n, path
            assert [value for value in times if not style.fullmatch(value)] == [], path


@pytest.mark.usefixtures("filled")
def test_what_is_deleted_is_answered(post):
    for path, info, n in DELETIONS:
        answer = post(path, [info])
        assert len(answer) == n, path
        assert all(ISO.fullmatch(value) for key, value in values_of(answer) if "datetime" in key)


@pytest.mark.usefixtures("filled")
def test_deletions_answer_in_the_legacy_dialect_too(post):
    for path, info, n in DELETIONS[:2]:
        times = [value for key, value in values_of(post(path, [as_legacy(info)])) if "datetime" in key]
        assert len(times) >= n and all(map(LEGACY.fullmatch, times))


@pytest.mark.usefixtures("filled")
def test_any_legacy_time_anywhere_makes_the_answer_legacy(post):
    for body in ([as_legacy(KEY), KEY], [{**KEY, "extra": {"deep": ["2020-06-20_21-33-24"]}}]):
        assert LEGACY.fullmatch(post("/get_images/metadata", body)[0]["datetime"])
    for value in ("x2020-06-20_21-33-24", "2020-06-20_21-33-24.jpg"):  # a part of a string is none
        assert ISO.fullmatch(post("/get_images/metadata", [{**KEY, "url": value}])[0]["datetime"])


def test_every_way_to_write_a_time_is_read(post, make_image):
    make_image()
    ways = ["2022-07-01T12:00:00Z", "2022-07-01T12:00:00", "2022-07-01_12-00-00", "2022-07-01 12:00:00"]
    ways += [
        "2022-07-01T12:00:00.000Z",
        "2022-07-01 12:00:00.123456",
        "2022-07-01T12:00:00Z:",
        "2022-07-01T12:00:00Z x",
        "2022-07-01T12:00",
        "2022-07-01T12:00Z",
        "2022-07-01 12:00 x",
        "2022-07-01_12-00",
        "2022-07-01T14:30:00+02:30",
        "2022-07-01T07:00-0500",
    ]
    for way in ways:
        assert len(post("/get_images/metadata", [{**KEY, "datetime": way}])) == 1, way
        inclusive = {"device": "%", "start_datetime": way, "end_datetime": "2022-07-02"}
        exclusive = {"device": "%", "start_datetime": "2022-07-01", "end_datetime": way}
        for path in ("/get_image_series/metadata", "/get_uid_annotations_series/metadata"):
            assert len(post(path, [inclusive])) == (path.startswith("/get_image_"))
            assert post(path, [exclusive]) == []


@pytest.mark.parametrize(
    "text",
    [
        "2022-07-01 12",
        "2022-07-01T12:0",
        "2022-07-01 12:00:5",
        "2022-07-01T25:00",
        "2022-07-01-12",
        "2022-13-01",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-05:00",
        "12:00",
        20220701,
    ],
)
def test_half_a_time_is_no_time(client, text):
    """Midnight is not meant, and nothing is beyond the calendar."""
    body = [{"device": "%", "start_datetime": text, "end_datetime": "2022-07-02"}]
    answer = client.post("/get_image_series/metadata", json=body, auth=ADMIN)
    assert (answer.status_code, answer.json["error"]["details"]["field"]) == (422, "[0].start_datetime")


def test_no_body_is_null_whatever_its_type(client):
    for path, endpoint in PATHS:
        if endpoint.body == "files" or path == "/delete_users":  # null is everybody, whom nobody may delete
            continue
        null = client.post(path, data=b"null", content_type="application/json", auth=ADMIN)
        assert null.status_code == (200 if endpoint.body in ("none", "filters") else 422), path
        for content_type in (None, "application/json", "application/json;charset=UTF-8", "text/plain"):
            answer = client.post(path, data=b"", content_type=content_type, auth=ADMIN)
            assert answer.status_code == null.status_code, (path, content_type)
            assert path == "/get_token" or answer.json == null.json


def test_an_empty_list_asks_for_nothing(client):
    for path, endpoint in PATHS:
        if endpoint.body in ("infos", "filters"):
            answer = client.post(path, json=[], auth=ADMIN)
            assert (answer.status_code, answer.data) == (200, b"[]\n"), path
        if endpoint.body == "infos":
            assert_error(client.post(path, json=[{}], auth=ADMIN), 422, "invalid_input")


@pytest.mark.usefixtures("filled")
def test_arrays_of_one_are_scalars_in_every_call(post, client):
    for path, info, n in [*READS, *DELETIONS]:
        assert len(post(path, [{key: [value] for key, value in info.items()}])) == n, path
        bodies = [{key: [] for key in info}, dict.fromkeys(info)]  # nothing, both ways
        answers = [client.post(path, json=[body], auth=ADMIN) for body in bodies]
        assert answers[0].status_code == answers[1].status_code, path
        assert answers[0].status_code == (200 if "name" in info or "username" in info else 422), path


@pytest.mark.usefixtures("filled")
def test_rows_may_be_passed_back_whole(post):
    for path, info, n in READS:
        if "name" not in info and "username" not in info and path != "/get_project_series":
            assert len(post(path, [{**info, "colour": "red", "id": 99, "deep": {"a": [1, 2]}}])) == n, path
    images = post("/get_image_series/image", [RANGE])
    assert len(post("/get_images/metadata", images)) == 2
    assert len(post("/get_uid_annotations/data", images)) == 1
    tuboids = post("/get_tiled_tuboid_series/data", [RANGE])
    assert len(post("/_get_itc_labels", tuboids)) == 1
    assert len(post("/delete_images", images)) == 2 and post("/delete_images", images) == []


def test_unknown_keys_are_refused_where_they_would_be_lost(client):
    for path, info in (("/put_users", {"username": "x", "password": "y"}), ("/put_projects", {"name": "x"})):
        assert_error(client.post(path, json=[{**info, "colour": "red"}], auth=ADMIN), 422, "invalid_input")
        assert client.post(path, json=[info], auth=ADMIN).status_code == 200
    for path in ("/get_users", "/get_projects", "/get_project_permissions", "/delete_projects", "/delete_users"):
        for key in ("colour", "project_id", "1; DROP TABLE users"):
            assert_error(client.post(path, json=[{key: 1}], auth=ADMIN), 422, "invalid_input")


@pytest.mark.usefixtures("filled")
def test_numbers_are_numbers(post, upload):
    """Decimals are floats and never strings; `but` and `alt` differ between an upload's answer and later ones."""
    data = tiny_picture(DEVICE, NOON + timedelta(hours=2), T=21.5, H=60, lat=49.26142, lng=-123.25088, a=97.3, b=1)
    (new,) = upload(data).json
    stored = post("/get_images/metadata", [{**KEY, "datetime": "2022-07-01T14:00:00Z"}])[0]
    kinds = {"lat": float, "lng": float, "temp": float, "hum": float, "lum": float, "width": int, "height": int}
    for row in (new, stored):
        assert {name: type(row[name]) for name in kinds} == kinds
    assert (new["lat"], new["lng"], new["temp"]) == (stored["lat"], stored["lng"], stored["temp"])
    assert (new["id"], new["but"], new["alt"], type(new["alt"])) == (None, True, 97.3, float)
    assert (type(stored["id"]), stored["but"], type(stored["but"])) == (int, 1, int)
    assert (stored["alt"], type(stored["alt"]), type(stored["bat"])) == (97, int, int)
    (gone,) = post("/delete_images", [{**KEY, "datetime": "2022-07-01T14:00:00Z"}])
    assert gone["but"] is True and "url" not in gone and gone["id"] == stored["id"]
    (row,) = post("/get_project_series", [PROJECT])
    assert (type(row["bait"]), row["bait"], list(row)[:4]) == (float, 2.0, ["id", *list(ROW)[1:]])


@pytest.mark.usefixtures("filled")
def test_answers_are_json_in_utf_8_with_a_newline(client):
    for path, info, _ in READS:
        answer = client.post(path, json=[info], auth=ADMIN)
        assert answer.mimetype == "application/json" and answer.data.endswith(b"]\n")
        assert answer.data.count(b"\n") == 1
    people = client.post("/get_users", json=[{"username": NAME}], auth=ADMIN)
    assert NAME.encode() in people.data and people.json[0]["username"] == NAME
    escaped = json.dumps([{"username": NAME}])
    assert escaped.isascii()
    answer = client.post("/get_users", data=escaped, content_type="application/json", auth=ADMIN)
    assert answer.json == people.json


@pytest.mark.usefixtures("filled")
def test_several_elements_are_answered_one_after_the_other(post):
    for path, info, n in READS:
        if "series" in path and "project" not in path:
            rows = post(path, [info])
            assert post(path, [info, {**info, "device": "nobody"}, info]) == rows + rows and len(rows) == n
    assert post("/get_users", [{"id": 2}, {"id": 1}, {"id": 2}]) == [
        post("/get_users", [{"id": number}])[0] for number in (2, 1, 2)
    ]


def test_long_lists(post, make_image):
    """As a script that asks for what it has, and the phone's whole gallery."""
    make_image()
    keys = [{"device": f"{k % 40:08x}", "datetime": f"2022-07-01T{k // 400:02d}:00:{k % 60:02d}Z"} for k in range(5000)]
    keys[2500] = KEY
    assert [row["device"] for row in post("/get_images/metadata", keys)] == [DEVICE]
    assert post("/get_uid_annotations/metadata", keys) == []
    assert post("/_get_itc_labels", [{"tuboid_id": name_tuboid(k)} for k in range(3000)]) == []
    assert post("/delete_images", keys[:2500]) == []


@pytest.mark.usefixtures("filled")
def test_matching_devices(post):
    for pattern, n in (("%", 2), ("0A1B%", 2), ("0a1b2c3_", 2), ("0A1B2C3D", 2), ("_", 0), ("", 0), ("0a1b2c3", 0)):
        for path in ("/get_image_series/metadata", "/get_tiled_tuboid_series/metadata"):
            assert len(post(path, [{**RANGE, "device": pattern}])) == n, (path, pattern)
    for evil in ("' OR '1'='1", '" OR 1=1 -- ', "%' --", "\\"):
        for path in (
            "/get_image_series/metadata",
            "/get_tiled_tuboid_series/metadata",
            "/get_images_to_annotate/image",
        ):
            assert post(path, [{**RANGE, **ALGORITHM, "device": evil}]) == []


@pytest.mark.usefixtures("filled", "accounts")
def test_what_a_deleted_user_uploaded_stays(post, client, upload):
    writer = post("/get_users", [{"username": "writer"}])[0]["id"]
    assert upload(tiny_picture("00000001", NOON), auth=WRITER).json[0]["api_user_id"] == writer
    project = post("/put_projects", [{"name": "theirs"}], auth=WRITER)[0]["id"]
    post("/put_project_permissions", [{"project_id": project, "user_id": 1, "level": 1}], auth=WRITER)
    post("/delete_users", [{"id": writer}])
    assert post("/get_images/metadata", [{**KEY, "device": "00000001"}])[0]["api_user_id"] == writer
    members = post("/get_project_permissions", [{"id": project}])
    assert [(each["parent_user_id"], each["level"]) for each in members] == [(1, 1)]
    assert_error(client.post("/get_token", auth=WRITER), 401, "unauthorized")


@pytest.mark.usefixtures("filled", "accounts")
def test_every_role_reads(client):
    for path, info, n in READS:
        if "project" not in path:
            rows = client.post(path, json=[info], auth=READER).json
            assert len(rows) == (n if path != "/get_users" else 5)


def test_a_refusal_is_never_200_nor_401(client, post, upload, make_image):
    """Clients look at these two only: 200 would lose pictures on the phone, 401 makes it sign in again and again."""
    image = make_image()
    post("/put_uid_annotations", [annotate(image)])
    refused = [
        upload(tiny_picture(DEVICE, NOON)),
        upload(("x.jpg", b"x")),
        client.post("/put_uid_annotations", json=[annotate(image)], auth=ADMIN),
        client.post("/put_uid_annotations", json=[annotate({**image, "device": "01234567"})], auth=ADMIN),
        client.post("/put_uid_annotations", json=[annotate({**image, "md5": "0" * 32})], auth=ADMIN),
        client.post("/put_itc_labels", json=[new_label(name_tuboid(0))], auth=ADMIN),
        client.post("/get_project_series", json=[PROJECT], auth=ADMIN),
        client.post("/get_image_series/nope", json=[RANGE], auth=ADMIN),
        client.post("/_put_new_images", auth=ADMIN, **multipart({"a": "b"})),
        client.post("/_put_new_images", data={"x": (io.BytesIO(b""), "x")}, auth=ADMIN),
    ]
    assert {answer.status_code for answer in refused} <= {400, 404, 409, 415, 422}
    assert all(answer.json["error"]["message"] for answer in refused)


@pytest.mark.usefixtures("filled", "accounts")
def test_what_the_web_page_in_r_asks_for(post, client):
    """It writes links into CSS without quotes, joins by these columns, and sends no body to sign in."""
    signed_in = client.post("/get_token", content_type="application/json", auth=READER)
    token = (signed_in.json["token"], "")
    users = {row["id"]: row["username"] for row in post("/get_users", [{}], auth=token)}
    images = post("/get_image_series/thumbnail-mini", [RANGE], auth=token)
    for row in images:
        needed = {"id", "device", "datetime", "url", "temp", "hum", "lat", "lng", "lum", "width", "api_user_id"}
        assert needed <= set(row) and users[row["api_user_id"]] == "admin"
        assert row["url"].startswith("http") and re.fullmatch(r"[A-Za-z0-9:/?&=%._~-]+", row["url"])
        path, _, query = row["url"].partition("?")
        assert "/" not in query and path.endswith(f"/{row['device']}.{legacy(row['datetime'])}.jpg.thumbnail-mini")
    found = post("/get_uid_annotations_series/metadata", [RANGE], auth=token)
    assert [row["parent_image_id"] for row in found] == [images[0]["id"]]
    assert {"n_objects", "algo_version"} <= set(found[0])
    keys = [{name: row[name] for name in KEY} for row in images]
    assert len(post("/get_images/thumbnail", keys, auth=token)) == 2
    assert json.loads(post("/get_uid_annotations/data", keys, auth=token)[0]["json"])["annotations"]


@pytest.mark.usefixtures("filled")
def test_projects_of_the_web_page_in_r(post):
    """Lists are arrays, cells too where it does not unbox, times have a blank, and empty cells are left out."""
    (row,) = post("/put_projects", [{"name": ["x"], "description": ["y"], "notes": ["z"]}])
    assert post("/get_projects", [{"id": row["id"]}]) == [row]
    cell = {"start_datetime": "2021-03-01 10:00:00", "end_datetime": "2021-03-02 10:00:00"}
    (new,) = post("/put_project_series", [{**cell, "device": "0123abce", "project_id": row["id"]}])
    (changed,) = post("/put_project_series", [{**new, "end_datetime": "2021-03-03 10:00:00", "project_id": row["id"]}])
    assert post("/get_project_series", [{"project_id": [row["id"]]}]) == [changed]
    assert changed == {**new, "end_datetime": "2021-03-03T10:00:00Z"}
    column = {"project_id": row["id"], "column_name": ".my.bait_2", "column_SQL_type": "CHAR(64)"}
    assert post("/put_project_columns", [column]) == [{name: column[name] for name in list(column)[1:]}]
    assert post("/get_project_series", [{"project_id": [row["id"]]}]) == [{**changed, ".my.bait_2": None}]
    assert len(post("/get_project_permissions", [{"name": "%"}])) == 2


@pytest.mark.usefixtures("accounts")
def test_upload_links_of_a_bundle(post, client):
    """Any bundle but the detector's: whoever may write."""
    (link,) = post("/_get_ml_bundle_upload_links", [BUNDLE_FILE], auth=WRITER)
    assert {**link, "url": None} == {**BUNDLE_FILE, "url": None}
    assert set(link["url"]) == {"url", "fields"} and link["url"]["fields"]["key"] == "ml/matcher/data/a.svg"
    assert link["url"]["url"].startswith("http")
    assert_error(client.post("/_get_ml_bundle_upload_links", json=[BUNDLE_FILE], auth=READER), 403, "forbidden")
    assert post("/_get_ml_bundle_file_list/all", "matcher", auth=READER) == []
