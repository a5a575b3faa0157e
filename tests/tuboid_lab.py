"""Tuboids to upload: drawn ones, and how their form is made."""

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from conftest import multipart
from PIL import Image, ImageDraw

REAL_TUBOIDS = Path(__file__).parents[2] / "shared" / "data" / "tuboids"
START, END = datetime(2022, 7, 1, 0), datetime(2022, 7, 1, 20)
DEVICE, VERSION = "0a1b2c3d", "1600000000-0123456789abcdef0123456789abcdef"
LEGACY, ISO = "%Y-%m-%d_%H-%M-%S", "%Y-%m-%dT%H:%M:%SZ"
TILE_PX, PER_ROW = 224, 4
ALL = [{"device": "%", "start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2030-01-01T00:00:00Z"}]
TYPES = {"metadata": "application/text", "tuboid_id": "application/json", "series_info": "application/json"}

FILES = {"metadata": "metadata.txt", "tuboid": "tuboid.jpg", "context": "context.jpg"}


def name_tuboid(number: int, device: str = DEVICE, start: datetime = START, end: datetime = END) -> str:
    return f"{device}.{start.strftime(LEGACY)}.{end.strftime(LEGACY)}.{VERSION}.{number:04d}"


def series_info(dialect: str = ISO, **changes: Any) -> dict[str, Any]:
    info = {"device": DEVICE, "start_datetime": START, "end_datetime": END, "algo_name": "siamese-insect-matcher",
            "algo_version": VERSION, "n_images": 60, "n_tuboids": 20, **changes}  # fmt: skip
    return {key: value.strftime(dialect) if isinstance(value, datetime) else value for key, value in info.items()}


def shot_lines(n_shots: int, first: datetime = START, device: str = DEVICE, every_s: int = 1200) -> str:
    moments = [first + timedelta(seconds=every_s * k) for k in range(n_shots)]
    lines = (f"{device}.{at.strftime(LEGACY)},{100 + k:f},{200 + k:f},{1.5:f}" for k, at in enumerate(moments))
    return "".join(line + "\n" for line in lines)


def draw_tiles(n_shots: int, colour: tuple[int, int, int] = (214, 206, 60)) -> bytes:
    """Tiles 224 x 224, four in a row, each with a dot further to the right than on the one before."""
    rows = -(-n_shots // PER_ROW)
    picture = Image.new("RGB", (PER_ROW * TILE_PX, rows * TILE_PX))
    draw = ImageDraw.Draw(picture)
    for k in range(n_shots):
        x, y = k % PER_ROW * TILE_PX, k // PER_ROW * TILE_PX
        draw.rectangle((x, y, x + TILE_PX - 1, y + TILE_PX - 1), fill=colour)
        at = x + 40 + 140 * k // max(1, n_shots - 1)
        draw.ellipse((at - 14, y + 90, at + 14, y + 150), fill=(60, 45, 30))
    return _jpeg(picture)


def draw_context() -> bytes:
    picture = Image.new("RGB", (648, 486), (214, 206, 60))
    ImageDraw.Draw(picture).rectangle((100, 100, 160, 160), outline=(20, 20, 200), width=4)
    return _jpeg(picture)


def tuboid_form(number: int = 0, n_shots: int = 5, **changes: Any) -> dict[str, bytes]:
    """The five parts; `metadata`, `tuboid`, `context`, `tuboid_id` and `series_info` replace those that are drawn."""
    form = {
        "tuboid_id": name_tuboid(number),
        "series_info": series_info(),
        "metadata": shot_lines(n_shots),
        "tuboid": draw_tiles(n_shots),
        "context": draw_context(),
        **changes,
    }
    for name in ("tuboid_id", "series_info"):
        form[name] = json.dumps(form[name]).encode()
    return {name: part.encode() if isinstance(part, str) else part for name, part in form.items()}


def encode(form: dict[str, bytes]) -> dict[str, Any]:
    """As the existing clients send it: every part is a file."""
    kind = "application/octet-stream"
    return multipart([(name, (FILES.get(name, name), part, TYPES.get(name, kind))) for name, part in form.items()])


def real_form(folder: Path, dialect: str = ISO) -> dict[str, bytes]:
    """One of the real tuboids of ../shared/data, in a series as the existing clients' tests write it."""
    device, start, end, _, _ = folder.name.split(".")
    times = [datetime.strptime(text, LEGACY) for text in (start, end)]
    info = {"device": device, "start_datetime": times[0], "end_datetime": times[1], "algo_name": "test",
            "algo_version": "11111111-19191919", "n_images": 10, "n_tuboids": 6}  # fmt: skip
    files = {path.stem: path.read_bytes() for path in folder.iterdir()}
    return {**tuboid_form(tuboid_id=folder.name, series_info=series_info(dialect, **info)), **files}


def first_shot(number: int, start: datetime = START) -> datetime:
    return start + timedelta(minutes=20 * number)


def write_series(folder: Path, n: int = 3, device: str = DEVICE, start: datetime = START) -> Path:
    """A series as the matcher leaves it on disk."""
    series = folder / name_tuboid(0, device, start).rpartition(".")[0]
    for number in range(n):
        below = series / name_tuboid(number, device, start)
        below.mkdir(parents=True)
        form = tuboid_form(number, metadata=shot_lines(4, first_shot(number, start), device), n_shots=4)
        for part, name in FILES.items():
            (below / name).write_bytes(form[part])
    return series


def new_label(tuboid_id: str, version: str = "1", **changes: Any) -> dict[str, Any]:
    return {"tuboid_id": tuboid_id, "algo_name": "insect-tuboid-classifier", "algo_version": version, "label": 1,
            "pattern": r"Insecta\.Diptera.*", "type": "Insecta", "order": "Diptera", **changes}  # fmt: skip


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return file.getvalue()
