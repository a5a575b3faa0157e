"""The viewer in Chromium, every frame with 1000 outlines of 60 points. Prints one JSON line.

    python benchmarks/viewer.py [--outlines 1000] [--points 60] [--frames 40] [--list]

Drawn cards of 2592x1944 pixels; the outlines jump a little from frame to frame, one in ten is new. `step_ms` is the
time until a cached frame with its outlines is drawn. For panning, zooming and hovering: CPU of the page's main thread
per frame in ms, and pictures per second as they came (Chromium draws by CPU here: a screen with a GPU is faster).
With --list, the list of frames behind the scrubber: 28 days, one year, four years of one trap, on SQLite.
"""

import argparse
import gzip
import math
import os
import statistics
import tempfile
import time
from datetime import datetime, timedelta

import explore
import numpy as np
from measure import ADMIN, report, serving

from spi_dash import db
from spi_dash.client import SpiClient
from spi_dash.clock import unix_s
from spi_dash.demo import demo_pictures
from spi_dash.figures.rows import pack
from spi_dash.services import moments

START = datetime(2022, 6, 1, 10)
N_IMAGES = 8
OPTIONS = ["--no-sandbox", "--disable-gpu"]
WARM = """() => [...spi.viewer.moments].every((t) => {
    const image = spi.stage.kept.get(spi.stage.url(spi.viewer.device, t, "thumbnail"));
    return image && image.complete;
})"""
STEP = """async (by) => {
    const began = performance.now(), painted = () => new Promise(requestAnimationFrame);
    await spi.viewer.step(by);
    await painted();
    return performance.now() - began;
}"""
MOVE = """async ([kind, frames]) => {
    const stage = document.querySelector(".stage"), box = stage.getBoundingClientRect();
    const [w, h] = [box.width, box.height], kindOf = (type) => (type === "wheel" ? WheelEvent : PointerEvent);
    const send = (type, x, y, more = {}) => stage.dispatchEvent(new (kindOf(type))(type,
        {clientX: box.left + x, clientY: box.top + y, pointerId: 1, bubbles: true, cancelable: true, ...more}));
    stage.setPointerCapture = () => {};
    if (kind === "pan") send("pointerdown", w / 2, h / 2);
    const began = performance.now();
    for (let k = 0; k < frames; k++) {
        const turn = (k / frames) * 2 * Math.PI;
        const x = w / 2 + (w / 4) * Math.sin(turn), y = h / 2 + (h / 4) * Math.sin(2 * turn);
        if (kind === "zoom") send("wheel", x, y, {deltaY: k < frames / 2 ? -40 : 40});
        else send("pointermove", x, y);
        await new Promise(requestAnimationFrame);
    }
    const took = performance.now() - began;
    if (kind === "pan") send("pointerup", w / 2, h / 2);
    return took / frames;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outlines", type=int, default=1000)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    figures = {"benchmark": "viewer", "outlines": arguments.outlines, "points": arguments.points}
    with serving() as server:
        device = fill(server.url, arguments.outlines, arguments.points)
        figures |= look(server.url, device, arguments.frames)
    report(**figures, **(measure_lists() if arguments.list else {}))


def fill(url: str, n_outlines: int, n_points: int) -> str:
    """A few frames of one trap, all with as many outlines; returns the trap."""
    with SpiClient(url, *ADMIN) as client:
        pictures = demo_pictures(1, 1, START, START + timedelta(minutes=20 * N_IMAGES))
        for number, (name, data, _) in enumerate(pictures):
            row = client.upload_image(name, data)
            contours = [{"contour": points, "name": "insect"} for points in draw(number, n_outlines, n_points)]
            key = {"device": row["device"], "datetime": row["datetime"], "md5": row["md5"]}
            metadata = {"algo_name": "bench", "algo_version": "1", **key}
            client.put_uid_annotations([{"annotations": contours, "metadata": metadata}])
    return row["device"]


def draw(number: int, n_outlines: int, n_points: int) -> list[list]:
    """Bumpy rounds all over the card; a tenth stands elsewhere on every frame."""
    same, other = np.random.default_rng(0), np.random.default_rng(number + 1)
    centres = same.uniform((30, 30), (2562, 1914), (n_outlines, 2))
    centres[::10] = other.uniform((30, 30), (2562, 1914), (len(centres[::10]), 2))
    turns = np.linspace(0, 2 * math.pi, n_points, endpoint=False)
    radii = other.uniform(12, 20, (n_outlines, n_points))
    x = centres[:, :1] + radii * np.cos(turns) + other.normal(0, 1, (n_outlines, 1))  # (outlines, points)
    y = centres[:, 1:] + radii * np.sin(turns)
    return np.stack([x, y], -1).round().astype(int)[:, :, None].tolist()


def look(url: str, device: str, n_frames: int) -> dict:
    """Steps, then panning, zooming and hovering: as it opens, and zoomed in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=OPTIONS
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{url}/sign-in?next=/image/{device}/{START:%Y-%m-%d_%H-%M-%S}%3Fstart=all")
        page.fill("input[name=username]", ADMIN[0])
        page.fill("input[name=password]", ADMIN[1])
        page.click("button[type=submit]")
        page.wait_for_selector('.viewer .outlines[data-known]:not([data-known="0"])', state="attached")
        for _ in range(N_IMAGES):
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(300)
        page.wait_for_function(WARM)
        thread = page.context.new_cdp_session(page)
        thread.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _spent(thread)
        steps = [page.evaluate(STEP, -1 if turn % 2 else 1) for turn in range(12)]
        spent_ms = 1000 * (_spent(thread)["TaskDuration"] - before["TaskDuration"]) / len(steps)
        figures = {"step_ms": statistics.median(steps), "step_max_ms": max(steps), "step_main_ms": spent_ms}
        page.wait_for_timeout(1000)  # the sharp picture comes
        for kind, zoom in (("hover", 0), ("zoom", 0), ("pan", 3), ("hover", 3)):
            figures |= measure(page, thread, kind, zoom, n_frames)
        browser.close()
    return figures


