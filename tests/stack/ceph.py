"""A private Ceph RADOS Gateway: a real S3 server, for the tests that a mock cannot do. Files in memory, loopback only.

One monitor, one object store daemon and the gateway, run as root in the foreground of their own processes, so that they
can be stopped by the handles we hold.
"""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from .ports import free_port

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "openssl", "radosgw", "radosgw-admin")
START_S = 90
CAPABILITIES = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "osd.0": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "client.rgw.a": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
}


@dataclass(frozen=True)
class Rgw:
    """A running gateway."""

    host: str  # http://127.0.0.1:<port>
    tls_host: str  # https://127.0.0.1:<port>, with a certificate of its own
    certificate: Path
    access_key: str
    secret_key: str = field(repr=False)

    def client(self, access_key: str | None = None, secret_key: str | None = None):
        """A botocore client, to look at the server past our own code."""
        import botocore.session
        from botocore.config import Config

        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=self.host,
            region_name="us-east-1",
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="session")
def rgw() -> Iterator[Rgw]:
    """The gateway, started once; skipped where it is not installed, except in CI."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        reason = (
            f"no S3 server to test with: {', '.join(missing)} not found (apt-get install radosgw ceph-mon ceph-osd)"
        )
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="spi-ceph-") as folder, running(Path(folder)) as server:
        yield server


@contextmanager
def running(folder: Path) -> Iterator[Rgw]:
    """Start a cluster of one in this folder, and stop it again."""
    monitor_port, *gateway_ports = (free_port() for _ in range(3))
    rgw = Rgw(
        host=f"http://127.0.0.1:{gateway_ports[0]}",
        tls_host=f"https://127.0.0.1:{gateway_ports[1]}",
        certificate=_make_certificate(folder),
        access_key="TESTKEY0001",
        secret_key=uuid.uuid4().hex,
    )
    cluster = _Cluster(folder, monitor_port, *gateway_ports)
    with ExitStack() as daemons:
        cluster.start_monitor(daemons)
        cluster.start_store(daemons)
        cluster.start_gateway(daemons, rgw)
        yield rgw


class _Cluster:
    def __init__(self, folder: Path, monitor_port: int, port: int, tls_port: int) -> None:
        self.folder = folder
        self.fsid = str(uuid.uuid4())
        self.monitor = f"v2:127.0.0.1:{monitor_port}"
        self.conf = folder / "ceph.conf"
        self.keyring = folder / "keyring"
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()
        self.conf.write_text(self._settings(port, tls_port))
        for name, capabilities in CAPABILITIES.items():
            pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
            flags = [flag for pair in pairs for flag in ("--cap", *pair)]
            create = [] if self.keyring.exists() else ["--create-keyring"]
            self.run("ceph-authtool", *create, str(self.keyring), "--gen-key", "-n", name, *flags, configured=False)

    def start_monitor(self, daemons: ExitStack) -> None:
        monmap = str(self.folder / "monmap")
        self.run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", f"[{self.monitor}]", monmap)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", str(self.keyring))
        daemons.enter_context(self.daemon("ceph-mon", "-f", "-i", "a"))

    def start_store(self, daemons: ExitStack) -> None:
        store = str(uuid.uuid4())
        self.run("ceph", "osd", "new", store, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        self.run("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=here")
        daemons.enter_context(self.daemon("ceph-osd", "-f", "-i", "0"))

    def start_gateway(self, daemons: ExitStack, rgw: Rgw) -> None:
        process = daemons.enter_context(self.daemon("radosgw", "-f", "-n", "client.rgw.a"))
        _wait_for_answer(rgw.host, process)
        keys = (f"--access-key={rgw.access_key}", f"--secret-key={rgw.secret_key}")
        self.run("radosgw-admin", "-n", "client.rgw.a", "user", "create", "--uid=spi", "--display-name=spi", *keys)

    def run(self, program: str, *arguments: str, configured: bool = True) -> None:
        """Run one command to its end."""
        conf = ["-c", str(self.conf)] if configured else []
        result = subprocess.run(
            [program, *conf, *arguments], capture_output=True, text=True, timeout=START_S, check=False
        )
        assert result.returncode == 0, f"{program} {' '.join(arguments)}: {result.stderr[-2000:]}"

    @contextmanager
    def daemon(self, *command: str) -> Iterator[subprocess.Popen]:
        """Run one daemon in the foreground until the context ends."""
        with (self.folder / f"{command[0]}.out").open("wb") as output:
            process = subprocess.Popen([*command, "-c", str(self.conf)], stdout=output, stderr=subprocess.STDOUT)
            try:
                yield process
            finally:
                process.kill()  # what it holds is thrown away
                process.wait()

    def _settings(self, port: int, tls_port: int) -> str:
        folder = self.folder
        sections = {
            "global": {
                "fsid": self.fsid,
                "mon host": self.monitor,
                "mon initial members": "a",
                "keyring": self.keyring,
                "run dir": folder,
                "log file": f"{folder}/$name.log",
                "admin socket": f"{folder}/$name.asok",
                "pid file": f"{folder}/$name.pid",
                "mon data": folder / "mon",
                "mon data avail warn": 1,  # the disk of a test machine may be nearly full
                "mon data avail crit": 1,
                "mon allow pool size one": "true",
                "osd data": folder / "osd",
                "osd objectstore": "memstore",
                "memstore device bytes": 2 << 30,
                "osd crush chooseleaf type": 0,
                "osd pool default size": 1,
                "osd pool default min size": 1,
                "osd pool default pg num": 4,
                "public addr": "127.0.0.1",
                "cluster addr": "127.0.0.1",
            },
            "client.rgw.a": {
                "rgw data": folder / "rgw",
                "rgw frontends": f"beast endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} "
                f"ssl_certificate={folder}/cert.pem ssl_private_key={folder}/key.pem",
                "rgw thread pool size": 32,
            },
        }
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items())]
        return "\n".join(lines) + "\n"


def _make_certificate(folder: Path) -> Path:
    certificate = folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    subprocess.run([*command, *names], capture_output=True, check=True)
    return certificate


def _wait_for_answer(url: str, process: subprocess.Popen) -> None:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the gateway ended while starting"
        with suppress(URLError, ConnectionError, TimeoutError):
            opener.open(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise AssertionError(f"the gateway did not answer within {START_S} s")
