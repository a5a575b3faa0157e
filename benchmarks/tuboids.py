"""The Tuboids page at scale: 50 traps, a season of 120 days, 100,000 tuboids, 150,000 labels. Prints one JSON line.

    python benchmarks/tuboids.py [--database URL] [--tuboids 100000]

The database is seeded where it has no tuboids, the same for every run, so that a second run measures at once. Without
--database: SQLite in /tmp. Each `_s` is the median and the longest answer of the page's callback without HTTP, `_kb`
its size in gzip: the whole season, its last 28 days, filtered by taxon, by trap, by both, the last page; `counts_s` are
the numbers per day and hour; `csv_s` is the file of all labels, `csv_mb` by how much the process grew meanwhile.
"""

import argparse
import dataclasses
import gzip
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import flask
import sqlalchemy as sa

from spi_dash import db
from spi_dash.app import create_app
from spi_dash.clock import LEGACY
from spi_dash.config import Config
from spi_dash.context import current
from spi_dash.models import Image, ItcLabel, TiledTuboid, TuboidSeries
from spi_dash.pages import tuboids as page
from spi_dash.services import rollups, scope, tuboid_csv, tuboid_gallery, tuboid_index

START, DAYS, TRAPS, WEEK = datetime(2025, 5, 1), 120, 50, timedelta(days=7)
ALGO, VERSION = "siamese-insect-matcher", "1600000000-" + "5eed" * 8
LABELLED = ((1, 0.9), (2, 0.6))  # versions of the classifier, and which part of the tuboids each has labelled
AUDIT = {"datetime_created": START, "api_version": "1.0.0", "api_user_id": 1}
CHUNK, REPEATS = 5000, 7
ORDERS = ("Diptera", "Hymenoptera", "Lepidoptera", "Coleoptera", "Hemiptera", "Neuroptera", "Trichoptera", "Psocoptera")
SEASON = f"?start={START:%Y-%m-%d}&end={START + timedelta(days=DAYS):%Y-%m-%d}&zone=utc"
RECENT = f"?start={START + timedelta(days=DAYS - 28):%Y-%m-%d}&end={START + timedelta(days=DAYS):%Y-%m-%d}&zone=utc"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", default="sqlite:////tmp/spi-bench-tuboids.db")
    parser.add_argument("--tuboids", type=int, default=100_000)
    arguments = parser.parse_args()
    database = db.connect(arguments.database)
    db.upgrade(database)
    figures = {"database": database.kind, **seed(database, arguments.tuboids)}
    database.engine.dispose()
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(Config.from_env({"SPI_DATA_DIR": folder}), database_url=arguments.database)
        app = create_app(config)
        with app.test_request_context("/_dash-update-component"):
            flask.g.user = None  # no project is asked for
            figures |= measure_pages() | measure_csv()
        with app.test_request_context(f"/tuboids/counts.json{SEASON}"):
            flask.g.user = None
            figures["counts_s"] = timed(page.get_counts)[0]
    print(json.dumps(figures))


def measure_pages() -> dict[str, float | list[float]]:
    """The callback of the page, as it is called by the browser."""
    trap, taxon = "trap=5eed0007", "taxon=Insecta/Diptera"
    searches = {
        "season": SEASON,
        "recent": RECENT,
        "taxon": f"{SEASON}&{taxon}",
        "trap": f"{SEASON}&{trap}",
        "both": f"{SEASON}&{taxon}&{trap}",
        "unlabelled": f"{SEASON}&taxon=-",
        "last_page": f"{SEASON}&page=999999",
    }
    figures: dict[str, float | list[float]] = {}
    for name, search in searches.items():
        seconds, answer = timed(lambda search=search: page.show_tuboids({"search": search}))
        figures[f"{name}_s"] = seconds
        figures[f"{name}_kb"] = round(len(gzip.compress(json.dumps(answer[1]).encode(), 2)) / 1000)
    return figures


def measure_csv() -> dict[str, float]:
    """The whole file, read piece by piece."""
    spi = current()
    with spi.read() as session:
        query = scope.parse(SEASON)
        view = tuboid_gallery.make_view(SEASON, query, scope.resolve(session, query, START))
        before = memory_mb("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is forgotten
        began = time.perf_counter()
        lines = sum(piece.count(b"\n") for piece in tuboid_csv.write_csv(session, view))
        took = time.perf_counter() - began
    return {"csv_s": round(took, 2), "csv_lines": lines, "csv_mb": round(memory_mb("VmHWM") - before, 1)}


def timed(call: Callable) -> tuple[list[float], object]:
    """Median and longest of some calls, after one that fills the caches; and the last answer."""
    answer, seconds = call(), []
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - began)
    return [round(statistics.median(seconds), 3), round(max(seconds), 3)], answer


