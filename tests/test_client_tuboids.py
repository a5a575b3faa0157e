"""The client's tuboids and labels, against the real API: uploads that resume, labels, frames, downloads."""

import json
import shutil
from datetime import timedelta

import pandas as pd
import pytest
from tuboid_lab import (
    DEVICE,
    END,
    LEGACY,
    REAL_TUBOIDS,
    START,
    VERSION,
    first_shot,
    name_tuboid,
    new_label,
    shot_lines,
    write_series,
)

from spi_dash.client import columns
from spi_dash.client.downloads import TUBOID_FILES
from spi_dash.client.tuboids import Series, find_tuboids
from spi_dash.demo import tiny_picture
from spi_dash.errors import Conflict, InvalidInput
from spi_dash.local import LocalSpi

MATCHER = "siamese-insect-matcher"


def label(number, version="1", **changes):
    return new_label(name_tuboid(number), version, **changes)


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    LocalSpi(folder).close()
    return folder


@pytest.fixture
def lab(fresh, tmp_path):
    """An empty laboratory."""
    shutil.copytree(fresh, tmp_path / "lab")
    with LocalSpi(tmp_path / "lab") as client:
        yield client


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "up")


@pytest.fixture
def filled(lab, series):
    """A series of three tuboids: the first labelled by two versions, the second by the older one, the third by none."""
    lab.put_tiled_tuboids(series, MATCHER, progress=False)
    lab.put_itc_labels([label(0, "1.9", order="Diptera"), label(1, "1.9", order="Coleoptera")])
    lab.put_itc_labels([label(0, "1.10", order="Lepidoptera", family="Tortricidae")])
    return lab


def test_a_series_goes_up_once_and_comes_down_the_same(lab, series, tmp_path):
    for minutes in (0, 20, 20 * 60):
        lab.upload_image(*tiny_picture(DEVICE, START + timedelta(minutes=minutes)))
    rows = lab.put_tiled_tuboids(series, MATCHER, progress=False)
    assert [row["tuboid_id"] for row in rows] == [name_tuboid(number) for number in range(3)]
    assert (rows[0]["start_datetime"], rows[0]["end_datetime"]) == (START, START + timedelta(hours=1))
    assert (rows[0]["n_shots"], rows[0]["n_tuboids_series"], rows[0]["algo_name_series"]) == (4, 3, MATCHER)
    assert lab.put_tiled_tuboids(series, MATCHER, progress=False) == []
    result = lab.download_tuboids(tmp_path / "down", progress=False)
    assert (result.downloaded, result.there, result.complete) == (9, 0, True)
    assert files_below(tmp_path / "down") == files_below(series.parent)
    assert lab.download_tuboids(tmp_path / "down", progress=False).there == 9
    (deleted,) = lab.delete_tiled_tuboids(DEVICE, START, END)
    assert (deleted["device"], deleted["n_images"], deleted["n_tuboids"]) == (DEVICE, 3, 3)  # both ends count
    assert lab.get_tiled_tuboid_series() == []


def test_an_upload_that_broke_is_resumed(lab, series):
    """What is there is not sent again, and the number of tuboids is that of the whole folder from the start."""
    broken = series / name_tuboid(1) / "tuboid.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    with pytest.raises(InvalidInput, match="tuboid"):
        lab.put_tiled_tuboids(series, MATCHER, jobs=1, progress=False)
    there = {row["tuboid_id"] for row in lab.get_tiled_tuboid_series()}
    assert name_tuboid(0) in there and name_tuboid(1) not in there
    broken.write_bytes(whole)
    sent = lab.put_tiled_tuboids(series, MATCHER, progress=False)
    assert {row["tuboid_id"] for row in sent} | there == {name_tuboid(number) for number in range(3)}
    assert {row["n_tuboids_series"] for row in lab.get_tiled_tuboid_series()} == {3}


