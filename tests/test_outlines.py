"""What is new on a picture: outlines that none of the one before lies under, also where the card was moved."""

import numpy as np
import pytest

from spi_dash.services.outlines import MOVED_PX, find_move, find_new


def square(x: int, y: int, side: int = 10) -> list[int]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def test_what_overlaps_nothing_earlier_is_new():
    earlier = [square(0, 0), square(100, 100)]
    assert find_new([square(3, 2), square(200, 200), square(104, 98)], earlier) == [1]


@pytest.mark.parametrize(("shift", "new"), [(5, []), (6, []), (8, [0])])
def test_an_insect_is_the_same_from_three_tenths_of_overlap(shift, new):
    assert find_new([square(shift, 0)], [square(0, 0)]) == new


def test_everything_is_new_after_an_empty_frame():
    assert find_new([square(0, 0)], []) == [0]
    assert find_new([], [square(0, 0)]) == []


def test_a_small_insect_on_a_large_outline_is_not_new():
    assert find_new([square(40, 40, 4)], [square(0, 0, 100)]) == []


def test_neighbours_whose_boxes_alone_overlap_are_told_apart():
    below, above = [0, 0, 100, 0, 0, 100], [100, 20, 100, 100, 20, 100]
    assert find_new([below, above], [below]) == [1]


def test_outlines_beyond_the_frame_lines_and_crossings_do_no_harm():
    line, crossing, outside = [0, 0, 50, 0, 0, 0], [0, 0, 40, 40, 40, 0, 0, 40], [-20, -20, 5000, -20, 5000, 9, -20, 9]
    for outline in (line, crossing, outside):
        assert find_new([outline, square(2000, 2000)], [outline]) == [1]


def scatter(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform((100, 100), (2400, 1800), (n, 2)).round()


def squares(places: np.ndarray) -> list[list[int]]:
    return [square(int(x), int(y), 14) for x, y in places]


@pytest.mark.parametrize("move", [(30, 0), (-55, 90), (0, -MOVED_PX)])
def test_on_a_card_that_was_moved_only_new_insects_are_new(move):
    places = scatter(1, 40)
    now = [*squares(places[4:] + move), square(5, 5), square(2500, 1900)]
    assert find_new(now, squares(places)) == [36, 37]


def test_another_card_is_all_new():
    assert find_new(squares(scatter(1, 60)), squares(scatter(2, 60))) == list(range(60))


def test_few_insects_do_not_tell_of_a_move():
    places = scatter(1, 5)
    assert find_move(places + 50, places) == (0, 0)
    places = scatter(1, 6)
    assert find_move(places + 50, places) == (50, 50)


def test_a_card_that_stands_still_is_not_moved_to_gain_a_few():
    places = scatter(1, 50)
    now = np.concatenate([places[:35], places[35:] + 60])
    assert find_move(now, places) == (0, 0)
    assert find_new(squares(now), squares(places)) == list(range(35, 50))
