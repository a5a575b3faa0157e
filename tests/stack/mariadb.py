"""A private MariaDB on loopback. Test modules say `pytest_plugins = ["stack.mariadb"]` and ask for `mariadb_url`."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

START_S = 60
TOOLS = ("mariadbd", "mariadb-install-db")


@contextlib.contextmanager
def start_mariadb(folder: Path) -> Iterator[str]:
    """Run a fresh server with an empty database `spi`; gives its SQLAlchemy URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = ["--user=root"] if os.geteuid() == 0 else []  # it refuses to run as root unless told
    data = f"--datadir={folder / 'data'}"
    install = [_find("mariadb-install-db"), "--no-defaults", data, "--auth-root-authentication-method=normal"]
    subprocess.run(
        [*install, "--skip-test-db", *user], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # A path to a socket has at most 107 bytes, pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="spi-mariadb-") as short:
        path = f"{short}/s"
        options = ["--bind-address=127.0.0.1", f"--port={port}", "--character-set-server=utf8mb4", "--skip-log-bin"]
        options += ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", f"--socket={path}"]
        log = (folder / "server.log").open("w")
        command = [_find("mariadbd"), "--no-defaults", data, *user, *options]
        with log, subprocess.Popen(command, stdout=log, stderr=log) as server:
            try:
                _create_database(server, path)
                yield f"mysql+pymysql://spi:spi@127.0.0.1:{port}/spi"
            finally:
                server.kill()  # what it holds is thrown away


@pytest.fixture(scope="session")
def mariadb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; where it is not installed they are skipped, in CI they fail."""
    missing = [name for name in TOOLS if _find(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{', '.join(missing)} must be installed in CI (Debian: mariadb-server)")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: mariadb-server)")
    with start_mariadb(tmp_path_factory.mktemp("mariadb")) as url:
        yield url


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _create_database(server: subprocess.Popen[bytes], path: str) -> None:
    deadline = time.monotonic() + START_S
    while not _listens(path):  # a failed pymysql.connect() leaves its socket open
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail("mariadbd does not start, see server.log")
        time.sleep(0.05)
    connection = pymysql.connect(unix_socket=path, user="root")
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE spi")
        cursor.execute("CREATE USER spi@'127.0.0.1' IDENTIFIED BY 'spi'")
        cursor.execute("GRANT ALL ON *.* TO spi@'127.0.0.1' WITH GRANT OPTION")


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
