"""Kill -9 at every step of an upload: what was acknowledged is there and whole, and the rest can be uploaded again.

`spi-dash serve` runs in processes of their own, each of which kills itself at one step of its first upload. After each
death the test looks at what is left, as `spi-dash check` does, and starts the next server on the same data.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live import ADMIN, PASSWORD, pictures

from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.db import connect
from spi_dash.errors import SpiError
from spi_dash.services.check import check
from spi_dash.services.check_report import Options, Report
from spi_dash.storage import DiskStorage

# Imports the server once, and forks a `spi-dash serve` for each line on stdin: the number of the step at which it dies.
# Steps are system calls on files and calls of the database driver, counted from the first upload on; 0 is never.
LAUNCHER = """
import os, signal, sys
from sqlalchemy.engine import default
import spi_dash.app
from spi_dash.cli import main, web
from spi_dash.services import images

def count_steps(k):
    steps = []
    def step(name):
        steps.append(name)
        if len(steps) == k:
            os.kill(os.getpid(), signal.SIGKILL)
    def wrap(owner, name, counts=lambda *args: True):
        real = getattr(owner, name)
        def wrapper(*args, **kw):
            if not steps or not counts(*args):
                return real(*args, **kw)
            step("before " + name)
            result = real(*args, **kw)
            step("after " + name)
            return result
        setattr(owner, name, wrapper)
    for name in ("fsync", "rename", "replace", "unlink"):
        wrap(os, name)
    wrap(os, "write", lambda descriptor, data: len(data) > 1)  # waitress wakes itself with single bytes
    for name in ("do_begin", "do_commit", "do_execute", "do_execute_no_params"):
        wrap(default.DefaultDialect, name)
    def first_step(real):
        def wrapper(*args, **kw):
            if not steps:
                step("upload")
            return real(*args, **kw)
        return wrapper
    images.prepare_image = first_step(images.prepare_image)
    return steps

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        steps = count_steps(int(line))
        try:
            main(["serve", "--data", sys.argv[1], "--port", "0", "--no-detector"], prog_name="spi-dash")
        finally:
            print("STEPS", len(steps), flush=True)
            os._exit(0)
    print("PID", child, flush=True)
    print("ENDED", os.waitpid(child, 0)[1], flush=True)
"""


class Launcher:
    """The process that forks servers on one data directory, one at a time."""

    def __init__(self, data_dir: Path) -> None:
        environ = {**os.environ, "API_ADMIN_PASSWORD": PASSWORD, "SPI_THREADS": "2"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(data_dir)], env=environ, **pipes)

    @contextmanager
    def server(self, k: int) -> Iterator[tuple[SpiClient, int]]:
        """A client of a server that dies at step k, and the server's process id."""
        print(k, file=self.process.stdin, flush=True)
        pid = int(self.wait_for(r"PID (\d+)"))
        with SpiClient(self.wait_for(r"(http://[0-9.:]+)"), ADMIN, PASSWORD, retries=0) as client:
            yield client, pid

    def wait_for(self, pattern: str) -> str:
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError(f"the launcher ended before {pattern}")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def launcher(tmp_path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path / "data")
    yield launcher
    launcher.close()


def look(data_dir: Path, repair: bool = False) -> Report:
    """What `spi-dash check` says."""
    storage, database = DiskStorage(data_dir / "files", b"secret"), connect(f"sqlite:///{data_dir / 'spi.db'}")
    try:
        return check(
            database.begin, database.read, storage, Options(now=utcnow(), repair=repair), note=lambda problem: None
        )
    finally:
        database.engine.dispose()


def test_no_acknowledged_picture_is_lost(launcher, tmp_path):
    files = pictures(80)
    names = iter(files)
    with launcher.server(0) as (client, pid):
        first = next(names)
        client.upload_image(first, files[first])
        os.kill(pid, 15)
        n_steps = int(launcher.wait_for(r"STEPS (\d+)"))
        assert launcher.wait_for(r"ENDED (\d+)") == "0"
    assert 20 < n_steps < len(files)
    acknowledged, died = {first}, 0
    for k, name in zip(range(1, n_steps + 1), names, strict=False):
        with launcher.server(k) as (client, pid):
            try:
                client.upload_image(name, files[name])
                acknowledged.add(name)
                os.kill(pid, 9)  # it answered before its last steps, or had fewer of them
            except SpiError:
                died += 1
            assert launcher.wait_for(r"ENDED (\d+)") == "9"
        report = look(tmp_path / "data")
        assert set(report.found) <= {"stray"}, f"killed at step {k}: {report.found}"
        assert report.images >= len(acknowledged)
    assert died >= n_steps - 3
    _everything_is_there_in_the_end(launcher, tmp_path / "data", files, acknowledged)


def _everything_is_there_in_the_end(
    launcher: Launcher, data_dir: Path, files: dict[str, bytes], acknowledged: set[str]
) -> None:
    """Acknowledged pictures as they were; all others can be sent, after a repair that made rows for some."""
    with launcher.server(0) as (client, pid):
        keys = {name: {"device": name[:8], "datetime": name[9:28]} for name in files}
        links = {row["md5"]: row["url"] for row in client.get_images([keys[name] for name in acknowledged], "image")}
        assert len(links) == len(acknowledged)
        assert sorted(client.fetch(url, md5) for md5, url in links.items()) == sorted(files[n] for n in acknowledged)
        assert not look(data_dir, repair=True).left  # beside the working server
        for name, data in files.items():
            client.upload_image(name, data)
        rows = client.get_images(keys.values(), "image")
        assert sorted(client.fetch(row["url"], row["md5"]) for row in rows) == sorted(files.values())
        os.kill(pid, 15)
        launcher.wait_for(r"ENDED (\d+)")
    report = look(data_dir)
    assert (report.images, dict(report.found)) == (len(files), {})
