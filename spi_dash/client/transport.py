"""Requests that are repeated when repeating can help, with a token that is renewed in time."""

import io
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from urllib3 import encode_multipart_formdata
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.fields import RequestField

from ..errors import InvalidInput, SpiError, Unauthorized, Unavailable
from .wire import decode, encode, error_of

CONNECT_TIMEOUT_S = 10
MAX_WAIT_S = 120  # a server that asks for more patience is given up
MAX_PAUSE_S = 30
MIN_TOKEN_S = 300  # with a wrong clock here, every token seems to expire at once
RENEW_BEFORE_S = 60
# What the network can do to a request; a wrong certificate or URL stays wrong and is not among them.
_NETWORK = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_HOPELESS = (requests.exceptions.SSLError, requests.exceptions.InvalidSchema)


Read = Callable[[bytes], Any]
SignIn = Callable[[], tuple[str, float]]


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Links carry their own permission: neither ours nor one of ~/.netrc belongs there."""
    return request


class Transport:
    """One server, one user. Thread-safe: every thread has its own connections, all share the token."""

    def __init__(
        self,
        url: str,
        user: str = "",
        password: str | None = None,
        token: str | None = None,
        *,
        session: requests.Session | None = None,
        sign_in: SignIn | None = None,
        retries: int = 5,
        timeout_s: float = 120,
        sleep: Callable[[float], Any] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is asked of the server yet.

        Args:
            sign_in: another way to a token than a password: returns one, and the UNIX time of its end.
            sleep: waits between two attempts; by default as long as it takes, or until who waits is told to stop.
        """
        self.url = _checked_url(url)
        self._login = None if password is None else (user.encode(), password.encode())
        if self._login is None and token is None and sign_in is None:
            raise InvalidInput("the client needs a password or a token")
        self._sign_in = sign_in
        self._session = session
        self._retries = retries
        self._timeout = (CONNECT_TIMEOUT_S, timeout_s)
        self._sleep, self._now = sleep, now
        self._token = token
        self._renew_at = float("inf") if token is not None else 0.0
        self._lock, self._sessions_lock = threading.Lock(), threading.Lock()
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._sessions_lock:
            sessions, self._sessions, self._local = self._sessions, [], threading.local()
        for session in sessions:
            session.close()

    def post_json(self, path: str, info: Any, *, times: bool = True, again: bool = True) -> Any:
        """Call an endpoint with a JSON body; the answer decoded.

        Args:
            times: make datetimes of strings that are times; without it, large answers cost a third.
            again: repeat the call when its answer is lost; not for calls that would do their work twice.
        """
        return self._call(path, encode(info), "application/json", decode if times else orjson.loads, again)

    def post_files(self, path: str, parts: Sequence[RequestField]) -> Any:
        """Call an endpoint with a multipart body; the answer decoded."""
        return self._call(path, *encode_multipart_formdata(parts))

    def get_token(self) -> str:
        """The token of this user: the one at hand, or another where it is about to expire."""
        return self.repeat(self._valid_token, self._name)

    @contextmanager
    def stream(self, method: str, url: str, **options: Any) -> Iterator[requests.Response]:
        """One request to a link, without our credentials; not repeated, see `repeat`.

        Raises:
            SpiError: any status but 2xx.
        """
        session = self._my_session()
        with session.request(method, url, auth=_no_auth, timeout=self._timeout, stream=True, **options) as answer:
            if not 200 <= answer.status_code < 300:
                raise error_of(answer)
            yield answer

    def repeat(
        self, attempt: Callable[[], Any], where: str, *, stop: threading.Event | None = None, again: bool = True
    ) -> Any:
        """Do something over the network, again after failures that may pass: of the network, 5xx and 429.

        Args:
            stop: ends the waiting between two attempts.
            again: False: only after failures that tell that nothing was done.

        Raises:
            Unavailable: it failed too often.
            SpiError: it failed in a way that repeating does not change.
        """
        for failures in range(1, self._retries + 2):
            try:
                return attempt()
            except _HOPELESS as error:
                raise Unavailable(f"{where} cannot be reached: {_reason(error)}") from None
            except _NETWORK as error:
                failure: SpiError = Unavailable(f"{where} does not answer: {_reason(error)}", network=True)
                if not again and not _never_arrived(error):
                    raise _in_doubt(failure) from None
            except requests.RequestException as error:
                raise InvalidInput(f"{where} cannot be asked: {error}") from None
            except SpiError as error:
                if not _may_pass(error):
                    raise
                if not again and error.details.get("status", error.status) not in (429, 503):
                    raise _in_doubt(error) from None
                failure = error
            wait_s = self._pause_s(failures, failure)
            if failures > self._retries or wait_s > MAX_WAIT_S:
                break
            self._wait(wait_s, stop)
        raise failure from None

    @property
    def _name(self) -> str:
        return f"the server at {self.url}"

    def _wait(self, wait_s: float, stop: threading.Event | None) -> None:
        if self._sleep is not None:
            self._sleep(wait_s)
        else:
            (threading.Event() if stop is None else stop).wait(wait_s)

    def _call(self, path: str, body: bytes, content_type: str, read: Read = decode, again: bool = True) -> Any:
        def attempt() -> Any:
            token = self._valid_token()
            try:
                return self._post(path, (token, ""), body, content_type, read)
            except Unauthorized:
                if not self._forget(token):
                    raise
            return self._post(path, (self._valid_token(), ""), body, content_type, read)

        return self.repeat(attempt, self._name, again=again)

    def _post(self, path: str, auth: Any, body: bytes, content_type: str, read: Read = decode) -> Any:
        answer = self._my_session().post(
            f"{self.url}/{path}",
            # From a file it is sent in small pieces: as one piece, all of it must be gone before CONNECT_TIMEOUT_S.
            data=io.BytesIO(body),
            headers={"Content-Type": content_type},
            auth=auth,
            timeout=self._timeout,
            allow_redirects=False,  # following would turn the POST into a GET
        )
        if 300 <= answer.status_code < 400:
            raise InvalidInput(f"the server is elsewhere: use {answer.headers.get('Location', 'another URL')}")
        if answer.status_code != 200:
            raise error_of(answer)
        try:
            return read(answer.content)
        except ValueError:
            raise InvalidInput(f"{self.url} is not a Sticky Pi server: its answer is not JSON") from None

    def _valid_token(self) -> str:
        with self._lock:
            if self._token is None or self._now() >= self._renew_at:
                self._token, self._renew_at = self._new_token()
            return self._token

    def _new_token(self) -> tuple[str, float]:
        if self._sign_in is not None:
            token, end = self._sign_in()
            return token, end - RENEW_BEFORE_S
        if self._login is None:
            raise Unauthorized("the token has expired, and there is no password to get another")
        answer = self._post("get_token", self._login, b"{}", "application/json")
        try:
            token, life_s = str(answer["token"]), float(answer["expiration"]) - self._now()
        except (TypeError, KeyError, ValueError):
            raise InvalidInput(f"{self.url} is not a Sticky Pi server: its answer holds no token") from None
        return token, self._now() + max(life_s - RENEW_BEFORE_S, MIN_TOKEN_S)

    def _forget(self, token: str) -> bool:
        """After a 401: drop this token; False where no other can be had."""
        with self._lock:
            if self._token == token:
                self._token = None
            return self._token is not None or self._login is not None or self._sign_in is not None

    def _pause_s(self, failures: int, failure: SpiError) -> float:
        """Twice as long each time, spread out so that many clients do not come back at once."""
        pause_s = min(0.5 * 2 ** (failures - 1), MAX_PAUSE_S) * random.uniform(0.5, 1.5)
        asked_s = failure.details.get("retry_after_s")
        return max(pause_s, float(asked_s)) if isinstance(asked_s, (int, float)) else pause_s

    def _my_session(self) -> requests.Session:
        if self._session is not None:
            return self._session
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            with self._sessions_lock:
                self._sessions.append(session)
        return session


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or parts.username is not None or parts.query or parts.fragment:
        raise InvalidInput(f"{url!r} is not the URL of a server: write https://api.example.org")
    return url.strip().rstrip("/")


def _may_pass(error: SpiError) -> bool:
    status = error.details.get("status", error.status)
    return status == 429 or (isinstance(status, int) and status >= 500)


def _never_arrived(error: Exception) -> bool:
    """Whether a request cannot have reached the server: there was no connection to send it through."""
    cause = error.args[0] if error.args else None
    return isinstance(error, requests.ConnectTimeout) or isinstance(
        getattr(cause, "reason", None), (NewConnectionError, NameResolutionError)
    )


def _in_doubt(error: SpiError) -> Unavailable:
    message = f"{error.message}; it may have done what was asked: look before you ask again"
    return Unavailable(message, **error.details)


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words: requests wraps it in several layers of technical names."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror and seen.errno:
            return seen.strerror.lower()
        inner = getattr(seen, "reason", None)
        args = [each for each in (*seen.args, inner) if isinstance(each, BaseException)]
        seen = args[0] if args else seen.__context__
    return "the connection broke"
