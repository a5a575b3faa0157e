"""Ports of this machine that are free."""

import random
import socket

# Below those that the system gives to whoever asks for any port, or connects: another process would be given one
# between the question here and the start of a server.
FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    """One on loopback, which nobody had a moment ago."""
    for port in random.SystemRandom().sample(range(FIRST, LAST), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
