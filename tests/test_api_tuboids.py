"""Tuboids and their labels over HTTP, as the tracker, the classifier and scripts send and ask for them."""

from datetime import timedelta

import pytest
from conftest import ADMIN, READER, WRITER, assert_error, contents, multipart
from tuboid_lab import (
    ALL,
    DEVICE,
    END,
    LEGACY,
    REAL_TUBOIDS,
    START,
    encode,
    name_tuboid,
    new_label,
    real_form,
    series_info,
    shot_lines,
    tuboid_form,
)

AUDIT = {"id", "datetime_created", "api_version", "api_user_id"}
ROW_KEYS = AUDIT | {
    *("parent_series_id", "tuboid_id", "id_in_series", "start_datetime", "end_datetime", "n_shots"),
    *("algo_name_series", "algo_version_series", "n_tuboids_series"),
    *("device_series", "start_datetime_series", "end_datetime_series"),
}
LABEL_KEYS = AUDIT | {
    *("parent_tuboid_id", "algo_name", "algo_version", "label", "pattern"),
    *("type", "order", "family", "genus", "species"),
}
WITHIN = {"device": DEVICE, "start_datetime": "2022-07-01T00:00:00Z", "end_datetime": "2022-07-01T20:00:00Z"}


@pytest.fixture
def with_pages():
    return False


@pytest.fixture
def put(client):
    """Upload one tuboid, drawn where nothing else is given."""

    def send(number=0, auth=ADMIN, **changes):
        return client.post("/_put_tiled_tuboids", auth=auth, **encode(tuboid_form(number, **changes)))

    return send


@pytest.fixture
def make_tuboid(put):
    """Upload one tuboid that must be taken; returns its row."""

    def make(number=0, **changes):
        response = put(number, **changes)
        assert response.status_code == 200, response.text
        return response.json[0][0]

    return make


def test_upload_a_tuboid_then_ask(put, post, client):
    answer = put(7)
    ((row,),) = answer.json
    assert set(row) == ROW_KEYS
    assert (row["id_in_series"], row["n_shots"], row["n_tuboids_series"]) == (7, 5, 20)
    assert row["start_datetime"] == "2022-07-01T00:00:00Z" and row["end_datetime"] == "2022-07-01T01:20:00Z"
    assert row["tuboid_id"] == name_tuboid(7) and row["device_series"] == DEVICE and row["api_version"] == "1.0.0"
    assert post("/get_tiled_tuboid_series/metadata", ALL) == [row]
    (found,) = post("/get_tiled_tuboid_series/data", ALL)
    assert {key: found[key] for key in row} == row and set(found) - set(row) == {"tuboid", "metadata", "context"}
    form = tuboid_form(7)
    for part, name in (("tuboid", "tuboid.jpg"), ("metadata", "metadata.txt"), ("context", "context.jpg")):
        assert (
            found[part].partition("?")[0].endswith(f"{name_tuboid(7)}/{name}") and "/" not in found[part].split("?")[1]
        )
        assert client.get(found[part]).data == form[part]
    assert post("/get_tiled_tuboid_series/data", ALL) == [found]


def test_files_lie_where_other_servers_put_them(make_tuboid, spi):
    make_tuboid(3)
    folder = f"tiled_tuboids/{name_tuboid(3).rpartition('.')[0]}/{name_tuboid(3)}"
    assert set(contents(spi.storage)) == {f"{folder}/{name}" for name in ("tuboid.jpg", "metadata.txt", "context.jpg")}


def test_the_answer_speaks_as_the_series_does(put, post):
    ((row,),) = put(0, series_info=series_info(LEGACY)).json
    assert row["start_datetime_series"] == "2022-07-01_00-00-00" and "_" in row["datetime_created"]
    ((row,),) = put(1, series_info=series_info("%Y-%m-%d %H:%M:%S")).json
    assert row["start_datetime_series"] == "2022-07-01T00:00:00Z"
    legacy = [{"device": "%", "start_datetime": "2020-01-01_00-00-00", "end_datetime": "2030-01-01_00-00-00"}]
    rows = post("/get_tiled_tuboid_series/metadata", legacy)
    assert [each["end_datetime_series"] for each in rows] == ["2022-07-01_20-00-00"] * 2
    assert len({each["parent_series_id"] for each in rows}) == 1
    assert post("/delete_tiled_tuboids", legacy)[0]["start_datetime"] == "2022-07-01_00-00-00"