def measure(page, thread, kind: str, zoom: int, n_frames: int) -> dict:
    page.evaluate("(zoom) => { spi.stage.reset(); if (zoom) spi.stage.zoomBy(zoom); }", zoom)
    page.wait_for_timeout(300)
    before = _spent(thread)
    took_ms = page.evaluate(MOVE, [kind, n_frames])
    after = _spent(thread)
    name = kind + ("_zoomed" if zoom and kind != "pan" else "")
    spent = {key: 1000 * (after[key] - before[key]) / n_frames for key in before}
    return {f"{name}_script_ms": spent["ScriptDuration"], f"{name}_main_ms": spent["TaskDuration"],
            f"{name}_per_s": 1000 / took_ms}  # fmt: skip


def _spent(thread) -> dict[str, float]:
    found = {each["name"]: each["value"] for each in thread.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("ScriptDuration", "TaskDuration")}


def measure_lists() -> dict:
    """Seconds of CPU, and kB on the wire, of the list for three ranges."""
    with tempfile.TemporaryDirectory() as folder:
        database = db.connect(f"sqlite:///{folder}/spi.db")
        db.upgrade(database)
        explore.seed(database, 1, 1400)
        start_s, figures = unix_s(explore.START), {}
        for days in (28, 365, 1400):
            with database.read() as session:
                began = time.process_time()
                ranges = [(start_s, start_s + days * 86_400)]
                found = moments.list_moments(session, "5eed0000", ranges, str(start_s))
                packed = pack(found.taken_s, 1, found.step_s)
                spent = time.process_time() - began
            figures[f"list_{len(found.taken_s)}"] = [
                round(spent, 3),
                round(len(gzip.compress(packed.encode())) / 1000, 1),
            ]
        return figures


if __name__ == "__main__":
    main()
