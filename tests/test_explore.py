"""Counts per hour and day stay true, scopes mean what the URL says, and series hold what was measured."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from spi_dash.clock import unix_s
from spi_dash.errors import InvalidInput
from spi_dash.models import Image, ImageBucket, RollupMark, UidAnnotation
from spi_dash.services import devices, explore, rollups, scope, zones

NOW = datetime(2022, 7, 10, 12)
HOUR = timedelta(hours=1)


@pytest.fixture
def add(database) -> Callable[..., int]:
    """Insert an image, and how many objects a detector found on it; returns its id."""

    def insert(device="0a1b2c3d", at=NOW - HOUR, objects=None, version="1.0", **values) -> int:
        audit = {"datetime_created": at, "api_version": "1.0.0", "api_user_id": 1}
        row = {"device": device, "datetime": at, "md5": "0" * 32, "width": 4, "height": 3, **audit, **values}
        found = {**audit, "algo_name": "uid", "algo_version": version, "n_objects": objects, "json": "{}"}
        with database.begin() as session:
            (image_id,) = session.execute(sa.insert(Image).values(row)).inserted_primary_key
            if objects is not None:
                session.execute(sa.insert(UidAnnotation).values(parent_image_id=image_id, **found))
        return image_id

    return insert


@pytest.fixture
def look(database) -> Callable[..., tuple]:
    """(scope, rows) of a URL's query, after everything was counted."""

    def find(search="", now=NOW):
        rollups.refresh(database.begin, database.read)
        with database.read() as session:
            found = scope.resolve(session, scope.parse(search), now)
            return found, explore.list_rows(session, found)

    return find


def days(database) -> list[tuple]:
    rollups.refresh(database.begin, database.read)
    columns = (ImageBucket.device, ImageBucket.start_s, ImageBucket.n_images, ImageBucket.max_temp)
    with database.read() as session:
        return session.execute(sa.select(*columns).where(ImageBucket.span_s == rollups.DAY_S)).all()


def test_a_short_range_knows_the_rhythm_of_the_trap_and_its_neighbours(add, look):
    """Of an hourly trap: two pictures in the range, and one on either side for the lines, which are not counted."""
    for hour in range(12):
        add(at=datetime(2022, 7, 1, hour, 30), objects=hour)
    (row,) = look("?start=2022-07-01T05:00Z&end=2022-07-01T07:00Z")[1]
    assert (row.bucket_s, row.cadence_s, row.n_images, row.n_annotated, row.n_objects) == (0, 3600, 2, 2, 11)
    assert row.values["sum_objects"].tolist() == [4, 5, 6, 7] and row.inside == slice(1, 3)
    (row,) = look("?start=2022-07-01T05:40Z&end=2022-07-01T06:20Z")[1]
    assert (row.cadence_s, row.n_images, len(row.values["temp"]), row.inside) == (3600, 0, 2, slice(1, 1))
    (row,) = look("?start=2022-07-01T00:00Z&end=2022-07-01T02:00Z")[1]
    assert (row.n_images, row.inside) == (2, slice(0, 2))


def test_a_late_upload_and_a_deletion_are_counted(database, add):
    day_s = unix_s(datetime(2022, 7, 1))
    first = add(at=datetime(2022, 7, 1, 10), temp=20, hum=50)
    assert days(database) == [("0a1b2c3d", day_s, 1, 20)]
    add(at=datetime(2022, 7, 1, 9), temp=25, hum=50)
    assert days(database) == [("0a1b2c3d", day_s, 2, 25)]
    with database.begin() as session:
        session.execute(sa.delete(Image).where(Image.id == first))
    assert days(database) == [("0a1b2c3d", day_s, 1, 25)]


def test_a_device_without_images_left_is_gone(database, add):
    image_id = add()
    days(database)
    with database.begin() as session:
        session.execute(sa.delete(Image).where(Image.id == image_id))
    assert days(database) == []
    with database.read() as session:
        assert devices.list_devices(session) == []


def test_a_change_during_the_count_is_counted_next_time(database, add):
    """Marks are deleted by id: one that another transaction commits late, with a lower id, survives."""
    add()
    with database.begin() as session:
        session.execute(sa.insert(RollupMark).values(id=1000, device="0a1b2c3d", start_s=0))
    rollups.refresh(database.begin, database.read)
    with database.begin() as session:
        session.execute(sa.insert(RollupMark).values(id=500, device="0a1b2c3d", start_s=0))
    with database.read() as session:
        assert session.scalars(sa.select(RollupMark.id)).all() == [500]


