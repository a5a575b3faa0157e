"""The Python client on a directory: SQLite and files, no server and no sockets, the same methods and the same rules.

The API itself runs inside of the process, so that a script that works here works with a server. Several processes may
use one directory at the same time, a server (`spi-dash serve --data`) among them.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3.response import HTTPResponse
from werkzeug.test import EnvironBuilder, run_wsgi_app

from .app import create_app
from .client import SpiClient
from .clock import utcnow
from .config import Config
from .context import Spi
from .errors import Unauthorized
from .services import sign_ins, users

URL = "http://spi-dash.local"  # nothing ever resolves it
CLIENT, ADDRESS = "a script on this directory", "local"
PIECE_BYTES = 1 << 18
DIRECTORY, URL_OF_FILES = "SPI_DATA_DIR", "SPI_PUBLIC_URL"


class LocalSpi(SpiClient):
    """A directory, as its admin: `with LocalSpi("my-lab") as client:`. It is made if it is not there.

    Who may read the directory may do everything in it: no password is asked for. The variables of the environment, by
    which a server is configured, are not looked at.
    """

    def __init__(self, directory: str | Path) -> None:
        config = Config.from_env({DIRECTORY: str(Path(directory).expanduser()), URL_OF_FILES: URL})
        app = create_app(config, pages=False)
        self._spi: Spi = app.extensions["spi_dash"]
        session = requests.Session()
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.adapters.pop(scheme)
        session.mount(f"{URL}/", _InProcess(app))
        super().__init__(URL, session=session, sign_in=self._make_token)
        self.directory = config.data_dir.absolute()

    def close(self) -> None:
        """Close the database; the client cannot be used any more."""
        super().close()
        self._spi.close()

    def _make_token(self) -> tuple[str, float]:
        spi, now = self._spi, utcnow()
        with spi.read() as session:
            user = users.find_user_by_name(session, spi.config.admin_name)
        if user is None or user.disabled_at is not None or user.role != "admin":
            raise Unauthorized(f"the account {spi.config.admin_name!r} of this directory is no admin any more")
        caller = sign_ins.Caller(user)
        token = sign_ins.issue_token(spi.begin, spi.read, spi.config.secret_key, caller, CLIENT, ADDRESS, now)
        return token.token, time.time() + sign_ins.TOKEN_LIFE.total_seconds()


class _InProcess(BaseAdapter):
    """Carries requests to a WSGI application in this process."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        """Answer a request; its body may be bytes or something to read, the answer's is read while it is made."""
        parts = urlsplit(request.url or "")
        builder = EnvironBuilder(
            path=parts.path,
            base_url=URL,
            query_string=parts.query,
            method=request.method or "GET",
            headers=dict(request.headers),
        )
        # Without a body of its own, the builder forgets what the headers say of one.
        environ = builder.get_environ() | {
            "wsgi.input": _Body(_pieces(request.body)),
            "CONTENT_LENGTH": request.headers.get("Content-Length", "0"),
            "CONTENT_TYPE": _text(request.headers.get("Content-Type", "")),
        }
        pieces, status, headers = run_wsgi_app(self._app, environ, buffered=False)
        return self._response(request, pieces, status, headers)

    def close(self) -> None:
        """There is nothing to close."""

    def _response(self, request: requests.PreparedRequest, pieces: Any, status: str, headers: Any) -> requests.Response:
        answer = requests.Response()
        number, _, answer.reason = status.partition(" ")
        answer.status_code, answer.url, answer.request = int(number), request.url, request
        answer.headers.update(dict(headers))
        body = _Body(pieces)
        answer.raw = HTTPResponse(body, headers=dict(headers), status=int(number), preload_content=False)
        return answer


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _pieces(body: Any) -> Iterator[bytes]:
    if hasattr(body, "read"):
        return iter(lambda: body.read(PIECE_BYTES), b"")
    return iter([body.encode() if isinstance(body, str) else body or b""])


class _Body:
    """Pieces as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest, self.closed = pieces, b"", False

    def read(self, size: int | None = -1) -> bytes:
        """At most so many bytes, or all of them."""
        if size is None or size < 0:
            data, self._rest = self._rest + b"".join(self._pieces), b""
            return data
        while not self._rest and (piece := next(self._pieces, None)) is not None:
            self._rest = piece
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """End the answer, read or not."""
        self.closed = True
        if hasattr(self._pieces, "close"):
            self._pieces.close()
