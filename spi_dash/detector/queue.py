"""The server's queue, as the worker wants it: a thin layer over the Python client."""

import os
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from ..client import SpiClient
from ..contract import MAX_REASON_CHARS
from .worker import Claim, State

ANY_TIME = (datetime(1970, 1, 1), datetime(2200, 1, 1))
BEAT_S = 60.0  # between heartbeats while pictures take long: a fifth of the lease
UNKNOWN = State("", 0, 0, 0.0, "")


@dataclass
class ServerQueue:
    """One worker's view of a server. `clock` is in seconds; `algo_name` is what its annotations carry."""

    client: SpiClient
    algo_name: str
    worker: str
    clock: Callable[[], float]
    orders: dict[str, Any] | None = None
    state: State = UNKNOWN
    beat_at: float = field(default=float("-inf"))

    @property
    def bundle(self) -> str | None:
        """The bundle that has the active version; None: it comes with the program."""
        return None if self.orders is None else self.orders["bundle"]

    def active_version(self) -> str:
        """As the answer to the last heartbeat said; the first time, there is none yet."""
        if self.orders is None:
            self.heartbeat(self.state)
        return self.orders["active_version"]

    def claim(self, version: str) -> Sequence[Claim]:
        """A few pictures, newest first, or fewer than the server gives to others where one of them is suspect."""
        rows = self.client.get_images_to_annotate(
            self.algo_name, version, "%", *ANY_TIME, what="image", worker=self.worker
        )
        rows.sort(key=lambda row: row["datetime"], reverse=True)
        return [Claim(row["device"], row["datetime"], row["md5"], row["url"]) for row in rows]

    def fetch(self, claim: Claim) -> bytes:
        """The file; before that a heartbeat if the last one was long ago, or slow machines would lose their claims."""
        if self.clock() - self.beat_at > BEAT_S:
            self.heartbeat(self.state)
        return self.client.fetch(claim.url)

    def submit(self, claim: Claim, version: str, annotations: list[dict[str, Any]]) -> None:
        """Store what was found."""
        metadata = {"algo_name": self.algo_name, "algo_version": version, **_key(claim), "md5": claim.md5}
        self.client.put_uid_annotations([{"annotations": annotations, "metadata": metadata}])

    def fail(self, claim: Claim, version: str, reason: str) -> None:
        """Record that this picture cannot be done."""
        algorithm = {"algo_name": self.algo_name, "algo_version": version}
        told = {"reason": _shortened(reason) or "unknown", "worker": self.worker}
        self.client.put_uid_failures([{**_key(claim), **algorithm, **told}])

    def release(self, claims: Sequence[Claim]) -> None:
        """Give these pictures back."""
        self.client.release_uid_claims([_key(claim) for claim in claims], self.worker)

    def heartbeat(self, state: State) -> None:
        """Say how it goes; the answer says which version to use."""
        said = asdict(state) | {"worker": self.worker, "last_error": _shortened(state.last_error)}
        said["algo_version"] = said.pop("version")
        (self.orders,) = self.client.put_uid_heartbeats([said])
        self.state, self.beat_at = state, self.clock()


def make_worker_name() -> str:
    """A name that no other worker has: machine, process, and chance."""
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"


def _key(claim: Claim) -> dict[str, Any]:
    return {"device": claim.device, "datetime": claim.datetime}


def _shortened(text: str) -> str:
    """Whatever went wrong, in a length that the server takes, and in characters that JSON carries."""
    clean = text.encode("utf-8", "replace").decode()
    return clean if len(clean) <= MAX_REASON_CHARS else clean[: MAX_REASON_CHARS - 1] + "…"
