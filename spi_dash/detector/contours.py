"""Masks to outlines and back, in the convention of the wire: vertices are the outermost pixels of the object."""

import numpy as np
from PIL import Image, ImageDraw

# Cracks between pixels, walked with the object on the left hand: right, up, left, down; as (dy, dx) of pixel corners.
_STEPS = np.array([(0, 1), (-1, 0), (0, -1), (1, 0)])
# The pixel on the left of a crack that starts at corner (y, x) and goes in each direction, as (dy, dx).
_LEFT_PIXEL = np.array([(-1, 0), (-1, -1), (0, -1), (0, 0)])


def trace_outline(mask: np.ndarray) -> np.ndarray:
    """Walk around the object in a mask, holes and all but the first of several objects left out.

    The cracks around the object and their successors are found all at once; only the walk itself is a loop.

    Args:
        mask: (H, W) bool, with at least one pixel set, 8-connected.

    Returns:
        (N, 2) int, x and y of the outermost pixels in order, without those on a straight line between others.
    """
    h, w = mask.shape
    padded = np.zeros((h + 2, w + 2), bool)
    padded[1:-1, 1:-1] = mask
    nw, ne, sw, se = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]  # around each corner
    cracks = np.stack([ne & ~se, nw & ~ne, sw & ~nw, se & ~sw])  # (4, H + 1, W + 1)
    successor = _successors(cracks)
    first = int(np.flatnonzero(cracks[2])[0]) + 2 * (h + 1) * (w + 1)  # topmost object pixel, walking left above it
    walk = [first]
    while (crack := successor[walk[-1]]) != first:
        walk.append(crack)
    direction, corner = np.divmod(np.array(walk), (h + 1) * (w + 1))
    pixels = np.stack(np.divmod(corner, w + 1), axis=1) + _LEFT_PIXEL[direction]  # (n, 2) y, x
    return _without_straights(pixels[:, ::-1])


def _successors(cracks: np.ndarray) -> dict[int, int]:
    """For each crack, numbered in (direction, corner y, corner x), the one that goes on from its end."""
    d, y, x = np.nonzero(cracks)
    ends = np.stack([y, x], axis=1) + _STEPS[d]
    right, ahead = (d - 1) % 4, d
    turn_right, go_ahead = cracks[right, ends[:, 0], ends[:, 1]], cracks[ahead, ends[:, 0], ends[:, 1]]
    onwards = np.where(turn_right, right, np.where(go_ahead, ahead, (d + 1) % 4))  # right first: 8-connected
    here = np.ravel_multi_index((d, y, x), cracks.shape)
    there = np.ravel_multi_index((onwards, ends[:, 0], ends[:, 1]), cracks.shape)
    return dict(zip(here.tolist(), there.tolist(), strict=True))


def _without_straights(points: np.ndarray) -> np.ndarray:
    moved = np.any(points != np.roll(points, 1, axis=0), axis=1)
    points = points[moved] if moved.any() else points[:1]
    if len(points) < 3:
        return points
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[np.any(before != after, axis=1)]


def fill_outline(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mask inside an outline, its own pixels included: (N, 2) x, y -> (H, W) bool."""
    canvas = Image.new("1", (shape[1], shape[0]))
    points = [tuple(point) for point in outline.tolist()]
    draw = ImageDraw.Draw(canvas)
    draw.polygon(points, fill=1, outline=1) if len(points) > 1 else draw.point(points, fill=1)
    return np.array(canvas, dtype=bool)
