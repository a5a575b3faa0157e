"""The table of images and the files made of it, on both databases."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from spi_dash.errors import InvalidInput, NotFound
from spi_dash.models import Device, Image, UidAnnotation, User
from spi_dash.services import export, export_coco, export_columns, export_csv, export_query, rollups, scope, zones

NOON = datetime(2022, 7, 1, 12)
NOW = datetime(2022, 7, 8)
SQUARE = [[[0, 0]], [[10, 0]], [[10, 10]], [[0, 10]]]
ALL = "?start=2022-06-01&end=2022-12-31&zone=utc"


@pytest.fixture
def add(database):
    """Add an image; say only what the test is about. `found`: outlines per detector version."""

    def image(device="0a1b2c3d", at=NOON, found=None, **values):
        audit = {"datetime_created": NOW, "api_version": "1.0.0", "api_user_id": 7}
        values = {"md5": "0" * 32, "width": 100, "height": 80, "but": False, **values}
        with database.begin() as session:
            row = Image(device=device, datetime=at, **audit, **values)
            session.add(row)
            session.flush()
            for version, outlines in (found or {}).items():
                body = json.dumps({"annotations": outlines, "metadata": {}})
                name = {"algo_name": "uid", "algo_version": version, "n_objects": len(outlines), "json": body}
                session.add(UidAnnotation(parent_image_id=row.id, **audit, **name))
            return row.id

    return image


@pytest.fixture
def table(database):
    """What a function of (session, scope, view, ...) gives for a scope, filters and an order."""

    def call(function, *more, search=ALL, filters=None, sort=()):
        rollups.refresh(database.begin, database.read)
        with database.read() as session:
            found = scope.resolve(session, scope.parse(search), NOW)
            result = function(session, found, export_query.parse_view(filters or {}, sort), *more)
            return result if isinstance(result, list | int | export_query.Counts) else b"".join(result)

    return call


@pytest.fixture
def rows(table):
    return lambda **options: table(export_query.list_block, 0, 100, **options)


@pytest.fixture
def read_csv(table):
    """The file as a reader of RFC 4180 sees it."""

    def read(zone="", **options):
        text = table(export_csv.write_csv, zone, **options).decode()
        return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))

    return read


@pytest.fixture
def coco(table):
    return lambda **options: json.loads(table(export_coco.write_coco, NOW, **options))


def outline(*points, **more):
    return {"contour": [[list(point)] for point in points], "name": "insect", **more}


def test_a_row_has_everything_of_its_picture(database, add, rows):
    with database.begin() as session:
        user = {"api_version": "1", "password_hash": "x", "datetime_created": NOW}
        session.add_all([Device(device="0a1b2c3d", name="Hedge", site="east", changed_at=NOW)])
        session.add(User(id=7, username="ada", **user))
    add(temp=21.7, hum=60.0, lum=2.5, bat=80, but=True, lat=49.2, lng=-123.1, alt=20, device_version="1.2.0",
        found={"1.0": [outline((0, 0), (9, 0), (9, 9))]})  # fmt: skip
    (row,) = rows()
    assert set(row) == {"id", *export_columns.BY_KEY}
    assert (row["name"], row["site"], row["uploader"], row["insects"]) == ("Hedge", "east", "ada", 1)
    assert (row["temp"], row["lat"], row["lng"], row["button"], row["swapped"]) == (21.7, 49.2, -123.1, True, False)
    assert row["time"] == int(NOON.replace(tzinfo=UTC).timestamp())
    assert (row["detector"], row["detector_version"]) == ("uid", "1.0")


def test_not_processed_is_not_zero(add, rows, table):
    add(at=NOON, found={"1.0": []})
    add(at=NOON + timedelta(hours=1))
    assert [row["insects"] for row in rows()] == [None, 0]
    assert table(export_query.count_view) == export_query.Counts(2, 1, 0, 1)
    blank = {"insects": {"type": "blank"}}
    assert table(export_query.count_view, filters=blank) == export_query.Counts(1, 0, 0, 1)


def test_the_newest_detector_is_meant_unless_another_is_named(add, rows):
    add(found={"1.9": [outline((0, 0), (9, 0), (9, 9))], "1.10": []})
    assert [(row["detector_version"], row["insects"]) for row in rows()] == [("1.10", 0)]
    assert [(row["detector_version"], row["insects"]) for row in rows(search=f"{ALL}&detector=uid+1.9")] == [("1.9", 1)]


def test_swapped_positions_are_exchanged_back_and_said(add, rows, read_csv):
    add(lat=-119.5, lng=49.9)
    (row,), (line,) = rows(), read_csv()
    assert (row["lat"], row["lng"], row["swapped"]) == (49.9, -119.5, True)
    assert (float(line["latitude_deg"]), line["gps_corrected"]) == (49.9, "true")


def test_what_was_not_measured_is_empty(add, rows, read_csv):
    add(temp=0.0, hum=0.0, lat=0.0, lng=0.0, bat=-1)
    (row,), (line,) = rows(), read_csv()
    assert [row[key] for key in ("temp", "hum", "lat", "lng", "bat")] == [None] * 5
    assert [line[key] for key in ("temperature_c", "latitude_deg", "insects", "trap_name")] == [""] * 4


def test_empty_values_come_last_in_both_orders(add, rows):
    for hour, temp in enumerate((20.0, None, 10.0)):
        add(at=NOON + timedelta(hours=hour), temp=temp, hum=50.0)
    assert [row["temp"] for row in rows(sort=[("temp", "asc")])] == [10.0, 20.0, None]
    assert [row["temp"] for row in rows(sort=[("temp", "desc")])] == [20.0, 10.0, None]


def test_blocks_follow_each_other_without_gap_or_repetition(add, table):
    ids = [add(device=f"{n % 3:08x}", at=NOON + timedelta(hours=n // 3)) for n in range(12)]
    blocks = [table(export_query.list_block, start, start + 5, sort=[("button", "asc")]) for start in (0, 5, 10)]
    assert sorted(row["id"] for block in blocks for row in block) == sorted(ids)


@pytest.mark.parametrize(
    ("filters", "hours"),
    [
        ({"temp": {"type": "equals", "filter": 21.7}}, [1]),
        ({"temp": {"type": "lessThanOrEqual", "filter": 21.7}}, [0, 1]),
        ({"temp": {"type": "inRange", "filter": 21.7, "filterTo": 30}}, [1, 2]),
        ({"temp": {"type": "notEqual", "filter": 21.7}}, [0, 2]),
        (
            {"temp": {"operator": "OR", "conditions": [{"type": "blank"}, {"type": "greaterThan", "filter": 25}]}},
            [2, 3],
        ),
        ({"version": {"type": "contains", "filter": "%"}}, [2]),
        ({"version": {"type": "notContains", "filter": "B"}}, [0, 2, 3]),
        ({"version": {"type": "startsWith", "filter": "1_"}}, [0]),
        ({"version": {"type": "equals", "filter": "b2"}}, [1]),
        ({"version": {"type": "blank"}}, [3]),
        ({"button": {"type": "isTrue"}}, [1]),
        ({"temp": {"type": "greaterThan", "filter": 15}, "button": {"type": "isFalse"}}, [2]),
    ],
)
def test_filters(add, rows, filters, hours):
    for hour, (temp, version) in enumerate([(15.0, "1_a"), (21.7, "B2"), (30.0, "9%"), (None, None)]):
        add(at=NOON + timedelta(hours=hour), temp=temp, hum=50.0, device_version=version, but=hour == 1)
    assert [(row["time"] // 3600 - 12) % 24 for row in rows(filters=filters, sort=[("time", "asc")])] == hours


@pytest.mark.parametrize(
    "filters",
    [
        [],
        {"password_hash": {"type": "contains", "filter": "x"}},
        {"temp": {"type": "contains", "filter": "x"}},
        {"temp": {"type": "equals", "filter": "1 OR 1=1"}},
        {"temp": {"type": "equals", "filter": float("nan")}},
        {"temp": {"type": "equals", "filter": True}},
        {"name": {"type": "contains", "filter": "x" * 201}},
        {"name": {"type": "contains"}},
        {"name": "x"},
        {"name": {"operator": "XOR", "conditions": [{"type": "blank"}]}},
        {"name": {"operator": "AND", "conditions": []}},
        {"time": {"type": "equals", "dateFrom": "2022-01-01"}},
    ],
)
def test_filters_that_make_no_sense_are_refused(filters):
    with pytest.raises(InvalidInput):
        export_query.parse_view(filters, [])


@pytest.mark.parametrize("sort", [("id; DROP TABLE images", "asc"), ("temp", "sideways"), (None, "asc")])
def test_orders_that_make_no_sense_are_refused(sort):
    with pytest.raises(InvalidInput):
        export_query.parse_view({}, [sort])


def test_a_block_has_a_limit(table, add):
    add()
    with pytest.raises(InvalidInput):
        table(export_query.list_block, 0, 501)


def test_only_the_scope_is_shown(add, rows, table):
    add(device="aaaaaaaa")
    add(device="bbbbbbbb")
    add(device="bbbbbbbb", at=NOON - timedelta(days=90))
    assert [row["device"] for row in rows(search=f"{ALL}&device=bbbbbbbb")] == ["bbbbbbbb"]
    assert table(export_query.count_rows) == 2
    assert table(export_query.count_view) == export_query.Counts(2, 0, 0, 2)


def test_counts_from_hours_and_from_rows_are_the_same(add, table):
    for hour in range(5):
        add(
            at=NOON + timedelta(hours=hour),
            found={"1.0": [outline((0, 0), (9, 0), (9, 9))] * hour} if hour < 4 else None,
        )
    exact = {"md5": {"type": "notBlank"}}
    assert table(export_query.count_view) == table(export_query.count_view, filters=exact)


def test_csv_says_everything_once(add, read_csv):
    add(temp=21.7, hum=60.5, found={"1.0": []})
    (line,) = read_csv(search="?start=2022-07-01&end=2022-07-02&zone=utc")
    assert list(line) == export_csv.header()
    assert (line["time_utc"], line["time_local"], float(line["local_minus_utc_h"])) == (
        "2022-07-01 12:00:00", "2022-07-01 12:00:00", 0,
    )  # fmt: skip
    assert (line["temperature_c"], line["insects"], line["started_by_button"]) == ("21.7", "0", "false")


def test_csv_times_are_those_of_the_site(add, read_csv):
    add(lat=49.2, lng=-123.1)
    (line,) = read_csv(search="?start=2022-07-01&end=2022-07-02")
    assert (line["time_local"], float(line["local_minus_utc_h"])) == ("2022-07-01 05:00:00", -7)
    assert line["time_zone"] == "America/Vancouver"


def test_csv_times_of_the_site_follow_its_summer_time(add, read_csv):
    change = datetime(2022, 3, 13, 10)
    for seconds in (-1, 0):
        add(at=change + timedelta(seconds=seconds), lat=49.2, lng=-123.1)
    winter, summer = read_csv(search="?start=2022-03-13&end=2022-03-13", sort=[("time", "asc")])
    assert (winter["time_local"], float(winter["local_minus_utc_h"])) == ("2022-03-13 01:59:59", -8)
    assert (summer["time_local"], float(summer["local_minus_utc_h"])) == ("2022-03-13 03:00:00", -7)


def test_csv_times_follow_the_readers_clock_through_the_year(add, read_csv):
    change = datetime(2022, 10, 30, 1)
    for seconds in (-1, 0):
        add(at=change + timedelta(seconds=seconds))
    summer, winter = read_csv("Europe/Berlin", search="?start=all&zone=reader", sort=[("time", "asc")])
    assert (summer["time_local"], float(summer["local_minus_utc_h"])) == ("2022-10-30 02:59:59", 2)
    assert (winter["time_local"], float(winter["local_minus_utc_h"])) == ("2022-10-30 02:00:00", 1)


def test_an_unknown_zone_is_refused(add, read_csv):
    add()
    for zone in ("Mars/Olympus", "../../etc/passwd", ""):
        with pytest.raises(InvalidInput):
            read_csv(zone, search="?start=all&zone=reader")


def test_all_changes_of_a_clock_are_found():
    year = [int(datetime(2022, month, 1, tzinfo=UTC).timestamp()) for month in (1, 12)]
    assert [east for _, east in zones.list_offsets(ZoneInfo("Europe/Berlin"), *year)] == [3600, 7200, 3600]
    assert zones.list_offsets(ZoneInfo("Asia/Kolkata"), *year) == [(year[0], 19800)]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"),
        ('a "b", c', 'a "b", c'), ("Hécke 東", "Hécke 東"), ("line\nbreak", "line\nbreak"),
    ],
)  # fmt: skip
def test_no_text_becomes_a_formula_or_breaks_the_line(database, add, read_csv, name, cell):
    with database.begin() as session:
        session.add(Device(device="0a1b2c3d", name=name, changed_at=NOW))
    add(temp=-5.5, hum=50.0)
    (line,) = read_csv()
    assert (line["trap_name"], line["temperature_c"]) == (cell, "-5.5")


def test_packed_is_the_same_file(add, table):
    add()
    plain = table(export_csv.write_csv, "")
    assert gzip.decompress(b"".join(export_csv.gzip([plain[:20], plain[20:]]))) == plain
    assert plain.endswith(b"\r\n")


def test_files_come_in_small_pieces(database, add, table):
    first = add(found={"1.0": []})
    copies = [{"device": "aaaaaaaa", "datetime": NOON + timedelta(minutes=n)} for n in range(5000)]
    audit = {"datetime_created": NOW, "md5": "0" * 32, "width": 100, "height": 80}
    with database.begin() as session:
        session.execute(sa.insert(Image), [{**audit, **copy} for copy in copies])
        assert session.get(Image, first) is not None

    def sizes(session, found, view):
        return [len(piece) for piece in export_csv.write_csv(session, found, view, "")]

    pieces = table(sizes)
    assert len(pieces) == 7
    assert max(pieces) < 200 * export_csv.LINES_PER_PIECE


def test_whoever_stops_reading_ends_the_query(database, add):
    add(found={"1.0": []})
    rollups.refresh(database.begin, database.read)
    with database.read() as session:
        found = scope.resolve(session, scope.parse(ALL), NOW)
        view = export_query.parse_view({}, [])
        for pieces in (
            export_csv.write_csv(session, found, view, ""),
            export_coco.write_coco(session, found, view, NOW),
        ):
            next(pieces)
            next(pieces)
            pieces.close()
        assert export_query.count_rows(session, found, view) == 1


def test_coco_has_what_tools_expect(add, coco):
    image_id = add(found={"1.0": [outline((0, 0), (10, 0), (10, 10), (0, 10), score=0.75), outline((5, 5), (6, 6))]})
    file = coco()
    assert set(file) == {"info", "licenses", "categories", "images", "annotations"}
    (image,), (annotation,) = file["images"], file["annotations"]
    assert image["file_name"] == "0a1b2c3d.2022-07-01_12-00-00.jpg"
    assert (image["id"], image["width"], image["height"], image["insects"]) == (image_id, 100, 80, 2)
    assert annotation == {
        "id": 1, "image_id": image_id, "category_id": 1, "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]],
        "bbox": [0, 0, 10, 10], "area": 100.0, "iscrowd": 0, "score": 0.75,
    }  # fmt: skip
    assert file["categories"] == [{"id": 1, "name": "insect", "supercategory": ""}]
    assert file["info"]["detector"] == {"name": "uid", "version": "1.0"}
    assert {image["license"]} == {each["id"] for each in file["licenses"]}


def test_coco_leaves_out_what_was_not_looked_at(add, coco):
    empty = add(at=NOON, found={"1.0": []})
    add(at=NOON + timedelta(hours=1))
    file = coco()
    assert ([image["id"] for image in file["images"]], file["annotations"]) == ([empty], [])


def test_coco_has_one_version_and_follows_the_filters(add, coco):
    square = outline((0, 0), (9, 0), (9, 9))
    add(at=NOON, temp=10.0, hum=50.0, found={"1.0": [square], "2.0": [square, {**square, "name": "moth"}]})
    add(at=NOON + timedelta(hours=1), temp=30.0, hum=50.0, found={"2.0": [square]})
    assert len(coco()["annotations"]) == 3
    assert [each["name"] for each in coco()["categories"]] == ["insect", "moth"]
    assert len(coco(search=f"{ALL}&detector=uid+1.0")["images"]) == 1
    assert len(coco(filters={"temp": {"type": "greaterThan", "filter": 20}})["annotations"]) == 1


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"annotations": [3]}', '{"annotations": [{"contour": [[1]]}]}', ""])
def test_coco_goes_on_past_what_cannot_be_read(database, add, coco, text):
    add(found={"1": [outline([0, 0], [4, 0], [4, 4])]})
    broken = add(at=NOON + timedelta(hours=1), found={"1": []})
    with database.begin() as session:
        session.execute(sa.update(UidAnnotation).where(UidAnnotation.parent_image_id == broken).values(json=text))
    assert [len(coco()[part]) for part in ("images", "annotations")] == [2, 1]


def test_coco_without_a_detector_is_refused(add, coco):
    add()
    with pytest.raises(NotFound, match="no detector"):
        coco()


def test_names_of_files_say_scope_and_date(database, add):
    add(found={"1.0 beta/x": []})
    rollups.refresh(database.begin, database.read)
    with database.read() as session:
        one = scope.resolve(session, scope.parse("?start=2022-07-01&end=2022-07-02&zone=utc"), NOW)
    plain, filtered = (export_query.parse_view(each, []) for each in ({}, {"name": {"type": "blank"}}))
    assert (
        export.file_name(one, plain, "images", ".csv", NOW)
        == "images_2022-07-01_to_2022-07-02_0a1b2c3d_made-2022-07-08.csv"
    )
    name = export.file_name(one, filtered, "annotations_uid 1.0 beta/x", ".coco.json", NOW)
    assert name.startswith("annotations-uid-1.0-beta-x_") and "_filtered_" in name


def test_the_dictionary_names_every_column_and_is_the_one_in_the_docs():
    text = export.data_dictionary()
    assert all(f"| `{name}` |" in text for name in export_csv.header())
    assert (Path(__file__).parents[1] / "docs" / "data-dictionary.md").read_text() == text
