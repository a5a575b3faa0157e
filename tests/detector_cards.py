"""Small synthetic cards with dark ellipses for insects, as the SVG files that people save."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REAL_LABELS = Path(__file__).parents[2] / "shared" / "data" / "uid_labels"
Ellipse = tuple[int, int, int, int]  # centre x, y and half axes


def draw_card(ellipses: list[Ellipse], size: tuple[int, int] = (384, 288), colour=(180, 190, 70)) -> np.ndarray:
    """A card of (width, height) as (H, W, 3) uint8, with a little noise."""
    image = Image.new("RGB", size, colour)
    for x, y, a, b in ellipses:
        ImageDraw.Draw(image).ellipse((x - a, y - b, x + a, y + b), (40, 35, 30))
    noise = np.random.default_rng(0).normal(0, 2, (size[1], size[0], 3))
    return (np.asarray(image) + noise).clip(0, 255).astype(np.uint8)


def outline_ellipse(ellipse: Ellipse) -> list[tuple[float, float]]:
    x, y, a, b = ellipse
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(float(x + a * np.cos(t)), float(y + b * np.sin(t))) for t in turns]


def path_of(points: list[tuple[float, float]], stroke: str = "#0000ff", fill: str = "#ff0000") -> str:
    d = "M" + " ".join(f"{x:.2f},{y:.2f}" for x, y in points) + " Z"
    return f'<path name="insect" value="0" style="stroke:{stroke};fill:{fill}" d="{d}"/>'


def svg_of(image: np.ndarray, paths: list[str], attributes: str = 'x="0" y="0"') -> str:
    """An SVG with the picture embedded, as Inkscape saves it."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    h, w = image.shape[:2]
    data = base64.b64encode(file.getvalue()).decode()
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<image width="{w}" height="{h}" {attributes} xlink:href="data:image/jpeg;base64,{data}"/>'
        f"{''.join(paths)}</svg>"
    )


def write_card(folder: Path, name: str, ellipses: list[Ellipse], **card) -> Path:
    """An annotated card as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.svg"
    file.write_text(svg_of(draw_card(ellipses, **card), [path_of(outline_ellipse(e)) for e in ellipses]))
    return file


def write_cards(folder: Path) -> Path:
    """Three cards of two devices."""
    write_card(folder, "aaaaaaaa.2020-07-01_10-00-00", [(60, 60, 22, 12), (200, 120, 10, 16), (215, 130, 9, 9)])
    write_card(folder, "aaaaaaaa.2020-08-01_10-00-00", [(300, 200, 20, 20), (90, 220, 12, 8)])
    write_card(folder, "bbbbbbbb.2020-07-01_10-00-00", [(150, 150, 25, 10)], colour=(90, 130, 70))
    return folder
