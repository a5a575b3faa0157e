"""A Galera cluster on loopback: nodes of MariaDB that hold the same data."""

import contextlib
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .mariadb import MariaDb, need_mariadb
from .ports import free_port

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
JOIN_S = 60


@contextlib.contextmanager
def galera_cluster() -> Iterator[list[MariaDb]]:
    """Two nodes. The second one has the majority: it goes on when the first one is gone."""
    need_mariadb()
    provider = next(filter(os.path.exists, PROVIDERS), None)
    if provider is None and os.environ.get("CI"):
        pytest.fail("Galera must be installed in CI (Debian: galera-4, which comes with mariadb-server)")
    if provider is None:
        pytest.skip("Galera is not installed (Debian: galera-4)")
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with contextlib.ExitStack() as stack:
        nodes = []
        for address, others, weight in zip(addresses, ["", addresses[0]], (1, 2), strict=True):
            short = stack.enter_context(tempfile.TemporaryDirectory(prefix="spi-galera-"))
            account = _hand_over(short)
            own = f"gmcast.listen_addr=tcp://{address};ist.recv_addr=127.0.0.1:{free_port()};pc.weight={weight}"
            options = ["--wsrep-on=ON", f"--wsrep-provider={provider}", "--binlog-format=ROW"]
            options += [f"--wsrep-node-address={address}", f"--wsrep-provider-options={own};gcache.size=16M"]
            options += ["--wsrep-sst-method=rsync", f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}"]
            options += ["--innodb-autoinc-lock-mode=2", f"--wsrep-cluster-address=gcomm://{others}"]
            node = MariaDb(Path(short), short, flush=0, account=account, options=options)
            node.start()
            stack.callback(node.kill)
            _wait_until_ready(node)
            nodes.append(node)
        nodes[0].create_database()
        yield nodes


def _hand_over(folder: str) -> str:
    """To whom the server runs as: rsync, which copies a node's data to the next one, drops what only root may."""
    if os.geteuid() != 0:
        return ""
    account = pwd.getpwnam("mysql")
    shutil.chown(folder, account.pw_uid, account.pw_gid)
    return account.pw_name


def _wait_until_ready(node: MariaDb) -> None:
    deadline = time.monotonic() + JOIN_S
    while time.monotonic() < deadline:
        with node.connect() as cursor:
            cursor.execute("SHOW STATUS LIKE 'wsrep_ready'")
            if cursor.fetchone() == ("wsrep_ready", "ON"):
                return
        time.sleep(0.1)
    pytest.fail("the node does not join, see server.log")
