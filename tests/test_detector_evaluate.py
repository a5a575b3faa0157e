"""The rules by which the detector is judged."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

from spi_dash.detector.evaluate import (
    Comparison,
    choose_min_score,
    compare,
    keep_from,
    match,
    quality_of,
    score,
    summarise,
)
from spi_dash.detector.labels import Card
from spi_dash.detector.predict import Detection

BLANK = np.zeros((100, 120, 3), np.uint8)


def square(x, y, side):
    return np.array([(x, y), (x + side - 1, y), (x + side - 1, y + side - 1), (x, y + side - 1)])


def comparison(iou, drawn_px=None, found_px=None):
    iou = np.array(iou, dtype=float)
    rows, columns = iou.shape
    scores = np.linspace(0.9, 0.3, columns)
    return Comparison(iou, np.array(drawn_px or [2000.0] * rows), np.array(found_px or [2000.0] * columns), scores, 0.1)


def test_pairs_are_made_largest_overlap_first():
    assert match(np.array([[0.6, 0.5], [0.9, 0.55]]), 0.33) == [(1, 0), (0, 1)]
    assert match(np.array([[0.6, 0.5], [0.9, 0.55]]), 0.52) == [(1, 0)]


def test_each_outline_is_in_one_pair_at_most():
    assert score([comparison([[0.9, 0.8]])], 0.33) == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}


def test_the_threshold_itself_counts():
    assert score([comparison([[0.5]])], 0.5)["f1"] == 1


def test_counts_are_pooled_over_pictures():
    one, two = comparison([[1.0]]), comparison([[0.0, 0.0, 0.0]])
    assert score([one, two], 0.5)["precision"] == 0.25


def test_nothing_drawn_and_nothing_found():
    empty = Comparison(np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros(0), 0.1)
    assert score([empty], 0.5) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_small_insects_neither_count_nor_hurt_among_the_large():
    small_drawn = comparison([[0.6, 0.0], [0.0, 0.9]], drawn_px=[900, 5000], found_px=[1100, 5000])
    assert score([small_drawn], 0.5, 1000) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}


def test_iou_of_squares_and_outlines_over_the_border():
    card = Card("a", BLANK, (square(10, 10, 20).astype(float), square(-10, 50, 20).astype(float)))
    found = [Detection(square(20, 10, 20), 0.9), Detection(square(0, 50, 10), 0.8)]
    result = compare(card, found, 1.0)
    assert result.iou[0, 0] == pytest.approx(200 / 600)
    assert result.iou[1].tolist() == [0.0, pytest.approx(0.5, abs=0.01)]  # (-10..9) is cut to (0..9)
    assert result.drawn_px.tolist() == [400, 200]


def test_the_score_to_keep_from_leaves_out_false_finds():
    found = comparison([[0.9, 0, 0, 0], [0, 0.9, 0, 0]])  # scores 0.9, 0.7, 0.5, 0.3
    best = choose_min_score([found])
    assert 0.5 < best <= 0.7
    assert quality_of([keep_from(found, best)]) == 1 and keep_from(found, 0.8).iou.shape == (2, 1)


def test_the_summary_has_what_the_command_prints():
    figures = summarise([comparison([[0.4, 0.0]])])
    assert figures["iou_0.33"]["recall"] == 1 and figures["iou_0.5"]["recall"] == 0
    assert figures["iou_0.33_over_1000px"]["precision"] == 0.5
    assert figures["count_error_per_image"] == 1 and figures["seconds_per_image"] == pytest.approx(0.1)
