"""The sidecar's loop against a queue in memory: no server, no PyTorch, no waiting."""

import hashlib
import signal
from collections import Counter
from datetime import datetime, timedelta

import pytest

from spi_dash.detector.worker import FAILURES_IN_A_ROW, Claim, Model, Worker, stop_on_signals
from spi_dash.errors import Conflict, Forbidden, InvalidInput, NotFound, SpiError, Unauthorized, Unavailable

BAD = b"not a picture"


class FakeQueue:
    """What a server does, in memory; the tests set `trouble` for a method to raise errors one after the other."""

    def __init__(self, images):
        self.images = dict(enumerate(images))
        self.claimed, self.annotated, self.failures = {}, {}, {}
        self.fetched, self.submitted, self.states = Counter(), Counter(), []
        self.version = "1-a"
        self.trouble = {}

    def _stumble(self, name):
        errors = self.trouble.get(name, [])
        if errors:
            raise errors.pop(0)

    def active_version(self):
        self._stumble("active_version")
        return self.version

    def claim(self, version):
        self._stumble("claim")
        known = {key for key, seen in [*self.annotated, *self.failures] if seen == version}
        keys = [key for key in self.images if key not in known and key not in self.claimed][:3]
        self.claimed |= dict.fromkeys(keys, version)
        moment = datetime(2022, 1, 1)
        return [
            Claim("aaaaaaaa", moment + timedelta(hours=key), hashlib.md5(self.images[key]).hexdigest(), "url", key)
            for key in keys
        ]

    def fetch(self, claim):
        self._stumble("fetch")
        self.fetched[claim.key] += 1
        return self.images[claim.key]

    def submit(self, claim, version, annotations):
        self._stumble("submit")
        self.submitted[claim.key, version] += 1
        self.annotated[claim.key, version] = annotations
        del self.claimed[claim.key]

    def fail(self, claim, version, reason):
        self._stumble("fail")
        self.failures[claim.key, version] = reason
        del self.claimed[claim.key]

    def release(self, claims):
        self._stumble("release")
        for claim in claims:
            del self.claimed[claim.key]

    def heartbeat(self, state):
        self._stumble("heartbeat")
        self.states.append(state)


def detect(data):
    if data == BAD:
        raise InvalidInput("picture cannot be read as an image")
    return [{"contour": [[[1, 2]]], "name": data.decode()}]


class Run:
    """A worker with time that passes only when it sleeps; stops when the queue is empty, or when told to."""

    def __init__(self, images, load=None):
        self.queue = FakeQueue(images)
        self.now, self.slept, self.stop_at = 0.0, [], None
        self.worker = Worker(
            self.queue, load or self._load, stopped=self._stopped, sleep=self._sleep, clock=lambda: self.now
        )
        self.loaded = []

    def _load(self, version):
        self.loaded.append(version)
        return Model(version, detect)

    def _sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)

    def _stopped(self):
        return self.stop_at() if self.stop_at else self.slept[-1:] == [5.0]

    def __call__(self):
        self.worker.run()
        return self.queue


def test_every_picture_is_annotated_once_and_the_loop_waits_for_more():
    run = Run([b"a", b"b", b"c", b"d"])
    queue = run()
    assert sorted(queue.submitted.values()) == [1, 1, 1, 1] and not queue.claimed
    assert queue.annotated[1, "1-a"][0]["name"] == "b"
    assert run.slept == [5.0]


def test_a_bad_picture_is_one_recorded_failure():
    queue = Run([b"a", BAD, b"c"])()
    assert queue.failures == {(1, "1-a"): "picture cannot be read as an image"}
    assert queue.fetched[1] == 1 and len(queue.annotated) == 2
    assert queue.states[-1].images_failed == 1
    assert queue.states[-1].last_error.endswith("picture cannot be read as an image")


def test_a_detector_that_breaks_is_a_recorded_failure_too():
    def broken(data):
        raise ZeroDivisionError("by zero")

    queue = Run([b"a"], load=lambda version: Model(version, broken))()
    assert queue.failures[0, "1-a"] == "ZeroDivisionError: by zero"


def test_a_file_that_changed_in_storage_is_a_failure():
    run = Run([b"a"])
    run.queue.fetch = lambda claim: b"other"
    assert "its md5 is another" in run().failures[0, "1-a"]


def test_a_file_that_is_gone_is_a_failure():
    run = Run([b"a", b"b"])
    run.queue.trouble = {"fetch": [NotFound("the file is not there")]}
    queue = run()
    assert queue.failures == {(0, "1-a"): "the file is not there"} and (1, "1-a") in queue.annotated


