"""What an edge (endpoint, callback, command) may reach. Built by app.create_app, found with current()."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from flask import current_app

from .config import Config
from .probes import Probe
from .services.passwords import PasswordCache
from .storage import Storage

# A session is made and ended by the edge; services take it as their first argument.
OpenSession = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Spi:
    config: Config
    begin: OpenSession  # `with spi.begin() as session:` is one writing transaction
    read: OpenSession  # `with spi.read() as session:` sees one state of the data
    storage: Storage
    passwords: PasswordCache  # of the sign-ins of this process
    probes: Mapping[str, Probe]  # what must answer before this server can work
    close_database: Callable[[], None]

    def close(self) -> None:
        """Let go of the database and the storage, when nobody asks any more."""
        self.close_database()
        self.storage.close()


def current() -> Spi:
    return current_app.extensions["spi_dash"]