def test_a_tuboid_whose_answer_was_lost_is_confirmed(lab, series):
    info = Series(DEVICE, START, END, MATCHER, VERSION, 60, 1)
    row = lab.put_tiled_tuboid(series / name_tuboid(2), info)
    assert lab.put_tiled_tuboid(series / name_tuboid(2), info) == row
    with pytest.raises(Conflict):  # the series was said to have one
        lab.put_tiled_tuboid(series / name_tuboid(0), info)


def test_a_path_with_dots_is_a_series_too(lab, series, monkeypatch):
    monkeypatch.chdir(series / name_tuboid(0))
    assert len(lab.put_tiled_tuboids("..", MATCHER, n_images=60, n_tuboids=5, progress=False)) == 3
    assert lab.get_tiled_tuboid_series()[0]["n_tuboids_series"] == 5


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda series: shutil.rmtree(series), "is not a folder"),
        (lambda series: [shutil.rmtree(each) for each in series.iterdir()], "no tuboids in"),
        (lambda series: (series / name_tuboid(1) / "context.jpg").unlink(), "has no context.jpg"),
        (lambda series: (series / "other").mkdir(), "is not named as a tuboid"),
    ],
)
def test_a_folder_that_is_no_series_is_refused_as_a_whole(lab, series, spoil, words):
    spoil(series)
    with pytest.raises(InvalidInput, match=words):
        lab.put_tiled_tuboids(series, MATCHER, progress=False)
    assert lab.get_tiled_tuboid_series() == []


@pytest.mark.parametrize("name", ["x", "a.b.c.d", f"{DEVICE}.2022-13-01_00-00-00.2022-07-02_00-00-00.v"])
def test_the_name_of_a_series_is_checked(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InvalidInput, match="is not a series") as error:
        find_tuboids(tmp_path / name)
    assert error.value.details["field"] == "folder"


def test_links_and_ranges(filled, tmp_path):
    filled.put_tiled_tuboids(write_series(tmp_path / "b", 1, "00000001", START), MATCHER, progress=False)
    rows = filled.get_tiled_tuboid_series(DEVICE, what="data")
    data = {part: filled.fetch(rows[0][part]) for part in TUBOID_FILES}
    assert data["metadata"].decode() == shot_lines(4) and data["tuboid"][:2] == data["context"][:2] == b"\xff\xd8"
    assert len(filled.get_tiled_tuboid_series()) == 4
    assert filled.get_tiled_tuboid_series(start=START + timedelta(seconds=1)) == []
    project = pd.DataFrame({"device": ["00000001"], "start_datetime": [START], "end_datetime": [END]})
    assert [row["device_series"] for row in filled.get_tiled_tuboid_series(series=project)] == ["00000001"]
    assert filled.tuboids_frame(series=project)["device"].tolist() == ["00000001"]
    assert filled.download_tuboids(tmp_path / "down", series=project, progress=False).downloaded == 3


def test_labels_are_found_by_ids_rows_and_frames(filled):
    rows = filled.get_tiled_tuboid_series()
    frame = filled.tuboids_frame()
    expected = {("1.9", "Diptera"), ("1.9", "Coleoptera"), ("1.10", "Lepidoptera")}
    for given in ([row["tuboid_id"] for row in rows], rows, frame, frame["tuboid_id"], iter(rows)):
        assert {(each["algo_version"], each["order"]) for each in filled.get_itc_labels(given)} == expected
    assert filled.get_itc_labels([]) == filled.get_itc_labels([name_tuboid(2)]) == []


def test_labels_of_a_frame_are_stored(filled):
    info = pd.DataFrame([label(2, "3", genus=None, label=4)])
    (row,) = filled.put_itc_labels(info)
    assert (row["label"], row["genus"]) == (4, None)
    with pytest.raises(Conflict):
        filled.put_itc_labels(info)


