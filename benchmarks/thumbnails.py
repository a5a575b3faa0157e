"""CPU of examining one uploaded picture (header, md5, thumbnails), against Pillow's `thumbnail`, which upstream uses.

Prints a JSON line. Without arguments it draws a picture of 2592x1944 with grain; arguments are paths of pictures.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PIL import Image

from spi_dash.demo import make_traps, picture
from spi_dash.trap_image import examine

_ROUNDS = 15


def main(paths: list[str]) -> None:
    drawn = picture(make_traps(7, 3)[2], datetime(2022, 6, 16, 20), (2592, 1944), grain=9)
    files = [(Path(path).name, Path(path).read_bytes()) for path in paths] or [drawn]
    for name, data in files:
        ours, theirs = measure(lambda n=name, d=data: examine(n, d)), measure(lambda d=data: shrink_with_pillow(d))
        line = {
            "benchmark": "thumbnails",
            "file": name,
            "bytes": len(data),
            "examine_ms": ours,
            "pillow_thumbnail_ms": theirs,
        }
        print(json.dumps(line))


def measure(call: Callable[[], object]) -> float:
    """CPU of one call in ms: the least of several rounds."""
    spent = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return round(min(spent) * 1000, 1)


def shrink_with_pillow(data: bytes) -> None:
    image = Image.open(io.BytesIO(data))
    for size in ((512, 384), (128, 96)):
        image.thumbnail(size)
        image.save(io.BytesIO(), "JPEG")


if __name__ == "__main__":
    main(sys.argv[1:])