def test_the_change_number_grows_with_images_annotations_and_deletions(database, add):
    def number() -> int:
        with database.read() as session:
            return rollups.change_number(session)

    seen = [number()]
    image_id = add()
    seen.append(number())
    rollups.refresh(database.begin, database.read)
    assert number() == seen[-1]
    add(at=NOW - 2 * HOUR, objects=3)
    seen.append(number())
    with database.begin() as session:
        session.execute(sa.delete(Image).where(Image.id == image_id))
    seen.append(number())
    assert seen == sorted(set(seen))


def test_a_mark_that_is_committed_after_a_newer_one_is_told_too(database, look, add):
    add()
    with database.begin() as session:
        session.execute(sa.insert(RollupMark).values(id=500, device="0a1b2c3d", start_s=0))
    look()
    with database.read() as session:
        before = rollups.change_number(session)
    with database.begin() as session:
        session.execute(sa.insert(RollupMark).values(id=7, device="0a1b2c3d", start_s=0))
    with database.read() as session:
        assert rollups.change_number(session) > before
    _, (row,) = look()
    assert row.info.last_mark_id > before


def test_single_images_carry_what_was_measured(add, look):
    add(temp=21.5, hum=77, lum=2.5, objects=3)
    add(at=NOW - 2 * HOUR, temp=-300, hum=-1)
    _, (row,) = look()
    assert row.bucket_s == 0
    assert row.values["temp"].tolist() == pytest.approx([np.nan, 21.5], nan_ok=True)
    assert row.values["hum"].tolist() == pytest.approx([np.nan, 77], nan_ok=True)
    assert (row.n_images, row.n_annotated, row.n_objects) == (2, 1, 3)


def test_many_blocks_of_several_traps_hold_what_was_measured(database, add, look, monkeypatch):
    """Hours over more than two blocks, with holes, one of them a block long; a late picture and a deletion."""
    noise = np.random.default_rng(3)
    hours = [hour for hour in range(100) if hour not in range(30, 64)]
    for device in ("0a1b2c3d", "1b2c3d4e"):
        for hour in hours:
            temp = None if hour % 7 == 0 else float(np.round(noise.uniform(-20, 40), 1))
            add(device, NOW - hour * HOUR, temp=temp, hum=50, objects=None if hour % 5 == 0 else hour)
    search = "?start=2022-07-06T08:00Z&end=2022-07-10T13:00Z"
    look(search)
    add("1b2c3d4e", NOW - 40 * HOUR, temp=12.5, hum=50, objects=7)
    with database.begin() as session:
        session.execute(sa.delete(Image).where(Image.datetime == NOW - 10 * HOUR))
    _, single = look(search)
    monkeypatch.setattr(explore, "BUCKETS_S", (3600,))
    monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    _, merged = look(search)
    assert [row.bucket_s for row in merged] == [3600, 3600]
    for one, other in zip(single, merged, strict=True):
        assert one.n_images == other.n_images == len(hours) - 1 + (one.info.device == "1b2c3d4e")
        for name in ("last_s", "temp", "min_temp", "max_temp", "hum", "n_annotated", "sum_objects"):
            assert other.values[name] == pytest.approx(one.values[name], abs=1e-3, nan_ok=True), name


def test_buckets_agree_with_single_images(add, look, monkeypatch):
    for hour in range(48):
        add(at=NOW - hour * HOUR, temp=hour, hum=50, objects=hour)
    _, (single,) = look("?start=2022-07-08T12:00Z&end=2022-07-10T13:00Z")
    monkeypatch.setattr(explore, "POINTS_PER_PAGE", 0)
    monkeypatch.setattr(explore, "BUCKETS_S", (6 * 3600,))
    monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    _, (merged,) = look("?start=2022-07-08T12:00Z&end=2022-07-10T13:00Z")
    assert merged.bucket_s == 6 * 3600
    counts = (merged.n_images, merged.n_annotated, merged.n_objects)
    assert counts == (single.n_images, single.n_annotated, single.n_objects) == (48, 48, sum(range(48)))
    assert merged.values["max_temp"].max() == 47
    assert merged.values["min_temp"].min() == 0


