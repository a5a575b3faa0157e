"""The picture a trap takes: a yellow card, writing, what has flown into it since, and the light of the hour."""

import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from spi_dash.demo.insects import KINDS, Kind, draw_insect
from spi_dash.demo.lettering import write
from spi_dash.demo.light import card_light
from spi_dash.demo.traps import Card, Trap, card_at
from spi_dash.demo.weather import Weather, weather

_PAPER = 236  # how much light the card's own colour leaves in the layer that holds its texture


@dataclass(frozen=True)
class Catch:
    """One insect on a card: its kind, when it got stuck, and where (fractions of the picture)."""

    kind: Kind
    at: datetime
    x: float
    y: float
    seed: str


@dataclass(frozen=True)
class Outline:
    """The true outline of an insect: `points` in pixels of the picture, closed implicitly."""

    name: str
    points: list[tuple[int, int]]


@dataclass(frozen=True)
class Drawing:
    """A picture and the truth about it."""

    image: Image.Image
    outlines: list[Outline]


def draw_card(trap: Trap, at: datetime, size: tuple[int, int]) -> Drawing:
    """What the trap sees at a moment (naive UTC), in a size in pixels. For a series use a CardPainter: it is faster."""
    return CardPainter(trap, size).draw(at)


class CardPainter:
    """Draws the pictures of one trap, one after the other, adding only what is new since the last."""

    def __init__(self, trap: Trap, size: tuple[int, int]) -> None:
        self._trap, self._size = trap, size
        self._card: Card | None = None
        self._waiting: list[Catch] = []
        self._outlines: list[Outline] = []
        self._last_at = datetime.min

    def draw(self, at: datetime) -> Drawing:
        """The picture at a moment (naive UTC). Going back in time, or to another card, starts a new card."""
        card = card_at(at)
        if card != self._card or at < self._last_at:
            self._take_card(card)
        self._last_at = at
        while self._waiting and self._waiting[-1].at <= at:
            self._add(self._waiting.pop())
        now = weather(self._trap, at)
        image = ImageChops.multiply(
            self._paper, card_light(self._trap, now).resize(self._size, Image.Resampling.BILINEAR)
        )
        glare = 0.25 + 0.75 * max(0.0, min(1.0, now.sun / 30)) * (1 - 0.6 * now.cloud)
        image.paste((196, 228, 214), None, self._glare.point([round(value * glare) for value in range(256)]))
        image.paste(self._insects.point(_insect_light(now)), None, self._mask)
        return Drawing(_defocus(image, self._trap, at, now), list(self._outlines))

    def _take_card(self, card: Card) -> None:
        self._card = card
        self._paper, self._glare = _draw_paper(self._trap, card, self._size), _draw_glare(self._trap, card, self._size)
        self._insects, self._mask = Image.new("RGB", self._size, (40, 42, 6)), Image.new("L", self._size)
        self._waiting = sorted(list_catches(self._trap, card), key=lambda catch: catch.at, reverse=True)
        self._outlines = []

    def _add(self, catch: Catch) -> None:
        width, height = self._size
        sprite = draw_insect(catch.kind, (catch.x * width, catch.y * height), width, random.Random(catch.seed))
        image = sprite.image.filter(ImageFilter.GaussianBlur((0.5 + self._trap.blur_px) * width / 1296))
        alpha = image.getchannel("A")
        self._insects.paste(image, (sprite.left, sprite.top), alpha.point(lambda value: min(255, value * 3)))
        self._mask.paste(255, (sprite.left, sprite.top), alpha)
        self._outlines.append(Outline(catch.kind.name, sprite.outline))


def list_catches(trap: Trap, card: Card) -> list[Catch]:
    """Everything that gets stuck on a card, hour by hour, as warmth and light invite it."""
    number = np.random.default_rng([trap.seed, int(trap.device, 16), card.number & 0xFFFF])
    catches = []
    for hour in range(int((card.end_at - card.start_at) / timedelta(hours=1))):
        at = card.start_at + timedelta(hours=hour)
        now = weather(trap, at)
        for index, kind in enumerate(KINDS):
            mean = (
                kind.common / 8 * trap.catch_rate * _activity(kind, now) * (1 + 0.5 * math.sin(hour / 29 + index * 2.1))
            )
            for _ in range(number.poisson(mean)):
                moment = at + timedelta(seconds=int(number.integers(3600)))
                seed = f"{trap.device} {card.number} {len(catches)}"
                catches.append(Catch(kind, moment, float(number.random()), float(number.random()), seed))
    return catches


def _activity(kind: Kind, now: Weather) -> float:
    warmth = 1 / (1 + math.exp(-(now.temp - 15) / 2.5))
    light = {
        "day": max(0.0, min(1.0, now.sun / 20)),
        "dusk": math.exp(-((now.sun - 2) ** 2) / 90),
        "night": 1.0 if now.sun < -4 else 0.0,
        "any": 0.5,
    }[kind.active]
    return warmth * light


