"""Two server processes on one MariaDB: started at once, one of them killed, and what one knows the other knows."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from live import ADMIN, PASSWORD, pictures, plain_session
from stack.servers import Server, database_variables, servers

from spi_dash import db
from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.errors import SpiError, Unavailable
from spi_dash.services import users
from spi_dash.services.check import check
from spi_dash.services.check_report import Options
from spi_dash.storage import DiskStorage

pytestmark = pytest.mark.stack
LOGIN = (ADMIN, PASSWORD)


@pytest.fixture
def database(own_mariadb) -> Iterator[db.Database]:
    database = db.connect(own_mariadb.url)
    yield database
    database.engine.dispose()


@pytest.fixture
def pair(own_mariadb, tmp_path) -> Iterator[list[Server]]:
    """Both start at the same moment on a database without a table."""
    with servers(tmp_path / "data", database_variables(own_mariadb.url)) as started:
        yield started


def test_both_start_on_an_empty_database_and_share_what_they_know(pair, database):
    one, other = pair
    with plain_session() as session, database.read() as connection:
        assert [session.get(f"{each.url}/readyz").status_code for each in pair] == [200, 200]
        assert len(connection.execute(sa.text("SELECT version_num FROM alembic_version")).all()) == 1
        names = connection.execute(sa.text("SELECT username FROM users ORDER BY username")).scalars().all()
        assert names == ["admin", "spi_uid"]
    _a_page_session_holds_on_both(one.url, other.url)
    _a_password_that_was_changed_ends_on_both(database, one.url, other.url)
    _wrong_passwords_count_on_both(one.url, other.url)


def _a_page_session_holds_on_both(one: str, other: str) -> None:
    with plain_session() as person:
        form = person.get(f"{one}/sign-in").text
        csrf = re.search('name="csrf" value="([^"]+)"', form)[1]
        fields = {"csrf": csrf, "next": "/", "username": ADMIN, "password": PASSWORD}
        assert person.post(f"{other}/sign-in", data=fields, allow_redirects=False).status_code == 303
        layouts = [person.get(f"{url}/_dash-layout", allow_redirects=False) for url in (one, other)]
        assert [answer.status_code for answer in layouts] == [200, 200]
        assert layouts[0].json() == layouts[1].json()
        person.cookies.clear()
        assert person.get(f"{other}/_dash-layout", allow_redirects=False).status_code == 401


def _a_password_that_was_changed_ends_on_both(database: db.Database, one: str, other: str) -> None:
    """At once, although each server remembers for minutes which passwords were right."""
    with plain_session() as caller:
        for url in (one, other, one, other):
            assert caller.post(f"{url}/get_token", auth=LOGIN).status_code == 200
        for password, other_password in ((PASSWORD, "another one for tests"), ("another one for tests", PASSWORD)):
            with database.begin() as session:
                admin = users.find_user_by_name(session, ADMIN)
                users.set_password(session, admin.id, other_password, utcnow())
            for url in (one, other):
                assert caller.post(f"{url}/get_token", auth=(ADMIN, password)).status_code == 401
                assert caller.post(f"{url}/get_token", auth=(ADMIN, other_password)).status_code == 200


def _wrong_passwords_count_on_both(one: str, other: str) -> None:
    """Five cost nothing; the wait doubles with each further one, so a slow machine sees it a little later."""
    with plain_session() as stranger:
        statuses, answer = [], None
        for n in range(14):
            answer = stranger.post(f"{(one, other)[n % 2]}/get_users", auth=("spi_uid", f"wrong {n}"))
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                break
        assert statuses == [401] * (len(statuses) - 1) + [429] and len(statuses) > 5, statuses
        assert int(answer.headers["Retry-After"]) > 0


def test_one_is_killed_while_pictures_are_uploaded(pair, database, tmp_path):
    """Four callers turn to the other server when theirs does not answer; the killed one is not started again."""
    files, lock = pictures(300), threading.Lock()
    names, acknowledged, kill = iter(files), set(), threading.Event()
    urls = [each.url for each in pair]

    def send(number: int) -> list[str]:
        failures = []
        with SpiClient(urls[0], *LOGIN, retries=0) as one, SpiClient(urls[1], *LOGIN, retries=0) as other:
            turn = [one, other] if number % 2 else [other, one]
            while True:
                with lock:
                    name = next(names, None)
                if name is None:
                    return failures
                try:
                    turn[0].upload_image(name, files[name])
                except SpiError as error:
                    failures.append(f"{type(error).__name__}: {error}")
                    assert isinstance(error, Unavailable), error
                    turn.reverse()
                    turn[0].upload_image(name, files[name])  # a picture that the killed one had stored is accepted
                with lock:
                    acknowledged.add(name)
                    if len(acknowledged) == 60:
                        kill.set()

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(send, number) for number in range(4)]
        assert kill.wait(60)
        os.kill(pair[0].process.pid, signal.SIGKILL)
        failures = [failure for sender in senders for failure in sender.result()]
    assert failures  # it was killed under load
    assert acknowledged == set(files)
    report = look(database, tmp_path / "data" / "files")
    assert (report.images, dict(report.found)) == (len(files), {})
    with SpiClient(urls[1], *LOGIN) as client:
        keys = [{"device": name[:8], "datetime": name[9:28]} for name in files]
        rows = client.get_images(keys, "image")
        assert sorted(client.fetch(row["url"], row["md5"]) for row in rows) == sorted(files.values())
    assert "Traceback" not in pair[1].log()


def look(database: db.Database, folder):
    """What `spi-dash check` says."""
    options = Options(now=utcnow())
    return check(database.begin, database.read, DiskStorage(folder, b""), options, note=lambda problem: None)
