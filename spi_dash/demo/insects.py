"""Insects: which kinds fly when, and how one looks that is stuck to a card."""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]

_OUTLINE_POINTS = 20


@dataclass(frozen=True)
class Kind:
    """How a kind of insect looks and behaves.

    Lengths are of the body: `length` as a fraction of the card's width, all other measures as fractions of the body.
    """

    name: str
    length: float
    common: float  # individuals per trap and day on a good day
    active: str  # "day", "dusk", "night" or "any"
    body: tuple[tuple[float, float, float], ...]  # (centre along the axis, length, width), head last
    colour: Colour
    wing: tuple[float, float, float, int] = (0, 0, 0, 0)  # length, width, angle from the tail in degrees, opacity
    wing_colour: Colour = (92, 92, 88)
    legs: float = 0.0
    leg_width: float = 0.05
    feelers: float = 0.0
    bands: Colour | None = None
    sheen: Colour | None = None


_FLY = ((-0.25, 0.55, 0.32), (0.13, 0.38, 0.34), (0.4, 0.2, 0.28))
_SLIM = ((-0.22, 0.6, 0.15), (0.2, 0.28, 0.24), (0.4, 0.14, 0.16))
_MOTH = ((-0.2, 0.6, 0.2), (0.2, 0.3, 0.24), (0.4, 0.16, 0.18))
_CRANE = ((-0.2, 0.66, 0.08), (0.24, 0.24, 0.13), (0.42, 0.12, 0.08))
_WASP = ((-0.3, 0.45, 0.2), (0.12, 0.38, 0.24), (0.4, 0.16, 0.22))
_BEE = ((-0.24, 0.58, 0.36), (0.16, 0.36, 0.36), (0.42, 0.2, 0.28))
_HOVER = ((-0.22, 0.6, 0.24), (0.2, 0.3, 0.28), (0.42, 0.18, 0.26))
_BEETLE = ((-0.16, 0.7, 0.38), (0.26, 0.24, 0.36), (0.43, 0.14, 0.22))
_OVAL = ((-0.1, 0.8, 0.36), (0.32, 0.25, 0.26), (0.42, 0.1, 0.16))
_LONG = ((-0.08, 0.9, 0.2), (0.36, 0.26, 0.19), (0.45, 0.1, 0.12))

_GNAT_WING, _FLY_WING, _BEE_WING = (0.85, 0.26, 38, 62), (0.78, 0.3, 32, 80), (0.72, 0.24, 40, 70)
_CLEAR_WING, _MOTH_WING, _CRANE_WING = (0.85, 0.26, 56, 60), (0.98, 0.56, 40, 205), (0.85, 0.18, 52, 55)

KINDS = (
    Kind("thrips", 0.0055, 2.4, "day", _LONG, (58, 50, 38)),
    Kind("gnat", 0.010, 5.0, "dusk", _SLIM, (36, 34, 31), _GNAT_WING, legs=0.75, leg_width=0.045, feelers=0.3),
    Kind("small fly", 0.0125, 4.2, "day", _FLY, (38, 36, 34), _FLY_WING, legs=0.35, leg_width=0.06),
    Kind(
        "fruit fly", 0.0155, 1.4, "dusk", _FLY, (76, 56, 38), _FLY_WING, legs=0.35, leg_width=0.045, bands=(44, 34, 27)
    ),
    Kind("aphid", 0.010, 0.8, "day", _OVAL, (98, 146, 104), legs=0.4, leg_width=0.03),
    Kind("leafhopper", 0.016, 0.35, "any", _LONG, (108, 158, 134), legs=0.2, leg_width=0.03, sheen=(158, 200, 186)),
    Kind("wasp", 0.016, 0.8, "day", _WASP, (32, 30, 30), _CLEAR_WING, legs=0.5, leg_width=0.035, feelers=0.5),
    Kind(
        "house fly", 0.034, 0.28, "day", _FLY, (33, 35, 37), _FLY_WING, legs=0.45, leg_width=0.032, sheen=(72, 88, 98)
    ),
    Kind(
        "bee",
        0.046,
        0.05,
        "day",
        _BEE,
        (58, 47, 32),
        _BEE_WING,
        legs=0.4,
        leg_width=0.04,
        feelers=0.2,
        bands=(104, 84, 48),
    ),
    Kind(
        "hover fly",
        0.036,
        0.08,
        "day",
        _HOVER,
        (44, 41, 35),
        _CLEAR_WING,
        legs=0.3,
        leg_width=0.025,
        bands=(128, 118, 66),
    ),
    Kind(
        "beetle",
        0.036,
        0.08,
        "night",
        _BEETLE,
        (24, 26, 29),
        legs=0.3,
        leg_width=0.04,
        feelers=0.25,
        sheen=(58, 74, 88),
    ),
    Kind(
        "moth",
        0.042,
        0.14,
        "night",
        _MOTH,
        (70, 64, 52),
        _MOTH_WING,
        (90, 84, 68),
        legs=0.3,
        leg_width=0.025,
        feelers=0.4,
    ),
    Kind("crane fly", 0.048, 0.09, "dusk", _CRANE, (64, 60, 48), _CRANE_WING, legs=1.3, leg_width=0.014, feelers=0.2),
)