def test_a_year_is_a_screenful(add, look):
    for day in range(0, 360, 30):
        add(at=NOW - timedelta(days=day))
    _, (row,) = look("?start=all")
    assert row.bucket_s >= rollups.HOUR_S
    assert len(row.values["temp"]) <= explore.POINTS_PER_ROW
    assert row.n_images == 12


def test_the_newest_version_is_the_default(add, look):
    add(at=NOW - 2 * HOUR, objects=1, version="1.9")
    add(at=NOW - HOUR, objects=2, version="1.10")
    found, (row,) = look()
    assert [each.version for each in found.detectors] == ["1.10", "1.9"]
    assert (found.detector.version, row.n_annotated, row.n_objects) == ("1.10", 1, 2)
    found, (row,) = look("?detector=uid%201.9")
    assert (found.detector.version, row.n_objects) == ("1.9", 1)


@pytest.mark.parametrize("bucketed", [False, True])
def test_two_versions_are_compared_each_with_its_denominator(database, add, look, monkeypatch, bucketed):
    first = add(at=NOW - 2 * HOUR, objects=3, version="1.10")
    add(at=NOW - 26 * HOUR, objects=5, version="1.10")
    audit = {"datetime_created": NOW, "api_version": "1.0.0", "api_user_id": 1}
    also = {"algo_name": "uid", "algo_version": "1.9", "n_objects": 2, "json": "{}", **audit}
    with database.begin() as session:
        session.execute(sa.insert(UidAnnotation).values(parent_image_id=first, **also))
    if bucketed:
        monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    found, _ = look("?start=-48h")
    compared = explore.find_compared("?start=-48h&compare=uid%201.9", found)
    with database.read() as session:
        (row,) = explore.list_rows(session, found, compared)
    assert (row.bucket_s > 0, compared.version) == (bucketed, "1.9")
    assert (row.n_annotated, row.n_objects, row.n_annotated_2, row.n_objects_2) == (2, 8, 1, 2)
    assert row.values["sum_objects_2"].tolist() == pytest.approx([np.nan, 2], nan_ok=True)


def test_a_version_is_not_compared_with_itself_or_with_none(add, look):
    add(objects=1)
    found, _ = look()
    assert [explore.find_compared(search, found) for search in ("?compare=1.0", "?compare=2", "")] == [None] * 3


def test_a_gap_between_the_hours_of_a_bucket_is_measured(add, look, monkeypatch):
    for minutes in (0, 20, 40, 300, 320):
        add(at=datetime(2022, 7, 10) + timedelta(minutes=minutes))
    monkeypatch.setattr(explore, "POINTS_PER_PAGE", 0)
    monkeypatch.setattr(explore, "BUCKETS_S", (6 * 3600,))
    monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    _, (row,) = look("?start=2022-07-10T00:00Z&end=2022-07-10T12:00Z")
    assert row.values["between_s"].tolist() == [260 * 60]


def test_the_default_range_finds_the_data(add, look):
    add(at=NOW - timedelta(days=400))
    found, (row,) = look()
    assert found.moved
    assert row.n_images == 1
    assert found.end_s - found.start_s in (28 * 86_400, 28 * 86_400 + 3600)


def test_days_are_those_of_the_sites(add, look):
    add(lat=49.2, lng=-119.4)
    found, _ = look("?start=2022-07-09&end=2022-07-09")
    assert found.site == zones.SiteZone("America/Vancouver")
    assert scope.utc_text(found.start_s) == "2022-07-09T07:00Z"
    assert scope.utc_text(found.end_s) == "2022-07-10T07:00Z"
    found, _ = look("?start=2022-07-09&end=2022-07-09&zone=utc")
    assert scope.utc_text(found.start_s) == "2022-07-09T00:00Z"


def test_the_day_on_which_clocks_change_has_another_length(add, look):
    add(lat=49.2, lng=-119.4)
    for day, hours in (("2022-03-13", 23), ("2022-11-06", 25)):
        found, _ = look(f"?start={day}&end={day}")
        assert found.end_s - found.start_s == hours * 3600


