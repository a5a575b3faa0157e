"""The sidecar: claims pictures, detects, hands in; beside the server, or on any machine that reaches it.

The loop knows neither HTTP nor PyTorch: the queue and the models are passed in, as are time and the wish to stop.
A picture that cannot be done is one recorded failure. A server that does not answer is waited for. What is claimed
and not done when the worker must stop is given back.
"""

import hashlib
import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ..errors import Conflict, Forbidden, SpiError, Unauthorized, Unavailable

logger = logging.getLogger(__name__)

IDLE_S = 5.0  # between looks at an empty queue: how long a new picture waits at most
MAX_PAUSE_S = 60.0  # between tries while the server is away
RATE_WINDOW_S = 300.0  # pictures per minute are counted over this time
FAILURES_IN_A_ROW = 20  # then the fault is not in the pictures


@dataclass(frozen=True)
class Claim:
    """A picture reserved for this worker until its lease ends. `key`: whatever the queue needs to know it again."""

    device: str
    datetime: datetime
    md5: str
    url: str
    key: Any = None


@dataclass(frozen=True)
class State:
    """What the settings page shows of a worker. `last_error` is a sentence, or "" if there was none yet."""

    version: str
    images_done: int
    images_failed: int
    images_per_minute: float
    last_error: str


class Queue(Protocol):
    """The server, as the worker sees it. Every method raises Unavailable if the server does not answer."""

    def active_version(self) -> str:
        """The version of the bundle that the admin has chosen."""

    def claim(self, version: str) -> Sequence[Claim]:
        """Reserve a few pictures that this version has not seen, newest first; empty if there are none."""

    def fetch(self, claim: Claim) -> bytes:
        """The picture's file, as it is stored; the worker checks its md5."""

    def submit(self, claim: Claim, version: str, annotations: list[dict[str, Any]]) -> None:
        """Store what was found and end the claim. Raises Conflict if this version's annotation is there already."""

    def fail(self, claim: Claim, version: str, reason: str) -> None:
        """Record that this version cannot do this picture, so that nobody tries again, and end the claim."""

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back: other workers may have them at once."""

    def heartbeat(self, state: State) -> None:
        """Tell that the worker lives, and extend its leases."""


@dataclass(frozen=True)
class Model:
    """`detect`: a picture's file -> annotations of the wire; raises InvalidInput if it is no picture."""

    version: str
    detect: Callable[[bytes], list[dict[str, Any]]]


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set: `is_set` is the worker's `stopped`, `wait` its `sleep`."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked


class LinkExpired(Exception):
    """The storage refused the link of a claim: links live shorter than an outage can last."""


class Stopped(Exception):
    """The worker was asked to stop while it waited."""