@pytest.mark.parametrize("method", ["active_version", "claim", "fetch", "submit", "fail", "heartbeat"])
@pytest.mark.parametrize("error", [Unavailable("away"), SpiError("broken", status=500)])
def test_an_absent_server_is_waited_for_with_longer_and_longer_pauses(method, error):
    run = Run([b"a", BAD])
    run.queue.trouble = {method: [error] * 4}
    queue = run()
    assert len(queue.annotated) == 1 and len(queue.failures) == 1
    assert run.slept[:4] == [1.0, 2.0, 4.0, 8.0]


def test_pauses_are_bounded():
    run = Run([])
    run.queue.trouble = {"claim": [Unavailable("away")] * 12}
    run()
    assert max(run.slept) == 60.0


def test_what_is_there_already_counts_as_done():
    run = Run([b"a"])
    run.queue.trouble = {"submit": [Conflict("annotated already")]}
    run.stop_at = lambda: run.worker.done == 1
    queue = run()
    assert not queue.failures


def test_stopping_finishes_the_picture_and_gives_back_the_others():
    run = Run([b"a", b"b", b"c"])
    run.stop_at = lambda: bool(run.queue.annotated)
    queue = run()
    assert len(queue.annotated) == 1 and not queue.claimed and not queue.failures


def test_stopping_while_the_server_is_away_gives_the_picture_back():
    run = Run([b"a"])
    run.queue.trouble = {"submit": [Unavailable("away")] * 100}
    run.stop_at = lambda: len(run.slept) == 3
    queue = run()
    assert not queue.claimed and not queue.annotated


def test_refused_credentials_end_the_worker_and_its_claims():
    run = Run([b"a", b"b"])
    run.queue.trouble = {"submit": [Unauthorized("wrong password")]}
    with pytest.raises(Unauthorized):
        run()
    assert not run.queue.claimed and not run.queue.failures


def test_an_expired_link_is_claimed_anew():
    run = Run([b"a", b"b"])
    run.queue.trouble = {"fetch": [Forbidden("the link has expired")]}
    queue = run()
    assert len(queue.annotated) == 2 and not queue.failures


def test_a_new_active_bundle_annotates_everything_again():
    run = Run([b"a", b"b", b"c", b"d"])

    def stopped():
        if run.queue.annotated:
            run.queue.version = "2-b"
        return run.slept[-1:] == [5.0]

    run.stop_at = stopped
    queue = run()
    assert run.loaded == ["1-a", "2-b"]
    assert {key for key, version in queue.annotated if version == "2-b"} == {0, 1, 2, 3}


def test_a_bundle_that_cannot_be_loaded_is_reported_and_the_old_one_goes_on():
    tried = []

    def load(version):
        tried.append(version)
        if version == "2-b":
            raise InvalidInput("the weights do not match their version")
        return Model(version, detect)

    run = Run([b"a", b"b", b"c", b"d", b"e"], load)
    run.stop_at = lambda: setattr(run.queue, "version", "2-b") or run.slept[-1:] == [5.0]
    run.queue.active_version = iter(["1-a", *["2-b"] * 9]).__next__
    queue = run()
    assert tried == ["1-a", "2-b"] and len(queue.annotated) == 5
    assert "do not match" in queue.states[-1].last_error and queue.states[-1].version == "1-a"


def test_without_any_model_the_worker_ends_with_the_reason():
    def load(version):
        raise NotFound("there are no trained weights")

    with pytest.raises(NotFound):
        Run([b"a"], load)()


def test_when_every_picture_fails_the_worker_ends():
    run = Run([BAD] * 50)
    with pytest.raises(SpiError, match="in a row"):
        run()
    assert FAILURES_IN_A_ROW <= len(run.queue.failures) < FAILURES_IN_A_ROW + 3 and not run.queue.claimed


def test_the_rate_is_over_the_last_minutes():
    run = Run([b"a"] * 10)
    state = run().states[-1]
    assert state.images_done == 10 - 10 % 3 or state.images_done == 10
    assert state.images_per_minute == pytest.approx(state.images_done / 5)
    run.now += 1000
    assert run.worker.state().images_per_minute == 0


def test_sigterm_ends_sleep_and_loop():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        asked = stop_on_signals()
        assert not asked.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set() and asked.wait(60)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_two_workers_share_the_queue():
    one, two = Run([b"a"] * 20), Run([])
    two.worker.queue = one.queue
    one.stop_at = lambda: len(one.queue.annotated) == 6
    one()
    two()
    assert len(one.queue.annotated) == 20 and set(one.queue.submitted.values()) == {1}