def test_of_traps_in_several_zones_the_most_decide(add, look):
    for device, lat, lng in (("aaaaaaaa", 49.2, -123.1), ("bbbbbbbb", 52.5, 13.4), ("cccccccc", 47.6, -122.3),
                             ("dddddddd", 13.4, 52.5), ("eeeeeeee", None, None), ("ffffffff", 49.3, -123)):  # fmt: skip
        add(device=device, lat=lat, lng=lng)
    found, _ = look()
    assert found.site == zones.SiteZone("America/Vancouver", n_elsewhere=2)  # Seattle has the same clock
    found, _ = look("?device=bbbbbbbb,eeeeeeee")
    assert found.site == zones.SiteZone("Europe/Berlin")
    found, _ = look("?device=eeeeeeee")
    assert found.site == zones.SiteZone("UTC")


def test_a_season_begins_after_two_months_of_nothing(add, look):
    for day in (0, 30, 80, 200):
        add(at=NOW - timedelta(days=day))
    found, _ = look("?start=season")
    assert scope.moment(found.start_s).date() == (NOW - timedelta(days=80)).date()


def test_devices_of_the_url_are_chosen(add, look):
    for device in ("aaaaaaaa", "bbbbbbbb", "cccccccc"):
        add(device=device)
    found, rows = look("?device=aaaaaaaa,cccccccc")
    assert [row.info.device for row in rows] == ["aaaaaaaa", "cccccccc"]
    assert len(found.all_devices) == 3


@pytest.mark.parametrize("search", ["?start=yesterday", "?start=2022-07-09&end=2022-07-01", "?start=2022-13-01",
                                    "?start=0001-01-01",
                                    "?start=2022-07-01&end=9999-12-31"])  # fmt: skip
def test_nonsense_is_refused(add, look, search):
    add()
    with pytest.raises(InvalidInput):
        look(search)


def test_swapped_coordinates_are_put_right(database, add, look):
    add(lat=-119.4, lng=49.2)
    found, _ = look()
    assert (found.devices[0].lat, found.devices[0].lng) == (49.2, -119.4)


def test_a_device_is_named_and_unnamed(database, add, look):
    add()
    look()
    with database.begin() as session:
        devices.name_device(session, "0a1b2c3d", " Hedge  low ", "edge", 1, NOW)
    assert look()[0].devices[0].name == "Hedge low"
    with database.begin() as session, pytest.raises(InvalidInput):
        devices.name_device(session, "0a1b2c3d", "x" * 65, None, 1, NOW)
    with database.begin() as session:
        devices.name_device(session, "0a1b2c3d", "", "", 1, NOW)
    assert look()[0].devices[0].name == ""


PLACES = {
    "Asia/Kolkata": {"lat": 22.6, "lng": 88.4},
    "Asia/Kathmandu": {"lat": 27.7, "lng": 85.3},
    "Australia/Adelaide": {"lat": -34.9, "lng": 138.6},
    "America/Vancouver": {"lat": 49.2, "lng": -123.1},
}


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Asia/Kolkata", "2022-07-01", datetime(2022, 6, 30, 18, 30), 24),
        ("Asia/Kathmandu", "2022-07-01", datetime(2022, 6, 30, 18, 15), 24),
        ("Australia/Adelaide", "2022-07-01", datetime(2022, 6, 30, 14, 30), 24),
        ("Australia/Adelaide", "2022-10-02", datetime(2022, 10, 1, 14, 30), 23),
        ("Australia/Adelaide", "2022-04-03", datetime(2022, 4, 2, 13, 30), 25),
        ("America/Vancouver", "2022-03-13", datetime(2022, 3, 13, 8), 23),
        ("America/Vancouver", "2022-11-06", datetime(2022, 11, 6, 7), 25),
    ],
)
@pytest.mark.parametrize("bucketed", [False, True])
def test_a_day_of_the_site_is_what_clocks_there_show(add, look, monkeypatch, zone, day, start, hours, bucketed):
    """From midnight to midnight there, the second one excluded: also where that is no whole hour of UTC."""
    step = timedelta(minutes=15)
    for at in (start - step, start, start + hours * HOUR - step, start + hours * HOUR):
        add(at=at, objects=1, **PLACES[zone])
    if bucketed:
        monkeypatch.setattr(explore, "choose_bucket", lambda session, found: rollups.DAY_S)
    found, (row,) = look(f"?start={day}&end={day}")
    assert (found.site.name, found.start_s, found.end_s) == (zone, unix_s(start), unix_s(start + hours * HOUR))
    assert (row.n_images, row.n_annotated, row.n_objects) == (2, 2, 2)
