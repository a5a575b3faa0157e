"""The web server: waitress, with its limits set on purpose and an end that loses no request."""

import contextlib
import ctypes
import io
import json
import logging
import select
import signal
import socket
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from waitress import create_server, wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.utilities import Error

from ..errors import ConfigError

if TYPE_CHECKING:
    from waitress.server import TcpWSGIServer

    from ..config import Config

M_ARENA_MAX = -8  # of glibc's malloc.h
STOP_WITHIN_S = 30  # for requests under way when the server is told to stop
NO_ROOM_RETRY_AFTER_S = 30
NEW_S = 0.5  # so long may the first bytes of a connection be on their way when it stops
FORWARDED = {"x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"}
SETTINGS = {
    "recv_bytes": 262_144,  # a picture of 2 MB arrives in 8 reads instead of 260
    # The answer of a long series goes through no temporary file; what a slow client has not taken is at most this long.
    "outbuf_overflow": 40 << 20,
    "outbuf_high_watermark": 8 << 20,
    "channel_timeout": 120,
    "connection_limit": 500,
    "backlog": 1024,
    "asyncore_use_poll": True,  # select() ends at 1024 files
    "ident": None,
    "clear_untrusted_proxy_headers": True,
}
_WAKING = threading.RLock()  # signals come in the middle of anything


def save_memory() -> None:
    """Let threads share their heaps: each large answer would leave its pieces in the heap of another thread.

    In glibc only, elsewhere it does nothing. It took the server from 277 to 217 MB under benchmarks/listing.py.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def bind(host: str, port: int) -> socket.socket:
    """Take the address, before anything slow is done; port 0 is any free one.

    Raises:
        ConfigError: it is not ours, or taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError):
        raise ConfigError(f"{host}:{port} is not an address of this machine") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = "is in use: choose another with --port" if error.errno == 98 else f"cannot be used: {error.strerror}"
        raise ConfigError(f"port {port} of {host} {reason}") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL under which a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


def make_server(app: Any, config: "Config", listener: socket.socket) -> "TcpWSGIServer":
    """A server that accepts connections, and answers them once `run` is called."""
    largest_mb = max(config.max_image_mb, config.max_bundle_file_mb, 100) + 1  # the API has its own, smaller limits
    proxy = {"trusted_proxy": config.trusted_proxy, "trusted_proxy_headers": FORWARDED} if config.trusted_proxy else {}
    sizes = {"threads": config.threads, "max_request_body_size": largest_mb << 20}
    tempfile.gettempdir()  # it tries to write there the first time, which fails when the disk is full
    if hasattr(app, "before_request_funcs"):  # Flask's
        _set_up_dash(app)
    server = create_server(app, sockets=[listener], **SETTINGS, **sizes, **proxy)
    server.channel_class = Channel
    return server


def _set_up_dash(app: Any) -> None:
    """Dash does it with its first request, and answers those that come meanwhile as if it knew no script."""
    with app.test_request_context("/"):
        for prepare in app.before_request_funcs.get(None, ()):
            if prepare.__module__.partition(".")[0] == "dash":
                prepare()


class NoRoom(Error):
    """What a client is told whose request could not be kept until it was whole."""

    code = 503
    reason = "Service Unavailable"

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        error = {"code": "unavailable", "message": self.body, "details": {}}
        headers = [("Content-Type", "application/json"), ("Retry-After", str(NO_ROOM_RETRY_AFTER_S))]
        return f"{self.code} {self.reason}", headers, json.dumps({"error": error}).encode()


class Parser(HTTPRequestParser):
    """A request as it arrives; a long body waits in a temporary file, for which the disk may have no room."""

    def received(self, data: bytes) -> int:
        """How much of `data` belonged to this request."""
        taken = 0
        try:
            taken = super().received(data)
            if self.completed and self.error is None and self.body_rcv is not None:
                self.body_rcv.getfile()  # writes what is left, while we can still say that it failed
            return taken
        except OSError as error:
            logging.getLogger(__name__).warning("a request could not be kept: %s", error)
            with contextlib.suppress(OSError):
                self.close()
            missing = self.content_length - self.body_bytes_received
            self.body_rcv = Drain(missing, f"the server has no room for this request: {error.strerror}")
            if not self.completed:
                return super().received(data)
            self.error = self.body_rcv.refusal()
            return taken


class Drain:
    """Takes the rest of a body, so that the client listens when it is refused."""

    def __init__(self, missing: int, reason: str) -> None:
        self.missing, self.reason = missing, reason
        self.completed, self.error = False, None

    def refusal(self) -> NoRoom:
        """What the client is told in the end."""
        return NoRoom(self.reason)

    def received(self, data: bytes) -> int:
        """How much of it belonged to the body."""
        taken = max(0, min(len(data), self.missing))
        self.missing -= taken
        if self.missing <= 0:  # also of a body that does not say how long it is
            self.error = self.refusal()
        return taken

    def getbuf(self) -> io.BytesIO:
        """What was kept: nothing."""
        return io.BytesIO()


class Channel(HTTPChannel):
    """A connection."""

    parser_class = Parser


def stop_on_signals(server: "TcpWSGIServer", stop: threading.Event) -> None:
    """SIGTERM and SIGINT set `stop`; a second one kills. Call it before anybody is told that the server runs."""

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()
        wake(server)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)


def run(server: "TcpWSGIServer", stop: threading.Event, stop_within_s: float = STOP_WITHIN_S) -> None:
    """Serve until `stop` is set; then finish what is under way."""
    while not stop.is_set():
        _turn(server)
    _accept_waiting(server)
    wasyncore.dispatcher.close(server)  # the listening socket: new connections are refused from here on
    _turn(server, 0)  # what has arrived is read, so that it is not mistaken for idle
    give_up_at = time.monotonic() + stop_within_s
    while _close_idle(server) and time.monotonic() < give_up_at:
        _turn(server, NEW_S / 2)
    server.task_dispatcher.shutdown(timeout=1)
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    with _WAKING:
        server.trigger.close()


def wake(server: "TcpWSGIServer") -> None:
    """Have `run` look at its `stop` at once; from any thread, and nothing is done when it has ended."""
    with _WAKING:
        if not server.trigger._closed:
            server.pull_trigger()


def _turn(server: "TcpWSGIServer", timeout_s: float = 1) -> None:
    wasyncore.loop(timeout=timeout_s, map=server._map, use_poll=True, count=1)


def _accept_waiting(server: "TcpWSGIServer") -> None:
    """Take the connections that the kernel has made for us already: closing the listening socket would break them."""
    for _ in range(SETTINGS["backlog"]):
        if not select.select([server.socket], [], [], 0)[0]:
            return
        server.handle_accept()


def _close_idle(server: "TcpWSGIServer") -> int:
    """Close connections between two requests; how many are left, in the middle of one or too new to tell."""
    busy = 0
    for channel in list(server.active_channels.values()):
        if channel.requests or channel.request is not None or channel.total_outbufs_len or _is_new(channel):
            busy += 1
        else:
            channel.handle_close()
    return busy


def _is_new(channel: "HTTPChannel") -> bool:
    """Whether it was made a moment ago, and nothing came yet."""
    return channel.last_activity == channel.creation_time and time.time() - channel.creation_time < NEW_S
