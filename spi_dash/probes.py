"""Questions that may hang, asked with a limit."""

import threading
from collections.abc import Callable

from .errors import SpiError

LIMIT_S = 4.0


class Probe:
    """One question, asked in a thread of its own; while an old one still hangs, no new one is begun."""

    def __init__(self, ask: Callable[[], None]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._done: threading.Event | None = None
        self._reason = ""

    def failure(self, limit_s: float = LIMIT_S) -> str:
        """Why it fails; "" if all is well."""
        with self._lock:
            if self._done is None:
                self._done = threading.Event()
                threading.Thread(target=self._run, args=(self._done,), name="probe", daemon=True).start()
            done = self._done
        if not done.wait(limit_s):
            return f"no answer within {limit_s:g} s"
        return self._reason

    def _run(self, done: threading.Event) -> None:
        try:
            self._ask()
            self._reason = ""
        except SpiError as error:
            self._reason = error.message
        except Exception as error:  # it is an answer, too: not ready
            self._reason = type(error).__name__
        with self._lock:
            self._done = None
        done.set()
