"""The client's projects, against the real API: members, series, own columns, and projects as what is asked for."""

import shutil
from datetime import datetime, timedelta

import pandas as pd
import pytest
from live import START, pictures

from spi_dash.client import SpiClient, columns
from spi_dash.errors import Conflict, Forbidden, InvalidInput, NotFound
from spi_dash.local import LocalSpi

DEVICE, OTHER, PASSWORD = "5c173ff2", "5c173ff3", "a long password"
UTC = "datetime64[us, UTC]"
DAY = {"device": DEVICE, "start_datetime": START, "end_datetime": START + timedelta(days=1)}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A directory with an account beside the admin, and four pictures of two traps."""
    folder = tmp_path_factory.mktemp("fresh")
    with LocalSpi(folder) as client:
        client.put_users([{"username": "anna", "password": PASSWORD}])
        client.put_images({**pictures(3), **pictures(1, "00000009")})
    return folder


@pytest.fixture
def lab(fresh, tmp_path):
    shutil.copytree(fresh, tmp_path / "lab")
    with LocalSpi(tmp_path / "lab") as client:
        yield client


@pytest.fixture
def anna(lab):
    """Another user of the same directory."""
    return SpiClient(lab.url, "anna", PASSWORD, session=lab._session)


@pytest.fixture
def project(lab):
    return lab.put_projects([{"name": "orchard", "description": "2022", "notes": "rows\nof trees"}])[0]["id"]


def anna_id(lab):
    return next(user["id"] for user in lab.get_users() if user["username"] == "anna")


def test_projects_are_made_found_and_deleted(lab):
    (row,) = lab.put_projects([{"name": "orchard", "notes": "n"}])
    assert (row["name"], row["description"], row["notes"]) == ("orchard", None, "n")
    lab.put_projects(pd.DataFrame([{"name": "meadow", "description": "d"}]))
    assert [each["name"] for each in lab.get_projects()] == ["orchard", "meadow"]
    assert lab.get_projects([{"name": "orch%"}]) == lab.get_projects([{"id": row["id"]}]) == [row]
    assert lab.get_projects([{"name": "none"}]) == lab.get_projects([]) == []
    assert [each["name"] for each in lab.delete_projects([{"id": row["id"]}])] == ["orchard"]
    assert [each["name"] for each in lab.delete_projects([{}])] == ["meadow"]
    assert lab.get_projects() == []


def test_wrong_values_are_named(lab, project):
    for call in (
        lambda: lab.put_projects([{"name": ""}]),
        lambda: lab.put_projects([{"name": "x", "description": "y" * 21}]),
        lambda: lab.put_projects({"name": "x"}),
        lambda: lab.put_project_series(project, [{**DAY, "device": "no trap"}]),
        lambda: lab.put_project_series(project, [{**DAY, "start_datetime": "yesterday"}]),
        lambda: lab.put_project_series(project, [{**DAY, "colour": "red"}]),
        lambda: lab.add_project_column(project, "bait", "BLOB"),
        lambda: lab.put_project_permission(project, 1, 4),
    ):
        with pytest.raises(InvalidInput) as error:
            call()
        assert error.value.details["field"]
    assert lab.get_project_series(project) == []


def test_the_frame_of_projects(lab, project):
    frame = lab.projects_frame()
    assert frame.dtypes.astype(str).to_dict() == columns.PROJECTS
    assert frame[["id", "name", "notes"]].values.tolist() == [[project, "orchard", "rows\nof trees"]]
    lab.delete_projects([{}])
    empty = lab.projects_frame()
    assert len(empty) == 0 and empty.dtypes.to_dict() == frame.dtypes.to_dict()


def test_members_get_levels_and_lose_them(lab, anna, project):
    user_id = anna_id(lab)
    assert anna.get_projects() == []
    with pytest.raises(NotFound):
        anna.get_project_series(project)
    given = lab.put_project_permission(project, user_id, 1)
    assert (given["parent_project_id"], given["parent_user_id"], given["level"]) == (project, user_id, 1)
    assert [each["id"] for each in anna.get_projects()] == [project]
    with pytest.raises(Forbidden):
        anna.put_project_series(project, [DAY])
    lab.put_project_permission(project, user_id, 2)
    (row,) = anna.put_project_series(project, [DAY])
    with pytest.raises(Forbidden):
        anna.delete_project_series(project, [row["id"]])
    assert anna.delete_projects([{}]) == []
    levels = {each["parent_user_id"]: each["level"] for each in lab.get_project_permissions([{"id": project}])}
    assert levels[user_id] == 2 and len(levels) == 2 and len(lab.get_project_permissions()) == 2
    lab.put_project_permission(project, user_id, 0)
    assert anna.get_projects() == anna.get_project_permissions() == []


def test_series_are_added_changed_and_deleted(lab, project):
    first, second = lab.put_project_series(project, [DAY, {**DAY, "device": OTHER}])
    assert first == {"id": first["id"], **DAY}
    for text in ("2022-06-01", "2022-06-01T00:00:00Z", "2022-06-01_00-00-00", "2022-06-01 00:00:00"):
        (changed,) = lab.put_project_series(project, [{"id": first["id"], "end_datetime": text}])
        assert changed == {**first, "end_datetime": datetime(2022, 6, 1)}
    assert lab.get_project_series(project) == [changed, second]
    with pytest.raises(Conflict):
        lab.put_project_series(project, [{**DAY, "device": OTHER}])
    assert lab.delete_project_series(project, [first["id"], second["id"]]) == [changed, second]
    assert lab.get_project_series(project) == lab.delete_project_series(project, []) == []
    assert lab.put_project_series(project, []) == []


def test_own_columns(lab, project):
    lab.put_project_series(project, [DAY])
    lab.add_project_column(project, "crop", "CHAR(64)")
    lab.add_project_column(project, "height", "DOUBLE")
    assert lab.get_project_series(project)[0]["crop"] is None
    lab.rename_project_column(project, "height", "height_m")
    with pytest.raises(Conflict):
        lab.add_project_column(project, "crop", "INTEGER")
    lab.delete_project_columns(project, ["crop"])
    lab.delete_project_columns(project, [])
    assert set(lab.get_project_series(project)[0]) == {"id", *DAY, "height_m"}
    with pytest.raises(NotFound):
        lab.rename_project_column(project, "crop", "plant")


KINDS = {
    "crop": ("CHAR(64)", "rye", "str"),
    "n": ("INTEGER", 3, "Int64"),
    "height": ("DOUBLE", 1.5, "Float64"),
    "organic": ("BOOLEAN", True, "boolean"),
    "sown": ("DATETIME", datetime(2022, 4, 1, 12), UTC),
    "day": ("DATE", "2022-04-01", "str"),
}


def test_a_frame_goes_up_comes_down_is_changed_and_goes_up_again(lab, project):
    """Missing values stay missing; rows without an id are new, those with one are changed."""
    for name, (kind, _, _) in KINDS.items():
        lab.add_project_column(project, name, kind)
    own = pd.DataFrame({name: [value, None] for name, (_, value, _) in KINDS.items()})
    new = pd.DataFrame([DAY, {**DAY, "device": OTHER}]).assign(**own)
    assert len(lab.put_project_series(project, new)) == 2
    frame = lab.project_series_frame(project)
    assert frame.dtypes.astype(str).to_dict() | {"crop": "", "day": "", "n": "", "organic": ""} == {
        **columns.PROJECT_SERIES, **{name: kind for name, (_, _, kind) in KINDS.items()}, "crop": "", "day": "",
        "n": "", "organic": ""}  # fmt: skip
    assert frame["height"][0] == 1.5 and frame["n"][0] == 3 and bool(frame["organic"][0]) is True
    assert frame["sown"][0] == pd.Timestamp("2022-04-01T12:00:00Z")
    assert frame.loc[1, list(KINDS)].isna().all()
    frame.loc[1, "crop"] = "oats"
    more = pd.DataFrame({**DAY, "device": "ffffffff", "crop": "peas"}, index=[0])
    for name in ("start_datetime", "end_datetime"):
        more[name] = more[name].dt.tz_localize("UTC")
    lab.put_project_series(project, pd.concat([frame, more], ignore_index=True))
    again = lab.project_series_frame(project)
    assert again["id"].tolist()[:2] == frame["id"].tolist() and len(again) == 3
    assert again["crop"].tolist() == ["rye", "oats", "peas"]
    pd.testing.assert_frame_equal(again.iloc[:2].astype(object), frame.astype(object), check_dtype=False)


def test_ids_of_a_csv_are_numbers_with_gaps(lab, project, tmp_path):
    """pandas reads whole numbers with gaps as floats."""
    lab.put_project_series(project, [DAY])
    lab.project_series_frame(project).to_csv(tmp_path / "series.csv", index=False)
    frame = pd.read_csv(tmp_path / "series.csv")
    frame = pd.concat([frame, frame.assign(id=float("nan"), device=OTHER)], ignore_index=True)
    assert len(lab.put_project_series(project, frame)) == 2
    assert [row["device"] for row in lab.get_project_series(project)] == [DEVICE, OTHER]


def test_an_empty_project_has_a_frame(lab, project):
    frame = lab.project_series_frame(project)
    assert len(frame) == 0 and frame.dtypes.astype(str).to_dict() == columns.PROJECT_SERIES


def test_a_project_is_what_other_calls_are_asked_for(lab, project, tmp_path):
    lab.put_project_series(project, [{**DAY, "end_datetime": START + timedelta(minutes=40)}])
    for series in (lab.project_series_frame(project), lab.get_project_series(project)):
        assert len(lab.images_frame(series=series)) == len(lab.counts_frame(series=series)) == 2
        assert lab.insects_frame(series=series).empty and lab.tuboids_frame(series=series).empty
    assert lab.download_images(tmp_path / "down", series=series, progress=False).downloaded == 2
    assert lab.images_frame(series=lab.get_project_series(project)[:0]).empty
