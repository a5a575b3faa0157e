"""Detections in the form of the wire (contract 4.8), and drawn on the picture for people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .bundle import Loaded
from .predict import Detection, decode_image
from .worker import Model

STROKE = "#0000ff"  # encodes the class insect, as in hand-drawn labels
FILL = "#ff0000"


def annotation_of(detection: Detection) -> dict[str, Any]:
    """One detection as the wire has it; contour N x 1 x 2."""
    contour = detection.outline[:, None, :].tolist()
    return {"contour": contour, "name": "insect", "value": 0, "stroke_colour": STROKE, "fill_colour": FILL}


def model_of(loaded: Loaded) -> Model:
    """A bundle's detector as the worker wants it: files in, annotations out."""

    def detect(data: bytes) -> list[dict[str, Any]]:
        return [annotation_of(one) for one in loaded.detector(decode_image(data, "the picture"))]

    return Model(loaded.version, detect)


def draw_overlay(image: np.ndarray, detections: Sequence[Detection]) -> Image.Image:
    """The picture (H, W, 3) with every outline in blue and its score beside it, in percent."""
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    width = max(2, picture.width // 900)
    for detection in detections:
        points = [tuple(point) for point in detection.outline.tolist()]
        draw.line([*points, points[0]], fill=STROKE, width=width)
        draw.text(points[0], f"{100 * detection.score:.0f}", fill=FILL, font_size=max(14, picture.width // 130))
    return picture
