"""What light does to a yellow card: sun from behind through leaves, dusk, and the flash at night."""

import math
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from spi_dash.demo.traps import Trap
from spi_dash.demo.weather import Weather

_GRID = (108, 81)  # light changes slowly over a card: it is computed on this grid and enlarged
_NIGHT = ((166, 178, 12), (148, 163, 74))  # colour at the centre and at the edge
_DULL = ((112, 150, 62), (126, 168, 104))
_SUNNY = ((188, 202, 20), (203, 214, 108))


def card_light(trap: Trap, now: Weather) -> Image.Image:
    """The colour of a blank card, (108, 81) pixels RGB: enlarge it to the picture's size."""
    day = 1 / (1 + math.exp(-(now.sun - 1.5) / 1.8))
    clear = (1 - 0.75 * now.cloud) * min(1.0, max(0.0, now.sun / 38))
    centre, edge = (_mix(_NIGHT[i], _mix(_DULL[i], _SUNNY[i], clear), day) for i in (0, 1))
    centred = _distance(trap.device)[..., None]  # (81, 108, 1), 0 at the bright centre, 1 in the corners
    light = centre + (edge - centre) * centred
    light *= 1 - (1 - day) * 0.12 * centred**2  # the flash falls off
    light *= 0.90 + 0.1 * min(1, (now.lum - 0.9) / 1.5) + 0.02 * math.sin(now.lum * 400)  # exposure never repeats
    if day > 0.2:
        light *= 1 - (day * (0.25 + 0.75 * clear) * trap.shade * _leaf_shadows(trap, now.azimuth, now.sun))[..., None]
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def _mix(low: tuple[int, ...] | np.ndarray, high: tuple[int, ...] | np.ndarray, part: float) -> np.ndarray:
    return np.asarray(low, float) * (1 - part) + np.asarray(high, float) * part


@lru_cache(maxsize=256)
def _distance(device: str) -> np.ndarray:
    chance = random.Random(f"lens {device}")
    x, y = np.meshgrid(np.linspace(-1, 1, _GRID[0]), np.linspace(-1, 1, _GRID[1]))
    radius = np.hypot((x - chance.uniform(-0.2, 0.2)) / 1.15, (y - chance.uniform(-0.15, 0.25)) / 1.25)
    return np.clip(radius, 0, 1.15) ** 1.5


def _leaf_shadows(trap: Trap, azimuth: float, sun: float) -> np.ndarray:
    """How dark the shadows of stems and leaves are, (81, 108) in [0, 0.75]; they wander as the sun does."""
    chance = random.Random(f"leaves {trap.device}")
    image = Image.new("L", (_GRID[0], _GRID[1]))
    draw = ImageDraw.Draw(image)
    shift_x, shift_y = (180 - azimuth) * 0.9, (sun - 35) * 0.8
    for _ in range(5):
        x, y = chance.uniform(-60, 170) + shift_x, chance.uniform(-20, 100) + shift_y
        lean, width = chance.uniform(-1.2, 1.2), chance.uniform(2, 9)
        draw.line([(x - 90 * lean, y - 90), (x + 90 * lean, y + 90)], chance.randint(110, 190), round(width))
    for _ in range(9):
        x, y = chance.uniform(-80, 190) + shift_x, chance.uniform(-30, 110) + shift_y
        wide, high = chance.uniform(6, 26), chance.uniform(5, 16)
        draw.ellipse((x - wide, y - high, x + wide, y + high), chance.randint(70, 180))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(3.5)), float) / 255
