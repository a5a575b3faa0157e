"""Keeps this server alive while one that it asks, for rows or files, hangs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .errors import Unavailable

SPARE_THREADS = 2  # for what needs no answer of the other server
SLOW_S = 2.0  # a failure that came sooner cost nobody anything
PAUSE_S = 3.0  # nobody asks for so long, then one may try
RETRY_AFTER_S = 5


class Breaker:
    """A bulkhead and a circuit breaker around the calls of one other server.

    At most `places` threads wait for it at a time. Who finds no place waits while answers come, and is refused when
    there was none for `still_s`: slow work is not cut, and a server that hangs does not take all threads. When the time
    of a call is up, all others are refused at once; every few seconds one of them may try.

    `before`: the one of a server that is asked first, as a database in whose transaction files are written. Who waits
    here does not wait there: else that one would be said to hang, too.
    """

    def __init__(
        self,
        what: str,
        threads: int,
        still_s: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
        before: "Breaker | None" = None,
    ) -> None:
        self._before = before
        self._message = f"{what} does not answer"
        self._places = max(1, threads - SPARE_THREADS)
        self._still_s, self._clock = still_s, clock
        self._changed = threading.Condition()
        self._began: dict[Call, float] = {}  # calls under way
        self._answered_at = float("-inf")
        self._closed_until: float | None = None  # None: all is well
        self._trial: Call | None = None
        self._mine = threading.local()

    @contextmanager
    def call(self, failure: type[Unavailable]) -> Iterator["Call"]:
        """Ask the other server inside; `failure` is what says that it did not answer, everything else is an answer.

        A call inside of another one, by the same thread, is part of that.

        Raises:
            Unavailable: it hangs, as others have found out, or all places were taken for too long.
        """
        if getattr(self._mine, "call", None) is not None:
            yield self._mine.call
            return
        if self._before is not None:
            self._before.answered()
        call = self._mine.call = self._enter()
        try:
            yield call
        except failure:
            self._leave(call, answered=False)
            raise
        except BaseException:
            self._leave(call, answered=True)
            raise
        else:
            self._leave(call, answered=True)
        finally:
            self._mine.call = None

    def answered(self) -> None:
        """The call of this thread has its answer; what it does with that may take as long as it likes."""
        call = getattr(self._mine, "call", None)
        if call is not None:
            self._leave(call, answered=True)

    def _enter(self) -> "Call":
        with self._changed:
            while self._closed_until is None and len(self._began) >= self._places:
                if self._clock() - max(self._answered_at, min(self._began.values())) >= self._still_s:
                    raise self._refusal()
                self._changed.wait(0.1)
            call = Call()
            if self._closed_until is not None:
                if self._trial is not None or self._clock() < self._closed_until:
                    raise self._refusal()
                self._trial = call
            self._began[call] = self._clock()
            return call

    def _leave(self, call: "Call", answered: bool) -> None:
        with self._changed:
            began = self._began.pop(call, None)
            if began is None:  # it had its answer long ago
                return
            now = self._clock()
            if answered:
                self._answered_at, self._closed_until = now, None
            elif call is self._trial or (now - began >= SLOW_S and self._answered_at < began):
                self._closed_until = now + PAUSE_S
            if call is self._trial:
                self._trial = None
            self._changed.notify_all()

    def _refusal(self) -> Unavailable:
        return Unavailable(self._message, retry_after_s=RETRY_AFTER_S)


class Call:
    """One call under way."""
