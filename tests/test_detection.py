"""Claims of workers, failures and heartbeats: the services on both databases, and the calls over HTTP."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from conftest import ADMIN, NOON, assert_error

from spi_dash.contract import Annotation, ClaimKey, Failure, Heartbeat, ReleasedClaim
from spi_dash.errors import Unavailable
from spi_dash.models import Image, UidCursor, UidFailure, UidIntent
from spi_dash.services import annotations, claims, detection, images, system
from spi_dash.storage import MemoryStorage

NOW = datetime(2026, 7, 1, 12)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
START = datetime(2022, 5, 1)
ALGO, V1, V2 = "universal-insect-detector", "1000-aa", "2000-bb"
ALL = {"device": "%", "start_datetime": "2000-01-01", "end_datetime": "2100-01-01"}


class Lab:
    """A database with images; says only what a test is about. An image is called by its number, the newest is last."""

    def __init__(self, database):
        self.database = database
        self.numbers = {}

    def add(self, n, device="0a1b2c3d", start=START):
        with self.database.begin() as session:
            for i in range(n):
                values = {"device": device, "datetime": start + i * HOUR, "md5": "0" * 32, "width": 4, "height": 3}
                (key,) = session.execute(sa.insert(Image).values(datetime_created=NOW, **values)).inserted_primary_key
                self.numbers[key] = len(self.numbers)

    def claim(self, worker="one", version=V1, now=NOW, **changes):
        key = ClaimKey(**{**ALL, "algo_name": ALGO, "algo_version": version, "worker": worker, **changes})
        ids = claims.claim_images(self.database.read, self.database.begin, [key], None, now)
        return [self.numbers[image_id] for image_id in ids]

    def do(self, function, *args):
        with self.database.begin() as session:
            return function(session, *args)

    def key(self, number):
        image_id = next(key for key, value in self.numbers.items() if value == number)
        return self.do(lambda session: session.get(Image, image_id))

    def annotate(self, *numbers, version=V1):
        for number in numbers:
            image = self.key(number)
            meta = {"algo_name": ALGO, "algo_version": version, "device": image.device, "md5": image.md5}
            body = {"annotations": [], "metadata": {**meta, "datetime": str(image.datetime)}}
            self.do(annotations.add_annotations, [Annotation(**body)], [body], None, NOW)

    def fail(self, number, worker="one", version=V1, reason="no picture", now=NOW):
        image = self.key(number)
        said = {"worker": worker, "algo_name": ALGO, "algo_version": version, "reason": reason}
        return self.do(
            detection.record_failure, Failure(device=image.device, datetime=str(image.datetime), **said), now
        )

    def release(self, number, worker="one"):
        image = self.key(number)
        claim = ReleasedClaim(device=image.device, datetime=str(image.datetime), worker=worker)
        return self.do(detection.release_claim, claim)

    def beat(self, worker="one", now=NOW, **said):
        values = {"algo_version": V1, "images_done": 3, "images_failed": 1, "images_per_minute": 2.5, **said}
        self.do(detection.record_heartbeat, Heartbeat(worker=worker, **values), now)

    def failures(self):
        return self.do(detection.list_failures)


@pytest.fixture
def lab(database):
    return Lab(database)


def test_workers_share_the_images_newest_first(lab):
    lab.add(20)
    assert set(lab.claim("one")) == set(range(12, 20))
    assert set(lab.claim("two")) == set(range(4, 12))
    assert set(lab.claim("one")) == set(range(4)) and lab.claim("two") == []


def test_a_lease_ends_without_heartbeats_only(lab):
    lab.add(3)
    assert len(lab.claim("one")) == 3
    lab.beat("one", now=NOW + 4 * MINUTE)
    assert lab.claim("two", now=NOW + 8 * MINUTE) == []
    assert lab.claim("two", now=NOW + 9 * MINUTE + SECOND) != []


def test_a_claim_without_a_worker_lasts_for_hours(lab):
    lab.add(1)
    assert lab.claim(None) == [0]
    assert lab.claim(None, now=NOW + 6 * HOUR) == []
    assert lab.claim(None, now=NOW + 6 * HOUR + SECOND) == [0]


def test_what_is_given_back_is_free_at_once_and_only_for_the_worker_that_had_it(lab):
    lab.add(2)
    assert len(lab.claim("one")) == 2 and lab.claim("two") == []
    assert not lab.release(0, "two") and lab.claim("two") == []
    assert lab.release(0, "one") and not lab.release(0, "one")
    assert lab.claim("two") == [0]


def test_a_failure_is_recorded_once_and_not_offered_again_to_that_version(lab):
    lab.add(2)
    lab.claim()
    assert lab.fail(1) and lab.fail(1, reason="still no picture")
    (failure,) = lab.failures()
    assert (failure.device, failure.datetime, failure.reason) == ("0a1b2c3d", START + HOUR, "still no picture")
    lab.annotate(0)
    assert lab.claim() == [] and set(lab.claim(version=V2)) == {0, 1}


def test_an_admin_can_let_them_be_tried_again(lab):
    lab.add(3)
    lab.claim()
    for number in range(3):
        lab.fail(number, now=NOW + number * MINUTE)
    assert lab.claim() == []
    newest = lab.failures()[0]
    assert lab.do(detection.retry_failures, [newest.id]) == 1 and lab.claim() == [2]
    assert lab.do(detection.retry_failures) == 2 and set(lab.claim()) == {0, 1} and lab.failures() == []


def test_failing_what_another_worker_has(lab):
    """The lease ended, another has the image: what the late one says counts, the claim stays."""
    lab.add(1)
    lab.claim("one")
    assert lab.claim("two", now=NOW + HOUR) == [0]
    assert lab.fail(0, "one")
    lab.annotate(0)
    assert lab.failures() == []
    assert not lab.fail(0, "one") and lab.failures() == []


def test_failing_an_image_that_is_gone(lab):
    lab.add(1)
    image = lab.key(0)
    lab.claim()
    lab.numbers[image.id] = 0
    key = SimpleNamespace(device=image.device, datetime=image.datetime)
    lab.do(images.delete_images, [key])
    gone = {"device": image.device, "datetime": str(image.datetime), "worker": "one"}
    failure = Failure(**gone, algo_name=ALGO, algo_version=V1, reason="x")
    assert not lab.do(detection.record_failure, failure, NOW)
    assert not lab.do(detection.release_claim, ReleasedClaim(**gone))


def test_a_picture_that_kills_the_detector_is_given_up_and_no_other(lab):
    lab.add(5)
    now, done, deaths = NOW, set(), 0
    while wanted := lab.claim(now=now):
        for number in wanted:
            if number == 3:  # the process dies here; its other claims come back with this one
                deaths += 1
                break
            lab.annotate(number)
            done.add(number)
        now += 6 * MINUTE
    assert done == {0, 1, 2, 4} and deaths == claims.MAX_ATTEMPTS
    (failure,) = lab.failures()
    assert failure.datetime == START + 3 * HOUR and "ended 3 times" in failure.reason


def test_an_annotation_makes_up_for_lost_attempts(lab):
    lab.add(1)
    lab.claim()
    lab.claim(now=NOW + HOUR)
    lab.annotate(0)
    assert lab.do(lambda session: session.scalar(sa.select(sa.func.count(UidFailure.id)))) == 0


def test_new_images_are_found_among_the_annotated(lab):
    lab.add(10)
    while wanted := lab.claim():
        lab.annotate(*wanted)
    assert lab.claim() == []
    lab.add(2, device="ffffffff", start=START - 100 * HOUR)  # a card that was in a drawer
    assert set(lab.claim()) == {10, 11} and lab.claim() == []


def test_every_way_back_is_found_behind_the_cursor(lab):
    """Nothing is free and the cursor knows it; then images become free again in each of the ways there are."""
    lab.add(30)
    while lab.claim("one"):
        pass
    assert lab.do(lambda session: session.scalar(sa.select(sa.func.count(UidCursor.key)))) == 1
    assert lab.release(29) and lab.claim("two") == [29]
    assert lab.fail(28) and lab.claim("two") == []
    assert lab.do(detection.retry_failures) == 1 and lab.claim("two") == [28]
    lab.beat("two", now=NOW + 5 * MINUTE)
    back = lab.claim("two", now=NOW + 6 * MINUTE)
    assert back == [27]  # suspect: one died with it, so it is claimed alone
    lab.annotate(*range(30))
    assert lab.claim("two", now=NOW + 6 * MINUTE) == []


def test_images_claimed_for_another_version_are_not_passed_over(lab):
    lab.add(4)
    assert len(lab.claim("old", V1)) == 4
    assert lab.claim("new", V2) == []
    lab.annotate(0, 1, 2, 3, version=V1)
    assert set(lab.claim("new", V2)) == {0, 1, 2, 3}


def test_cursors_of_many_questions_do_not_pile_up(lab):
    lab.add(1)
    for hour in range(5):
        lab.claim("one", now=NOW + hour * HOUR, end_datetime=f"2100-01-01 0{hour}:00:00")
    assert lab.do(lambda session: session.scalar(sa.select(sa.func.count(UidCursor.key)))) == 1


def test_the_range_and_the_device_count_for_new_images_too(lab):
    lab.add(3)
    narrow = {"device": "0a%", "start_datetime": str(START + HOUR), "end_datetime": str(START + 3 * HOUR)}
    assert set(lab.claim(**narrow)) == {1, 2}
    lab.annotate(1, 2)
    assert lab.claim(**narrow) == []
    lab.add(3, device="0a000000")
    lab.add(3, device="bbbbbbbb")
    assert set(lab.claim(**narrow)) == {4, 5}


def test_looking_without_work_writes_nothing(lab):
    lab.add(3)
    while wanted := lab.claim():
        lab.annotate(*wanted)
    lab.database = SimpleNamespace(read=lab.database.read, begin=None)
    assert lab.claim() == []


def test_workers_are_listed(lab):
    lab.beat("one", now=NOW - HOUR)
    lab.beat("two", now=NOW - SECOND, last_error="no picture")
    lab.beat("two", now=NOW, images_done=4, last_error="no picture")
    two, one = lab.do(detection.list_workers, NOW)
    assert (two.worker, two.images_done, two.last_error, two.is_alive) == ("two", 4, "no picture", True)
    assert (two.started_at, two.seen_at) == (NOW - SECOND, NOW) and not one.is_alive
    lab.beat("three", now=NOW + timedelta(days=7))
    assert [each.worker for each in lab.do(detection.list_workers, NOW)] == ["three", "two"]


def test_the_active_version(lab):
    storage = MemoryStorage()
    name, version = lab.do(detection.active_bundle, storage)
    assert name is None and version == detection.REFERENCE_VERSION.read_text().strip() and "-" in version
    lab.do(system.put_setting, "active_bundle", "mine", 1, NOW)
    with pytest.raises(Unavailable, match="mine"):
        lab.do(detection.active_bundle, storage)
    storage.put("ml/mine/output/.version.txt", b"17-abc\n")
    assert lab.do(detection.active_bundle, storage) == ("mine", "17-abc")


# Over HTTP


def test_the_life_of_a_claim_over_http(make_image, post, client):
    made = [make_image(at=NOON + hour * HOUR) for hour in range(3)]
    question = {**ALL, "algo_name": ALGO, "algo_version": V1, "worker": "host-1.a_b"}
    assert len(post("/get_images_to_annotate/image", [question])) == 3
    keys = [{"device": row["device"], "datetime": row["datetime"], "worker": "host-1.a_b"} for row in made]
    assert post("/release_uid_claims", keys[:1]) == [{name: keys[0][name] for name in ("device", "datetime")}]
    failure = {**keys[1], "algo_name": ALGO, "algo_version": V1, "reason": "not a picture"}
    (row,) = post("/put_uid_failures", [failure])
    assert row == {name: failure[name] for name in failure if name != "worker"}
    beat = {"worker": "host-1.a_b", "algo_version": V1, "images_done": 1, "images_failed": 1, "images_per_minute": 0.5}
    (orders,) = post("/put_uid_heartbeats", [beat])
    reference = detection.REFERENCE_VERSION.read_text().strip()
    assert orders == {"worker": "host-1.a_b", "active_version": reference, "bundle": None, "lease_s": 300}
    assert [row["datetime"] for row in post("/get_images_to_annotate/image", [question])] == [made[0]["datetime"]]


@pytest.mark.parametrize(
    "path, change",
    [
        ("/put_uid_failures", {"reason": "x" * 501}),
        ("/put_uid_failures", {"worker": "a b"}),
        ("/release_uid_claims", {"worker": ""}),
        ("/put_uid_heartbeats", {"images_done": -1}),
        ("/put_uid_heartbeats", {"images_per_minute": "many"}),
    ],
)
def test_wrong_values_are_named(client, path, change):
    body = {"device": "0a1b2c3d", "datetime": "2022-07-01T12:00:00Z", "worker": "a", "reason": "x"}
    body |= {"algo_name": ALGO, "algo_version": V1, "images_done": 1, "images_failed": 1, "images_per_minute": 0}
    error = assert_error(client.post(path, json=[{**body, **change}], auth=ADMIN), 422, "invalid_input")
    assert error["details"]["field"] == f"[0].{next(iter(change))}"


def test_heartbeats_prolong_claims(make_image, post, spi):
    make_image()
    post("/get_images_to_annotate/image", [{**ALL, "algo_name": ALGO, "algo_version": V1, "worker": "a"}])
    with spi.begin() as session:
        session.execute(sa.update(UidIntent).values(expires_at=NOW))
    beat = {"worker": "a", "algo_version": V1, "images_done": 1, "images_failed": 1, "images_per_minute": 0.0}
    post("/put_uid_heartbeats", [beat])
    with spi.read() as session:
        assert session.scalar(sa.select(UidIntent.expires_at)) > NOW