@dataclass
class Worker:
    """One worker. `load(version)` returns a Model; `clock()` is in seconds; `sleep(s)` may return early."""

    queue: Queue
    load: Callable[[str], Model]
    stopped: Callable[[], bool]
    sleep: Callable[[float], Any]
    clock: Callable[[], float]
    model: Model | None = None
    refused_version: str = ""
    done: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    last_error: str = ""
    finished_at: deque[float] = field(default_factory=deque)

    def run(self) -> None:
        """Work until asked to stop.

        Raises:
            SpiError: nothing can be done without a person: wrong password, no model, every picture fails.
        """
        try:
            while not self.stopped():
                if not self._work_once():
                    self.sleep(IDLE_S)
        except Stopped:
            logger.info("stopped")

    def _work_once(self) -> bool:
        """One round: follow the active bundle, claim, do what was claimed. False if there was nothing to do."""
        model = self._follow_bundle(self._persist(self.queue.active_version))
        self._persist(lambda: self.queue.heartbeat(self.state()))
        claims = list(self._persist(lambda: self.queue.claim(model.version)))
        worked = bool(claims)
        try:
            while claims and not self.stopped():
                self._do(claims[0], model)
                claims.pop(0)
        except LinkExpired as error:  # the server was away for long: claim anew, with new links
            self._note(f"a link to a picture was refused: {error}")
            self.failed_in_a_row += 1
        finally:
            if claims:
                self._give_back(claims)
        if self.failed_in_a_row >= FAILURES_IN_A_ROW:
            raise SpiError(f"{self.failed_in_a_row} pictures in a row failed, the last with: {self.last_error}")
        return worked

    def _follow_bundle(self, version: str) -> Model:
        """Load the active bundle if it is another. One that cannot be loaded is refused once; the old one goes on."""
        if self.model is not None and version in (self.model.version, self.refused_version):
            return self.model
        try:
            model = self._persist(lambda: self.load(version))
        except SpiError as error:
            if self.model is None:
                raise
            self.refused_version = version
            self._note(f"bundle {version} cannot be used: {error.message}")
            return self.model
        self.model, self.refused_version = model, ""
        logger.info("model %s is loaded", version)
        return model

    def _do(self, claim: Claim, model: Model) -> None:
        """One picture, from its file to its annotation or its failure."""
        name = f"{claim.device} {claim.datetime}"
        try:
            data = self._fetch(claim)
            annotations = _detect(model, data, claim.md5)
            self._persist(lambda: self.queue.submit(claim, model.version, annotations))
        except (Stopped, LinkExpired):
            raise
        except Conflict as error:  # the answer to an earlier try was lost, or the lease ended: it is done all the same
            logger.info("%s was annotated already: %s", name, error.message)
        except Exception as error:
            if _concerns_the_worker(error):
                raise
            self._fail(claim, model, name, _sentence(error))
            return
        self.done += 1
        self.failed_in_a_row = 0
        self.finished_at.append(self.clock())

    def _fetch(self, claim: Claim) -> bytes:
        try:
            return self._persist(lambda: self.queue.fetch(claim))
        except (Unauthorized, Forbidden) as error:
            raise LinkExpired(error.message) from None

    def _fail(self, claim: Claim, model: Model, name: str, reason: str) -> None:
        self._note(f"{name}: {reason}")
        self._persist(lambda: self.queue.fail(claim, model.version, reason))
        self.failed += 1
        self.failed_in_a_row += 1

    def _give_back(self, claims: Sequence[Claim]) -> None:
        try:
            self.queue.release(claims)
        except SpiError as error:  # their leases will end by themselves
            logger.warning("%d claims could not be given back: %s", len(claims), error.message)

    def _persist(self, call: Callable[[], Any]) -> Any:
        """Call again, with longer and longer pauses, for as long as the server is away."""
        pause_s = 1.0
        while True:
            try:
                return call()
            except SpiError as error:
                if not _may_pass(error):
                    raise
                self._note(error.message)
            if self.stopped():
                raise Stopped
            self.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _note(self, message: str) -> None:
        logger.warning("%s", message)
        self.last_error = message

    def state(self) -> State:
        """How it goes, now."""
        since = self.clock() - RATE_WINDOW_S
        while self.finished_at and self.finished_at[0] < since:
            self.finished_at.popleft()
        per_minute = len(self.finished_at) / (RATE_WINDOW_S / 60)
        version = self.model.version if self.model is not None else ""
        return State(version, self.done, self.failed, per_minute, self.last_error)


def _detect(model: Model, data: bytes, md5: str) -> list[dict[str, Any]]:
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != md5:
        raise SpiError("the stored file is not the one that was uploaded: its md5 is another")
    return model.detect(data)


def _may_pass(error: SpiError) -> bool:
    """Server errors and throttling pass; what is wrong with a request stays wrong."""
    status = error.details.get("status", error.status)
    return isinstance(error, Unavailable) or status == 429 or ("status" in error.details and status >= 500)


def _concerns_the_worker(error: Exception) -> bool:
    """Refused credentials are no fault of the picture."""
    return isinstance(error, SpiError) and error.details.get("status", error.status) in (401, 403)


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, SpiError) else f"{type(error).__name__}: {error}"
