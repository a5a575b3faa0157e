"""Outlines of one picture against those of another: which insects were there before."""

from collections.abc import Sequence

import numpy as np
import shapely

SAME_OVERLAP = 0.3  # of the smaller outline; see find_new
MOVED_PX = 400  # the furthest that a card is looked for
NEAR_PX = 8  # outlines of one insect lie this close once the card's move is undone
LEAST_PAIRS, LEAST_SHARE, LEAST_GAIN = 6, 0.6, 1.5  # see find_move
MOST_KNOWN = 0.95  # of the insects: where more are where they were, nobody asks whether the card was moved

Outline = Sequence[int]  # x, y, x, y in pixels


def find_new(outlines: Sequence[Outline], earlier: Sequence[Outline]) -> list[int]:
    """Indexes of the outlines that share less than SAME_OVERLAP of their area with each of the earlier ones.

    The share is of the smaller of two outlines: one insect is often outlined in parts, and parts grow together. Where
    the whole card was moved, that is undone first.

    Tried with the reference model on five cards of 2020 (249 insects) in four lights, moved by up to 3 px: of 906
    outlines 885 shared more than half with one of the same card as it was, 21 nothing at all, none a share in between
    (by hand against the model: 1 of 287). An outline put anywhere on such a card shares 0.15 by chance in 8 %, 0.3 in
    5 %, 0.5 in 4 %; on a card of 620 insects in 50, 37 and 20 %. So 0.3 leaves room for a card that the wind moves and
    takes few insects for others.
    """
    if not outlines or not earlier:
        return list(range(len(outlines)))
    now, then = _shapes(outlines), _shapes(earlier)
    known = _find_known(now, then)
    if len(known) < MOST_KNOWN * min(len(now), len(then)):
        x, y = find_move(*(shapely.get_coordinates(shapely.centroid(each)) for each in (now, then)))
        moved = _find_known(now, shapely.transform(then, lambda points: points + np.array([x, y])))
        known = max(known, moved, key=len)
    return np.setdiff1d(np.arange(len(outlines)), known).tolist()


def find_move(now: np.ndarray, then: np.ndarray) -> tuple[float, float]:
    """How far a card was moved between two pictures, in pixels; (0, 0) where it was not, or is another card.

    The move that brings most insects to where others are now. It counts where it finds six insects and six tenths of
    those on the picture with fewer, and half as many again as without a move.

    Tried with 14 cards outlined by hand (18 to 261 insects), each moved ten times by 20 to 350 px and every insect by 2
    px more, a tenth of them gone: none of 7313 was taken for new. None of the 182 pairs of different cards, nor of 20
    pairs of random ones with 10 to 1000 insects each, was taken for the same.

    Args:
        now, then: (n, 2) and (m, 2), where the insects are and were.
    """
    if min(len(now), len(then)) < LEAST_PAIRS:
        return 0.0, 0.0
    steps = (now[:, None] - then[None]).reshape(-1, 2)
    steps = steps[np.abs(steps).max(axis=1) <= MOVED_PX]
    best = _densest(steps)
    if best is None:
        return 0.0, 0.0
    found, still = (_count_pairs(now, then + move) for move in (best, 0))
    enough = max(LEAST_PAIRS, LEAST_SHARE * min(len(now), len(then)), LEAST_GAIN * still)
    return (float(best[0]), float(best[1])) if found >= enough else (0.0, 0.0)


def _densest(steps: np.ndarray) -> np.ndarray | None:
    """The middle of the square of NEAR_PX with most steps in it."""
    if not len(steps):
        return None
    # In squares and in those half a side further, so that a crowd on a border is whole in one of them.
    crowds = []
    for offset in np.array([[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]]):
        column, row = ((steps + MOVED_PX) / NEAR_PX + offset).astype(int).T
        cell = row * (2 * MOVED_PX // NEAR_PX + 2) + column
        crowds.append(steps[cell == np.bincount(cell).argmax()])
    return np.median(max(crowds, key=len), axis=0)


def _count_pairs(now: np.ndarray, then: np.ndarray) -> int:
    """How many of the insects now have one of then beside them, each taken once."""
    tree = shapely.STRtree(shapely.points(then))
    mine, theirs = tree.query_nearest(shapely.points(now), max_distance=NEAR_PX, all_matches=False)
    return min(len(mine), len(np.unique(theirs)))


def _find_known(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    mine, theirs = shapely.STRtree(then).query(now, predicate="intersects")
    shared = shapely.area(shapely.intersection(now[mine], then[theirs]))
    smaller = np.minimum(shapely.area(now[mine]), shapely.area(then[theirs]))
    return np.unique(mine[shared >= SAME_OVERLAP * smaller])


def _shapes(outlines: Sequence[Outline]) -> np.ndarray:
    """Valid polygons that cover their outlines, also where these cross themselves; points and lines get a width."""
    rings = [shapely.linearrings(np.array(each, float).reshape(-1, 2)) for each in outlines]
    shapes = shapely.make_valid(shapely.polygons(rings))
    flat = shapely.area(shapes) < 1
    shapes[flat] = shapely.buffer(shapes[flat], 1)
    return shapes
