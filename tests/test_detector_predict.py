"""From maps to insects, and the reference model on pictures whose answer is known."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

import torch
from detector_cards import REAL_LABELS, draw_card, outline_ellipse
from PIL import Image

from spi_dash.detector.annotation import annotation_of, draw_overlay
from spi_dash.detector.augment import Crop
from spi_dash.detector.bundle import REFERENCE, load_bundle
from spi_dash.detector.contours import fill_outline
from spi_dash.detector.data import stack_targets
from spi_dash.detector.evaluate import IOUS, compare, evaluate, match, score
from spi_dash.detector.labels import Card, rasterise, read_card
from spi_dash.detector.model import CELL, OFFSET_UNIT, InsectNet, ModelArgs
from spi_dash.detector.predict import (
    LONG_SIDE_PX,
    DetectArgs,
    Detection,
    Detector,
    Maps,
    decode_image,
    group_cells,
    outline_groups,
    scale_for,
)
from spi_dash.errors import InvalidInput

ELLIPSES = [(60, 60, 22, 12), (200, 120, 12, 18), (223, 120, 12, 18), (300, 220, 9, 9)]  # two of them touch
INSECTS = [(100, 80, 26, 14), (300, 160, 14, 20), (210, 300, 20, 15)]


def perfect_maps(card):
    """What a perfect network would say of a card."""
    ids = card.ids[::CELL, ::CELL]
    centres = [(0.0, 0.0)] + [np.argwhere(ids == k + 1).mean(axis=0) for k in range(len(card.polygons))]
    areas = np.bincount(card.ids.ravel(), minlength=len(centres)).astype(float)
    targets = stack_targets([Crop(Image.fromarray(card.image), ids, np.array(centres), areas)])
    return Maps(targets.foreground[0].numpy(), targets.heat[0].numpy(), (targets.offset[0] * OFFSET_UNIT).numpy())


def find(card):
    maps, args = perfect_maps(card), DetectArgs()
    return [Detection(*pair) for pair in outline_groups(maps, *group_cells(maps, args), args, card.image.shape[:2])]


@pytest.fixture(scope="module")
def card():
    return Card("a", draw_card(ELLIPSES), tuple(np.array(outline_ellipse(e)) for e in ELLIPSES))


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return Detector(InsectNet(ModelArgs(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))), DetectArgs())


@pytest.fixture(scope="module")
def reference():
    if not REFERENCE.is_dir():
        pytest.skip("the reference model has not been trained yet")
    return load_bundle(REFERENCE).detector


def test_perfect_maps_give_perfect_insects_even_where_they_touch(card):
    comparison = compare(card, find(card), 0.0)
    assert score([comparison], 0.8)["f1"] == 1


def test_low_scores_and_specks_are_left_out(card):
    maps = perfect_maps(card)
    dim = Maps(maps.foreground, maps.heat * 0.1, maps.offset)
    assert outline_groups(dim, *group_cells(dim, DetectArgs()), DetectArgs(), card.image.shape[:2]) == []
    large = DetectArgs(min_area_px=600)
    assert len(outline_groups(maps, *group_cells(maps, large), large, card.image.shape[:2])) == 3


def test_outlines_stay_inside_pictures_of_odd_sizes(untrained):
    card = Card("a", draw_card([(298, 150, 9, 30)], (301, 201)), (np.array(outline_ellipse((298, 150, 9, 30))),))
    (found,) = find(card)
    assert found.outline.max(axis=0).tolist() <= [300, 200]
    assert found.outline[:, 0].max() == 300


@pytest.mark.parametrize("size", [(1, 1), (33, 500), (640, 480), (LONG_SIDE_PX + 700, 90)])
def test_any_size_is_taken(untrained, size):
    maps = untrained.look(np.zeros((size[1], size[0], 3), np.uint8))
    assert maps.heat.shape == (-(-size[1] // CELL), -(-size[0] // CELL))
    assert isinstance(untrained(np.zeros((size[1], size[0], 3), np.uint8)), list)


def test_whole_cards_are_seen_at_one_scale_and_pieces_as_they_are():
    assert scale_for(1944, 2592) == 1
    assert scale_for(3040, 4056) == pytest.approx(2592 / 4056)
    assert scale_for(972, 1296) == 2 and scale_for(240, 320) == 2
    assert scale_for(500, 500) == 1 and scale_for(100, 5184) == 0.5


def test_annotations_have_the_form_of_the_wire():
    outline = np.array([(1, 2), (3, 4), (5, 6)])
    annotation = annotation_of(Detection(outline, 0.5))
    assert annotation["contour"] == [[[1, 2]], [[3, 4]], [[5, 6]]]
    assert set(annotation) == {"contour", "name", "value", "stroke_colour", "fill_colour"}


def test_overlays_are_drawn_on_a_copy(card):
    before = card.image.copy()
    drawn = draw_overlay(card.image, find(card))
    assert drawn.size == (384, 288) and np.array_equal(card.image, before)
    assert (np.asarray(drawn) == (0, 0, 255)).all(axis=2).any()


@pytest.mark.parametrize("data", [b"", b"not an image", b"\xff\xd8\xff\xe0 cut off"])
def test_files_that_are_no_images_are_refused_by_name(data):
    with pytest.raises(InvalidInput, match="trap"):
        decode_image(data, "trap.jpg")


def test_reference_finds_nothing_on_empty_and_black_pictures(reference):
    for value in (0, 128, 255):
        assert reference(np.full((600, 800, 3), value, np.uint8)) == []
    assert reference(draw_card([], (800, 600))) == []


def test_reference_gives_the_same_insects_when_the_picture_is_shifted(reference):
    image = real_piece()
    h, w = image.shape[:2]
    here = Card("a", image, ())
    found = reference(image)
    for dx, dy in ((7, 3), (16, 16), (31, 50)):
        moved = np.pad(image, ((dy, 0), (dx, 0), (0, 0)), mode="edge")
        back = [Detection(one.outline - (dx, dy), one.score) for one in reference(moved)]
        iou = overlaps(here, found, back)
        inside = [
            k for k, one in enumerate(found) if is_inside(one, h, w) and one.score > reference.args.min_score + 0.05
        ]
        paired = {row for row, _ in match(iou, 0.7)}
        assert len(inside) > 3 and sum(k in paired for k in inside) >= 0.95 * len(inside), (dx, dy)


def is_inside(detection, h, w):
    """Not near the border: what is cut there is another insect when there is more of the picture."""
    return detection.outline.min() > 32 and (detection.outline.max(axis=0) < (w - 32, h - 32)).all()


def real_piece():
    if not REAL_LABELS.is_dir():
        pytest.skip("the real pictures of ../shared/data are not here")
    return read_card(REAL_LABELS / "398948ee.2020-08-31_09-18-40.svg").image[400:1200, 200:1200]


def overlaps(card, found, other):
    drawn = Card("a", card.image, tuple(one.outline.astype(float) for one in found))
    return compare(drawn, other, 0.0).iou


@pytest.mark.skipif(not REAL_LABELS.is_dir(), reason="real labels are not in ../shared/data")
def test_reference_finds_the_insects_of_a_card_it_has_not_seen(reference):
    comparisons = evaluate(reference, [read_card(REAL_LABELS / "398948ee.2020-08-31_09-18-40.svg")])
    assert score(comparisons, IOUS[0])["f1"] > 0.75


def test_masks_of_polygons_and_outlines_agree():
    polygon = np.array(outline_ellipse((40, 40, 20, 10))).round()
    assert np.array_equal(rasterise((polygon,), (80, 80)) > 0, fill_outline(polygon.astype(int), (80, 80)))
