"""What the tests share: a fresh server on an empty database, callers of every role, and pictures."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import dash
import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from urllib3.filepost import encode_multipart_formdata
from werkzeug.test import TestResponse

from spi_dash.app import create_app
from spi_dash.config import Config
from spi_dash.context import Spi
from spi_dash.demo.pictures import tiny_picture
from spi_dash.services import passwords
from spi_dash.storage import MemoryStorage, Storage

pytest_plugins = ["stack.mariadb", "stack.databases", "stack.ceph", "stack.adopting"]

ADMIN, WRITER, READER = ("admin", "a long password"), ("writer", "writer password"), ("reader", "reader password")
NO_PICTURES = "../shared/data"  # named in the reason to skip a test that needs the real pictures
NOON = datetime(2022, 7, 1, 12)
REAL_PICTURES = Path(__file__).parents[2] / "shared" / "data" / "images"


def not_run(terminalreporter: Any) -> list[Any]:
    if terminalreporter is None:  # a worker of pytest-xdist: the main process has all reports
        return []
    return [report for report in terminalreporter.stats.get("skipped", []) if NO_PICTURES not in str(report.longrepr)]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what was not run, and why."""
    skipped = not_run(terminalreporter)
    if skipped and os.environ.get("CI"):
        terminalreporter.section("not run, which counts as a failure where CI is set")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[-1]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Any:
    """What a test printed or logged may be no text at all; pytest-xdist sends reports as UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """CI must run everything, but what needs the real pictures."""
    skipped = not_run(session.config.pluginmanager.get_plugin("terminalreporter"))
    if skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Accounts of tests cost no 25 ms of hashing each; test_passwords.py has the real hasher."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


def make_config(data_dir: Path) -> Config:
    data_dir.mkdir()
    environ = {
        "SPI_DATA_DIR": str(data_dir),
        "SECRET_API_KEY": "a secret key for tests",
        "API_ADMIN_PASSWORD": ADMIN[1],
        "UID_PASSWORD": "another long password",
    }
    return Config.from_env(environ)


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a server that was started once, to be copied: faster than to make it for each test."""
    config = make_config(tmp_path_factory.mktemp("fresh") / "data")
    dash.page_registry.clear()
    create_app(config, storage=MemoryStorage())
    path = config.data_dir / "spi.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def config(tmp_path: Path, fresh_database: Path) -> Config:
    config = make_config(tmp_path / "data")
    shutil.copy(fresh_database, config.data_dir / "spi.db")
    return config


@pytest.fixture
def storage() -> Storage:
    return MemoryStorage()


@pytest.fixture
def with_pages() -> bool:
    """Modules that are about the API alone say False: the server starts in half the time."""
    return True


@pytest.fixture
def server(config: Config, storage: Storage, with_pages: bool) -> Iterator[Any]:
    """A fresh application. Dash keeps its page registry in a global: clear it."""
    dash.page_registry.clear()
    server = create_app(config, storage=storage, pages=with_pages)
    yield server
    server.extensions["spi_dash"].close_database()


@pytest.fixture
def spi(server: Any) -> Spi:
    return server.extensions["spi_dash"]


@pytest.fixture
def client(server: Any) -> FlaskClient:
    return server.test_client()


@pytest.fixture
def accounts(client: FlaskClient) -> None:
    """A read-write and a read-only account beside the admin."""
    users = [
        {"username": WRITER[0], "password": WRITER[1]},
        {"username": READER[0], "password": READER[1], "can_write": 0},
    ]
    assert client.post("/put_users", json=users, auth=ADMIN).status_code == 200


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., Any]:
    """Make a call that must succeed, as admin unless said otherwise; returns the JSON answer."""

    def call(path: str, body: Any = None, auth: tuple[str, str] = ADMIN, **options: Any) -> Any:
        response = client.post(path, json=body, auth=auth, **options)
        assert response.status_code == 200, response.text
        return response.json

    return call


@pytest.fixture
def upload(client: FlaskClient) -> Callable[..., TestResponse]:
    """Upload files: (name, bytes) pairs, with their md5 when `md5s` gives it."""

    def send(
        *files: tuple[str, bytes], auth: tuple[str, str] = ADMIN, md5s: dict[str, str] | None = None
    ) -> TestResponse:
        parts: list[tuple[str, Any]] = [(name, (name, data, "application/jpeg")) for name, data in files]
        parts += [(f"{name}.md5", md5) for name, md5 in (md5s or {}).items()]
        return client.post("/_put_new_images", auth=auth, **multipart(parts))

    return send


@pytest.fixture
def make_image(upload: Callable[..., TestResponse]) -> Callable[..., dict[str, Any]]:
    """Add an image through the API; say only what the test is about. Returns its row."""

    def make(device: str = "0a1b2c3d", at: datetime = NOON, **values: Any) -> dict[str, Any]:
        response = upload(tiny_picture(device, at, **values))
        assert response.status_code == 200, response.text
        return response.json[0]

    return make


@pytest.fixture
def restart(config: Config, spi: Spi) -> Iterator[Callable[..., Any]]:
    """The same data under a new server process' app."""
    started: list[Any] = []

    def again(**changes: Any) -> Any:
        dash.page_registry.clear()
        started.append(create_app(replace(config, **changes), storage=spi.storage))
        return started[-1]

    yield again
    for server in started:
        server.extensions["spi_dash"].close_database()


def multipart(parts: list[tuple[str, Any]] | dict[str, Any]) -> dict[str, Any]:
    """A form as arguments of client.post(); werkzeug's own way leaves its temporary files open."""
    body, content_type = encode_multipart_formdata(parts)
    return {"data": body, "content_type": content_type}


def contents(storage: Storage) -> dict[str, str]:
    """Every stored key, with its etag."""
    return {info.key: info.etag for info in storage.list("")}


def assert_error(response: TestResponse, status: int, code: str | None = None) -> dict[str, Any]:
    """Every API error has one shape; returns its inner part."""
    assert response.status_code == status, response.text
    assert set(response.json) == {"error"}
    assert set(response.json["error"]) == {"code", "message", "details"}
    assert code is None or response.json["error"]["code"] == code
    return response.json["error"]
