"""Outlines of masks, and masks of outlines."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

from scipy import ndimage

from spi_dash.detector.contours import fill_outline, trace_outline


def test_a_square_has_four_corners_on_its_own_pixels():
    mask = np.zeros((6, 7), bool)
    mask[1:4, 2:6] = True
    assert sorted(map(tuple, trace_outline(mask).tolist())) == [(2, 1), (2, 3), (5, 1), (5, 3)]


@pytest.mark.parametrize(("shape", "expected"), [((1, 1), [[0, 0]]), ((1, 5), [[0, 0], [4, 0]])])
def test_single_pixels_and_lines(shape, expected):
    assert trace_outline(np.ones(shape, bool)).tolist() == expected


def test_diagonal_neighbours_are_one_object():
    assert fill_outline(trace_outline(np.eye(5, dtype=bool)), (5, 5)).sum() == 5


@pytest.mark.parametrize("seed", range(40))
def test_filling_the_outline_gives_the_mask_back(seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(60, 70)), rng.uniform(1, 4))
    parts, _ = ndimage.label(noise > 0.3 * noise.std(), np.ones((3, 3)))
    mask = ndimage.binary_fill_holes(parts == np.bincount(parts.ravel())[1:].argmax() + 1)
    assert np.array_equal(fill_outline(trace_outline(mask), mask.shape), mask)


def test_holes_are_not_followed():
    mask = np.ones((9, 9), bool)
    mask[3:6, 3:6] = False
    assert len(trace_outline(mask)) == 4
