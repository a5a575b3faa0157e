"""A project as the scope: exactly the pictures of its series, the same in every count, for whoever may see it."""

import csv
import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from spi_dash.clock import unix_s
from spi_dash.models import DeviceSummary, Image, TiledTuboid, TuboidSeries, UidAnnotation
from spi_dash.services import (
    explore,
    export,
    export_coco,
    export_csv,
    export_query,
    project_series,
    projects,
    rollups,
    scope,
    span_counts,
    spans,
    tuboid_csv,
    tuboid_gallery,
    tuboid_index,
    users,
)

NOW = datetime(2022, 8, 1, 12)
START = datetime(2022, 7, 1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TRAPS = ("0a1b2c3d", "1b2c3d4e", "2c3d4e5f")
AUDIT = {"datetime_created": NOW, "api_version": "1.0.0", "api_user_id": 1}
PLAIN = export_query.parse_view({}, [])
S = 3600


@pytest.fixture
def lab(database, monkeypatch):
    """Two people, and a project of the first."""
    monkeypatch.setattr(users, "hash_password", lambda password: f"hash of {password}")
    with database.engine.begin() as connection:
        for name in sa.inspect(connection).get_table_names():
            if name.startswith("project_series_"):
                connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData())))
    with database.begin() as session:
        ada, ben = (users.add_user(session, username=name, password="R3ad_0nly", now=NOW) for name in ("ada", "ben"))
        project = projects.add_project(session, ada, projects.new_project("Orchard", "", ""), NOW).id
    return Lab(database, ada, ben, project)


class Lab:
    def __init__(self, database, ada, ben, project):
        self.database, self.ada, self.ben, self.project = database, ada, ben, project

    def add_images(self, device: str, moments: list[datetime], objects: Callable[[int], int | None] = lambda k: k % 3):
        """Pictures, of which those with a count were looked at."""
        row = {"device": device, "md5": "0" * 32, "width": 4, "height": 3, "temp": 20.0, "hum": 50.0, **AUDIT}
        found = {**AUDIT, "algo_name": "uid", "algo_version": "1.0", "json": '{"annotations": []}'}
        with self.database.begin() as session:
            for k, at in enumerate(moments):
                (image_id,) = session.execute(sa.insert(Image).values(row | {"datetime": at})).inserted_primary_key
                if objects(k) is not None:
                    values = found | {"parent_image_id": image_id, "n_objects": objects(k)}
                    session.execute(sa.insert(UidAnnotation).values(values))

    def add_series(self, device: str, start: datetime, end: datetime):
        with self.database.begin() as session:
            row = {"device": device, "start_datetime": str(start), "end_datetime": str(end)}
            project_series.put_values(session, self.ada, self.project, row)

    def look(self, function=lambda session, found: found, search="", user=None, now=NOW):
        """What a function of (session, scope) gives."""
        rollups.refresh(self.database.begin, self.database.read)
        with self.database.read() as session:
            query = scope.parse(search or f"?project={self.project}")
            return function(session, scope.resolve(session, query, now, user or self.ada))

    def numbers(self, search="") -> dict[str, tuple]:
        """(pictures, looked at, outlines) as each of the pages and files counts them."""
        return self.look(lambda *both: dict(_numbers(*both)), search)


def _numbers(session, found):
    rows = explore.list_rows(session, found)
    yield "explore", tuple(sum(getattr(row, name) for row in rows) for name in ("n_images", "n_annotated", "n_objects"))
    counts = export_query.count_view(session, found, PLAIN)
    yield "data", (counts.n_images, counts.n_annotated, counts.n_objects)
    exact = export_query.parse_view({"md5": {"type": "notBlank"}}, [])
    filtered = export_query.count_view(session, found, exact)
    yield "filtered", (filtered.n_images, filtered.n_annotated, filtered.n_objects)
    assert filtered.n_devices == counts.n_devices == sum(row.n_images > 0 for row in rows)
    text = b"".join(export_csv.write_csv(session, found, PLAIN, "")).decode()
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len({(line["device"], line["time_utc"]) for line in lines}) == len(lines)
    seen = [int(line["insects"]) for line in lines if line["insects"]]
    yield "csv", (len(lines), len(seen), sum(seen))
    coco = json.loads(b"".join(export_coco.write_coco(session, found, PLAIN, NOW)))
    yield "coco", (len(lines), len(coco["images"]), sum(each["insects"] for each in coco["images"]))
    n_rows = export_query.count_rows(session, found, PLAIN)
    block = export_query.list_block(session, found, PLAIN, 0, 500)
    yield "table", (n_rows, sum(row["insects"] is not None for row in block), sum(row["insects"] or 0 for row in block))


