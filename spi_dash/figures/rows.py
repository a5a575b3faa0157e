"""Explore's rows as the browser draws them: whole numbers as differences, gaps named, nothing computed twice.

A year of 50 traps is 150,000 numbers. As differences, one character each, they compress to a fifth of what a plotting
library's JSON takes, and assets/3*.js draw them on a canvas in a few milliseconds per row.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .night import find_nights

NIGHTS_DAYS = 62  # in longer ranges nights are narrower than the eye wants
SCALES = {"temp": 10, "min_temp": 10, "max_temp": 10, "hum": 1, "lum": 10}
MISSING_HOUR_S = 3600
# How a difference is written: `!` where there is no value, one of 90 characters for -45 to 44, `~` for all others,
# which follow as decimals. The quote and the backslash, which JSON would double, are not among them.
NOTHING, FAR, ZERO, REACH = ord("!"), ord("~"), ord("P"), 45
BACKSLASH = ord("\\")
NEAR = np.array([*range(-5, 0), *range(1, 6)])  # steps around one


class Info(Protocol):
    device: str
    name: str
    site: str
    n_images: int
    first_s: int
    last_s: int
    lat: float | None
    lng: float | None


class Row(Protocol):
    """What a row must have; see services.explore.DeviceRow."""

    info: Info
    bucket_s: int
    values: dict[str, np.ndarray]
    n_images: int
    n_annotated: int
    n_objects: int
    is_compared: bool
    n_annotated_2: int
    n_objects_2: int
    cadence_s: float
    inside: slice


def draw_rows(rows: Sequence[Row]) -> list[dict]:
    """One dict per row for spi.explore: who it is, its counts, and its series, packed.

    `t` is the moment of the last image of each point, UNIX s. `inside` is [first, end] of the points in the range:
    lines go on to the next ones. `gaps` holds the indexes of the points that follow a gap, `holes` the points that hide
    one: [index, seconds].
    """
    if not rows:
        return []
    drawn = [_describe(row) for row in rows]
    for name, texts in _pack_series(rows).items():
        for packed, text in zip(drawn, texts, strict=True):
            packed[name] = text
    return drawn


def _describe(row: Row) -> dict:
    values, info = row.values, row.info
    described = {
        "device": info.device, "name": info.name, "site": info.site, "ever": info.n_images,
        "first": info.first_s, "last": info.last_s,
        "night": _place(info), "bucket": row.bucket_s, "cadence": round(row.cadence_s),
        "inside": list(row.inside.indices(len(values["start_s"]))[:2]),
        "images": row.n_images, "annotated": row.n_annotated, "objects": row.n_objects,
        "gaps": find_gaps(values["first_s"], values["last_s"], row.cadence_s).tolist(),
        "holes": find_holes(values, row.cadence_s) if row.bucket_s else [],
    }  # fmt: skip
    return described | ({"annotated2": row.n_annotated_2, "objects2": row.n_objects_2} if row.is_compared else {})


def _pack_series(rows: Sequence[Row]) -> dict[str, list[str]]:
    """The series of all rows by name, those of a second version of the detector with denominators of their own."""
    bucket_s = rows[0].bucket_s

    def columns(name: str) -> list[np.ndarray]:
        return [row.values[name] for row in rows]

    steps = [row.bucket_s or round(row.cadence_s) for row in rows]
    packed = {"t": pack_all(columns("last_s"), 1, steps), "n": pack_all(columns("n_images"), 1)}
    names = ("temp", "hum", "lum") + (("min_temp", "max_temp") if bucket_s else ())
    packed |= {name: pack_all(columns(name), SCALES[name]) for name in names}
    for suffix, also in (("", ""), *((("_2", "2"),) if rows[0].is_compared else ())):
        seen, found = columns(f"n_annotated{suffix}"), columns(f"sum_objects{suffix}")
        each = [insects_per_image(*pair) for pair in zip(seen, found, strict=True)]
        packed |= {f"done{also}": pack_all(seen, 1), f"insects{also}": pack_all(each, 10 if bucket_s else 1)}
    return packed


def draw_nights(infos: Sequence[Info], start_s: int, end_s: int) -> dict[str, list[list[int]]]:
    """Nights by the `night` of the rows: traps on one site share them."""
    if end_s - start_s > NIGHTS_DAYS * 86_400:
        return {}
    places = {_place(info): info for info in infos if info.lat is not None and info.lng is not None}
    return {place: find_nights(info.lat, info.lng, start_s, end_s) for place, info in places.items()}


def _place(info: Info) -> str:
    return "" if info.lat is None or info.lng is None else f"{info.lat:.0f},{info.lng:.0f}"


def insects_per_image(n_annotated: np.ndarray, sum_objects: np.ndarray) -> np.ndarray:
    """Mean over the images that a detector has seen; NaN where it has seen none, which is not zero."""
    mean = np.full(len(n_annotated), np.nan)
    np.divide(sum_objects, n_annotated, out=mean, where=n_annotated > 0)
    return mean


def longest_step_s(cadence_s: np.ndarray | float) -> np.ndarray:
    """The longest time between two images that are joined by a line.

    Three cadences, but never a missing hour; a device that is slower than that is not all gaps.
    """
    return np.minimum(3 * cadence_s, np.maximum(MISSING_HOUR_S, 1.5 * cadence_s))


def find_gaps(first_s: np.ndarray, last_s: np.ndarray, cadence_s: float) -> np.ndarray:
    """Indexes of the points that are too far from the one before, also for the rhythm that the trap has there."""
    step_s = first_s[1:] - last_s[:-1]
    at = np.flatnonzero(step_s > longest_step_s(cadence_s))
    return at[step_s[at] > longest_step_s(around(step_s, at))] + 1


def around(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """For each index, the (lower) median of up to ten values around it, without itself; 0 where there are none."""
    if not len(at):
        return np.zeros(0)
    near = at[:, None] + NEAR
    found = np.where((near >= 0) & (near < len(values)), values[near.clip(0, len(values) - 1)], np.nan)
    found = np.sort(found, axis=1)  # what is none comes last
    middle = (np.count_nonzero(~np.isnan(found), axis=1) - 1) // 2
    return np.where(middle >= 0, found[np.arange(len(at)), middle], 0)


def find_holes(values: dict[str, np.ndarray], cadence_s: float) -> list[list[int]]:
    """Buckets that hide a gap: [index, seconds without pictures].

    Between the hours of a bucket the longest gap is known; for the days of one only how many pictures are missing,
    taken as one gap.
    """
    in_series_s = values["last_s"] - values["first_s"] - values["outside_s"]
    steps = values["n_images"] - 1
    missing_s = in_series_s - steps * cadence_s
    gap_s = np.maximum(values["between_s"], np.where(missing_s > 0, missing_s + cadence_s, 0))
    at = np.flatnonzero(gap_s > longest_step_s(cadence_s))
    own_s = np.divide(in_series_s, steps, out=np.full(len(steps), np.nan), where=steps > 0)
    near_s = np.maximum(cadence_s, around(own_s, at))  # the rhythm that the trap has there
    missing_s = in_series_s[at] - steps[at] * near_s
    gap_s = np.maximum(values["between_s"][at], np.where(missing_s > 0, missing_s + near_s, 0))
    is_one = gap_s > longest_step_s(near_s)
    return np.column_stack([at[is_one], gap_s[is_one]]).round().astype(int).tolist()


def pack(values: np.ndarray, scale: int, step: int = 0) -> str:
    """Numbers times `scale`, rounded, each as its difference to the one before, less `step`: `step characters far`."""
    return pack_all([values], scale, [step])[0]


def pack_all(columns: Sequence[np.ndarray], scale: int, steps: Sequence[int] = ()) -> list[str]:
    """Each of several series as pack() does it, in one go."""
    steps = steps or [0] * len(columns)
    values, lengths = np.concatenate(columns), [len(column) for column in columns]
    there = ~np.isnan(values)
    of = np.repeat(np.arange(len(columns)), lengths)[there]
    whole = np.round(values[there] * scale).astype(np.int64)
    change = np.diff(whole, prepend=0)
    first = np.diff(of, prepend=-1) != 0
    change[first] = whole[first]
    change -= np.array(steps)[of]
    is_far = (change < -REACH) | (change >= REACH)
    codes = change + ZERO
    codes[codes >= BACKSLASH] += 1
    codes[is_far] = FAR
    characters = np.full(len(values), NOTHING, np.uint8)
    characters[there] = codes
    text, far = characters.tobytes().decode("ascii"), list(map(str, change[is_far].tolist()))
    ends, far_ends = np.cumsum(lengths).tolist(), np.cumsum(np.bincount(of[is_far], minlength=len(columns))).tolist()
    return [
        f"{step} {text[start:end]} {','.join(far[first_far:last_far])}"
        for step, start, end, first_far, last_far in zip(
            steps, [0, *ends[:-1]], ends, [0, *far_ends[:-1]], far_ends, strict=True
        )
    ]
