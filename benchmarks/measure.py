"""What the benchmarks share: a server of our own in another process, and the CPU time and memory it takes."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

ADMIN = ("admin", "benchmark password")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    url: str
    data_dir: Path
    process: subprocess.Popen

    def cpu_s(self) -> float:
        """User and system seconds of the server process since its start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def memory_mb(self, what: str = "VmRSS") -> float:
        """Resident memory now, or at its highest (VmHWM)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


@contextlib.contextmanager
def serving(data_dir: Path | None = None, **variables: str) -> Iterator[Server]:
    """`spi-dash serve` with the embedded default, on a free port, ended when the block is left."""
    with contextlib.ExitStack() as stack:
        folder = data_dir or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = _free_port()
        secrets = {
            "API_ADMIN_PASSWORD": ADMIN[1],
            "UID_PASSWORD": ADMIN[1],
            "SECRET_API_KEY": "benchmark key, not secret",
        }
        command = [
            sys.executable,
            "-m",
            "spi_dash",
            "serve",
            "--data",
            str(folder),
            "--port",
            str(port),
            "--no-detector",
        ]
        process = subprocess.Popen(command, env=os.environ | secrets | variables, stdout=subprocess.DEVNULL)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        server = Server(f"http://127.0.0.1:{port}", folder, process)
        _wait(server)
        yield server


def report(**figures: object) -> None:
    """One JSON line, numbers with four digits."""
    print(
        json.dumps(
            {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in figures.items()}
        )
    )


def _wait(server: Server, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{server.url}/healthz", timeout=5).ok:
                return
        if server.process.poll() is not None:
            raise SystemExit("the server did not start")
        time.sleep(0.1)
    raise SystemExit("the server did not answer in time")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
