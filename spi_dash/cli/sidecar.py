"""The insect detector beside a server: a process of its own, started again when it dies."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from .detector import EXTRA

if TYPE_CHECKING:
    from ..config import Config

logger = logging.getLogger(__name__)

NICE = 10  # people and devices come first
FIRST_PAUSE_S, MAX_PAUSE_S = 2.0, 300.0
STEADY_S = 600.0  # a detector that ran for so long starts again soon
STOP_WITHIN_S = 15.0  # to finish a picture and give back the others
LOOK_EVERY_S = 0.2


def is_installed() -> bool:
    """Whether what the detector needs is there."""
    return all(find_spec(name) is not None for name in EXTRA)


def start_detector(config: "Config", url: str, asked: threading.Event, wake: Callable[[], None]) -> threading.Event:
    """Run the detector beside the server at `url` until `asked` is set.

    Returns:
        An event that is set, and `wake` called, when the detector has ended after that: it gives its pictures back, so
        the server must be there until then. Without PyTorch it is `asked`, and a sentence says how to install it.
    """
    if not is_installed():
        click.echo(
            "No insect detector: pip install 'spi-dash[detector]' adds it. The server goes on without.", err=True
        )
        return asked
    ended = threading.Event()
    environ = {**os.environ, "SPI_PASSWORD": config.uid_password}

    def supervise() -> None:
        try:
            keep_running(make_command(config, url), environ, asked)
        except Exception:
            logger.exception("the detector is not watched any more")
            asked.wait()
        finally:
            ended.set()
            wake()

    threading.Thread(target=supervise, name="detector", daemon=True).start()
    return ended


def make_command(config: "Config", url: str) -> list[str]:
    """The command line of the detector; the password is not on it."""
    threads = max(1, (os.cpu_count() or 1) - 1)
    command = [sys.executable, "-m", "spi_dash", "detector", "run", "--url", url, "--user", config.uid_user]
    return [*command, "--threads", str(threads), "--bundle-cache", str(config.data_dir / "detector"), "--with-parent"]


def keep_running(
    command: Sequence[str], environ: dict[str, str], asked: threading.Event, first_pause_s: float = FIRST_PAUSE_S
) -> None:
    """Start the process again, with longer and longer pauses, whenever it ends; end it when asked."""
    pause_s = first_pause_s
    while not asked.is_set():
        began = time.monotonic()
        process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL)
        os.setpriority(os.PRIO_PROCESS, process.pid, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
        while process.poll() is None and not asked.wait(LOOK_EVERY_S):
            pass
        if asked.is_set():
            _end(process)
            return
        if time.monotonic() - began >= STEADY_S:
            pause_s = first_pause_s
        logger.warning("the detector %s; it starts again in %g s", _ending(process.returncode), pause_s)
        asked.wait(pause_s)
        pause_s = min(2 * pause_s, MAX_PAUSE_S)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        logger.warning("the detector did not end in %g s and was killed", STOP_WITHIN_S)
        process.kill()
        process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}, its reason is above"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (", maybe because memory ran out" if name == "SIGKILL" else "")