@dataclass(frozen=True)
class Sprite:
    """One insect as drawn: `image` RGBA, (left, top) its place on the card in pixels.

    `outline` goes around body and wings, in pixels of the card.
    """

    image: Image.Image
    left: int
    top: int
    outline: list[tuple[int, int]]


def draw_insect(kind: Kind, at: tuple[float, float], card_width_px: int, chance: random.Random) -> Sprite:
    """One insect of a kind, in a pose of its own, its centre at a point (pixels)."""
    length = max(3.0, kind.length * card_width_px * min(1.7, max(0.55, chance.lognormvariate(-0.03, 0.22))))
    scale = 4 if length < 30 else 3
    reach = length * (0.75 + max(kind.wing[0] * 0.75, kind.legs * 0.8, kind.feelers * 0.6))
    side = 2 * math.ceil(reach) + 4
    pen = _Pen(kind, length * scale, side * scale / 2, chance.uniform(0, 2 * math.pi), chance)
    solid = pen.draw_body(pen.draw_wings())
    image = Image.alpha_composite(pen.draw_legs(), solid).reduce(scale)
    left, top = round(at[0] - side / 2), round(at[1] - side / 2)
    mask = np.asarray(solid.getchannel("A").reduce(scale))  # (side, side)
    return Sprite(_with_shadow(image, length), left, top, _outline(mask, left, top))