def test_the_frame_has_a_row_per_tuboid(filled):
    frame = filled.tuboids_frame()
    assert frame["order"].tolist()[:2] == ["Lepidoptera", "Coleoptera"]
    assert frame["label"].isna().tolist() == [False, False, True]
    assert frame["algo_version"].tolist()[:2] == ["1.10", "1.9"]
    assert frame["labelled_at"].notna().tolist() == [True, True, False]
    assert frame["start_datetime"].tolist() == [pd.Timestamp(first_shot(n), tz="UTC") for n in range(3)]
    assert frame["id_in_series"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "version, orders",
    [
        ("newest", ["Lepidoptera", None, None]),
        ("1.9", ["Diptera", "Coleoptera", None]),
        ("insect-tuboid-classifier 1.10", ["Lepidoptera", None, None]),
        ("7", [None, None, None]),
        ("all", ["Diptera", "Lepidoptera", "Coleoptera", None]),
    ],
)
def test_the_version_of_labels_is_chosen(filled, version, orders):
    assert [None if pd.isna(each) else each for each in filled.tuboids_frame(version=version)["order"]] == orders


def test_an_empty_frame_is_like_a_full_one(filled):
    full, empty = filled.tuboids_frame(), filled.tuboids_frame("ffffffff")
    assert len(empty) == 0 and list(full.columns) == list(empty.columns)
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert full.dtypes.astype(str).to_dict() == {**columns.TUBOIDS, **columns.LABELS}


def test_chosen_tuboids_are_downloaded(filled, tmp_path):
    frame = filled.tuboids_frame()
    rows = filled.get_tiled_tuboid_series()
    for number, given in enumerate((frame[frame["order"] == "Coleoptera"], rows[1:2])):
        result = filled.download_tuboids(tmp_path / str(number), tuboids=given, progress=False)
        assert (result.downloaded, result.complete) == (3, True)
        (folder,) = (path for path in (tmp_path / str(number)).rglob("*.000?"))
        assert folder.name == name_tuboid(1)


def test_a_tuboid_that_is_gone_is_named(filled, tmp_path):
    rows = filled.get_tiled_tuboid_series()
    result = filled.download_tuboids(
        tmp_path, tuboids=[rows[0], {**rows[1], "tuboid_id": name_tuboid(9)}], progress=False
    )
    assert result.downloaded == 3 and not result.complete
    assert [(path.parent.name, path.name) for path, _ in sorted(result.failures)] == [
        (name_tuboid(9), name) for name in sorted(TUBOID_FILES.values())
    ]


def test_real_tuboids_go_up_and_come_down(lab, tmp_path):
    if not REAL_TUBOIDS.is_dir():
        pytest.skip("no ../shared/data/tuboids")
    (series,) = sorted(REAL_TUBOIDS.iterdir())
    rows = lab.put_tiled_tuboids(series, MATCHER, progress=False)
    assert [row["tuboid_id"] for row in rows] == [path.name for path in find_tuboids(series)]
    frame = lab.tuboids_frame()
    assert len(frame) == len(rows) and (frame["n_shots"] > 2).all() and frame["label"].isna().all()
    assert (frame["start_datetime"] < frame["end_datetime"]).all()
    assert lab.download_tuboids(tmp_path / "down", progress=False).downloaded == 3 * len(rows)
    assert files_below(tmp_path / "down" / series.name) == {
        f"{path.name}/{name}": (path / name).read_bytes()
        for path in find_tuboids(series)
        for name in TUBOID_FILES.values()
    }


def test_the_frame_can_be_written_and_read(filled, tmp_path):
    frame = filled.tuboids_frame()
    frame.to_csv(tmp_path / "tuboids.csv", index=False)
    read = pd.read_csv(tmp_path / "tuboids.csv", parse_dates=["start_datetime"])
    assert read["tuboid_id"].tolist() == frame["tuboid_id"].tolist()
    assert read["start_datetime"].dt.strftime(LEGACY).tolist() == [first_shot(n).strftime(LEGACY) for n in range(3)]
    assert json.loads(frame.to_json(orient="records", date_format="iso"))[2]["label"] is None
