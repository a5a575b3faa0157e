"""A wire in front of a real server that can be cut, go silent or be slow: what clients see when a network fails."""

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Literal

State = Literal["up", "refuses", "hangs", "resets", "slow"]
SLOW_BYTES_PER_S = 8_000_000
LINGER_NOT = struct.pack("ii", 1, 0)  # closing a connection then breaks it


class Wire:
    """Passes bytes on while it is "up", and, not as fast, while it is "slow".

    "refuses": nobody listens, and connections break. "hangs": connections are made, nothing answers. "resets": each
    connection breaks when it has been made.
    """

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._state: State = "up"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accept()

    def set(self, state: State) -> None:
        """Change what happens from now on; connections from before break, as they do when a server restarts."""
        with self._lock:
            was, self._state = self._state, state
            if state == "refuses":
                _shut(self._listener)
                self._server.join()
            if state != "hangs":
                for each in list(self._pairs):
                    _shut(each)
        if was == "refuses" and state != "refuses":
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self._accept()

    def close(self) -> None:
        self.set("refuses")

    def _accept(self) -> None:
        self._server = threading.Thread(target=self._serve, args=(self._listener,), daemon=True)
        self._server.start()

    def _serve(self, listener: socket.socket) -> None:
        with listener, contextlib.suppress(OSError):
            while True:
                near = listener.accept()[0]
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        if self._state == "resets":
            with near:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            return
        with near, contextlib.suppress(OSError), socket.create_connection(self._there) as far:
            with self._lock:
                self._pairs |= {near: far, far: near}
            try:
                with selectors.DefaultSelector() as ready:
                    for each in (near, far):
                        ready.register(each, selectors.EVENT_READ)
                    while self._pass_on([key.fileobj for key, _ in ready.select()]):
                        pass
            finally:
                with self._lock:
                    del self._pairs[near], self._pairs[far]

    def _pass_on(self, sources: list) -> bool:
        for source in sources:
            data = source.recv(1 << 16)
            if not data:
                return False
            if self._state == "slow":
                time.sleep(len(data) / SLOW_BYTES_PER_S)
            if self._state in ("up", "slow"):  # else it is lost
                self._pairs[source].sendall(data)
        return True


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """A wire to http://host:port."""
    host, _, port = url.removeprefix("http://").partition(":")
    wire = Wire(host, int(port))
    try:
        yield wire
    finally:
        wire.close()