def every(minutes: int, n: int, start: datetime = START) -> list[datetime]:
    return [start + timedelta(minutes=minutes * k) for k in range(n)]


def test_spans_are_joined_where_they_touch_and_stay_in_order():
    joined = spans.join_spans([("a", 50, 60), ("a", 0, 10), ("b", 5, 6), ("a", 10, 20), ("a", 12, 15), ("b", 7, 7)])
    assert joined == {"a": ((0, 20), (50, 60)), "b": ((5, 6),)}
    assert spans.clip(joined, 5, 55) == {"a": ((5, 20), (50, 55)), "b": ((5, 6),)}
    assert spans.clip(joined, 20, 50) == {}


def test_what_is_counted_by_day_by_hour_and_singly_is_the_whole_once():
    parts = spans.split_by_rollup({"a": ((10 * S + 60, 72 * S + 90), (100 * S, 100 * S + 5))})
    assert parts == [
        (24 * S, {"a": ((24 * S, 72 * S),)}),
        (S, {"a": ((11 * S, 24 * S),)}),
        (0, {"a": ((10 * S + 60, 11 * S), (72 * S, 72 * S + 90), (100 * S, 100 * S + 5))}),
    ]
    assert spans.split_by_rollup({"a": ((0, 48 * S),)}, 6 * S) == [(S, {"a": ((0, 48 * S),)})]


@pytest.mark.parametrize("n", [0, 1, 700])
def test_hundreds_of_spans_are_one_condition(lab, n):
    lab.add_images(TRAPS[0], every(60, 24))
    lab.look()
    day_s = unix_s(START)
    wanted = {TRAPS[0]: tuple((day_s + 120 * k, day_s + 120 * k + 60) for k in range(n))} if n else {}
    with lab.database.read() as session:
        found = span_counts.count_devices(session, wanted)
        names = sa.select(Image.device).where(spans.in_spans(Image.device, Image.datetime, {"it's\\%s": ((0, 2**32),)}))
        assert session.scalars(names).all() == []
    assert [each.n_images for each in found.values()] == ([min(n, 24)] if n else [])


def test_an_image_of_two_series_counts_once_and_one_beside_them_not_at_all(lab):
    lab.add_images(TRAPS[0], every(20, 30))
    lab.add_images(TRAPS[1], every(20, 30))
    lab.add_series(TRAPS[0], START + HOUR, START + 3 * HOUR)
    lab.add_series(TRAPS[0], START + 2 * HOUR, START + 4 * HOUR)
    found = lab.look()
    assert [info.device for info in found.all_devices] == [TRAPS[0]]
    (info,) = found.devices
    assert (info.n_images, info.first_s, info.last_s) == (9, unix_s(START + HOUR), unix_s(START + 4 * HOUR) - 1200)
    assert set(lab.numbers().values()) == {(9, 9, 9)}
    outside = lab.numbers(f"?project={lab.project}&device={TRAPS[1]}&start=2022-07-01&end=2022-07-01")
    assert set(outside.values()) == {(0, 0, 0)}


def test_the_start_belongs_to_a_series_and_the_end_does_not(lab):
    at = datetime(2022, 7, 1, 10, 7, 30)
    lab.add_images(TRAPS[0], [at, at + timedelta(seconds=1), at + timedelta(seconds=2)])
    lab.add_series(TRAPS[0], at, at + timedelta(seconds=2))
    assert set(lab.numbers().values()) == {(2, 2, 1)}


