"""The way in as in production: nginx from the template and script of the image, names that lead to several servers."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from live import PASSWORD

from .ports import free_port

ROOT = Path(__file__).parents[2]
DOMAIN = "lab.test"
START_S = 60


@dataclass(frozen=True)
class Nginx:
    folder: Path
    http_port: int
    https_port: int

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """curl as people type it; only where names and ports lead is ours."""
        ports = {80: self.http_port, 443: self.https_port}
        lead = [word for port, ours in ports.items() for word in ("--connect-to", f":{port}:127.0.0.1:{ours}")]
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *lead]
        return subprocess.run(
            [*command, "--cacert", self.folder / "fullchain.pem", *arguments], capture_output=True, text=True
        )

    def is_up(self) -> bool:
        """Not only tried out by `nginx -t`, which listens for a moment, too."""
        pid = self.folder / "run" / "nginx.pid"
        return pid.exists() and pid.stat().st_size > 0

    @property
    def access_log(self) -> str:
        return (self.folder / "access.log").read_text()

    @property
    def error_log(self) -> str:
        return (self.folder / "error.log").read_text()


def require_nginx() -> None:
    missing = [name for name in ("nginx", "envsubst", "curl") if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{', '.join(missing)} must be installed in CI")
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@contextlib.contextmanager
def names(addresses: list[str]) -> Iterator[str]:
    """A name server as Docker's: every name has these addresses. Gives its own."""
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    query, client = listener.recvfrom(512)
                    question = query[12 : query.index(0, 12) + 5]
                    answers = [
                        struct.pack("!HHHIH4s", 0xC00C, 1, 1, 1, 4, socket.inet_aton(address)) for address in addresses
                    ]
                    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(answers), 0, 0)
                    listener.sendto(head + question + b"".join(answers), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def server_process(data: Path, host: str, port: int, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`spi-dash serve`, as in a container."""
    environ = {**os.environ, "API_ADMIN_PASSWORD": PASSWORD, "SPI_TRUSTED_PROXY": "127.0.0.1", "SPI_THREADS": "4"}
    environ |= variables
    command = [sys.executable, "-m", "spi_dash", "serve", "--data", str(data), "--host", host, "--port", str(port)]
    log = (data.parent / f"{host}.log").open("w")
    with (
        log,
        subprocess.Popen(
            [*command, "--no-detector"], env=environ, stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            assert str(port) in server.stdout.readline(), (data.parent / f"{host}.log").read_text()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def start_nginx(upstream: str, resolver: str = "127.0.0.1:9", **environ: str) -> Iterator[Nginx]:
    """Run docker/nginx.sh with a certificate of our own making, in a folder that its workers, not root, can enter."""
    with tempfile.TemporaryDirectory(prefix="spi-nginx-") as name:
        nginx = Nginx(Path(name), free_port(), free_port())
        nginx.folder.chmod(0o755)
        make_certificate(nginx.folder)
        settings = {
            "ROOT_DOMAIN_NAME": DOMAIN,
            "NGINX_RUN_DIR": f"{name}/run",
            "NGINX_ACCESS_LOG": f"{name}/access.log",
            "NGINX_CERTIFICATES": name,
            "NGINX_ACME_DIR": f"{name}/acme",
            "NGINX_RESOLVER": resolver,
            "NGINX_HTTP_PORT": str(nginx.http_port),
            "NGINX_HTTPS_PORT": str(nginx.https_port),
            "NGINX_TEMPLATE": str(ROOT / "nginx.conf"),
            "SPI_DASH_UPSTREAM": upstream,
            "S3_UPSTREAM": upstream,
        }
        log = (nginx.folder / "error.log").open("w")
        command = ["sh", str(ROOT / "docker" / "nginx.sh")]
        with (
            log,
            subprocess.Popen(
                command, env={**os.environ, **settings, **environ}, stderr=log, start_new_session=True
            ) as process,
        ):
            try:
                wait_for(nginx.is_up, process, nginx)
                yield nginx
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # its session: nginx, its workers and the loop that reloads


def make_certificate(folder: Path) -> None:
    for old in folder.glob("*.pem"):
        old.unlink()
    subprocess.run(["sh", ROOT / "docker" / "self-signed.sh", DOMAIN, folder], check=True)


def wait_for(happened, process: subprocess.Popen, nginx: Nginx) -> None:
    deadline = time.monotonic() + START_S
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline, nginx.error_log
        time.sleep(0.05)
