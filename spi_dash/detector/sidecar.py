"""What `spi-dash detector run` puts together: a worker, its server, and the models that it is told to use."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from ..client import SpiClient
from ..errors import InvalidInput
from .annotation import model_of
from .bundle import ALGO_NAME, REFERENCE, Bundle, load_bundle, read_version
from .queue import ServerQueue, make_worker_name
from .worker import Model, Worker

TIMEOUT_S = 60.0
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,45}")


def make_client(url: str, user: str, password: str) -> SpiClient:
    """A client that fails at once: the worker waits and repeats, and it can be asked to stop."""
    return SpiClient(url, user, password, retries=0, timeout_s=TIMEOUT_S)


def make_worker(client: SpiClient, cache: Path, device: str, asked: Event, parent: int | None = None) -> Worker:
    """A worker that uses what the server says, until `asked` is set or, if one is given, the parent process is gone."""
    queue = ServerQueue(client, ALGO_NAME, make_worker_name(), time.monotonic)
    return Worker(
        queue=queue,
        load=make_loader(client, lambda: queue.bundle, cache, device),
        stopped=lambda: asked.is_set() or (parent is not None and os.getppid() != parent),
        sleep=asked.wait,
        clock=time.monotonic,
    )


def make_loader(
    client: SpiClient, bundle: Callable[[], str | None], cache: Path, device: str
) -> Callable[[str], Model]:
    """`load` of the worker: version -> Model.

    Every version has a folder of its own in `cache`: an admin may go back to an older one. The reference model comes
    with the program.
    """

    def load(version: str) -> Model:
        name = bundle()
        folder = REFERENCE
        if name is not None and version != read_version(Bundle(REFERENCE)):
            folder = cache / _checked(version)
            client.download_bundle(name, folder, what="model")
        loaded = load_bundle(folder, device)
        if loaded.version != version:
            what = "the reference model of this program" if name is None else f"the bundle {name}"
            raise InvalidInput(f"the server asks for version {version}, but {what} is {loaded.version}")
        return model_of(loaded)

    return load


def _checked(version: str) -> str:
    """A version as the name of a folder: the server must not write anywhere else on this machine."""
    if VERSION.fullmatch(version) is None:
        raise InvalidInput(f"{version!r} is no version of a bundle")
    return version
