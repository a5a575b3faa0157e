"""Pictures per minute of the whole sidecar, through the API of a server on the same machine. Prints one JSON line.

    python benchmarks/sidecar.py [--images 30] [--threads N] [--workers 1]

Drawn cards of 2592x1944 pixels. From the first annotation to the last, so that reading PyTorch is not counted; the
memory is the highest of one sidecar.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from measure import ADMIN, report, serving

from spi_dash.client import SpiClient
from spi_dash.demo import demo_pictures

START = datetime(2022, 6, 1, 10)
EVER = (datetime(2000, 1, 1), datetime(2100, 1, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    with serving() as server, SpiClient(server.url, *ADMIN) as client, contextlib.ExitStack() as stack:
        pictures = demo_pictures(1, 1, START, START + timedelta(days=60))
        for (name, data, _), _ in zip(pictures, range(arguments.images), strict=False):
            client.upload_image(name, data)
        workers = [stack.enter_context(sidecar(server.url, arguments.threads)) for _ in range(arguments.workers)]
        before_s = server.cpu_s()
        seconds, per_minute, insects = wait(client, arguments.images)
        report(
            benchmark="sidecar",
            images=arguments.images,
            threads=arguments.threads,
            workers=arguments.workers,
            seconds=seconds,
            images_per_minute=per_minute,
            insects=insects,
            server_cpu_s_per_image=(server.cpu_s() - before_s) / arguments.images,
            peak_mb=max(peak_mb(worker) for worker in workers),
        )


@contextlib.contextmanager
def sidecar(url: str, threads: int):
    """`spi-dash detector run`, ended when the block is left."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-m", "spi_dash", "detector", "run", "--url", url, "--user", ADMIN[0]]
        command += ["--threads", str(threads), "--bundle-cache", cache]
        process = subprocess.Popen(command, env=os.environ | {"SPI_PASSWORD": ADMIN[1]}, stderr=subprocess.DEVNULL)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def wait(client: SpiClient, images: int) -> tuple[float, float, int]:
    """Until all are annotated: seconds since the first, images per minute, insects found."""
    first_at, first = 0.0, 0
    while True:
        rows = client.get_uid_annotations_series("%", *EVER, "metadata")
        if rows and not first:
            first_at, first = time.perf_counter(), len(rows)
        if len(rows) >= images:
            seconds = time.perf_counter() - first_at
            return seconds, 60 * (len(rows) - first) / seconds, sum(row["n_objects"] for row in rows)
        time.sleep(0.5)


def peak_mb(process: subprocess.Popen) -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
