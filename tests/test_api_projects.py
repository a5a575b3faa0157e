"""Projects over HTTP: who sees what, series with columns of their own, and what people try."""

import pytest
from conftest import ADMIN, READER, WRITER, assert_error

OTHER = ("other", "other password")
AUDIT = {"id", "datetime_created", "api_version", "api_user_id"}
ROW = {"device": "0123abcd", "start_datetime": "2021-01-01", "end_datetime": "2021-01-12"}
LEVELS = {"none": 0, "viewer": 1, "editor": 2, "admin": 3}


@pytest.fixture
def with_pages():
    return False


@pytest.fixture
def people(accounts, post):
    """Ids by name; `other` reads and writes, as `writer` does."""
    post("/put_users", [{"username": OTHER[0], "password": OTHER[1]}])
    return {row["username"]: row["id"] for row in post("/get_users")}


@pytest.fixture
def project(people, post):
    """The id of a project of `writer`."""
    return post("/put_projects", [{"name": "p1", "description": "d", "notes": "n"}], auth=WRITER)[0]["id"]


@pytest.fixture
def share(project, people, post):
    def give(name, level):
        info = {"project_id": project, "user_id": people[name], "level": level}
        return post("/put_project_permissions", [info], auth=WRITER)[0]

    return give


@pytest.fixture
def put_row(project, post):
    def put(auth=WRITER, **values):
        return post("/put_project_series", [{"project_id": project, **ROW, **values}], auth=auth)[0]

    return put


@pytest.fixture
def add_column(project, post):
    def add(name, kind="DOUBLE"):
        info = {"project_id": project, "column_name": name, "column_SQL_type": kind}
        return post("/put_project_columns", [info], auth=WRITER)

    return add


@pytest.fixture
def series(project, post):
    return lambda auth=WRITER: post("/get_project_series", [{"project_id": project}], auth=auth)


def test_a_project_and_who_sees_it(post, project, share):
    (row,) = post("/get_projects", auth=WRITER)
    assert set(row) == AUDIT | {"name", "description", "notes"}
    assert (row["id"], row["name"], row["description"], row["notes"]) == (project, "p1", "d", "n")
    assert post("/get_projects", [{}], auth=ADMIN) == post("/get_projects", [{"name": "P%"}], auth=WRITER) == [row]
    assert post("/get_projects", [{"id": [project]}], auth=WRITER) == [row]
    assert post("/get_projects", [{"name": "x%"}], auth=WRITER) == post("/get_projects", auth=OTHER) == []
    assert share("reader", 1)["id"] is None
    assert post("/get_projects", auth=READER) == [row]
    assert post("/get_project_permissions", auth=OTHER) == []


def test_projects_as_r_sends_them(post, people):
    body = [{"name": ["x"], "description": [], "notes": ["z"]}]
    (row,) = post("/put_projects", body, auth=WRITER)
    assert (row["name"], row["description"], row["notes"]) == ("x", None, "z")
    again = post("/put_projects", [{"name": "x", "id": row["id"]}], auth=WRITER)[0]
    assert again["id"] != row["id"]  # names need not be unique, and an id updates nothing
    assert post("/get_project_series", [{"project_id": [row["id"]]}], auth=WRITER) == []