def test_arrays_of_one_in_the_series(put):
    ((row,),) = put(series_info={key: [value] for key, value in series_info().items()}).json
    assert row["device_series"] == DEVICE


def test_parts_may_come_as_text(client):
    form = tuboid_form()
    files = [(name, (name, form[name], "image/jpeg")) for name in ("tuboid", "context")]
    texts = [(name, form[name].decode()) for name in ("metadata", "tuboid_id", "series_info")]
    assert client.post("/_put_tiled_tuboids", auth=ADMIN, **multipart(files + texts)).status_code == 200


def test_the_same_tuboid_again_touches_nothing(put, make_tuboid, spi, post):
    make_tuboid()
    before, rows = contents(spi.storage), post("/get_tiled_tuboid_series/metadata", ALL)
    for changes in ({}, {"n_shots": 6}, {"series_info": series_info(algo_version="2")}):
        assert_error(put(**changes), 409, "conflict")
    assert contents(spi.storage) == before and post("/get_tiled_tuboid_series/metadata", ALL) == rows
    assert len(post("/delete_tiled_tuboids", ALL)) == 1  # no empty series stayed


def test_a_series_takes_no_more_than_its_number(put, spi):
    info = series_info(n_tuboids=2)
    assert [put(number, series_info=info).status_code for number in range(3)] == [200, 200, 409]
    more = series_info(n_tuboids=3)  # what the series was said to be at first counts
    assert_error(put(2, series_info=more), 409, "conflict")
    assert len(contents(spi.storage)) == 6


@pytest.mark.parametrize(
    "metadata, line, words",
    [
        ("", 1, "1 to 10000 shots"),
        ("\n" + shot_lines(3), 1, "1 to 10000 shots"),
        (shot_lines(2) + "rubbish\n", 3, "'rubbish' is not"),
        (shot_lines(1) + f"{DEVICE}.2022-07-01_00-20-00,1,2\n", 2, "is not"),
        (f"{DEVICE}.2022-07-01_25-00-00,1,2,3\n", 1, "no possible time"),
        (f"{DEVICE}.2022-07-01_01-00-00,nan,2,3\n", 1, "is not"),
        (f"{DEVICE}.2022-07-01_01-00-00,1,2,-3\n", 1, "scale"),
        (shot_lines(1, START + timedelta(hours=1)) + shot_lines(1), 2, "earlier"),
        (shot_lines(2, START - timedelta(minutes=20)), 1, "outside of the series"),
        (shot_lines(3, END - timedelta(minutes=20)), 3, "outside of the series"),
        (shot_lines(1) + shot_lines(1, device="ffffffff"), 2, "is not the series' 0a1b2c3d"),
        (shot_lines(1).encode() + b"\xff\xfe", 2, "not plain text"),
        (shot_lines(10_001, every_s=1), 10_001, "1 to 10000 shots"),
    ],
)
def test_a_wrong_line_is_named(put, spi, metadata, line, words):
    error = assert_error(put(metadata=metadata), 422, "invalid_input")
    assert (error["details"]["field"], error["details"]["line"]) == ("metadata", line)
    assert error["message"].startswith(f"metadata.txt, line {line}: ") and words in error["message"]
    assert contents(spi.storage) == {}


def test_an_empty_line_ends_the_shots(make_tuboid):
    assert (
        make_tuboid(metadata=shot_lines(3).replace("\n", "\r\n") + "\r\n" + "what follows is not read\n")["n_shots"]
        == 3
    )
    assert make_tuboid(1, metadata=shot_lines(2).rstrip("\n"))["n_shots"] == 2


