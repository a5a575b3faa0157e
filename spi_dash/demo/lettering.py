"""Handwriting with a felt pen: the strokes of the few signs that people write on a card."""

import math
import random

from PIL import ImageDraw

Point = tuple[float, float]

# Each sign is a list of strokes in a box of width 0.6 and height 1, y down; long strokes are drawn as smooth curves.
SIGNS: dict[str, list[list[Point]]] = {
    "0": [[(0.3, 0), (0.05, 0.25), (0.03, 0.7), (0.25, 1), (0.52, 0.8), (0.56, 0.3), (0.32, 0.02)]],
    "1": [[(0.12, 0.22), (0.34, 0.0)], [(0.34, 0.0), (0.31, 1)]],
    "2": [[(0.06, 0.24), (0.25, 0.0), (0.52, 0.16), (0.44, 0.5), (0.04, 0.98)], [(0.04, 0.98), (0.58, 0.95)]],
    "3": [[(0.07, 0.1), (0.34, 0), (0.5, 0.2), (0.24, 0.46)], [(0.24, 0.46), (0.55, 0.62), (0.46, 0.94), (0.05, 0.93)]],
    "4": [[(0.36, 0), (0.03, 0.64)], [(0.03, 0.64), (0.58, 0.6)], [(0.42, 0.32), (0.38, 1)]],
    "5": [
        [(0.54, 0.02), (0.12, 0.04)],
        [(0.12, 0.04), (0.08, 0.44)],
        [(0.08, 0.44), (0.5, 0.46), (0.5, 0.86), (0.03, 0.97)],
    ],
    "6": [[(0.48, 0.02), (0.12, 0.4), (0.06, 0.8), (0.3, 1), (0.54, 0.78), (0.38, 0.54), (0.1, 0.68)]],
    "7": [[(0.04, 0.05), (0.56, 0.02)], [(0.56, 0.02), (0.22, 1)], [(0.2, 0.5), (0.52, 0.46)]],
    "8": [[(0.48, 0.14), (0.22, 0.02), (0.1, 0.24), (0.5, 0.7), (0.3, 1), (0.06, 0.76), (0.46, 0.3), (0.48, 0.14)]],
    "9": [[(0.52, 0.2), (0.26, 0.02), (0.08, 0.28), (0.3, 0.5), (0.52, 0.22)], [(0.53, 0.18), (0.46, 1)]],
    "A": [[(0.02, 1), (0.3, 0)], [(0.3, 0), (0.58, 1)], [(0.12, 0.64), (0.5, 0.6)]],
    "B": [
        [(0.08, 0), (0.06, 1)],
        [(0.08, 0.03), (0.5, 0.14), (0.44, 0.4), (0.08, 0.5)],
        [(0.08, 0.5), (0.58, 0.66), (0.44, 0.96), (0.06, 1)],
    ],
    "C": [[(0.55, 0.12), (0.28, 0.0), (0.04, 0.4), (0.1, 0.88), (0.34, 1), (0.58, 0.86)]],
    "D": [[(0.08, 0), (0.06, 1)], [(0.08, 0.02), (0.5, 0.2), (0.56, 0.64), (0.06, 1)]],
    "E": [[(0.08, 0), (0.06, 1)], [(0.08, 0.02), (0.54, 0)], [(0.08, 0.5), (0.44, 0.47)], [(0.06, 1), (0.56, 0.96)]],
    "F": [[(0.08, 0), (0.06, 1)], [(0.08, 0.02), (0.56, 0)], [(0.08, 0.5), (0.44, 0.47)]],
    ":": [[(0.2, 0.36), (0.22, 0.38)], [(0.2, 0.78), (0.22, 0.8)]],
    "/": [[(0.5, 0), (0.06, 1.05)]],
    " ": [],
}


def write(
    draw: ImageDraw.ImageDraw, text: str, at: Point, height: float, pen: float, ink: int, chance: random.Random
) -> None:
    """Write a text with its top left at a point; height and pen width in pixels."""
    x, y = at
    for sign in text:
        size = height * chance.uniform(0.9, 1.08)
        lean, drop = chance.uniform(-0.2, 0.1), chance.uniform(-0.08, 0.08) * height
        for stroke in SIGNS[sign]:
            shaky = [(px + chance.gauss(0, 0.028), py + chance.gauss(0, 0.028)) for px, py in stroke]
            points = [(x + (px - lean * (1 - py)) * size, y + drop + py * size) for px, py in _smooth(shaky)]
            _draw_stroke(draw, points, pen, ink, chance)
        x += height * (0.45 if sign in ":1" else 0.82) * chance.uniform(0.92, 1.08)


def _draw_stroke(draw: ImageDraw.ImageDraw, points: list[Point], pen: float, ink: int, chance: random.Random) -> None:
    draw.line(points, fill=ink, width=max(1, round(pen)), joint="curve")
    for x, y in (points[0], points[-1]):  # a felt pen rests where it starts and stops
        radius = pen * chance.uniform(0.5, 0.62)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _smooth(points: list[Point]) -> list[Point]:
    """A Catmull-Rom curve through the points; two points stay a line."""
    if len(points) < 3:
        return points
    padded = [points[0], *points, points[-1]]
    curve = []
    for i in range(1, len(padded) - 2):
        corners = padded[i - 1 : i + 3]
        curve += [_between(corners, step / 7) for step in range(7)]
    return [*curve, points[-1]]


def _between(corners: list[Point], t: float) -> Point:
    weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
    x, y = (math.fsum(w * corner[axis] for w, corner in zip(weights, corners, strict=True)) / 2 for axis in (0, 1))
    return x, y