@pytest.mark.parametrize(
    "info, field",
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 33}, "name"),
        ({"name": "x", "description": "y" * 21}, "description"),
        ({"name": "x", "notes": "y" * 2049}, "notes"),
        ({"name": "x", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_of_a_project_is_named(client, info, field):
    error = assert_error(client.post("/put_projects", json=[info], auth=ADMIN), 422, "invalid_input")
    assert error["details"]["field"].endswith(field)


@pytest.mark.parametrize("path", ["/get_projects", "/delete_projects", "/get_project_permissions"])
def test_unknown_filters_are_named(client, path):
    error = assert_error(client.post(path, json=[{"project_id": 1}], auth=ADMIN), 422, "invalid_input")
    assert "project_id" in error["message"]


def test_permissions(client, post, project, people, share):
    (mine,) = post("/get_project_permissions", [{"name": "%"}], auth=WRITER)
    assert set(mine) == AUDIT | {"parent_project_id", "parent_user_id", "level"}
    assert (mine["parent_project_id"], mine["parent_user_id"], mine["level"]) == (project, people["writer"], 3)
    given = share("reader", 1)
    new = {"id": None, "parent_user_id": people["reader"], "level": 1, "datetime_created": given["datetime_created"]}
    assert given == {**mine, **new}
    share("reader", 2)
    levels = {row["parent_user_id"]: row["level"] for row in post("/get_project_permissions", auth=READER)}
    assert levels == {people["writer"]: 3, people["reader"]: 2}
    for info, status in (
        ({"project_id": 99, "user_id": 1, "level": 1}, 404),
        ({"project_id": project, "user_id": 99, "level": 1}, 404),
        ({"project_id": project, "user_id": 1, "level": 4}, 422),
        ({"project_id": project, "user_id": 1}, 422),
    ):
        assert_error(client.post("/put_project_permissions", json=[info], auth=WRITER), status)
    share("reader", 0)
    assert post("/get_projects", auth=READER) == []


def test_series(client, post, project, put_row, series):
    row = put_row()
    assert row == {"id": 1, "device": "0123abcd", "start_datetime": "2021-01-01T00:00:00Z",
                   "end_datetime": "2021-01-12T00:00:00Z"}  # fmt: skip
    r_style = put_row(device="0123abce", start_datetime="2021-01-01 12:12:12", end_datetime="2021-01-12 12:12:12")
    assert series() == [row, r_style] and r_style["start_datetime"] == "2021-01-01T12:12:12Z"
    legacy = put_row(device="0123abcf", start_datetime="2021-01-01_12-12-12", end_datetime="2021-01-12_12-12-12")
    assert legacy["end_datetime"] == "2021-01-12_12-12-12"
    assert post("/get_project_series", [{"project_id": project}] * 2, auth=WRITER) == series() * 2
    body = [{"project_id": project, **ROW}]
    error = assert_error(client.post("/put_project_series", json=body, auth=WRITER), 409, "conflict")
    assert error["details"]["field"] == "[0].device"


def test_rows_are_changed_by_id(client, post, project, put_row, add_column, series):
    add_column("bait")
    row = put_row(bait=1.5)
    changed = post("/put_project_series", [{"project_id": project, "id": row["id"], "bait": "2.5"}], auth=WRITER)[0]
    assert changed == {**row, "bait": 2.5}
    whole = post("/put_project_series", [{**changed, "project_id": project, "end_datetime": "2021-02-01"}], auth=WRITER)
    assert whole == series() == [{**changed, "end_datetime": "2021-02-01T00:00:00Z"}]
    assert post("/put_project_series", [{"project_id": project, "id": row["id"]}], auth=WRITER) == whole
    for info, status in (({"id": 99}, 404), ({"id": row["id"], "end_datetime": "2020-01-01"}, 422)):
        body = [{"project_id": project, **info}]
        assert_error(client.post("/put_project_series", json=body, auth=WRITER), status)


def test_several_rows_are_all_or_nothing(client, project, series):
    good = {"project_id": project, **ROW}
    for bad, field in (
        ({**good, "device": "0123abce", "end_datetime": "2020-12-31"}, "[1].end_datetime"),
        ({**good, "device": "no trap"}, "[1].device"),
        ({**good, "device": None}, "[1].device"),
        ({**good, "device": "0123abce", "colour": "red"}, "[1].colour"),
        ({**good, "start_datetime": "yesterday"}, "[1].start_datetime"),
        (good, "[1].device"),
    ):
        response = client.post("/put_project_series", json=[good, bad], auth=WRITER)
        assert response.status_code in (409, 422) and response.json["error"]["details"]["field"] == field
    assert series() == []


def test_rows_as_scripts_write_them(put_row, series):
    """A trap by another name, a single moment, times without seconds or with a zone."""
    row = put_row(device="trap_001", start_datetime="2021-01-01 12:30", end_datetime="2021-01-01T14:30+02:00")
    assert row["device"] == "trap_001"
    assert row["start_datetime"] == row["end_datetime"] == "2021-01-01T12:30:00Z"
    assert series() == [row]


def test_columns_may_be_named_like_parts_of_other_calls(add_column, put_row):
    add_column("metadata", "CHAR(64)")
    assert put_row(metadata=["x"])["metadata"] == "x"


def test_decimals_are_numbers_with_a_fraction(add_column, put_row, client, project):
    add_column("level", "DECIMAL(11, 8)")
    put_row(level=5)
    answer = client.post("/get_project_series", json=[{"project_id": project}], auth=WRITER)
    assert '"level":5.0' in answer.text.replace(" ", "")


def test_a_description_may_have_lines(post, accounts):
    (row,) = post("/put_projects", [{"name": ["p1"], "description": ["line1\nline2"]}], auth=WRITER)
    assert row["description"] == "line1\nline2"


def test_deleted_rows_come_back(post, project, put_row, series):
    first, second = put_row(), put_row(device="0123abce")
    body = [{"project_id": project, "id": second["id"]}]
    assert post("/delete_project_series", body, auth=WRITER) == [second]
    assert post("/delete_project_series", body, auth=WRITER) == []
    assert series() == [first]


def test_columns(client, post, project, put_row, add_column, series):
    put_row()
    assert add_column("bait") == [{"column_name": "bait", "column_SQL_type": "DOUBLE"}]
    assert series()[0]["bait"] is None
    rename = {"project_id": project, "column_name": "bait.2", "old_column_name": "bait"}
    answer = post("/put_project_columns", [rename], auth=WRITER)
    assert answer == [{"column_name": "bait.2", "column_SQL_type": None}]
    assert put_row(device="0123abce", **{"bait.2": 3.5})["bait.2"] == 3.5
    for case in ("Bait.2", "BAIT.2"):
        assert_error(client.post("/put_project_columns", auth=WRITER, json=[
            {"project_id": project, "column_name": case, "column_SQL_type": "INT"}]), 409, "conflict")  # fmt: skip
    gone = {"project_id": project, "column_name": "bait.2"}
    assert post("/delete_project_columns", [gone], auth=WRITER) == [{"column_name": "bait.2"}]
    assert set(series()[0]) == {"id", "device", "start_datetime", "end_datetime"}
    assert_error(client.post("/delete_project_columns", json=[gone], auth=WRITER), 404)
    assert_error(client.post("/put_project_columns", json=[rename], auth=WRITER), 404)
    assert_error(client.post("/put_project_columns", json=[gone], auth=WRITER), 422)


def test_a_column_can_change_its_letter_case(post, project, add_column, put_row):
    add_column("bait")
    put_row(bait=1)
    rename = {"project_id": project, "column_name": "Bait", "old_column_name": "bait"}
    post("/put_project_columns", [rename], auth=WRITER)
    assert post("/get_project_series", [{"project_id": project}], auth=WRITER)[0]["Bait"] == 1


KINDS = [
    ("Integer", 7, 7),
    ("INT(11)", "7", 7),
    ("bigint", 2**40, 2**40),
    ("DOUBLE", 3.25, 3.25),
    ("double precision", "1e-3", 0.001),
    ("DECIMAL(11, 8)", -123.25088, -123.25088),
    ("decimal(5,2)", 1.005, 1.01),
    (" Decimal ( 11 ,8 )  ", "-123.25088", -123.25088),
    ("CHAR(64)", "pan trap", "pan trap"),
    ("cHaR (64)", "pan trap", "pan trap"),
    ("varchar(12)", "blå gul ✓", "blå gul ✓"),
    ("TEXT", "x" * 5000, "x" * 5000),
    ("DATETIME", "2021-05-01 10:00:00", "2021-05-01T10:00:00Z"),
    ("date", "2021-05-01", "2021-05-01"),
    ("Boolean", True, True),
    ("BOOL", 0, False),
]


@pytest.mark.parametrize("kind, sent, stored", KINDS, ids=[kind for kind, *_ in KINDS])
def test_kinds_of_columns(add_column, put_row, series, kind, sent, stored):
    assert add_column("Longitude", kind) == [{"column_name": "Longitude", "column_SQL_type": kind}]
    assert put_row(Longitude=sent)["Longitude"] == stored
    assert [row["Longitude"] for row in series()] == [stored]
    assert put_row(device="0123abce", Longitude=None)["Longitude"] is None
    assert put_row(device="0123abcf")["Longitude"] is None


def test_times_of_own_columns_are_written_as_the_request_writes_them(add_column, put_row):
    add_column("baited", "DATETIME")
    assert put_row(baited="2021-05-01_10-00-00")["baited"] == "2021-05-01_10-00-00"


@pytest.mark.parametrize(
    "kind, value",
    [
        ("INT", 2**31),
        ("INT", 1.5),
        ("INT", True),
        ("INT", "many"),
        ("DOUBLE", "1e999"),
        ("DOUBLE", "nan"),
        ("DOUBLE", [1, 2]),
        ("DECIMAL(5,2)", 1000),
        ("DECIMAL(5,2)", 999.999),
        ("CHAR(2)", "abc"),
        ("CHAR(2)", {"a": 1}),
        ("TEXT", "a\x00b"),
        ("DATETIME", "noon"),
        ("DATE", "2021-02-30"),
        ("BOOL", 2),
    ],
)
def test_values_that_a_column_does_not_take(client, project, add_column, series, kind, value):
    add_column("bait", kind)
    body = [{"project_id": project, **ROW, "bait": value}]
    error = assert_error(client.post("/put_project_series", json=body, auth=WRITER), 422, "invalid_input")
    assert error["details"]["field"] == "[0].bait" and error["message"].startswith("[0].bait: ")
    assert series() == []


NASTY = [
    *("x; DROP TABLE users", "x) , (y INT", "INT); --", "INT DEFAULT 1", "INT /* */", "ENUM('a')", "BLOB", "JSON", ""),
    *("DECIMAL(66)", "DECIMAL(5,6)", "DECIMAL(10,31)", "CHAR(0)", "CHAR(256)", "VARCHAR", "VARCHAR(99999)", "DATE(1)"),
    *("INT UNSIGNED", "INT`", "INT'", 'INT"', "٣", "CHAR(٣)", "CHAR(6 4)", "CHAR(-1)", "INT\n", "INT\x00"),
]


@pytest.mark.parametrize("kind", NASTY)
def test_types_that_are_none(client, project, series, put_row, kind):
    put_row()
    body = [{"project_id": project, "column_name": "x", "column_SQL_type": kind}]
    response = client.post("/put_project_columns", json=body, auth=WRITER)
    if kind == "INT\n":  # blanks around a type mean nothing
        assert response.status_code == 200
        return
    assert_error(response, 422, "invalid_input")
    assert set(series()[0]) == {"id", "device", "start_datetime", "end_datetime"}


@pytest.mark.parametrize(
    "name",
    [
        *("", "a b", "a`b", 'a"b', "a'b", "a;b", "a--", "1a", ".1a", "a%s", "a:b", "a)", "é", "a" * 65, "a\n", "a\x00"),
        *("id", "ID", "device", "Device", "start_datetime", "END_DATETIME", "project_id"),
    ],
)
def test_names_that_are_none(client, project, add_column, series, put_row, name):
    add_column("fine")
    put_row()
    new = {"project_id": project, "column_name": name, "column_SQL_type": "INT"}
    renamed = {"project_id": project, "column_name": name, "old_column_name": "fine"}
    for info in (new, renamed):
        assert_error(client.post("/put_project_columns", json=[info], auth=WRITER), 422, "invalid_input")
    gone = {"project_id": project, "column_name": name}
    assert client.post("/delete_project_columns", json=[gone], auth=WRITER).status_code in (404, 422)
    assert set(series()[0]) == {"id", "device", "start_datetime", "end_datetime", "fine"}


@pytest.mark.parametrize("text", ["'; DROP TABLE projects; --", '" OR 1=1', "`", "%s %(x)s :x", "\\", "a_%"])
def test_texts_are_texts(post, people, text):
    (row,) = post("/put_projects", [{"name": text, "description": text[:20], "notes": text}], auth=WRITER)
    assert (row["name"], row["notes"]) == (text, text)
    add = {"project_id": row["id"], "column_name": "order", "column_SQL_type": "CHAR(64)"}
    post("/put_project_columns", [add], auth=WRITER)
    put = post("/put_project_series", [{"project_id": row["id"], **ROW, "order": text}], auth=WRITER)
    assert put[0]["order"] == text
    assert post("/get_projects", [{"name": text.replace("\\", "\\\\")}], auth=WRITER) == [row]


CALLS = (  # call: the level it takes, 0 where it lists or makes what one may see; whether it writes; what it sends
    ("/get_projects", 0, False, {"id": "PROJECT", "name": "P_"}),
    ("/get_project_permissions", 0, False, {"id": "PROJECT", "name": "%1"}),
    ("/get_project_series", 1, False, {"project_id": "PROJECT"}),
    ("/put_projects", 0, True, {"name": "mine", "description": "d", "notes": "n"}),
    ("/put_project_series", 2, True, {"project_id": "PROJECT", **ROW, "device": "0123abce"}),
    ("/put_project_series", 2, True, {"project_id": "PROJECT", "id": 1, "end_datetime": "2022-01-01"}),
    ("/put_project_columns", 2, True, {"project_id": "PROJECT", "column_name": "x", "column_SQL_type": "INT"}),
    ("/put_project_columns", 2, True, {"project_id": "PROJECT", "column_name": "y", "old_column_name": "fine"}),
    ("/delete_project_columns", 3, True, {"project_id": "PROJECT", "column_name": "fine"}),
    ("/delete_project_series", 3, True, {"project_id": "PROJECT", "id": 1}),
    ("/put_project_permissions", 3, True, {"project_id": "PROJECT", "user_id": "DETECTOR", "level": 1}),
    ("/delete_projects", 3, True, {"id": "PROJECT", "name": "p%"}),
)
FORMS = {  # the same request, as clients write it
    "plain": lambda value: value,
    "arrays": lambda value: [value],
    "texts": str,
    "texts in arrays": lambda value: [str(value)],
}
PEOPLE = {"nobody": None, "reader": READER, "other": OTHER, "admin": ADMIN}


@pytest.fixture
def state(post):
    """All that there is of projects."""

    def read():
        found = post("/get_projects")
        series = [post("/get_project_series", [{"project_id": row["id"]}]) for row in found]
        return found, series, post("/get_project_permissions")

    return read


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("role", PEOPLE)
def test_roles_and_levels(client, project, people, share, put_row, add_column, state, role, level):
    """Every call by everybody, written in another way by everybody; what is refused changes nothing."""
    add_column("fine")
    put_row()
    if LEVELS[level] and role != "nobody":
        share(role, LEVELS[level])
    ids = {"PROJECT": project, "DETECTOR": people["spi_uid"]}
    before = state()
    for n, (path, needed, writes, info) in enumerate(CALLS):
        write = list(FORMS.values())[(n + LEVELS[level]) % len(FORMS)]
        body = [{name: write(ids.get(value, value)) for name, value in info.items()}]
        answer = client.post(path, json=body, auth=PEOPLE[role])
        assert answer.status_code == _expected(role, LEVELS[level], path, needed, writes), (path, body, answer.text)
        may = answer.status_code == 200 and (
            role == "admin" or LEVELS[level] >= max(needed, 1) or path == "/put_projects"
        )
        assert (answer.status_code == 200 and answer.json != []) == may, path
        assert (state() != before) == (writes and may), path
        _put_column_back(client, project)
        before = state()


def _expected(role, level, path, needed, writes):
    if role == "nobody":
        return 401
    if role == "reader" and writes:
        return 403
    if role == "admin" or level >= needed or path == "/delete_projects":  # which deletes what one may delete
        return 200
    return 404 if level == 0 else 403


def _put_column_back(client, project):
    """The column that later calls are about, should it be gone; refused where it is there."""
    for old in ("y", "x"):
        new = {"project_id": project, "column_name": "fine", "old_column_name": old}
        client.post("/put_project_columns", json=[new], auth=ADMIN)


INJECTIONS = (
    "1 OR 1=1",
    "1; DROP TABLE users; --",
    "' OR '1'='1",
    '" OR "1"="1',
    "`; DROP TABLE projects; -- ",
    "x` INT, ADD COLUMN `y",
    "\\' OR 1=1 -- ",
    "%' UNION SELECT password_hash FROM users -- ",
    "1) UNION SELECT username, password_hash, 1, 1 FROM users -- ",
    "fine`, DROP COLUMN `fine",
)
FIELDS = {
    "/get_projects": ({}, "id name description notes datetime_created api_version api_user_id"),
    "/delete_projects": ({}, "id name description notes"),
    "/get_project_permissions": ({}, "id name description notes"),
    "/get_project_series": ({}, "project_id"),
    "/put_project_permissions": ({"project_id": "PROJECT", "user_id": 1, "level": 1}, "project_id user_id level"),
    "/put_project_series": (
        {"project_id": "PROJECT", "id": 1, **ROW},
        "project_id id device start_datetime end_datetime fine",
    ),
    "/delete_project_series": ({"project_id": "PROJECT", "id": 1}, "project_id id"),
    "/put_project_columns": (
        {"project_id": "PROJECT", "column_name": "fine", "column_SQL_type": "INT"},
        "project_id column_name column_SQL_type old_column_name",
    ),
    "/delete_project_columns": ({"project_id": "PROJECT", "column_name": "fine"}, "project_id column_name"),
}
LEAKS = ("sql", "syntax", "operationalerror", "pymysql", "sqlite", "$argon2", "traceback", "1064")


@pytest.mark.parametrize("path", FIELDS)
def test_nothing_that_is_sent_becomes_sql(client, project, put_row, add_column, state, path):
    """In every field of every call: refused as a value, or nothing matches; no row, no name, no hash gets out."""
    add_column("fine")
    put_row(fine=1)
    before = state()
    fixed, names = FIELDS[path]
    fixed = {name: project if value == "PROJECT" else value for name, value in fixed.items()}
    for field in names.split():
        for text in INJECTIONS:
            for value in (text, [text]):
                answer = client.post(path, json=[fixed | {field: value}], auth=WRITER)
                matches = path.startswith(("/get_projects", "/delete_projects", "/get_project_permissions"))
                assert answer.status_code in ((200,) if matches else (404, 409, 422)), (field, value, answer.text)
                assert answer.json == [] if matches else "error" in answer.json
                said = answer.text.lower().replace(text.lower(), "").replace("column_sql_type", "")
                assert not any(leak in said for leak in LEAKS), (field, value, answer.text)
        assert state() == before, field


@pytest.mark.parametrize(
    "path, info",
    [
        ("/get_projects", {}),
        ("/delete_projects", {}),
        ("/get_project_permissions", {}),
        ("/put_projects", {"name": "x"}),
        ("/put_project_series", ROW),
    ],
)
def test_no_name_that_is_sent_becomes_sql(client, project, state, path, info):
    before = state()
    fixed = info | ({"project_id": project} if path == "/put_project_series" else {})
    for name in INJECTIONS:
        assert_error(client.post(path, json=[fixed | {name: "1"}], auth=WRITER), 422, "invalid_input")
    assert state() == before


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("role", ["reader", "other", "admin"])
def test_who_deletes_projects(client, post, share, role, level):
    if LEVELS[level]:
        share(role, LEVELS[level])
    auth = {"reader": READER, "other": OTHER, "admin": ADMIN}[role]
    response = client.post("/delete_projects", json=[{}], auth=auth)
    if role == "reader":
        assert_error(response, 403, "forbidden")
        return
    gone = role == "admin" or level == "admin"
    assert [row["name"] for row in response.json] == (["p1"] if gone else [])
    assert len(post("/get_projects")) == (0 if gone else 1)


def test_what_goes_with_a_project(client, post, project, put_row, people):
    put_row()
    kept = post("/put_projects", [{"name": "kept"}], auth=OTHER)[0]
    assert [row["id"] for row in post("/delete_projects", [{"name": "%"}, {}], auth=WRITER)] == [project]
    assert_error(client.post("/get_project_series", json=[{"project_id": project}], auth=ADMIN), 404)
    assert post("/get_projects") == [kept]
    assert [row["parent_project_id"] for row in post("/get_project_permissions")] == [kept["id"]]
    again = post("/put_projects", [{"name": "again"}], auth=WRITER)[0]
    assert post("/get_project_series", [{"project_id": again["id"]}], auth=WRITER) == []
    post("/delete_users", [{"username": "other"}])
    assert [row["parent_project_id"] for row in post("/get_project_permissions")] == [again["id"]]
    assert [row["id"] for row in post("/delete_projects", [{"name": "kept"}])] == [kept["id"]]  # nobody's
