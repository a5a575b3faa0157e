"""Is the server alive, can it work: for people, start scripts and monitors. No sign-in."""

from typing import Any

import flask

from ..context import current
from ..errors import Unavailable


def add_routes(api: flask.Blueprint) -> None:
    api.get("/healthz")(alive)
    api.get("/readyz")(ready)


def alive() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok"}


def ready() -> dict[str, Any]:
    """Database and storage answer, too; 503 where one does not."""
    found = {name: probe.failure() for name, probe in current().probes.items()}
    failed = {name: reason for name, reason in found.items() if reason}
    if failed:
        raise Unavailable(f"this server is not ready: {' and '.join(failed)}", **failed)
    return {"status": "ok"}
