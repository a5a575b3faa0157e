"""Is the server alive, can it work: for people, start scripts and monitors. No sign-in."""

from typing import Any

import flask

from ..context import current


def add_routes(api: flask.Blueprint) -> None:
    api.get("/healthz")(alive)
    api.get("/readyz")(ready)


def alive() -> dict[str, Any]:
    """The process answers."""
    return {"status": "ok"}


def ready() -> dict[str, Any]:
    """Database and storage answer, too; 503 where one does not."""
    spi = current()
    spi.check_database()
    spi.storage.check()
    return {"status": "ok"}
