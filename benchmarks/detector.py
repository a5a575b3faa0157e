"""The detector: seconds per picture, by the clock and of the processor, and peak memory. Prints one JSON line.

    python benchmarks/detector.py [--bundle DIR] [--repeats 5] [FILE ...]

Without files: a drawn card of 2592x1944 with 150 insects. Reading the JPEG is part of the time.
"""

import argparse
import io
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from spi_dash.detector.bundle import REFERENCE, load_bundle
from spi_dash.detector.predict import decode_image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--bundle", type=Path, default=REFERENCE)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    pictures = [file.read_bytes() for file in arguments.files] or [draw_card()]
    detector = load_bundle(arguments.bundle).detector
    found = [len(detector(decode_image(data, "picture"))) for data in pictures]  # the first pass warms up
    figures = {"pictures": len(pictures), "insects": sum(found)}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        measured = [measure(detector, data) for _ in range(arguments.repeats) for data in pictures]
        wall, cpu = (statistics.median(seconds) for seconds in zip(*measured, strict=True))
        figures[f"{threads}_threads"] = {"s": round(wall, 3), "cpu_s": round(cpu, 3)}
    figures["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(figures))


def measure(detector, data: bytes) -> tuple[float, float]:
    """Seconds by the clock and of the processor, for one picture."""
    began, cpu_began = time.perf_counter(), time.process_time()
    detector(decode_image(data, "picture"))
    return time.perf_counter() - began, time.process_time() - cpu_began


def draw_card(insects: int = 150) -> bytes:
    """A JPEG of a card as large as those of the 2021 cameras."""
    rng = np.random.default_rng(0)
    image = Image.new("RGB", (2592, 1944), (180, 190, 70))
    draw = ImageDraw.Draw(image)
    for x, y, a, b in zip(*rng.uniform(0, 1, (4, insects)) * [[2592], [1944], [30], [20]], strict=True):
        draw.ellipse((x, y, x + 12 + a, y + 12 + b), (40, 35, 30))
    pixels = np.asarray(image) + rng.normal(0, 4, (1944, 2592, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


if __name__ == "__main__":
    main()
