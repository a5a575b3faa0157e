"""Lists of 50,000 pictures, links never made before, annotations, and storing them: server CPU seconds per request."""

import argparse
import tempfile
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import requests
import seeds
from measure import ADMIN, Server, report, serving

from spi_dash.clock import ISO


class Caller:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.session = requests.Session()
        self.session.auth = (requests.post(f"{server.url}/get_token", auth=ADMIN, timeout=60).json()["token"], "")

    def post(self, path: str, body: object, rows: int, calls: int = 1) -> dict[str, float]:
        """CPU and wall seconds per call; each must answer that many rows, or more: stored outlines stay."""
        cpu, wall = self.server.cpu_s(), time.perf_counter()
        for _ in range(calls):
            answer = self.session.post(f"{self.server.url}/{path}", json=body, timeout=300)
            answer.raise_for_status()
        spent = {"cpu_s": (self.server.cpu_s() - cpu) / calls, "wall_s": (time.perf_counter() - wall) / calls}
        assert len(answer.json()) >= rows, (path, len(answer.json()))
        return spent


def series(pattern: str, start: datetime = seeds.START, end: datetime | None = None) -> list[dict]:
    end = end or start + timedelta(weeks=1)
    return [{"device": pattern, "start_datetime": start.strftime(ISO), "end_datetime": end.strftime(ISO)}]


def keys(n: int) -> list[dict]:
    chosen = [divmod(i, seeds.PER_WEEK) for i in Random(n).sample(range(seeds.DEVICES * seeds.PER_WEEK), n)]
    moments = [(device, seeds.START + timedelta(seconds=12 * device) + k * seeds.EVERY) for device, k in chosen]
    return [{"device": seeds.device_name(device), "datetime": at.strftime(ISO)} for device, at in moments]


def annotation(row: dict) -> list[dict]:
    meta = {key: row[key] for key in ("device", "datetime", "md5")}
    meta |= {"algo_name": seeds.ALGORITHM, "algo_version": f"{int(time.time())}-{uuid.uuid4().hex}"}
    return [{"annotations": [seeds.outline(Random(i)) for i in range(100)], "metadata": meta}]


def measure(caller: Caller) -> dict[str, dict[str, float]]:
    start, post = seeds.START, caller.post
    found = {
        "images_50000": post("get_image_series/metadata", series("5eed%"), 50_000),
        "thumbnails_50000_first": post("get_image_series/thumbnail", series("5eed%"), 50_000),
        "thumbnails_50000_again": post("get_image_series/thumbnail", series("5eed%"), 50_000),
        "images_500": post("get_image_series/metadata", series(seeds.device_name(7)), 500, calls=20),
        "images_1_key": post("get_images/metadata", keys(1), 1, calls=100),
        "images_100_keys": post("get_images/metadata", keys(100), 100, calls=20),
        "annotations_50000": post("get_uid_annotations_series/metadata", series("5eed%"), 50_000),
        "annotations_500_all_devices": post(
            "get_uid_annotations_series/metadata", series("%", start, start + timedelta(seconds=6045)), 500, calls=5
        ),
        "annotations_3_images": post("get_uid_annotations/data", keys(3), 3, calls=20),
        "annotations_100_images": post("get_uid_annotations/data", keys(100), 100, calls=5),
    }
    rows = caller.session.post(f"{caller.server.url}/get_images/metadata", json=keys(100), timeout=60).json()
    bodies = [annotation(row) for row in rows]
    cpu, wall = caller.server.cpu_s(), time.perf_counter()
    for body in bodies:
        caller.session.post(f"{caller.server.url}/put_uid_annotations", json=body, timeout=60).raise_for_status()
    spent = {"cpu_s": caller.server.cpu_s() - cpu, "wall_s": time.perf_counter() - wall}
    return found | {"store_100_outlines": {name: value / len(bodies) for name, value in spent.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder to keep the rows in for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.data or Path(temporary)
        if not (folder / "spi.db").exists():
            folder.mkdir(parents=True, exist_ok=True)
            seeds.fill(seeds.sqlite_url(folder))
        with serving(folder) as server:
            before = server.memory_mb()
            found = measure(Caller(server))
            figures = {f"{name}_{kind}": value for name, spent in found.items() for kind, value in spent.items()}
            report(benchmark="listing", **figures, memory_start_mb=before, peak_memory_mb=server.memory_mb("VmHWM"))


if __name__ == "__main__":
    main()
