"""What is packed for the browser can be unpacked, and a gap is a gap."""

import json

import numpy as np
import pytest

from spi_dash.figures import rows


def unpack(text: str, scale: int) -> list[float]:
    """As assets/30-series.js does it."""
    step, codes, far = text.split(" ")
    others, total, values = iter(far.split(",")), 0, []
    for code in codes.encode():
        if code != ord("!"):
            total += int(step) + (int(next(others)) if code == ord("~") else code - 80 - (code > 92))
        values.append(np.nan if code == ord("!") else total / scale)
    return values


@pytest.mark.parametrize("values", [[1.5, np.nan, -2.25, 0], [np.nan, np.nan], [7], [], [1e9, 1e9 + 1, 5, 4.1]])
def test_packing_keeps_the_values(values):
    packed = rows.pack(np.array(values, dtype=float), 10)
    assert unpack(packed, 10) == pytest.approx(values, abs=0.05, nan_ok=True)


@pytest.mark.parametrize("step", range(-50, 51))
def test_every_difference_is_printable_and_needs_no_escape(step):
    values = np.cumsum([1000, 0, 0, step, step, 0, 0, 0])
    packed = rows.pack(values.astype(float), 1)
    assert json.dumps(packed) == f'"{packed}"'
    assert unpack(packed, 1) == values.tolist()


def test_rounding_does_not_add_up():
    values = np.linspace(0, 1, 1000)
    assert unpack(rows.pack(values, 10), 10)[-1] == 1


@pytest.mark.parametrize(
    ("cadence_s", "longest_s"),
    [(300, 900), (1200, 3600), (1800, 3600), (3600, 5400), (7200, 10_800)],
)
def test_lines_are_never_drawn_over_three_cadences_or_a_missing_hour(cadence_s, longest_s):
    assert rows.longest_step_s(cadence_s) == longest_s


def test_a_gap_is_where_the_line_breaks():
    first = np.array([0, 1200, 2400, 9000, 10_200], dtype=float)
    assert rows.find_gaps(first, first, 1200).tolist() == [3]


def test_a_trap_that_changed_its_rhythm_has_no_gaps():
    hourly, often = np.arange(0, 36_000, 3600.0), np.arange(36_000, 36_600, 5.0)
    first = np.concatenate([hourly, often + 20_000])
    assert rows.find_gaps(first, first, 5).tolist() == [10]
    days = {"first_s": np.arange(4) * 86_400.0, "last_s": np.arange(4) * 86_400.0 + 82_800, "outside_s": np.zeros(4)}
    days |= {"n_images": np.array([24.0, 24, 12, 24]), "between_s": np.zeros(4)}
    assert rows.find_holes(days, 5) == [[2, 46_800]]


def test_a_bucket_that_hides_a_gap_says_how_long_it_is():
    six_hours = {"first_s": np.array([0.0, 21_600, 43_200]), "last_s": np.array([20_400.0, 42_000, 63_600]),
                 "outside_s": np.zeros(3)}  # fmt: skip
    complete, between, missing = (18, 0), (6, 14_400), (10, 0)
    counts, longest = np.array([complete, between, missing], dtype=float).T
    holes = rows.find_holes({**six_hours, "n_images": counts, "between_s": longest}, 1200)
    assert holes == [[1, 15_600], [2, 10_800]]


def test_a_picture_missed_now_and_then_is_no_gap():
    values = {"first_s": np.zeros(1), "last_s": np.array([20_400.0]), "n_images": np.array([16.0])}
    values |= {"between_s": np.array([2400.0]), "outside_s": np.zeros(1)}
    assert rows.find_holes(values, 1200) == []


def test_where_no_pictures_are_wanted_none_are_missing():
    values = {"first_s": np.zeros(1), "last_s": np.array([20_400.0]), "n_images": np.array([6.0])}
    values |= {"between_s": np.zeros(1), "outside_s": np.array([14_400.0])}
    assert rows.find_holes(values, 1200) == []


def test_not_processed_is_not_zero():
    n_annotated, sum_objects = np.array([0.0, 2.0, 1.0]), np.array([np.nan, 5.0, 0.0])
    assert rows.insects_per_image(n_annotated, sum_objects).tolist() == pytest.approx([np.nan, 2.5, 0], nan_ok=True)
