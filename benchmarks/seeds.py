"""Rows for benchmarks: 100 devices x 500 pictures per week, annotations of the first week, the same for every run."""

import hashlib
import json
import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from spi_dash import db
from spi_dash.clock import LEGACY
from spi_dash.models import Image, UidAnnotation

START = datetime(2021, 6, 7)
DEVICES, PER_WEEK, EVERY = 100, 500, timedelta(seconds=1209)
ALGORITHM, VERSION = "universal-insect-detector", "1600000000-" + "5eed" * 8
BATCH = 2000


def device_name(number: int) -> str:
    return f"{0x5EED0000 + number:08x}"


def fill(url: str, weeks: int = 1, annotated_weeks: int = 1) -> None:
    """Write the rows straight into the tables of an empty database."""
    database = db.connect(url)
    db.upgrade(database)
    with database.begin() as session:
        for batch in _batches(image_rows(weeks)):
            session.execute(sa.insert(Image), batch)
        ids = {
            (device, at): key for key, device, at in session.execute(sa.select(Image.id, Image.device, Image.datetime))
        }
        for batch in _batches(annotation_rows(annotated_weeks, ids)):
            session.execute(sa.insert(UidAnnotation), batch)
    database.engine.dispose()


def image_rows(weeks: int) -> Iterator[dict]:
    for number in range(weeks * DEVICES * PER_WEEK):
        week, rest = divmod(number, DEVICES * PER_WEEK)
        device, k = divmod(rest, PER_WEEK)
        at = START + timedelta(weeks=week, seconds=12 * device) + k * EVERY
        day = math.sin((at.hour + at.minute / 60 - 9) / 12 * math.pi)
        noise = random.Random(number)
        yield {
            "device": device_name(device),
            "datetime": at,
            "md5": hashlib.md5(f"{device}{at}".encode(), usedforsecurity=False).hexdigest(),
            "device_version": "3.1.0",
            "width": 2592,
            "height": 1944,
            "lat": round(49.2 + device / 1000, 6),
            "lng": round(-123.1 + device / 1000, 6),
            "alt": 20 + device,
            "temp": round(17 + 7 * day + noise.gauss(0, 0.6), 1),
            "hum": round(min(99.9, 70 - 18 * day + noise.gauss(0, 2)), 1),
            "lum": round(2 + day, 2),
            "bat": 80,
            "but": False,
            "datetime_created": at + timedelta(days=1),
            "api_version": "1.0.0",
            "api_user_id": 1,
        }


def annotation_rows(weeks: int, ids: dict) -> Iterator[dict]:
    pool = [json.dumps(outline(random.Random(seed))) for seed in range(500)]
    for number, image in enumerate(image_rows(weeks)):
        choice = random.Random(10_000_000 + number)
        n = max(1, min(300, round(choice.lognormvariate(math.log(30), 0.7))))
        meta = {
            "algo_name": ALGORITHM,
            "algo_version": VERSION,
            "device": image["device"],
            "datetime": image["datetime"].strftime(LEGACY),
            "md5": image["md5"],
        }
        objects = ", ".join(choice.choices(pool, k=n))
        yield {
            "parent_image_id": ids[image["device"], image["datetime"]],
            "algo_name": ALGORITHM,
            "algo_version": VERSION,
            "n_objects": n,
            "json": f'{{"annotations": [{objects}], "metadata": {json.dumps(meta)}}}',
            "datetime_created": image["datetime_created"] + timedelta(hours=1),
            "api_version": "1.0.0",
            "api_user_id": 2,
        }


def outline(choice: random.Random) -> dict:
    """One object of about 13 points, as detectors post it."""
    x, y, radius = choice.randrange(100, 2400), choice.randrange(100, 1800), choice.uniform(8, 60)
    n = max(5, int(choice.gauss(13, 4)))
    angles = [2 * math.pi * i / n for i in range(n)]
    contour = [[[int(x + radius * math.cos(a)), int(y + radius * math.sin(a))]] for a in angles]
    return {"contour": contour, "name": "insect", "stroke_colour": "#0000ff", "value": 0, "fill_colour": "#ff0000"}


def sqlite_url(data_dir: Path) -> str:
    return f"sqlite:///{data_dir / 'spi.db'}"


def _batches(rows: Iterator[dict]) -> Iterator[list[dict]]:
    batch: list[dict] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
