"""Uploads of one picture each, over 1, 4 and 8 connections: CPU seconds of the server per picture, pictures per second.

python benchmarks/ingest.py [FOLDER_OF_PICTURES]: real pictures where there are some, else drawn ones of the same size.
"""

import hashlib
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import requests
from measure import ADMIN, Server, report, serving

from spi_dash.clock import LEGACY
from spi_dash.demo.pictures import picture
from spi_dash.demo.traps import make_traps

PICTURES = 48
local = threading.local()


def contents(folder: Path) -> list[bytes]:
    files = sorted(folder.rglob("*.jpg"))
    if files:
        return [file.read_bytes() for file in files if file.stat().st_size > 1_500_000] or [files[0].read_bytes()]
    trap = make_traps(1, 1)[0]
    return [picture(trap, datetime(2022, 6, 1) + timedelta(hours=hour), (2592, 1944))[1] for hour in (4, 12)]


def upload(server: Server, token: str, name: str, data: bytes) -> bool:
    if not hasattr(local, "session"):
        local.session = requests.Session()
    response = local.session.post(
        f"{server.url}/_put_new_images", files={name: (name, data, "image/jpeg")}, auth=(token, ""), timeout=60
    )
    return response.ok and response.json()[0]["md5"] == hashlib.md5(data, usedforsecurity=False).hexdigest()


def main() -> None:
    pictures = contents(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/images"))
    figures: dict[str, object] = {"benchmark": "ingest", "mean_mb": sum(map(len, pictures)) / len(pictures) / 1e6}
    with serving() as server:
        token = requests.post(f"{server.url}/get_token", auth=ADMIN, timeout=60).json()["token"]
        for connections in (1, 4, 8):
            device, start = uuid.uuid4().hex[:8], datetime(2022, 1, 1)
            jobs = [
                (f"{device}.{start + timedelta(minutes=20 * i):{LEGACY}}.jpg", pictures[i % len(pictures)])
                for i in range(PICTURES)
            ]
            cpu, wall = server.cpu_s(), time.perf_counter()
            with ThreadPoolExecutor(connections) as pool:
                good = sum(pool.map(lambda job: upload(server, token, *job), jobs))
            figures[f"x{connections}_per_s"] = good / (time.perf_counter() - wall)
            figures[f"x{connections}_cpu_s"] = (server.cpu_s() - cpu) / max(good, 1)
            figures[f"x{connections}_failed"] = PICTURES - good
        figures["memory_mb"] = server.memory_mb()
        figures["peak_memory_mb"] = server.memory_mb("VmHWM")
    report(**figures)


if __name__ == "__main__":
    main()
