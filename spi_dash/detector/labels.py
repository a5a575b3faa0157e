"""Hand-drawn cards: an SVG with the trap picture embedded as JPEG and one blue path per insect.

This is what Inkscape saves when a picture is embedded and insects are outlined on it. Insects are told from other
drawings by their stroke; the fill varies between annotators. Everything is in the pixels of the picture.
"""

import base64
import binascii
import io
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from ..clock import LEGACY
from ..errors import InvalidInput, NotFound

INSECT_STROKE = "#0000ff"
CURVE_STEPS = 8  # line pieces per Bezier curve: finer than a pixel at the sizes people draw
SAME_CARD = timedelta(days=7)  # a device rarely gets a new card sooner: closer pictures may show the same insects
_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "Z": 0}


@dataclass(frozen=True)
class Card:
    """One annotated picture.

    `image`: (H, W, 3) uint8, RGB. `polygons`: one (N, 2) float array of x, y per insect, in pixels of `image`.
    """

    name: str
    image: np.ndarray
    polygons: tuple[np.ndarray, ...]

    @property
    def device(self) -> str:
        return self.name.split(".")[0]

    @cached_property
    def ids(self) -> np.ndarray:
        """(H, W) int32: 0 is card, k + 1 is `polygons[k]`."""
        return rasterise(self.polygons, self.image.shape[:2])


def rasterise(polygons: tuple[np.ndarray, ...], shape: tuple[int, int]) -> np.ndarray:
    """Fill polygons into one map of shape (H, W), small ones over large ones; 0 is outside, k + 1 is polygon k."""
    canvas = Image.new("I", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    for k in sorted(range(len(polygons)), key=lambda k: -area_px(polygons[k])):
        draw.polygon([tuple(point) for point in polygons[k].round().tolist()], fill=k + 1, outline=k + 1)
    return np.array(canvas, dtype=np.int32)


def area_px(polygon: np.ndarray) -> float:
    """Area of an (N, 2) polygon by the shoelace rule."""
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def read_cards(folder: Path) -> list[Card]:
    """Every annotated SVG of a folder, by name."""
    files = sorted(folder.glob("*.svg"))
    if not files:
        raise NotFound(f"there is no .svg file in {folder}", folder=str(folder))
    return [read_card(file) for file in files]


def read_card(file: Path) -> Card:
    """Read one annotated SVG; degenerate outlines (no area) are dropped, anything not understood is refused."""
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise InvalidInput(f"{file.name} is not an SVG file: {error}", file=file.name) from None
    picture = root.find(f".//{_SVG}image")
    if picture is None:
        raise InvalidInput(f"{file.name} holds no embedded picture", file=file.name)
    if any("transform" in element.attrib for element in root.iter()):
        raise InvalidInput(f"{file.name} uses transforms: ungroup everything in the drawing program", file=file.name)
    image = _decode(picture.get(_HREF) or picture.get("href") or "", file.name)
    corner = np.array([float(picture.get("x", 0)), float(picture.get("y", 0))])
    scale = image.shape[1] / float(picture.get("width", image.shape[1]))
    outlines = [parse_path(path.get("d", ""), file.name) for path in root.iter(f"{_SVG}path") if _is_insect(path)]
    polygons = tuple((outline - corner) * scale for outline in outlines if len(outline) > 2)
    return Card(file.stem, image, tuple(p for p in polygons if area_px(p) > 4))


def _is_insect(path: ElementTree.Element) -> bool:
    style = dict(part.split(":", 1) for part in path.get("style", "").replace(" ", "").split(";") if ":" in part)
    return style.get("stroke", path.get("stroke", "")).lower() == INSECT_STROKE


def _decode(href: str, name: str) -> np.ndarray:
    """(H, W, 3) uint8 from a data URI."""
    if not href.startswith("data:image/") or "base64," not in href:
        raise InvalidInput(f"{name} links to its picture: embed it", file=name)
    try:
        data = base64.b64decode(href.split("base64,", 1)[1])
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except (binascii.Error, UnidentifiedImageError, OSError) as error:
        raise InvalidInput(f"the picture embedded in {name} cannot be read: {error}", file=name) from None


def parse_path(d: str, name: str) -> np.ndarray:
    """Vertices of the largest closed part of an SVG path: (N, 2) float64, curves as line pieces."""
    parts: list[list[np.ndarray]] = []
    here = start = np.zeros(2)
    for command, numbers in _commands(d, name):
        origin = here if command.islower() else np.zeros(2)
        match command.upper():
            case "M":
                here = start = origin + numbers
                parts.append([here])
            case "Z":
                here = start
            case "C":
                curve = _bezier(here, origin + numbers[0:2], origin + numbers[2:4], origin + numbers[4:6])
                parts[-1].extend(curve)
                here = curve[-1]
            case line:
                here = _line_end(line, here, origin, numbers)
                parts[-1].append(here)
    return max((np.array(part) for part in parts), key=area_px, default=np.zeros((0, 2)))


def _line_end(command: str, here: np.ndarray, origin: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    if command == "H":
        return np.array([origin[0] + numbers[0], here[1]])
    if command == "V":
        return np.array([here[0], origin[1] + numbers[0]])
    return origin + numbers


def _commands(d: str, name: str) -> list[tuple[str, np.ndarray]]:
    """Split a path into (letter, arguments); repeated arguments repeat the letter, after a move they are lines."""
    commands: list[tuple[str, np.ndarray]] = []
    tokens = _TOKEN.findall(d)
    letter, at = "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            letter, at = tokens[at], at + 1
        count = _ARGUMENTS.get(letter.upper())
        arguments = tokens[at : at + (count or 0)]
        if count is None or len(arguments) < count or any(a.isalpha() for a in arguments):
            raise InvalidInput(f"a path in {name} has a command that is not understood: '{letter}'", file=name)
        commands.append((letter, np.array(arguments, dtype=float)))
        at += count
        letter = {"M": "L", "m": "l", "Z": "", "z": ""}.get(letter, letter)
    if commands and commands[0][0].upper() != "M":
        raise InvalidInput(f"a path in {name} does not begin with a move", file=name)
    return commands


def _bezier(p0: np.ndarray, p1: np.ndarray, p2: np.ndarray, p3: np.ndarray) -> list[np.ndarray]:
    t = np.linspace(0, 1, CURVE_STEPS + 1)[1:, None]  # (CURVE_STEPS, 1)
    return list((1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3)


def group_cards(cards: list[Card]) -> list[list[Card]]:
    """Put pictures that may show the same physical card together: one device, less than SAME_CARD apart."""
    groups: list[list[Card]] = []
    for card in sorted(cards, key=lambda card: card.name):
        last = groups[-1][-1] if groups else None
        near = last is not None and last.device == card.device and _taken_at(card) - _taken_at(last) < SAME_CARD
        groups[-1].append(card) if near else groups.append([card])
    return groups


def _taken_at(card: Card) -> datetime:
    try:
        return datetime.strptime(card.name.split(".")[1], LEGACY)
    except (IndexError, ValueError):
        raise InvalidInput(f"{card.name}.svg is not named <device>.<date>_<time>.svg", file=card.name) from None
