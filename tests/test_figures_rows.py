"""What is packed for the browser can be unpacked, and a gap is a gap."""

import numpy as np
import pytest

from spi_dash.figures import rows


def unpack(text: str, scale: int) -> list[float]:
    total, values = 0, []
    for part in text.split(","):
        total += int(part or 0)
        values.append(total / scale if part else np.nan)
    return values


@pytest.mark.parametrize("values", [[1.5, np.nan, -2.25, 0], [np.nan, np.nan], [7], [0.1, 0.2, 0.3]])
def test_packing_keeps_the_values(values):
    packed = rows.pack(np.array(values, dtype=float), 10)
    assert unpack(packed, 10) == pytest.approx(values, abs=0.05, nan_ok=True)


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


def test_not_processed_is_not_zero():
    values = {"n_annotated": np.array([0.0, 2.0, 1.0]), "sum_objects": np.array([np.nan, 5.0, 0.0])}
    assert rows.insects_per_image(values).tolist() == pytest.approx([np.nan, 2.5, 0], nan_ok=True)
