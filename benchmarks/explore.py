"""Explore at scale: 50 traps x 1 year x every 20 minutes, all annotated. Prints one JSON line.

    python benchmarks/explore.py [--database URL] [--devices 50] [--days 365] [--browser]

The database is seeded where it is empty, so that a second run measures at once. Without --database: SQLite in /tmp.
`s` is the answer of the page's callback without HTTP, `kb` its size in gzip. With --browser, Chromium (CHROMIUM or
/usr/bin/chromium) opens the page: seconds from a changed range to the answer, and to the plots painted.
"""

import argparse
import contextlib
import dataclasses
import gzip
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa
import waitress

from spi_dash import db
from spi_dash.app import create_app
from spi_dash.clock import utcnow
from spi_dash.config import Config
from spi_dash.figures import rows as figure
from spi_dash.models import Image, UidAnnotation
from spi_dash.services import explore, rollups, scope, users

START = datetime(2025, 3, 1)
STEP_S = 1200
CHUNK = 20_000
CHANGE_RANGE = """async ([start, end]) => {
    const began = performance.now(), held = spi.explore.data, frame = () => new Promise(requestAnimationFrame);
    performance.clearResourceTimings();
    spi.scope.go({start, end});
    while (spi.explore.data === held) await new Promise((done) => setTimeout(done, 2));
    const answered = performance.now();
    await frame();
    await frame();
    const asked = performance.getEntriesByType("resource").filter(({name}) => name.includes("_dash-update"));
    const bytes = asked.reduce((sum, {transferSize}) => sum + transferSize, 0);
    return [(answered - began) / 1000, (performance.now() - began) / 1000, bytes / 1000];
}"""
ALGO = {"algo_name": "bench", "algo_version": "1.0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="sqlite:////tmp/spi-bench-explore.db")
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--browser", action="store_true")
    arguments = parser.parse_args()
    database = db.connect(arguments.database)
    db.upgrade(database)
    figures = {"database": database.engine.dialect.name, "devices": arguments.devices, "days": arguments.days}
    figures |= seed(database, arguments.devices, arguments.days)
    end = START + timedelta(days=arguments.days)
    ranges = {f"{days}d": (end - timedelta(days=days), end) for days in (1, 7, 28, arguments.days)}
    for name, (start, _) in ranges.items():
        figures[name] = measure(database, start, end)
    if arguments.browser:
        figures["browser"] = measure_in_browser(arguments.database, ranges)
    print(json.dumps(figures))


def measure(database: db.Database, start: datetime, end: datetime, repeats: int = 7) -> dict:
    """Time and size of one answer, as the page's callback makes it."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        rollups.refresh(database.begin, database.read)
        with database.read() as session:
            wanted = scope.resolve(
                session, scope.parse(f"?start={start:%Y-%m-%dT%H:%MZ}&end={end:%Y-%m-%dT%H:%MZ}"), end
            )
            answer = figure.draw_rows(explore.list_rows(session, wanted))
        seconds.append(time.perf_counter() - began)
    packed = gzip.compress(json.dumps(answer).encode(), 2)
    return {
        "s": round(statistics.median(seconds), 3),
        "max_s": round(max(seconds), 3),
        "kb": round(len(packed) / 1000),
        "bucket_s": answer[0]["bucket"],
    }


def measure_in_browser(database_url: str, ranges: dict[str, tuple[datetime, datetime]]) -> dict:
    """Seconds and kB on the wire per changed range: median of three."""
    from playwright.sync_api import sync_playwright

    with serve(database_url) as (url, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/sign-in?next=/%3Fstart%3D2025-03-01%26end%3D2025-03-01")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_selector(".row canvas")
        runs: dict[str, list] = {name: [] for name in ranges}
        for _ in range(3):
            for name, (start, end) in ranges.items():
                page.wait_for_timeout(1500)
                runs[name].append(page.evaluate(CHANGE_RANGE, [f"{start:%Y-%m-%dT%H:%MZ}", f"{end:%Y-%m-%dT%H:%MZ}"]))
        browser.close()
    return {
        name: [round(statistics.median(each), 3) for each in zip(*found, strict=True)] for name, found in runs.items()
    }


@contextlib.contextmanager
def serve(database_url: str) -> Iterator[tuple[str, str]]:
    """A server in a thread: its address, and the admin's password."""
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(Config.from_env({"SPI_DATA_DIR": folder}), database_url=database_url)
        database = db.connect(database_url)
        db.upgrade(database)
        with database.begin() as session:
            now = utcnow()
            users.ensure_start_users(session, [("admin", config.admin_password)], now)
            users.set_password(session, users.find_user_by_name(session, "admin").id, config.admin_password, now)
        server = waitress.create_server(create_app(config), host="127.0.0.1", port=0, threads=8)
        threading.Thread(target=server.run, daemon=True).start()
        yield f"http://127.0.0.1:{server.effective_port}", config.admin_password
        server.close()


def seed(database: db.Database, n_devices: int, n_days: int) -> dict[str, float]:
    """Rows with believable weather and growing catches; returns how long it took."""
    with database.read() as session:
        if session.scalar(sa.select(Image.id).limit(1)) is not None:
            return {}
    began = time.perf_counter()
    images, annotations = sa.insert(Image.__table__), sa.insert(UidAnnotation.__table__)
    for chunk in _chunks(_seed_rows(n_devices, n_days)):
        with database.begin() as session:
            session.execute(images, [image for image, _ in chunk])
            session.execute(annotations, [annotation for _, annotation in chunk])
    seeded = time.perf_counter()
    rollups.refresh(database.begin, database.read, for_s=3600)
    return {"seed_s": round(seeded - began, 1), "first_refresh_s": round(time.perf_counter() - seeded, 1)}


def _chunks(rows: Iterator) -> Iterator[list]:
    chunk = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _seed_rows(n_devices: int, n_days: int) -> Iterator[tuple[dict, dict]]:
    steps = np.arange(n_days * 86_400 // STEP_S)
    hours = steps * STEP_S / 3600
    image_id = 0
    for index in range(n_devices):
        noise = np.random.default_rng(index)
        season = 12 * np.sin((hours / 8760 - 0.1) * 2 * np.pi)
        day = np.sin((hours % 24 - 15) / 24 * 2 * np.pi)
        temp = np.round(10 + season + 7 * day + noise.normal(0, 1, len(steps)), 1).tolist()
        hum = np.round(np.clip(72 - 20 * day + noise.normal(0, 4, len(steps)), 0, 100), 1).tolist()
        lum = np.round(np.clip(2.5 + 2 * day, 0.5, 4) + noise.normal(0, 0.1, len(steps)), 2).tolist()
        found = (hours % 504 / 8 + noise.integers(0, 5, len(steps))).astype(int).tolist()
        audit = {"api_version": "1.0.0", "api_user_id": 1}
        for step in steps.tolist():
            image_id += 1
            taken_at = START + timedelta(seconds=step * STEP_S + 12 * index)
            image = {
                "id": image_id, "datetime_created": taken_at, **audit, "device": f"{0x5EED0000 + index:08x}",
                "datetime": taken_at, "md5": "0" * 32, "device_version": "1.0.0", "width": 2592, "height": 1944,
                "alt": 20, "lat": 49.2, "lng": -123.1, "temp": temp[step], "hum": hum[step], "lum": lum[step],
                "bat": 80, "but": False,
            }  # fmt: skip
            n_objects = found[step]
            yield image, {
                "datetime_created": taken_at, **audit, "parent_image_id": image_id, **ALGO, "n_objects": n_objects,
                "json": '{"annotations":[]}',
            }  # fmt: skip


if __name__ == "__main__":
    main()
