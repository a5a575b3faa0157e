"""DataFrames of the client: types, order, what is missing, and the arithmetic of outlines."""

import json
from datetime import date, datetime, timedelta

import pandas as pd
import pytest
from live import START, pictures

from spi_dash.client import columns
from spi_dash.client.outlines import measure
from spi_dash.client.versions import choose
from spi_dash.errors import InvalidInput
from spi_dash.local import LocalSpi

SQUARE = [[[10, 20]], [[30, 20]], [[30, 60]], [[10, 60]]]  # 20 x 40
TRIANGLE = [[[0, 0]], [[30, 0]], [[0, 30]]]
UTC = "datetime64[us, UTC]"


def annotate(client, row, version, *contours, name="insect"):
    found = [{"contour": contour, "name": name} for contour in contours]
    keys = {key: row[key] for key in ("device", "datetime", "md5")}
    client.put_uid_annotations(
        [{"annotations": found, "metadata": {"algo_name": "d", "algo_version": version, **keys}}]
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Four pictures: two insects and none by version 1.10, one by 1.9 only, and one that nothing looked at."""
    with LocalSpi(tmp_path_factory.mktemp("lab")) as client:
        rows = [client.upload_image(*picture) for picture in pictures(4).items()]
        annotate(client, rows[0], "1.9", SQUARE)
        annotate(client, rows[0], "1.10", SQUARE, TRIANGLE)
        annotate(client, rows[1], "1.10")
        annotate(client, rows[2], "1.9", SQUARE)
        client.upload_image(*next(iter(pictures(1, "00000009").items())))
        yield client


def test_images_have_times_in_utc_and_nullable_numbers(lab):
    frame = lab.images_frame("5c173ff2")
    assert list(frame.columns) == list(columns.IMAGES)
    assert frame.dtypes.astype(str).to_dict() == columns.IMAGES
    assert frame["datetime"].tolist() == [pd.Timestamp(START, tz="UTC") + timedelta(minutes=20 * i) for i in range(4)]
    assert frame["url"].tolist() == [""] * 4
    assert lab.images_frame("5c173ff2", what="thumbnail")["url"].str.startswith("http").all()


@pytest.mark.parametrize("make", ["images_frame", "counts_frame", "annotations_frame", "insects_frame"])
def test_an_empty_frame_is_like_a_full_one(lab, make):
    full, empty = getattr(lab, make)("5c173ff2"), getattr(lab, make)("nothing")
    assert (len(full) > 0, len(empty)) == (True, 0)
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert list(empty.columns) == list(full.columns)


def test_ranges_are_given_in_many_ways(lab):
    assert len(lab.images_frame()) == 5
    assert len(lab.images_frame(["5c173ff2", "5c%", "00000009"])) == 5  # none twice
    assert len(lab.images_frame(start="2022-05-01", end=date(2022, 5, 2))) == 5
    assert len(lab.images_frame("5c173ff2", start="2022-05-01T00:20:00Z")) == 3
    assert len(lab.images_frame("5c173ff2", end=datetime(2022, 5, 1, 0, 20))) == 1
    project = pd.DataFrame(
        {
            "device": ["5c173ff2", "00000009"],
            "start_datetime": pd.to_datetime(["2022-05-01", "2022-06-01"], utc=True),
            "end_datetime": pd.to_datetime(["2022-05-01T00:20:00", "2022-07-01"], utc=True, format="ISO8601"),
            "site": ["a", "b"],
        }
    )
    assert len(lab.images_frame(series=project)) == 1
    with pytest.raises(InvalidInput, match="series"):
        lab.images_frame("5c173ff2", series=project)
    with pytest.raises(InvalidInput, match="start"):
        lab.images_frame(start="yesterday")


def test_what_nobody_looked_at_is_missing_and_not_zero(lab):
    counts = lab.counts_frame("5c173ff2")
    assert counts["n_objects"].tolist()[:2] == [2, 0]
    assert counts["n_objects"].isna().tolist() == [False, False, True, True]
    assert counts["algo_version"].dropna().unique().tolist() == ["1.10"]
    assert counts["n_objects"].dtype == "Int64"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("newest", [2, 0, None, None]),
        ("each", [2, 0, 1, None]),
        ("1.9", [1, None, 1, None]),
        ("d 1.9", [1, None, 1, None]),
        ("3", [None] * 4),
    ],
)
def test_a_version_is_chosen(lab, version, expected):
    counts = lab.counts_frame("5c173ff2", version=version)["n_objects"]
    assert [None if pd.isna(count) else count for count in counts] == expected


def test_all_versions_are_a_row_each(lab):
    counts = lab.counts_frame("5c173ff2", version="all")
    assert counts["algo_version"].fillna("").tolist() == ["1.9", "1.10", "1.10", "1.9", ""]
    assert len(lab.annotations_frame("5c173ff2", version="all")) == 4


def test_insects_have_area_box_and_centroid(lab):
    insects = lab.insects_frame("5c173ff2", outlines=True)
    assert insects["number"].tolist() == [0, 1]
    assert insects["area"].tolist() == [800, 450]
    assert insects.loc[0, ["x", "y", "width", "height", "centroid_x", "centroid_y"]].tolist() == [
        10,
        20,
        20,
        40,
        20,
        40,
    ]
    assert insects.loc[1, ["centroid_x", "centroid_y"]].tolist() == pytest.approx([10, 10])
    assert insects["contour"][1] == [[0, 0], [30, 0], [0, 30]]
    assert insects["datetime"].unique().tolist() == [pd.Timestamp(START, tz="UTC")]
    assert len(lab.insects_frame("5c173ff2", version="all")) == 4


def test_the_scores_of_an_outline_may_be_missing():
    measured = measure([[], [[5, 7]], [[0, 0], [4, 0]], [[0, 0], [0, 2], [2, 2], [2, 0]]])
    assert pd.isna(measured["area"][0])
    assert measured["area"][1:].tolist() == [0, 0, 4]  # whichever way round
    assert measured["centroid_x"][1:].tolist() == [5, 2, 1]
    assert measured["width"][1:].tolist() == [0, 4, 2]
    assert measure([])["area"].tolist() == []


def test_two_algorithms_of_one_version_are_not_mixed():
    rows = [{"id": i, "image": 1, "algo_name": name, "algo_version": "1"} for i, name in enumerate("ab")]
    assert choose(rows, "newest", by="image") == rows[1:]
    assert choose(rows, "a 1", by="image") == rows[:1]


def test_swapped_coordinates_are_put_right_and_flagged(lab):
    row = {**lab.get_images(lab.get_image_series("00000009"))[0], "lat": -121.5, "lng": 49.2}
    fixed = FakeFrames([{**row, "datetime": "2022-05-01T00:00:00Z", "datetime_created": None}]).images_frame()
    assert fixed.loc[0, ["lat", "lng", "gps_corrected"]].tolist() == [49.2, -121.5, True]
    assert lab.images_frame("00000009")["gps_corrected"].tolist() == [False]


class FakeFrames(LocalSpi):
    """Frames of rows that no server gave."""

    def __init__(self, rows):
        self.rows = rows

    def post_json(self, path, info, **_):
        return self.rows


def test_columns_of_projects_get_types():
    rows = [
        {
            "id": 2,
            "device": "5c173ff2",
            "start_datetime": "2022-05-01T00:00:00Z",
            "end_datetime": "2022-05-02T00:00:00Z",
        }
        | {"crop": "rye", "height": 1.5, "n": 3, "sown": "2022-04-01T00:00:00Z", "empty": None},
        {
            "id": 3,
            "device": "5c173ff3",
            "start_datetime": "2022-05-01T00:00:00Z",
            "end_datetime": "2022-05-02T00:00:00Z",
        }
        | {"crop": None, "height": None, "n": None, "sown": None, "empty": None},
    ]
    frame = FakeFrames(rows).project_series_frame(1)
    assert frame.dtypes.astype(str).to_dict() | {"crop": "", "height": ""} == {
        **columns.PROJECT_SERIES,
        **{"crop": "", "height": "", "n": "Int64", "sown": UTC, "empty": "str"},
    }
    assert frame["height"][0] == 1.5
    assert FakeFrames([]).project_series_frame(1).dtypes.astype(str).to_dict() == columns.PROJECT_SERIES


def test_rows_of_a_frame_go_back_to_the_server(lab):
    frame = lab.images_frame("5c173ff2", end="2022-05-01T00:20:00Z")
    assert [row["id"] for row in lab.get_images(frame)] == frame["id"].tolist()


def test_answers_of_servers_of_2021_are_read():
    times = columns.times_of(["2020-06-20_21-33-24", None])
    assert times.dtype == UTC
    assert json.loads(times.to_json(date_format="iso"))["0"].startswith("2020-06-20T21:33:24")
