"""Rows of older servers: sentinels are null wherever they are read, swapped coordinates are put right for people."""

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from spi_dash.clock import unix_s
from spi_dash.models import DeviceSummary, Image, ImageBucket
from spi_dash.services import devices, explore, export_csv, export_query, frames, images, rollups, scope
from spi_dash.services.rows import MEASURED, image_rows

DEVICE, NOON = "0a1b2c3d", datetime(2022, 7, 1, 12)
GOOD = {"lat": 49.25, "lng": -123.2, "alt": 97, "temp": 21.5, "hum": 60.0, "lum": 2.5, "bat": 80}
ALL = "?start=2022-06-01&end=2022-12-31&zone=utc"
CASES = [  # what is stored, what is read of it; all else stays as it is
    ({"temp": -300, "hum": -1}, {"temp": None, "hum": None}),
    ({"temp": -300, "hum": 0}, {"temp": None, "hum": None}),
    ({"temp": 0, "hum": 0}, {"temp": None, "hum": None}),
    ({"temp": 0, "hum": -1}, {"temp": None, "hum": None}),
    ({"temp": 0, "hum": None}, {"temp": None, "hum": None}),
    ({"temp": 0, "hum": 80}, {"temp": 0, "hum": 80}),
    ({"temp": 21.5, "hum": 0}, {"temp": 21.5, "hum": 0}),
    ({"temp": 151}, {"temp": None}),
    ({"temp": -50, "hum": 100}, {"temp": -50, "hum": 100}),
    ({"hum": 100.5}, {"hum": None}),
    ({"hum": None}, {"hum": None}),
    ({"lum": 0}, {"lum": None}),
    ({"lum": -1.5}, {"lum": -1.5}),
    ({"bat": -1}, {"bat": None}),
    ({"bat": 0}, {"bat": 0}),
    ({"lat": 0, "lng": 0, "alt": 0}, {"lat": None, "lng": None, "alt": None}),
    ({"lat": 0, "lng": -78.5, "alt": 0}, {"lat": 0, "lng": -78.5, "alt": 0}),  # on the equator, by the sea
    ({"lat": 999, "lng": 10}, {"lat": None, "lng": None, "alt": None}),
    ({"lat": 49.25, "lng": None}, {"lat": None, "lng": None, "alt": None}),
    ({"lat": -121.75, "lng": 49.25}, {"lat": -121.75, "lng": 49.25}),  # swapped: stays on the wire
]


@pytest.fixture
def add(database):
    def insert(at=NOON, **values) -> None:
        audit = {"datetime_created": at, "api_version": "0.1.1", "api_user_id": None}
        row = {"device": DEVICE, "datetime": at, "md5": "0" * 32, "width": 4, "height": 3, **audit, **values}
        with database.begin() as session:
            session.execute(sa.insert(Image).values(row))

    return insert


@pytest.fixture
def stored(add):
    """One image per case, an hour apart."""
    for number, (values, _) in enumerate(CASES):
        add(NOON + timedelta(hours=number), **(GOOD | values))


def expected(number: int) -> dict:
    return GOOD | CASES[number][1]


def show(row: dict) -> dict:
    return {name: row[name] for name in MEASURED}


@pytest.mark.usefixtures("stored")
def test_on_the_wire(database):
    with database.read() as session:
        rows = [json.loads(row) for row in image_rows(session, [Image.device == DEVICE], "iso", None, str)]
    for number, row in enumerate(rows):
        assert show(row) == pytest.approx(expected(number)), CASES[number]
    assert len(rows) == len(CASES)


@pytest.mark.usefixtures("stored")
def test_when_deleted(database):
    keys = [type("Key", (), {"device": DEVICE, "datetime": NOON + timedelta(hours=n)}) for n in range(len(CASES))]
    with database.begin() as session:
        rows, files = images.delete_images(session, keys)
    assert [show(row) for row in rows] == [pytest.approx(expected(number)) for number in range(len(CASES))]
    assert len(files) == 3 * len(CASES)


@pytest.mark.usefixtures("stored")
def test_in_the_viewer_and_in_downloads(database):
    rollups.refresh(database.begin, database.read)
    with database.read() as session:
        found = scope.resolve(session, scope.parse(ALL), NOON + timedelta(days=9))
        view = export_query.parse_view({}, [("time", "asc")])
        text = b"".join(export_csv.write_csv(session, found, view, "")).decode()
        shown = [frames.get_frame(session, DEVICE, unix_s(NOON) + 3600 * n, "") for n in range(len(CASES))]
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    names = {"lat": "latitude_deg", "lng": "longitude_deg", "alt": "altitude_m", "temp": "temperature_c",
             "hum": "humidity_percent", "lum": "light_log10", "bat": "battery_percent"}  # fmt: skip
    for number, (frame, line) in enumerate(zip(shown, lines, strict=True)):
        right = expected(number)
        swapped = right["lat"] == -121.75
        if swapped:
            right |= {"lat": 49.25, "lng": -121.75}
        assert show(frame) == pytest.approx(right), CASES[number]
        assert {key: float(line[name]) if line[name] else None for key, name in names.items()} == pytest.approx(right)
        assert (frame["swapped"], line["gps_corrected"]) == (swapped, str(swapped).lower())


def test_means_know_nothing_of_sentinels(database, add):
    for minutes, values in enumerate([GOOD, {"temp": -300, "hum": -1, "lum": 0}, {"temp": 0, "hum": 0}, {}]):
        add(NOON + timedelta(minutes=minutes), **values)
    rollups.refresh(database.begin, database.read)
    columns = ("n_images", "n_temp", "sum_temp", "min_temp", "max_temp", "n_hum", "sum_hum", "n_lum", "sum_lum")
    with database.read() as session:
        rows = session.execute(sa.select(*(getattr(ImageBucket, name) for name in columns))).all()
        found = scope.resolve(session, scope.parse(ALL), NOON + timedelta(days=9))
        (series,) = explore.list_rows(session, found)
    assert rows == [(4, 1, 21.5, 21.5, 21.5, 1, 60.0, 1, 2.5)] * 2
    assert series.values["lum"].tolist() == [2.5]


@pytest.mark.parametrize("other", [{"lat": 49.3, "lng": -121.8}, {"lat": 0, "lng": 0}, {}])
def test_a_trap_that_swaps_now_and_then_stands_where_it_stands(database, add, other):
    add(lat=-121.75, lng=49.25)
    add(NOON + timedelta(minutes=1), **other)
    rollups.refresh(database.begin, database.read)
    with database.read() as session:
        (info,) = devices.list_devices(session)
        assert session.scalar(sa.select(DeviceSummary.lat)) == pytest.approx(49.25, abs=0.1)
    assert (info.lat, info.lng) == (pytest.approx(49.25, abs=0.1), pytest.approx(-121.75, abs=0.1))
