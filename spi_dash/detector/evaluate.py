"""How good is it? Outlines of the detector against hand-drawn ones, on whole pictures.

The rule of Geissmann et al. 2022, doi:10.1371/journal.pbio.3001689: pairs are made greedily, the largest overlap
first, each outline in one pair at most; a pair counts from IoU 0.33. Counts are pooled over pictures.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .contours import fill_outline
from .labels import Card
from .predict import Detection

IOUS = (0.33, 0.5)
LARGE_PX = 1000.0  # smaller insects are ambiguous to people too


@dataclass(frozen=True)
class Comparison:
    """One picture: IoU of every drawn (rows) with every found insect (columns), their areas in pixels, and scores."""

    iou: np.ndarray
    drawn_px: np.ndarray
    found_px: np.ndarray
    scores: np.ndarray
    seconds: float


def compare(card: Card, found: Sequence[Detection], seconds: float) -> Comparison:
    """Overlaps of what was drawn and what was found on one card."""
    shape = card.image.shape[:2]
    drawn = [_patch(polygon.round().astype(int), shape) for polygon in card.polygons]
    detected = [_patch(detection.outline, shape) for detection in found]
    iou = np.array([[_iou(d, f) for f in detected] for d in drawn]).reshape(len(drawn), len(detected))
    scores = np.array([detection.score for detection in found])
    return Comparison(iou, _areas(drawn), _areas(detected), scores, seconds)


def keep_from(comparison: Comparison, min_score: float) -> Comparison:
    """The comparison as it would be if insects with lower scores had not been found."""
    kept = comparison.scores >= min_score
    return replace(
        comparison, iou=comparison.iou[:, kept], found_px=comparison.found_px[kept], scores=comparison.scores[kept]
    )


def choose_min_score(comparisons: Sequence[Comparison]) -> float:
    """The score from which finds are best kept: by `quality_of`, and of equally good ones the middle."""
    candidates = np.arange(0.1, 0.9, 0.02)
    quality = np.array([quality_of([keep_from(c, s) for c in comparisons]) for s in candidates])
    best = candidates[quality >= quality.max() - 1e-9]
    return round(float(best[len(best) // 2]), 2)


def quality_of(comparisons: Sequence[Comparison]) -> float:
    """One number to compare networks by: the mean of F1 at both IoUs."""
    return float(np.mean([score(comparisons, threshold)["f1"] for threshold in IOUS]))


@dataclass(frozen=True)
class _Patch:
    """A mask and where its first pixel lies in the picture."""

    mask: np.ndarray
    y: int
    x: int


def _patch(outline: np.ndarray, shape: tuple[int, int]) -> _Patch:
    (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0) + 1
    mask = fill_outline(outline - (x0, y0), (y1 - y0, x1 - x0))
    cut_y, cut_x = max(-y0, 0), max(-x0, 0)  # hand-drawn outlines may reach over the border of the picture
    return _Patch(mask[cut_y : shape[0] - y0, cut_x : shape[1] - x0], y0 + cut_y, x0 + cut_x)


def _areas(patches: list[_Patch]) -> np.ndarray:
    return np.array([patch.mask.sum() for patch in patches], dtype=float)


def _iou(a: _Patch, b: _Patch) -> float:
    y0, x0 = max(a.y, b.y), max(a.x, b.x)
    y1, x1 = min(a.y + a.mask.shape[0], b.y + b.mask.shape[0]), min(a.x + a.mask.shape[1], b.x + b.mask.shape[1])
    if y0 >= y1 or x0 >= x1:
        return 0.0
    both = (a.mask[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x] & b.mask[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]).sum()
    return float(both / (a.mask.sum() + b.mask.sum() - both))


def match(iou: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Greedy one-to-one pairs (row, column), the largest overlap first, down to the threshold."""
    pairs, rows, columns = [], set(), set()
    for flat in np.argsort(-iou, axis=None, kind="stable"):
        row, column = divmod(int(flat), iou.shape[1])
        if iou[row, column] < threshold:
            break
        if row not in rows and column not in columns:
            pairs.append((row, column))
            rows.add(row)
            columns.add(column)
    return pairs


def score(comparisons: Sequence[Comparison], threshold: float, min_px: float = 0.0) -> dict[str, float]:
    """Precision, recall and F1, pooled. With `min_px`, smaller insects neither count nor hurt, on either side."""
    drawn = found = hit_drawn = hit_found = 0
    for c in comparisons:
        large_drawn, large_found = c.drawn_px >= min_px, c.found_px >= min_px
        pairs = match(c.iou, threshold)
        paired = {column: row for row, column in pairs}
        drawn += int(large_drawn.sum())
        hit_drawn += sum(bool(large_drawn[row]) for row, _ in pairs)
        # A large find on a small drawn insect is no mistake of the kind that is counted here.
        counted = [k for k in np.flatnonzero(large_found) if k not in paired or large_drawn[paired[k]]]
        found += len(counted)
        hit_found += sum(k in paired for k in counted)
    precision = hit_found / found if found else 0.0
    recall = hit_drawn / drawn if drawn else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def summarise(comparisons: Sequence[Comparison]) -> dict:
    """Everything that `evaluate --json` prints."""
    errors = [abs(len(c.found_px) - len(c.drawn_px)) for c in comparisons]
    return {
        "images": len(comparisons),
        "insects": int(sum(len(c.drawn_px) for c in comparisons)),
        "found": int(sum(len(c.found_px) for c in comparisons)),
        **{f"iou_{threshold}": score(comparisons, threshold) for threshold in IOUS},
        **{f"iou_{threshold}_over_1000px": score(comparisons, threshold, LARGE_PX) for threshold in IOUS},
        "count_error_per_image": float(np.mean(errors)),
        "seconds_per_image": float(np.mean([c.seconds for c in comparisons])),
    }


def evaluate(detect: Callable[[np.ndarray], list[Detection]], cards: Sequence[Card]) -> list[Comparison]:
    """Detect on every card and compare."""
    comparisons = []
    for card in cards:
        started = time.perf_counter()
        found = detect(card.image)
        comparisons.append(compare(card, found, time.perf_counter() - started))
    return comparisons