def test_both_ends_of_the_series_are_inside(make_tuboid):
    row = make_tuboid(metadata=shot_lines(61))
    assert (row["start_datetime"], row["end_datetime"]) == ("2022-07-01T00:00:00Z", "2022-07-01T20:00:00Z")


@pytest.mark.parametrize(
    "tuboid_id",
    [
        "",
        "x",
        None,
        17,
        name_tuboid(1) + ".0001",
        name_tuboid(1)[:-4] + "x001",
        name_tuboid(1)[:-3],
        name_tuboid(1).replace("2022-07-01", "2022-07-32"),
        "../" * 3 + name_tuboid(1),
        name_tuboid(1).replace(DEVICE, "../../ab"),
        name_tuboid(1).replace("1600000000-", "a/../b-"),
        name_tuboid(1).replace("1600000000-", "'; DROP TABLE images;--"),
        name_tuboid(1).replace("1600000000-", "1" * 60),
        name_tuboid(1) + "\n",
        name_tuboid(1) + "\x00",
    ],
)
def test_names_that_are_no_tuboid_s(put, spi, post, tuboid_id):
    assert assert_error(put(tuboid_id=tuboid_id), 422, "invalid_input")["details"]["field"] == "tuboid_id"
    assert contents(spi.storage) == {} and post("/get_tiled_tuboid_series/metadata", ALL) == []


