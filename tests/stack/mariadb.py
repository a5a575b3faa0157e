"""A private MariaDB on loopback. Test modules say `pytest_plugins = ["stack.mariadb"]` and ask for `mariadb_url`."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pymysql
import pytest

from .ports import free_port

START_S = 60
MEMORY_BYTES = 2 << 30  # a server takes 200 MB, and what tests put in
TOOLS = ("mariadbd", "mariadb-install-db")


class MariaDb:
    """A fresh server, not started; it can be killed and started again on the same port and data.

    Args:
        short: a folder with a short name.
        flush: 1, or 0 where what a killed server held is thrown away.
        account: as whom it runs where root starts it.
        options: more of its command line.
    """

    def __init__(
        self, folder: Path, short: str, flush: int = 1, account: str = "root", options: Sequence[str] = ()
    ) -> None:
        self.port = free_port()
        self.url = f"mysql+pymysql://spi:spi@127.0.0.1:{self.port}/spi"
        self._log = folder / "server.log"
        self._socket = f"{short}/s"
        user = [f"--user={account}"] if os.geteuid() == 0 else []  # it refuses to run as root unless told
        data = f"--datadir={folder / 'data'}"
        install = [_find("mariadb-install-db"), "--no-defaults", data, "--auth-root-authentication-method=normal"]
        subprocess.run(
            [*install, "--skip-test-db", *user], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        ours = ["--bind-address=127.0.0.1", f"--port={self.port}", "--character-set-server=utf8mb4", "--skip-log-bin"]
        ours += ["--innodb-buffer-pool-size=64M", f"--innodb-flush-log-at-trx-commit={flush}"]
        ours += [f"--tmpdir={short}"]  # a server that starts deletes the temporary tables of others in the same one
        mine = [data, *user, *ours, f"--socket={self._socket}", *options]
        self._command = [_find("mariadbd"), "--no-defaults", *mine]

    def start(self) -> None:
        """Run it; returns when it listens."""
        with self._log.open("a") as log:
            self._server = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while not _listens(self._socket):  # a failed pymysql.connect() leaves its socket open
            if self._server.poll() is not None or time.monotonic() > deadline:
                pytest.fail("mariadbd does not start, see server.log")
            time.sleep(0.05)

    def kill(self) -> None:
        self._server.kill()
        self._server.wait()

    def create_database(self) -> None:
        """The empty database `spi`, and the account of the same name."""
        with self.connect() as cursor:
            cursor.execute("CREATE DATABASE spi")
            cursor.execute("CREATE USER spi@'127.0.0.1' IDENTIFIED BY 'spi'")
            cursor.execute("GRANT ALL ON *.* TO spi@'127.0.0.1' WITH GRANT OPTION")

    @contextlib.contextmanager
    def connect(self) -> Iterator[pymysql.cursors.Cursor]:
        """As root, past the network."""
        connection = pymysql.connect(unix_socket=self._socket, user="root", autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor


@contextlib.contextmanager
def mariadb_server(folder: Path, flush: int = 1) -> Iterator[MariaDb]:
    """Run a server of its own, which keeps what was committed when it is killed."""
    # A path to a socket has at most 107 bytes, pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="spi-mariadb-") as short:
        server = MariaDb(folder, short, flush)
        server.start()
        try:
            server.create_database()
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def mariadb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; where it is not installed they are skipped, in CI they fail."""
    need_mariadb()
    with _fast_folder(tmp_path_factory.mktemp("mariadb")) as folder, mariadb_server(folder, flush=0) as server:
        yield server.url


@contextlib.contextmanager
def _fast_folder(otherwise: Path) -> Iterator[Path]:
    """In memory where there is room: tables are made and changed three times as fast."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < MEMORY_BYTES:
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="spi-mariadb-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A server that one test may stop and start."""
    need_mariadb()
    with mariadb_server(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


def need_mariadb() -> None:
    missing = [name for name in TOOLS if _find(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{', '.join(missing)} must be installed in CI (Debian: mariadb-server)")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: mariadb-server)")


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