@pytest.mark.parametrize("seed", range(3))
def test_all_pages_and_files_count_the_same_pictures(lab, monkeypatch, seed):
    """Series of odd minutes, of hours and of days, against a count of each picture."""
    draw = random.Random(seed)
    taken = {}
    for trap in TRAPS:
        moments = [START + timedelta(seconds=draw.randrange(5 * 86_400)) for _ in range(60)]
        taken[trap] = sorted(set(moments))
        lab.add_images(trap, taken[trap], lambda k: None if k % 4 == 0 else k)
    series = set()
    for _ in range(8):
        unit = draw.choice([1, 60, 3600, 86_400])
        start, end = sorted(draw.randrange(-86_400, 6 * 86_400) // unit * unit for _ in range(2))
        series.add((draw.choice(TRAPS[:2]), START + timedelta(seconds=start), START + timedelta(seconds=end + unit)))
    for each in series:
        lab.add_series(*each)
    ranges = ["", "&start=2022-07-02&end=2022-07-03&zone=utc", "&start=2022-07-01T05:07Z&end=2022-07-04T21:43Z",
              f"&start=all&device={TRAPS[0]}"]  # fmt: skip
    for bucketed in (False, True):
        if bucketed:
            monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
            monkeypatch.setattr(explore, "BUCKETS_S", (draw.choice([6, 24, 48]) * S,))
        for dates in ranges:
            search = f"?project={lab.project}{dates}"
            found = lab.look(search=search)
            low, high = scope.moment(found.start_s), scope.moment(found.end_s)
            chosen = [info.device for info in found.devices]
            inside = [
                k
                for trap in chosen
                for k, at in enumerate(taken[trap])
                if low <= at < high and any(trap == name and start <= at < end for name, start, end in series)
            ]
            seen = [k for k in inside if k % 4]
            assert set(lab.numbers(search).values()) == {(len(inside), len(seen), sum(seen))}, search


def test_without_dates_the_whole_extent_of_the_series_is_shown(lab):
    lab.add_images(TRAPS[0], every(20, 3, START + DAY))
    lab.add_series(TRAPS[0], START, START + 9 * DAY)
    lab.add_series(TRAPS[1], START + DAY, datetime(2099, 1, 1))
    found = lab.look()
    assert (found.start_s, found.end_s, found.moved) == (unix_s(START), unix_s(NOW), False)
    assert (found.project.n_series, found.project.name) == (2, "Orchard")
    early = lab.look(now=START - DAY)
    assert early.end_s == unix_s(START + DAY) + S  # the last picture, though it is in the future
    relative = lab.look(search=f"?project={lab.project}&start=-24h")
    assert relative.moved and relative.newest_s == unix_s(START + DAY) + 2400 < relative.end_s
    season = lab.look(search=f"?project={lab.project}&start=season")
    assert season.start_s == unix_s(START + DAY)


def test_the_slider_shows_the_days_of_the_project_alone(lab):
    lab.add_images(TRAPS[0], every(60, 96))
    lab.add_series(TRAPS[0], START + 23 * HOUR + timedelta(minutes=30), START + 50 * HOUR)
    days, counts = lab.look(lambda session, found: span_counts.count_days(session, found.whole))
    assert days.tolist() == [unix_s(START + DAY), unix_s(START + 2 * DAY)]
    assert counts.tolist() == [24, 2]
    plain = lab.look(lambda session, found: span_counts.count_days(session, found.whole), search="?start=all")
    assert plain[1].tolist() == [24] * 4


def test_typed_minutes_are_exact_without_a_project_too(lab, monkeypatch):
    lab.add_images(TRAPS[0], every(20, 100))
    monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    assert set(lab.numbers("?start=2022-07-01T00:20Z&end=2022-07-02T01:01Z").values()) == {(75, 75, 75)}


def test_digits_of_a_trap_may_be_written_in_capitals(lab):
    lab.add_images(TRAPS[0], every(20, 3))
    lab.add_series(TRAPS[0].upper(), START, START + DAY)
    assert set(lab.numbers().values()) == {(3, 3, 3)}


def test_two_versions_are_compared_in_a_project_too(lab):
    lab.add_images(TRAPS[0], every(20, 6))
    lab.add_series(TRAPS[0], START + timedelta(minutes=20), START + timedelta(minutes=70))
    with lab.database.begin() as session:
        ids = session.scalars(sa.select(Image.id).order_by(Image.datetime)).all()
        also = {"algo_name": "uid", "algo_version": "0.9", "n_objects": 7, "json": "{}", **AUDIT}
        session.execute(sa.insert(UidAnnotation), [{**also, "parent_image_id": ids[k]} for k in (0, 1, 5)])
    lab.look()

    def compare(session, found):
        (row,) = explore.list_rows(session, found, explore.find_compared("?compare=uid%200.9", found))
        return row.n_images, row.n_annotated, row.n_annotated_2, row.n_objects_2

    assert lab.look(compare) == (3, 3, 1, 7)


@pytest.mark.parametrize("key", ["{}", "999", "0", "x", "1e3", "٣", "9" * 30, "{} OR 1=1"])
def test_a_project_that_is_not_there_looks_like_one_that_is_not_shared(lab, key):
    lab.add_images(TRAPS[0], every(20, 3))
    lab.add_series(TRAPS[0], START, START + DAY)
    found = lab.look(search=f"?project={key.format(lab.project)}&start=2022-07-01&end=2022-07-01", user=lab.ben)
    assert (found.project.info, found.project.n_series, found.all_devices, found.spans) == (None, 0, [], {})
    assert lab.look(_counts, f"?project={key.format(lab.project)}", lab.ben) == (0, 0, [], [])


def _counts(session, found):
    block = export_query.list_block(session, found, PLAIN, 0, 500)
    counts = export_query.count_view(session, found, PLAIN)
    return counts.n_images, export_query.count_rows(session, found, PLAIN), block, explore.list_rows(session, found)


def test_nobody_in_particular_sees_no_project(lab):
    lab.add_images(TRAPS[0], every(20, 3))
    lab.add_series(TRAPS[0], START, START + DAY)
    lab.look()
    with lab.database.read() as session:
        found = scope.resolve(session, scope.parse(f"?project={lab.project}"), NOW)
    assert (found.project.info, found.all_devices) == (None, [])


@pytest.mark.parametrize(("level", "sees"), [(0, False), (1, True), (2, True), (3, True)])
def test_members_see_it_and_admins_of_the_server(lab, level, sees):
    lab.add_images(TRAPS[0], every(20, 3))
    lab.add_series(TRAPS[0], START, START + DAY)
    with lab.database.begin() as session:
        projects.change_member(session, lab.ada, lab.project, lab.ben.id, level, NOW)
    for reader in (lab.ben, replace(lab.ben, can_write=False)):
        assert [info.device for info in lab.look(user=reader).all_devices] == ([TRAPS[0]] if sees else [])
    assert lab.look(user=replace(lab.ben, id=999, is_admin=True)).project.name == "Orchard"
    with lab.database.begin() as session:
        projects.change_member(session, lab.ada, lab.project, lab.ben.id, 0, NOW)
    assert lab.look(user=lab.ben).project.info is None


def test_a_deleted_project_and_one_without_series(lab):
    lab.add_images(TRAPS[0], every(20, 3))
    empty = lab.look()
    assert (empty.project.name, empty.project.n_series, empty.all_devices) == ("Orchard", 0, [])
    assert lab.look(_counts) == (0, 0, [], [])
    with lab.database.begin() as session:
        projects.delete_projects(session, lab.ada, [{"id": lab.project}])
    assert lab.look().project.info is None


def test_files_name_the_project(lab):
    lab.add_images(TRAPS[0], every(20, 3))
    lab.add_series(TRAPS[0], START, START + DAY)
    found = lab.look()
    name = export.file_name(found, PLAIN, "images", ".csv", NOW)
    assert name == f"images_project-{lab.project}-Orchard_2022-07-01_to_2022-07-01_0a1b2c3d_made-2022-08-01.csv"
    view = tuboid_gallery.make_view("", scope.parse(""), found)
    name = tuboid_csv.file_name(view, found.project, NOW)
    assert name == f"tuboids_project-{lab.project}-Orchard_2022-07-01_to_2022-07-01_made-2022-08-01.csv"
    odd = replace(found.project, info=replace(found.project.info, name="東 ../=x"))
    assert export.project_part(odd) == [f"project-{lab.project}-x"]


def test_tuboids_are_those_that_began_within_a_series(lab):
    """Traps may have tuboids without pictures."""
    with lab.database.begin() as session:
        for trap in TRAPS[:2]:
            times = {"start_datetime": START, "end_datetime": START + 9 * DAY}
            row = TuboidSeries(**AUDIT, **times, device=trap, n_images=9, n_tuboids=9, algo_name="a", algo_version="1")
            session.add(row)
            session.flush()
            for k in range(6):
                at = START + k * HOUR
                session.add(TiledTuboid(**AUDIT, parent_series_id=row.id, tuboid_id=f"{trap}.{k}", id_in_series=k,
                                        start_datetime=at, end_datetime=at + 9 * HOUR, n_shots=4))  # fmt: skip
    tuboid_index.refresh(lab.database.begin, lab.database.read)
    lab.add_series(TRAPS[0], START + HOUR, START + 3 * HOUR)
    lab.add_series(TRAPS[0], START + 2 * HOUR, START + 4 * HOUR)

    def ask(search, user=None):
        def view_of(session, found):
            view = tuboid_gallery.make_view(search, scope.parse(search), found)
            lines = b"".join(tuboid_csv.write_csv(session, view)).decode().splitlines()[1:]
            counts = tuboid_gallery.count_tuboids(tuboid_gallery.group_tuboids(session, view), view)
            taxa = tuboid_gallery.count_times(session, view, tuboid_gallery.offset_s(found, ""))
            cards = [card.id for card in tuboid_gallery.list_cards(session, view)]
            assert [line.split(",")[0].strip('"') for line in lines] == cards[::-1]
            assert counts.n == len(cards) == sum(count for taxon in taxa for _, count in taxon["hours"])
            return cards, counts.traps, tuboid_gallery.find_newest_s(session, view)

        return lab.look(view_of, search, user)

    wanted = [f"{TRAPS[0]}.{k}" for k in (3, 2, 1)]
    newest_s = unix_s(START + 3 * HOUR)
    assert ask(f"?project={lab.project}") == (wanted, {TRAPS[0]: 3}, newest_s)
    assert ask(f"?project={lab.project}&start=2022-07-01T02:00Z&end=2022-07-01T03:00Z")[0] == wanted[1:2]
    assert ask(f"?project={lab.project}&device={TRAPS[1]}") == ([], {}, None)
    assert ask(f"?project={lab.project}&start=2022-07-01&end=2022-07-02", lab.ben) == ([], {}, None)
    assert len(ask("?start=2022-07-01&end=2022-07-02&zone=utc")[0]) == 12


def test_late_pictures_of_a_series_come_to_its_counts(lab):
    lab.add_series(TRAPS[0], START, START + DAY)
    assert lab.look().all_devices == []
    lab.add_images(TRAPS[0], every(20, 3))
    assert set(lab.numbers().values()) == {(3, 3, 3)}
    with lab.database.read() as session:
        mark = session.scalar(sa.select(DeviceSummary.last_mark_id))
    assert lab.look().devices[0].last_mark_id == mark


def test_a_gap_between_two_series_is_none_of_the_pictures(lab, monkeypatch):
    lab.add_images(TRAPS[0], every(20, 72))
    lab.add_series(TRAPS[0], START, START + 2 * HOUR)
    lab.add_series(TRAPS[0], START + 20 * HOUR, START + DAY)
    monkeypatch.setattr(explore, "_most_images", lambda *_: 10**6)
    monkeypatch.setattr(explore, "BUCKETS_S", (24 * S,))
    (row,) = lab.look(explore.list_rows)
    assert row.values["n_images"].tolist() == [18]
    assert np.array_equal(row.values["outside_s"], [18 * S])