def memory_mb(what: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def seed(database: db.Database, n_tuboids: int) -> dict[str, float]:
    """Rows of a season straight into the tables, in the order in which a lab would send them."""
    with database.read() as session:
        if session.scalar(sa.select(TiledTuboid.id).limit(1)) is not None:
            return {}
    began = time.perf_counter()
    for table, rows in (
        (Image, image_rows()),
        (TuboidSeries, series_rows(n_tuboids)),
        (TiledTuboid, tuboid_rows(n_tuboids)),
        (ItcLabel, label_rows(n_tuboids)),
    ):
        for chunk in chunks(rows):
            with database.begin() as session:
                session.execute(sa.insert(table.__table__), chunk)
    seeded = time.perf_counter()
    rollups.refresh(database.begin, database.read, for_s=600)
    refreshed = time.perf_counter()
    tuboid_index.refresh(database.begin, database.read, for_s=600)
    return {"tuboids": n_tuboids, "seed_s": round(seeded - began, 1),
            "first_index_s": round(time.perf_counter() - refreshed, 1)}  # fmt: skip


def device_name(trap: int) -> str:
    return f"{0x5EED0000 + trap:08x}"


def series_start(week: int) -> datetime:
    return START + week * WEEK


def image_rows() -> Iterator[dict]:
    """A picture per trap and day: enough to know where the traps are."""
    common = {**AUDIT, "md5": "0" * 32, "width": 2592, "height": 1944, "lat": 49.2, "lng": -123.1}
    for trap in range(TRAPS):
        for day in range(DAYS):
            yield {**common, "device": device_name(trap), "datetime": START + timedelta(days=day)}


def series_rows(n_tuboids: int) -> Iterator[dict]:
    weeks = -(-DAYS // 7)
    for trap in range(TRAPS):
        for week in range(weeks):
            start = series_start(week)
            yield {**AUDIT, "id": 1 + trap * weeks + week, "device": device_name(trap), "start_datetime": start,
                   "end_datetime": start + WEEK, "n_images": 504, "n_tuboids": n_tuboids, "algo_name": ALGO,
                   "algo_version": VERSION}  # fmt: skip


def tuboid_rows(n_tuboids: int) -> Iterator[dict]:
    weeks = -(-DAYS // 7)
    for number in range(n_tuboids):
        choice = random.Random(number)
        trap, day = number % TRAPS, choice.randrange(DAYS)
        at = START + timedelta(days=day, seconds=1200 * choice.randrange(72))
        series = series_start(day // 7)
        name = (
            f"{device_name(trap)}.{series.strftime(LEGACY)}.{(series + WEEK).strftime(LEGACY)}.{VERSION}.{number:06d}"
        )
        yield {**AUDIT, "id": number + 1, "parent_series_id": 1 + trap * weeks + day // 7, "tuboid_id": name,
               "id_in_series": number, "start_datetime": at, "end_datetime": at + timedelta(hours=12),
               "n_shots": choice.randint(3, 72)}  # fmt: skip


def label_rows(n_tuboids: int) -> Iterator[dict]:
    """Sixty-four species of eight orders; the second version labels after the first."""
    for version, part in LABELLED:
        for number in range(n_tuboids):
            choice = random.Random(version * 10_000_000 + number)
            if choice.random() >= part:
                continue
            order, family, species = choice.choice(ORDERS), choice.randrange(4), choice.randrange(2)
            yield {**AUDIT, "parent_tuboid_id": number + 1, "algo_name": "insect-tuboid-classifier",
                   "algo_version": f"{version}-{VERSION}"[:46], "label": 8 * family + species,
                   "pattern": rf"Insecta\.{order}\.*", "type": "Insecta", "order": order,
                   "family": f"{order[:6]}idae {family}", "genus": f"{order[:4]}us {family}",
                   "species": f"communis {species}" if species else None}  # fmt: skip


def chunks(rows: Iterator[dict]) -> Iterator[list[dict]]:
    chunk: list[dict] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


if __name__ == "__main__":
    main()
