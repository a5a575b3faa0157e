"""What was outlined in pictures."""

import re
from typing import Annotated

from pydantic import Field

from .base import MAX_DEVICE_CHARS, Info, Moment, Part

Pixel = Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)]


class Outline(Part):
    """One object: a closed line of [[x, y]] points, pixels of the full picture; it may leave the frame."""

    contour: list[tuple[tuple[Pixel, Pixel]]]
    name: Annotated[str, Field(max_length=128)] = "annotation"
    value: Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)] = 0
    stroke_colour: Annotated[str, Field(max_length=32)] = "#0000ff"
    fill_colour: Annotated[str, Field(max_length=32)] = "#ff0000"


class AnnotationMetadata(Part):
    """Which image, and which version of which algorithm; further keys are kept."""

    algo_name: Annotated[str, Field(min_length=1, max_length=64)]
    algo_version: Annotated[str, Field(min_length=1, max_length=46)]
    device: Annotated[str, Field(max_length=MAX_DEVICE_CHARS)]
    datetime: Moment
    md5: Annotated[str, Field(max_length=64)]


class Annotation(Info):
    """What one detector found in one image."""

    annotations: list[Outline]
    metadata: AnnotationMetadata


def version_order(version: str) -> list[tuple[int, int, str]]:
    """To sort an algorithm's versions by, the newest last: 1.10 is newer than 1.9. Numbers come before text."""
    parts = re.findall(r"\d+|[^\d]+", version)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
