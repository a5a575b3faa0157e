"""Workers on a real server, over HTTP, with a model that is quick: nothing is lost and nothing is done twice."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import dash
import pytest
import sqlalchemy as sa
from live import ADMIN, PASSWORD, pictures

from spi_dash.app import create_app
from spi_dash.cli import web
from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.config import Config
from spi_dash.detector.queue import ServerQueue, make_worker_name
from spi_dash.detector.worker import IDLE_S, Model, Worker
from spi_dash.errors import InvalidInput, Unavailable
from spi_dash.models import UidAnnotation, UidIntent
from spi_dash.services import claims, detection

ALGO = "universal-insect-detector"
V1, V2 = "1000-aa", "2000-bb"
BOX = {"contour": [[[1, 1]], [[9, 1]], [[9, 9]]], "name": "insect"}

KILLED_AT_THE_THIRD = """
import os, signal, sys, time
from spi_dash.client import SpiClient
from spi_dash.detector.queue import ServerQueue
from spi_dash.detector.worker import Model, Worker

def detect(data, seen=[]):
    seen.append(data)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return []

client = SpiClient(sys.argv[1], sys.argv[2], os.environ["SPI_PASSWORD"])
queue = ServerQueue(client, sys.argv[3], "mortal", time.monotonic)
Worker(queue, lambda version: Model(version, detect), lambda: False, time.sleep, time.monotonic).run()
"""


class Site:
    """A server that can be stopped and started again under the same address, and what is in its database."""

    def __init__(self, config, database):
        self.config, self.database = config, database
        self.stack = ExitStack()
        self.port = 0
        self.start()
        self.client = SpiClient(f"http://127.0.0.1:{self.port}", ADMIN, PASSWORD, sleep=lambda _: None)

    def start(self):
        listener = web.bind("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self.stack.enter_context(self._running(listener))

    def stop(self):
        self.stack.close()

    @contextmanager
    def _running(self, listener):
        dash.page_registry.clear()
        app, stop = create_app(self.config), threading.Event()
        server = web.make_server(app, self.config, listener)
        thread = threading.Thread(target=web.run, args=(server, stop, 5), daemon=True)
        thread.start()
        yield
        stop.set()
        web.wake(server)
        thread.join()
        app.extensions["spi_dash"].close_database()

    def queue(self, name=None):
        client = SpiClient(self.client.url, ADMIN, PASSWORD, retries=0, sleep=lambda _: None)
        self.stack.callback(client.close)
        return ServerQueue(client, ALGO, name or make_worker_name(), time.monotonic)

    def rows(self, version=V1):
        with self.database.read() as session:
            query = sa.select(UidAnnotation.parent_image_id).where(UidAnnotation.algo_version == version)
            return list(session.scalars(query.order_by(UidAnnotation.id)))

    def let_leases_end(self):
        with self.database.begin() as session:
            claims.end_expired_claims(session, utcnow() + claims.LEASE + timedelta(seconds=1))


@pytest.fixture
def site(database, tmp_path, monkeypatch):
    config = Config.from_env({"SPI_DATA_DIR": str(tmp_path / "data"), "API_ADMIN_PASSWORD": PASSWORD})
    url = database.engine.url.render_as_string(hide_password=False)
    monkeypatch.setattr(detection, "active_bundle", lambda session, storage: (None, V1))
    site = Site(replace(config, database_url=url, threads=4), database)
    yield site
    site.client.close()
    site.stop()


def detect(data):
    return [BOX]


def make_worker(queue, detect=detect, stopped=None, sleep=None):
    """A worker that stops when there is nothing to do."""
    idle = threading.Event()

    def rest(seconds):
        if seconds == IDLE_S:
            idle.set()

    load = lambda version: Model(version, detect)  # noqa: E731
    return Worker(queue, load, stopped or idle.is_set, sleep or rest, time.monotonic)


def run_together(*workers):
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_two_workers_annotate_each_picture_once(site):
    site.client.put_images(pictures(200))
    one, two = make_worker(site.queue()), make_worker(site.queue())
    run_together(one, two)
    assert Counter(Counter(site.rows()).values()) == {1: 200}
    assert one.done + two.done == 200 and min(one.done, two.done) > 0 and one.failed == two.failed == 0
    states = {each.worker: each.images_done for each in _workers(site)}
    assert sum(states.values()) == 200 and len(states) == 2


def test_all_is_annotated_though_one_is_killed(site):
    site.client.put_images(pictures(200))
    command = [sys.executable, "-c", KILLED_AT_THE_THIRD, site.client.url, ADMIN, ALGO]
    environ = {**os.environ, "SPI_PASSWORD": PASSWORD}
    with subprocess.Popen(command, env=environ, cwd=Path(__file__).parent.parent) as mortal:
        assert mortal.wait(60) == -signal.SIGKILL
    assert len(site.rows()) == 2 and _claimed(site) == 6
    run_together(make_worker(site.queue()))
    assert len(site.rows()) == 194
    site.let_leases_end()
    run_together(make_worker(site.queue()), make_worker(site.queue()))
    assert Counter(Counter(site.rows()).values()) == {1: 200} and _claimed(site) == 0 and _failures(site) == []


def test_failures_are_recorded_and_not_tried_again_until_an_admin_wants_it(site):
    site.client.put_images(pictures(10))
    calls = count()

    def broken(data):
        if next(calls) < 2:
            raise InvalidInput("the picture cannot be read, " + "x" * 600 + "\ud800")
        return [BOX]

    run_together(make_worker(site.queue(), broken))
    run_together(make_worker(site.queue()))
    assert len(site.rows()) == 8 and len(_failures(site)) == 2
    assert all(len(each.reason) == 500 for each in _failures(site))
    with site.database.begin() as session:
        assert detection.retry_failures(session) == 2
    run_together(make_worker(site.queue()))
    assert len(site.rows()) == 10 and _failures(site) == []


def test_a_new_active_version_annotates_again_newest_first(site, monkeypatch):
    site.client.put_images(pictures(12))
    run_together(make_worker(site.queue()))
    monkeypatch.setattr(detection, "active_bundle", lambda session, storage: ("mine", V2))
    queue = site.queue()
    run_together(make_worker(queue))
    assert site.rows(V1) == sorted(site.rows(V1), reverse=True) and len(site.rows(V1)) == 12
    assert site.rows(V2) == sorted(site.rows(V2), reverse=True) and len(site.rows(V2)) == 12
    assert queue.bundle == "mine"


def test_a_restart_of_the_server_is_survived(site):
    """It is stopped while the fourth picture is being looked at, and comes back after two tries."""
    site.client.put_images(pictures(10))
    calls, pauses = count(), []
    looking, down, tried = (threading.Event() for _ in range(3))

    def slow_detect(data):
        if next(calls) == 3:
            looking.set()
            assert down.wait(20)
        return [BOX]

    def wait(seconds):
        if seconds != IDLE_S:
            pauses.append(seconds)
            if len(pauses) == 2:
                tried.set()
            time.sleep(0.02)

    worker = make_worker(site.queue(), slow_detect, stopped=lambda: len(site.rows()) == 10, sleep=wait)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    assert looking.wait(20)
    site.stop()
    down.set()
    assert tried.wait(20)
    site.start()
    thread.join(60)
    assert not thread.is_alive()
    assert pauses[:2] == [1.0, 2.0] and "does not answer" in worker.last_error
    assert Counter(Counter(site.rows()).values()) == {1: 10} and (worker.done, worker.failed) == (10, 0)


def test_stopping_gives_back_what_is_not_done(site):
    site.client.put_images(pictures(10))
    run_together(make_worker(site.queue(), stopped=lambda: len(site.rows()) == 3))
    assert len(site.rows()) == 3 and _claimed(site) == 0


def test_pictures_that_were_deleted_meanwhile_are_no_trouble(site):
    site.client.put_images(pictures(3))
    queue = site.queue()
    version = queue.active_version()
    first, second, _ = queue.claim(version)
    for claim in (first, second):
        site.client.delete_images([{"device": claim.device, "datetime": claim.datetime}])
    queue.fail(first, version, "gone")
    queue.release([second])
    assert _claimed(site) == 1 and _failures(site) == []


def test_heartbeats_come_while_pictures_take_long(site):
    site.client.put_images(pictures(4))
    queue, now = site.queue("slow"), 0.0
    queue.clock = lambda: now
    claimed = queue.claim(queue.active_version())
    beats = []
    queue.client.put_uid_heartbeats, put = (
        (lambda info: beats.append(info) or put(info)),
        queue.client.put_uid_heartbeats,
    )
    for claim in claimed:
        now += 40
        queue.fetch(claim)
    assert len(beats) == 2 and beats[0][0]["worker"] == "slow"


def test_a_server_that_is_away_is_unavailable(site):
    queue = site.queue()
    queue.active_version()
    queue.client._timeout = (1, 1)
    site.stop()
    with pytest.raises(Unavailable):
        queue.claim(V1)


def _claimed(site):
    with site.database.read() as session:
        return session.scalar(sa.select(sa.func.count(UidIntent.id)))


def _failures(site):
    with site.database.read() as session:
        return detection.list_failures(session)


def _workers(site):
    with site.database.read() as session:
        return detection.list_workers(session, utcnow())