@pytest.mark.parametrize(
    "change, field",
    [
        ({"device": "0a1b2c3d4"}, "device"),
        ({"device": "' OR 1=1"}, "device"),
        ({"start_datetime": "yesterday"}, "start_datetime"),
        ({"end_datetime": "2022-06-30"}, "end_datetime"),
        ({"algo_name": ""}, "algo_name"),
        ({"algo_name": "x" * 65}, "algo_name"),
        ({"algo_version": "x" * 47}, "algo_version"),
        ({"n_images": "many"}, "n_images"),
        ({"n_tuboids": -1}, "n_tuboids"),
        ({"n_tuboids": None}, "n_tuboids"),
        ({"n_tuboids": 2**40}, "n_tuboids"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_series_is_named(put, change, field):
    error = assert_error(put(series_info=series_info(**change)), 422, "invalid_input")
    assert error["details"]["field"] == f"series_info.{field}"


def test_a_series_may_be_of_several_devices(make_tuboid, put, post):
    """Scripts of the Sticky Pi project upload with the range of times and the pattern that they ask with."""
    for number, pattern in enumerate(["%", "0A1b%", "0a1b2c3_"]):
        info = series_info(device=pattern)
        assert make_tuboid(number, series_info=info)["device_series"] == pattern
        assert put(8, series_info=info, metadata=shot_lines(2, device="ffffffff")).status_code == (
            200 if pattern == "%" else 422
        )
    assert len(post("/get_tiled_tuboid_series/metadata", ALL)) == 4
    assert len(post("/delete_tiled_tuboids", ALL)) == 3


@pytest.mark.parametrize("missing", list(series_info()))
def test_every_key_of_the_series_is_needed(put, missing):
    info = series_info()
    del info[missing]
    assert assert_error(put(series_info=info), 422)["details"]["field"] == f"series_info.{missing}"


@pytest.mark.parametrize("value", [[], "text", 1, None])
def test_a_series_is_an_object(put, value):
    assert assert_error(put(series_info=value), 422)["details"]["field"] == "series_info"


@pytest.mark.parametrize("missing", ["metadata", "tuboid", "context", "tuboid_id", "series_info"])
def test_every_part_is_needed(client, missing):
    form = tuboid_form()
    del form[missing]
    error = assert_error(client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(form)), 400, "bad_request")
    assert error["details"]["field"] == missing
    assert_error(client.post("/_put_tiled_tuboids", auth=ADMIN, json=[]), 400)


def test_broken_json_in_a_part(client):
    for part in ("tuboid_id", "series_info"):
        response = client.post("/_put_tiled_tuboids", auth=ADMIN, **encode({**tuboid_form(), part: b"{broken"}))
        assert assert_error(response, 422, "invalid_input")["details"]["field"] == part


@pytest.mark.parametrize("part", ["tuboid", "context"])
def test_pictures_must_be_whole_jpegs(put, spi, part):
    whole = tuboid_form()[part]
    for data, status in ((b"", 415), (b"GIF89a rubbish", 415), (whole[: len(whole) // 2], 422)):
        assert assert_error(put(**{part: data}), status)["details"]["field"] == part
    assert contents(spi.storage) == {}


def test_parts_have_a_largest_size(restart):
    client = restart(max_image_mb=0).test_client()
    assert_error(client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(tuboid_form())), 413, "too_large")


@pytest.mark.parametrize("step", ["insert", "publish", "commit"])
def test_a_crash_on_the_way_is_mended_by_the_next_upload(put, post, spi, client, monkeypatch, step):
    """Whatever is left of it, nobody sees it, and the same tuboid can be sent again."""

    class Crash(BaseException):
        """Nothing in the server catches it, as nothing catches a kill."""

    from spi_dash.services import tuboids

    real = tuboids.add_tuboid

    def crashing(session, storage, new, *values):
        if step == "insert":
            raise Crash
        if step == "publish":
            storage.publish(new.files[:1])
            raise Crash
        real(session, storage, new, *values)
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(tuboids, "add_tuboid", crashing)
        with pytest.raises(Crash):
            put()
    assert post("/get_tiled_tuboid_series/data", ALL) == []
    assert put(n_shots=4).status_code == 200
    (row,) = post("/get_tiled_tuboid_series/data", ALL)
    assert row["n_shots"] == 4 and client.get(row["tuboid"]).data == tuboid_form(n_shots=4)["tuboid"]
    assert len(contents(spi.storage)) == 3


def test_the_whole_series_must_lie_inside(make_tuboid, post):
    make_tuboid()

    def ask(**changes):
        return len(post("/get_tiled_tuboid_series/metadata", [{**WITHIN, **changes}]))

    assert ask() == 1  # both ends are included
    assert ask(start_datetime="2022-07-01T00:00:01Z") == 0
    assert ask(end_datetime="2022-07-01T19:59:59Z") == 0
    assert ask(device="0A1B%") == 1 and ask(device="0_1b2c3d") == 1 and ask(device="1%") == 0
    assert ask(device="' OR '1'='1") == 0 and ask(device="%' OR 1=1 --") == 0
    assert len(post("/get_tiled_tuboid_series/metadata", ALL + ALL)) == 2  # duplicates are kept
    assert post("/get_tiled_tuboid_series/metadata", []) == []


def test_rows_come_by_device_and_time(make_tuboid, post):
    other = {"series_info": series_info(device="00000001")}
    later = shot_lines(2, START + timedelta(hours=3))
    make_tuboid(0, metadata=later)
    make_tuboid(1)
    make_tuboid(2, **other, metadata=shot_lines(2, START + timedelta(hours=5), "00000001"))
    rows = post("/get_tiled_tuboid_series/metadata", ALL)
    assert [row["id_in_series"] for row in rows] == [2, 1, 0]


def test_unknown_what_of_tuboids(client):
    assert_error(client.post("/get_tiled_tuboid_series/foo", json=ALL, auth=ADMIN), 404, "not_found")


def test_delete_series(make_tuboid, post, spi, client):
    for number in (0, 1):
        make_tuboid(number)
    post("/put_itc_labels", [new_label(name_tuboid(0))])
    make_tuboid(2, series_info=series_info(end_datetime=END + timedelta(hours=1)))
    (row,) = post("/delete_tiled_tuboids", [WITHIN, WITHIN])
    assert set(row) == AUDIT | {
        *("device", "start_datetime", "end_datetime", "n_images", "n_tuboids", "algo_name", "algo_version"),
    }
    assert (row["device"], row["n_images"], row["n_tuboids"]) == (DEVICE, 60, 20) and isinstance(row["id"], int)
    assert [each["id_in_series"] for each in post("/get_tiled_tuboid_series/metadata", ALL)] == [2]
    assert post("/_get_itc_labels", [{"tuboid_id": name_tuboid(0)}]) == []
    assert len(contents(spi.storage)) == 3
    assert post("/delete_tiled_tuboids", [WITHIN]) == []
    assert make_tuboid(0)["n_shots"] == 5


def test_who_deleted_is_on_record(make_tuboid, post, spi):
    from spi_dash.services import audit

    make_tuboid()
    post("/delete_tiled_tuboids", ALL)
    with spi.read() as session:
        entry = audit.list_entries(session)[0][0]
    assert (entry.username, entry.action, entry.target) == ("admin", "tuboids deleted", DEVICE)
    assert entry.details.startswith("series from 2022-07-01 00:00:00 to 2022-07-01 20:00:00 UTC by siamese")


def test_labels(make_tuboid, post):
    tuboid = make_tuboid()
    (row,) = post("/put_itc_labels", [new_label(name_tuboid(0), family="Muscidae", extra="ignored")])
    assert set(row) == LABEL_KEYS and row["id"] is None and row["parent_tuboid_id"] == tuboid["id"]
    assert (row["label"], row["order"], row["family"], row["genus"]) == (1, "Diptera", "Muscidae", None)
    (found,) = post("/_get_itc_labels", [{"tuboid_id": name_tuboid(0)}])
    assert isinstance(found["id"], int) and {**found, "id": None} == row
    post("/put_itc_labels", [new_label(name_tuboid(0), "2")])
    both = post("/_get_itc_labels", [{"tuboid_id": [name_tuboid(0)], "n_shots": 5}])
    assert [each["algo_version"] for each in both] == ["1", "2"]


def labelled(post, n=4):
    """Which of the first tuboids have a label."""
    found = [post("/_get_itc_labels", [{"tuboid_id": name_tuboid(number)}]) for number in range(n)]
    return [number for number in range(n) if found[number]]


def test_labels_before_a_refused_one_stay(make_tuboid, client, post):
    """As clients know it: one commit per label. The same call once more is refused, and still says why."""
    for number in range(4):
        make_tuboid(number)
    post("/put_itc_labels", [new_label(name_tuboid(1))])
    call = [new_label(name_tuboid(number)) for number in range(4)]
    error = assert_error(client.post("/put_itc_labels", json=call, auth=ADMIN), 409, "conflict")
    assert error["details"] == {"tuboid_id": name_tuboid(1), "field": "[1].tuboid_id", "stored": 1}
    assert labelled(post) == [0, 1]
    unknown = [*call[2:3], new_label(name_tuboid(9)), call[3]]
    for stored in (1, 0):
        error = assert_error(client.post("/put_itc_labels", json=unknown, auth=ADMIN), 404, "not_found")
        assert error["details"] == {"tuboid_id": name_tuboid(9), "field": "[1].tuboid_id", "stored": stored}
        assert labelled(post) == [0, 1, 2]
    twice = [call[3], call[3]]
    assert_error(client.post("/put_itc_labels", json=twice, auth=ADMIN), 409, "conflict")
    assert labelled(post) == [0, 1, 2, 3]


def test_a_label_that_is_there_is_refused_though_it_is_the_same(make_tuboid, client, post):
    make_tuboid(0)
    rows = post("/put_itc_labels", [new_label(name_tuboid(0))])
    error = assert_error(client.post("/put_itc_labels", json=[new_label(name_tuboid(0))], auth=ADMIN), 409, "conflict")
    assert error["details"]["stored"] == 0
    found = post("/_get_itc_labels", [{"tuboid_id": name_tuboid(0)}])
    assert [{**row, "id": None} for row in found] == rows


def test_nothing_stays_of_labels_that_the_database_lost(make_tuboid, client, post, monkeypatch):
    """The call can then be sent again: clients try five times."""
    from spi_dash.errors import Unavailable
    from spi_dash.services import labels

    for number in range(3):
        make_tuboid(number)
    call = [new_label(name_tuboid(number)) for number in range(3)]
    real = labels._insert

    def failing(session, row):
        if row["parent_tuboid_id"] == tuboids[2]:
            raise Unavailable("the database does not answer")
        return real(session, row)

    tuboids = [row["id"] for row in post("/get_tiled_tuboid_series/metadata", ALL)]
    with monkeypatch.context() as patched:
        patched.setattr(labels, "_insert", failing)
        assert_error(client.post("/put_itc_labels", json=call, auth=ADMIN), 503)
    assert labelled(post, 3) == []
    assert len(post("/put_itc_labels", call)) == 3


def test_labels_name_tuboids_exactly(make_tuboid, client):
    make_tuboid(0)
    for unknown in (name_tuboid(9), name_tuboid(0) + " ", name_tuboid(0).upper(), "%", "' OR 1=1 --"):
        error = assert_error(client.post("/put_itc_labels", json=[new_label(unknown)], auth=ADMIN), 404, "not_found")
        assert error["details"]["field"] == "[0].tuboid_id"


@pytest.mark.parametrize(
    "change, field",
    [
        ({"algo_name": "x" * 33}, "algo_name"),
        ({"algo_version": "x" * 47}, "algo_version"),
        ({"label": "one"}, "label"),
        ({"label": 1.5}, "label"),
        ({"label": 2**31}, "label"),
        ({"label": None}, "label"),
        ({"pattern": "x" * 129}, "pattern"),
        ({"type": "x" * 33}, "type"),
        ({"species": "x" * 33}, "species"),
    ],
)
def test_a_wrong_label_is_named(make_tuboid, client, change, field):
    make_tuboid()
    response = client.post("/put_itc_labels", json=[new_label(name_tuboid(0), **change)], auth=ADMIN)
    assert assert_error(response, 422)["details"]["field"] == f"[0].{field}"


def test_labels_may_have_become_floats(make_tuboid, post):
    make_tuboid()
    (row,) = post("/put_itc_labels", [new_label(name_tuboid(0), label=3.0)])
    assert row["label"] == 3


def test_nothing_matches(make_tuboid, post):
    make_tuboid()
    post("/put_itc_labels", [new_label(name_tuboid(0))])
    for keys in ([], [{"tuboid_id": name_tuboid(1)}], [{"tuboid_id": "%"}], [{"tuboid_id": "' OR '1'='1"}]):
        assert post("/_get_itc_labels", keys) == []


@pytest.mark.usefixtures("accounts")
def test_roles_of_tuboids(put, client):
    assert_error(put(auth=READER), 403, "forbidden")
    assert put(auth=WRITER).status_code == 200
    assert_error(client.post("/put_itc_labels", json=[new_label(name_tuboid(0))], auth=READER), 403, "forbidden")
    assert client.post("/put_itc_labels", json=[new_label(name_tuboid(0))], auth=WRITER).status_code == 200
    for path in ("/get_tiled_tuboid_series/data", "/_get_itc_labels"):
        body = ALL if "series" in path else [{"tuboid_id": name_tuboid(0)}]
        assert len(client.post(path, json=body, auth=READER).json) == 1
    assert_error(client.post("/delete_tiled_tuboids", json=ALL, auth=WRITER), 403, "forbidden")


def test_the_document_tells_the_parts(client):
    operation = client.get("/openapi.json").json["paths"]["/_put_tiled_tuboids"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["required"]) == {"metadata", "tuboid", "context", "tuboid_id", "series_info"}


def test_real_tuboids_come_back_unchanged(client, post):
    folders = sorted(path.parent for path in REAL_TUBOIDS.rglob("metadata.txt"))
    if not folders:
        pytest.skip("the real tuboids of ../shared/data are not here")
    for folder in folders:
        response = client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(real_form(folder, LEGACY)))
        assert response.status_code == 200, response.text
    rows = post("/get_tiled_tuboid_series/data", ALL)
    assert [row["n_shots"] for row in rows] == [53, 37, 36, 25, 27, 11]
    for folder, row in zip(folders, rows, strict=True):
        for name in ("tuboid.jpg", "metadata.txt", "context.jpg"):
            assert client.get(row[name.partition(".")[0]]).data == (folder / name).read_bytes()