class _Pen:
    """Draws the parts of one insect on a canvas that is larger than the sprite will be."""

    def __init__(self, kind: Kind, length: float, centre: float, angle: float, chance: random.Random) -> None:
        self.kind, self.length, self.centre, self.chance = kind, length, centre, chance
        self.axis = (math.cos(angle), math.sin(angle))
        self.side = chance.uniform(0.8, 1.0)  # it lies a little on its side: narrower
        self.shade = chance.uniform(0.75, 1.3)
        self.bend = chance.gauss(0, 0.07)
        self.body = [
            (along, length * chance.uniform(0.88, 1.1), width * chance.uniform(0.72, 1.15))
            for along, length, width in kind.body
        ]

    def new_layer(self) -> Image.Image:
        return Image.new("RGBA", (round(2 * self.centre),) * 2, (*self.kind.colour, 0))

    def place(self, along: float, across: float) -> tuple[float, float]:
        """A point given in body lengths, in pixels of the canvas."""
        x, y = along * self.length, across * self.length * self.side
        return self.centre + x * self.axis[0] - y * self.axis[1], self.centre + x * self.axis[1] + y * self.axis[0]

    def tint(self, colour: Colour, factor: float = 1.0) -> Colour:
        red, green, blue = (min(255, max(0, round(value * self.shade * factor))) for value in colour)
        return red, green, blue

    def ellipse(self, along: float, length: float, width: float, across: float = 0.0) -> list[tuple[float, float]]:
        turns = [2 * math.pi * step / 22 for step in range(22)]
        return [self.place(along + length / 2 * math.cos(t), across + width / 2 * math.sin(t)) for t in turns]

    def draw_legs(self) -> Image.Image:
        layer = self.new_layer()
        draw, chance = ImageDraw.Draw(layer), self.chance
        width = max(1, round(self.kind.leg_width * self.length))
        ink = (*self.tint(self.kind.colour, 0.75), 215)
        for side in (-1, 1):
            for root, direction in ((-0.02, -0.75), (0.12, 0.05), (0.24, 0.8)) if self.kind.legs else ():
                if chance.random() < 0.1:
                    continue
                reach, lean = self.kind.legs * chance.uniform(0.75, 1.1), direction + chance.gauss(0, 0.3)
                knee = (root + 0.45 * reach * lean, side * (0.1 + 0.45 * reach))
                foot = (root + reach * (lean + chance.gauss(0, 0.3)), side * (0.1 + reach * chance.uniform(0.55, 0.95)))
                draw.line([self.place(root, side * 0.08), self.place(*knee), self.place(*foot)], ink, width, "curve")
            if self.kind.feelers:
                tip = (
                    0.45 + self.kind.feelers * chance.uniform(0.7, 1),
                    side * self.kind.feelers * chance.uniform(0.3, 0.8),
                )
                draw.line([self.place(0.46, side * 0.05), self.place(*tip)], ink, max(1, width * 2 // 3))
        return layer

    def draw_wings(self) -> Image.Image:
        length, width, spread, opacity = self.kind.wing
        layer = self.new_layer()
        for side in (-1, 1) if length else ():
            if self.chance.random() < 0.07:
                continue  # torn off
            turn = math.radians(max(6, self.chance.gauss(spread, spread * 0.28)))
            size = length * self.chance.uniform(0.88, 1.08)
            wing = self.new_layer()
            draw, tint = ImageDraw.Draw(wing), self.tint(self.kind.wing_colour)
            draw.polygon([self._on_wing(u, v * width, size, turn, side) for u, v in _WING], fill=(*tint, opacity))
            for bend in (-0.28, 0.02, 0.3):  # veins
                vein = [
                    self._on_wing(u, bend * width * math.sin(math.pi * u * 0.9), size, turn, side)
                    for u in (0.04, 0.5, 0.94)
                ]
                draw.line(
                    vein,
                    (*self.tint(self.kind.wing_colour, 0.6), min(255, opacity + 60)),
                    max(1, round(self.length / 50)),
                )
            layer = Image.alpha_composite(layer, wing)
        return layer

    def _on_wing(self, u: float, v: float, size: float, turn: float, side: int) -> tuple[float, float]:
        """A point of a wing: u along it from its root, v across it, in body lengths."""
        along, across = u * size, v
        x = 0.2 - along * math.cos(turn) + across * math.sin(turn)
        return self.place(x, side * (0.08 + along * math.sin(turn) + across * math.cos(turn)))

    def draw_body(self, layer: Image.Image) -> Image.Image:
        kind, body = self.kind, self.new_layer()
        draw = ImageDraw.Draw(body)
        bends = (self.bend, 0.0, -self.bend / 2)
        for (along, length, width), bend, factor in zip(self.body, bends, (1.05, 0.9, 0.8), strict=True):
            draw.polygon(self.ellipse(along, length, width, bend), fill=(*self.tint(kind.colour, factor), 250))
            lit = self.ellipse(along, length * 0.66, width * 0.4, bend - 0.14 * width)
            draw.polygon(lit, fill=(*self.tint(kind.colour, factor * 1.3), 250))
            for _ in range(4):  # hairs, dents and glue: no surface is even
                at, off = along + self.chance.gauss(0, length / 5), bend + self.chance.gauss(0, width / 6)
                spot = self.ellipse(at, length * 0.2, width * 0.2, off)
                draw.polygon(spot, fill=(*self.tint(kind.colour, factor * self.chance.uniform(0.6, 1.6)), 250))
        along, length, width = self.body[0]
        for part in (-0.3, -0.1, 0.1, 0.3) if kind.bands else ():
            wide = width * math.sqrt(1 - (1.9 * part) ** 2) * 0.95
            band = self.ellipse(along + part * length, length * 0.1, wide, self.bend)
            draw.polygon(band, fill=(*self.tint(kind.bands or kind.colour), 235))
        if kind.sheen:
            gloss = self.ellipse(along + 0.03, length * 0.55, width * 0.13, self.bend - 0.2 * width)
            draw.polygon(gloss, fill=(*self.tint(kind.sheen), 225))
        return Image.alpha_composite(layer, body)


_WING = [
    (0, 0),
    (0.12, 0.16),
    (0.35, 0.36),
    (0.65, 0.5),
    (0.88, 0.4),
    (1, 0.08),
    (0.94, -0.22),
    (0.7, -0.38),
    (0.35, -0.3),
    (0.1, -0.12),
]


def _with_shadow(image: Image.Image, length: float) -> Image.Image:
    """The insect above its own soft shadow on the card."""
    offset = max(1, round(length / 14))
    soft = image.getchannel("A").filter(ImageFilter.BoxBlur(max(0.8, length / 18))).point([v // 3 for v in range(256)])
    shadow = Image.new("RGBA", image.size, (40, 42, 6, 0))
    shadow.paste((40, 42, 6, 255), (offset, offset), soft)
    return Image.alpha_composite(shadow, image)


def _outline(mask: np.ndarray, left: int, top: int) -> list[tuple[int, int]]:
    """A star-shaped polygon around what is not transparent in a mask (side, side), in pixels of the card."""
    rows, columns = np.nonzero(mask > 40)
    if len(rows) == 0:
        rows, columns = np.nonzero(mask == mask.max())
    x0, y0 = columns.mean(), rows.mean()
    angles = np.arctan2(rows - y0, columns - x0)  # (n,)
    sectors = ((angles + np.pi) / (2 * np.pi) * _OUTLINE_POINTS).astype(int) % _OUTLINE_POINTS
    radii = np.full(_OUTLINE_POINTS, 1.0)
    np.maximum.at(radii, sectors, np.hypot(rows - y0, columns - x0))
    turns = (np.arange(_OUTLINE_POINTS) + 0.5) / _OUTLINE_POINTS * 2 * np.pi - np.pi
    xs, ys = left + x0 + (radii + 1) * np.cos(turns), top + y0 + (radii + 1) * np.sin(turns)
    return [(round(float(x)), round(float(y))) for x, y in zip(xs, ys, strict=True)]
