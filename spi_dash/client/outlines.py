"""The insects in annotations: area, box and centroid of all outlines of a batch at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import numpy as np

MEASURES = ("area", "x", "y", "width", "height", "centroid_x", "centroid_y")


@dataclass(frozen=True)
class Insect:
    """One outline and where it comes from."""

    annotation: Mapping[str, Any]  # the row
    number: int  # in its annotation, from 0
    element: Mapping[str, Any]

    @property
    def points(self) -> list[list[float]]:
        return [point[0] for point in self.element.get("contour") or []]


def insects_of(annotations: Iterable[Mapping[str, Any]]) -> list[Insect]:
    """All outlines of annotations with their `json`."""
    return [
        Insect(row, number, element)
        for row in annotations
        for number, element in enumerate(orjson.loads(row["json"] or "{}").get("annotations", []))
    ]


def measure(outlines: Sequence[Sequence[Sequence[float]]]) -> "dict[str, np.ndarray]":
    """Areas in square pixels, boxes and centroids in pixels of the full picture, one value per outline.

    The centroid is that of the area, or of the points where they enclose none. Nothing is known (NaN) of an outline
    without points.

    Source: Bourke 1988, Calculating the area and centroid of a polygon.
    """
    import numpy as np

    counts = np.array([len(points) for points in outlines], dtype=np.int64)
    result = {name: np.full(len(outlines), np.nan) for name in MEASURES}
    filled = counts > 0
    if not filled.any():
        return result
    lengths = counts[filled]
    flat = np.array([value for points in outlines for point in points for value in point], dtype=np.float64)
    points = flat.reshape(-1, 2)  # (N, 2), all outlines one after the other
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])  # (M,)
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)  # (M, 2)
    means = np.add.reduceat(points, starts) / lengths[:, None]
    points = points - np.repeat(means, lengths, axis=0)  # far from the origin, the sums below lose digits
    following = np.arange(1, len(points) + 1)
    following[starts + lengths - 1] = starts
    ahead = points[following]
    cross = points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]
    twice = np.add.reduceat(cross, starts)  # (M,), signed
    moments = np.add.reduceat((points + ahead) * cross[:, None], starts)
    flat_ones = np.abs(twice) < 1e-9
    shift = np.where(flat_ones[:, None], 0.0, moments / np.where(flat_ones, 1.0, 3 * twice)[:, None])
    centroids = means + shift
    values = (np.abs(twice) / 2, *low.T, *(high - low).T, *centroids.T)
    for name, value in zip(MEASURES, values, strict=True):
        result[name][filled] = value
    return result