def _draw_paper(trap: Trap, card: Card, size: tuple[int, int]) -> Image.Image:
    """The card without light: fibres, dirt, a printed grid on some, and handwriting. Grey levels around _PAPER, RGB."""
    width, height = size
    number = np.random.default_rng([int(trap.device, 16), card.number & 0xFFFF, 7])
    paper = np.full((height, width), float(_PAPER), np.float32)
    for cells, depth in ((6, 7), (24, 4), (110, 2.5)):
        coarse = number.normal(0, depth, (cells * 3 // 4 + 1, cells)).astype(np.float32)
        paper += np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    paper += number.normal(0, 1.6, (height, width)).astype(np.float32)  # grain
    image = Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
    chance = random.Random(f"card {trap.device} {card.number}")
    if trap.grid:
        _print_grid(image, chance)
    image = ImageChops.multiply(image, _draw_ink(trap, card, size, chance))
    return Image.merge("RGB", [image] * 3).point(lambda value: min(255, round(value * 255 / _PAPER)))


def _print_grid(image: Image.Image, chance: random.Random) -> None:
    width, height = image.size
    step, offset = width / 5.2, chance.uniform(0, width / 6)
    draw, lean = ImageDraw.Draw(image), chance.uniform(-0.012, 0.012)
    pen = max(1, round(width / 700))
    for line in range(7):
        x, y = offset + line * step, offset * 0.7 + line * step
        draw.line([(x - lean * height, 0), (x + lean * height, height)], 196, pen)
        draw.line([(0, y + lean * width), (width, y - lean * width)], 196, pen)


def _draw_ink(trap: Trap, card: Card, size: tuple[int, int], chance: random.Random) -> Image.Image:
    """Handwriting (the trap's name, the day, often the time), smudges and specks: 255 where there is nothing."""
    width = size[0]
    ink = Image.new("L", size, 255)
    draw = ImageDraw.Draw(ink)
    for _ in range(chance.randint(0, 3)):
        _smudge(draw, (chance.uniform(0, width), chance.uniform(0, size[1])), width, chance)
    for _ in range(chance.randint(60, 150)):
        _speck(draw, (chance.uniform(0, width), chance.uniform(0, size[1])), width, chance.randint(120, 215), chance)
    ink = ink.filter(ImageFilter.GaussianBlur(width / 1500))
    left, top, tall = (
        chance.uniform(0.1, 0.4) * width,
        chance.uniform(0.18, 0.42) * size[1],
        width * chance.uniform(0.05, 0.078),
    )
    changed_at = card.start_at + timedelta(hours=-7, minutes=5 * chance.randint(0, 14))
    lines = [
        trap.device[:4].upper(),
        f"{changed_at.day}/{changed_at.month}",
        f"{changed_at.hour}:{changed_at.minute:02}",
    ]
    writing = Image.new("L", size, 255)
    draw = ImageDraw.Draw(writing)
    for line in lines[: chance.choice((2, 3, 3))]:
        write(draw, line, (left, top), tall, width / 190, 38, chance)
        left, top, tall = left + chance.uniform(0.2, 1.3) * tall, top + chance.uniform(1.5, 2.0) * tall, width * 0.042
    return ImageChops.multiply(ink, writing.filter(ImageFilter.GaussianBlur(width / 1100)))


def _smudge(draw: ImageDraw.ImageDraw, at: tuple[float, float], width: int, chance: random.Random) -> None:
    """A spot where something was wiped off."""
    for _ in range(chance.randint(60, 260)):
        x, y = at[0] + chance.gauss(0, width / 26), at[1] + chance.gauss(0, width / 32)
        _speck(draw, (x, y), width, chance.randint(165, 238), chance)


def _speck(draw: ImageDraw.ImageDraw, at: tuple[float, float], width: int, ink: int, chance: random.Random) -> None:
    wide, high = (chance.expovariate(1.2) * width / 1700 for _ in range(2))
    draw.ellipse((at[0] - wide, at[1] - high, at[0] + wide, at[1] + high), ink)


def _draw_glare(trap: Trap, card: Card, size: tuple[int, int]) -> Image.Image:
    """Where glue and drops shine: an opacity, mostly 0."""
    chance = random.Random(f"glue {trap.device} {card.number}")
    small = Image.new("L", (324, 243))
    draw = ImageDraw.Draw(small)
    for _ in range(chance.randint(2, 4)):
        x, y = chance.choice((chance.uniform(0, 40), chance.uniform(280, 324))), chance.uniform(0, 243)
        for _ in range(chance.randint(6, 16)):
            x, y = x + chance.gauss(0, 7), y + chance.gauss(0, 11)
            wide, high = chance.uniform(1, 7), chance.uniform(2, 14)
            draw.ellipse((x - wide, y - high, x + wide, y + high), chance.randint(12, 60))
    small = small.filter(ImageFilter.GaussianBlur(2.2))
    draw = ImageDraw.Draw(small)
    for _ in range(chance.randint(4, 14)):
        x, y, radius = chance.uniform(0, 324), chance.uniform(0, 243), chance.uniform(0.2, 0.7)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), chance.randint(60, 150))
    return small.resize(size, Image.Resampling.BICUBIC)


def _insect_light(now: Weather) -> list[int]:
    """A look-up table for the insects' colours (R, G, B): the light of the card falls on them too."""
    day = max(0.0, min(1.0, (now.lum - 0.9) / 1.7))
    factors = (0.84 + 0.12 * day, 0.82 + 0.24 * day, 0.55 + 0.45 * day)
    return [min(255, round(value * factor)) for factor in factors for value in range(256)]


def _defocus(image: Image.Image, trap: Trap, at: datetime, now: Weather) -> Image.Image:
    """Some mornings the lens is misty, and any picture may be shaken."""
    misty = now.hum > 97 and -6 < now.sun < 12
    if not misty and random.Random(f"focus {trap.device} {at}").random() > 0.02:
        return image
    return image.reduce(3 if misty else 2).resize(image.size, Image.Resampling.BICUBIC)
