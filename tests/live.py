"""A real server on a free port of the loopback, in a thread of the test."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dash
import flask
import requests

from spi_dash.app import create_app
from spi_dash.cli import web
from spi_dash.client import SpiClient
from spi_dash.config import Config
from spi_dash.context import Spi
from spi_dash.demo import tiny_picture

ADMIN, PASSWORD = "admin", "a password for tests"
START = datetime(2022, 5, 1)


@dataclass(frozen=True)
class Live:
    url: str
    app: flask.Flask
    data_dir: Path

    @property
    def spi(self) -> Spi:
        return self.app.extensions["spi_dash"]

    def client(self, **options) -> SpiClient:
        return SpiClient(self.url, ADMIN, PASSWORD, **{"sleep": lambda _: None, **options})


@contextmanager
def live_server(data_dir: Path, **variables: str) -> Iterator[Live]:
    dash.page_registry.clear()
    environ = {"SPI_DATA_DIR": str(data_dir), "API_ADMIN_PASSWORD": PASSWORD, "SPI_THREADS": "4"}
    config = Config.from_env(environ | variables)
    listener, stop = web.bind("127.0.0.1", 0), threading.Event()
    app = create_app(config)
    server = web.make_server(app, config, listener)
    thread = threading.Thread(target=web.run, args=(server, stop, 5), daemon=True)
    thread.start()
    try:
        yield Live(web.address_of(listener), app, data_dir)
    finally:
        stop.set()
        web.wake(server)
        thread.join()
        app.extensions["spi_dash"].close_database()


def pictures(n: int, device: str = "5c173ff2") -> dict[str, bytes]:
    """Small pictures of one trap, by name."""
    return dict(tiny_picture(device, START + timedelta(minutes=20 * i)) for i in range(n))


def write_all(folder: Path, files: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in files]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what some tests are about."""


@contextmanager
def scripted_server(answer: Callable[[str, bytes, dict], tuple[int, dict, bytes] | None]) -> Iterator[str]:
    """Answers every request with what a function of (path, body, headers) returns; None breaks the connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            result = answer(self.path, body, dict(self.headers))
            if result is None:
                self.close_connection = True
                return
            status, headers, content = result
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def wait_until(condition: Callable[[], object], limit_s: float = 30, every_s: float = 0.01) -> None:
    """Until something happens in another thread or process."""
    give_up_at = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_at, "it does not happen"
        time.sleep(every_s)


def plain_session() -> requests.Session:
    """No proxy of the machine between the test and itself."""
    session = requests.Session()
    session.trust_env = False
    return session
