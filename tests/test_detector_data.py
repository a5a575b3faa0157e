"""Training batches: the same for the same seed, and targets that lie on the insects."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

import torch
from detector_cards import write_cards

from spi_dash.detector.augment import Source, cut_crop, draw_dirt, paste_insects, relight
from spi_dash.detector.data import Batches, stack_targets
from spi_dash.detector.labels import read_cards
from spi_dash.detector.model import CELL, OFFSET_UNIT


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    return read_cards(write_cards(tmp_path_factory.mktemp("cards")))


def test_shapes(cards):
    images, targets = Batches(cards, seed=0, batch=2, crop_px=128)[0]
    assert images.shape == (2, 3, 128, 128)
    assert targets.foreground.shape == targets.heat.shape == targets.weight.shape == (2, 64, 64)
    assert targets.offset.shape == (2, 2, 64, 64)


def test_a_batch_depends_on_seed_and_number_only(cards):
    images, targets = Batches(cards, seed=3, batch=2, crop_px=96)[5]
    again, targets_again = Batches(cards, seed=3, batch=2, crop_px=96)[5]
    other, _ = Batches(cards, seed=4, batch=2, crop_px=96)[5]
    assert torch.equal(images, again) and torch.equal(targets.heat, targets_again.heat)
    assert not torch.equal(images, other)


@pytest.mark.parametrize("seed", range(8))
def test_insects_stay_under_their_labels_in_every_pose(cards, seed):
    crop = cut_crop(Source(cards[0]), 160, np.random.default_rng(seed))
    dark = np.asarray(crop.image.resize((80, 80))).sum(axis=2) < 200
    labelled = crop.ids > 0
    assert (dark ^ labelled).mean() < 0.02
    for k in np.unique(crop.ids[labelled]):
        ys, xs = np.nonzero(crop.ids == k)
        if crop.areas[k] < 1.1 * len(ys) * CELL**2:  # not cut by the border
            assert crop.centres[k] == pytest.approx((ys.mean(), xs.mean()), abs=1)


def test_pasted_insects_are_labelled(cards):
    rng = np.random.default_rng(0)
    source = Source(cards[2])
    crop = cut_crop(source, 200, rng)
    before = len(crop.centres)
    paste_insects(crop, source.insects, rng)
    assert len(crop.centres) == len(crop.areas) > before
    assert set(np.unique(crop.ids)) <= set(range(len(crop.centres)))
    dark = np.asarray(crop.image.resize((100, 100))).sum(axis=2) < 160
    assert (dark & (crop.ids == 0)).mean() < 0.02


def test_dirt_is_no_insect(cards):
    rng = np.random.default_rng(2)
    crop = cut_crop(Source(cards[2]), 160, rng)
    before = crop.ids.copy()
    for _ in range(20):
        draw_dirt(crop, rng)
    assert np.array_equal(crop.ids, before)
    assert np.asarray(crop.image).std() > 5


def test_offsets_point_at_centres_and_heat_peaks_there(cards):
    crop = cut_crop(Source(cards[0]), 256, np.random.default_rng(1))
    targets = stack_targets([crop])
    ys, xs = np.nonzero(crop.ids)
    ends = np.stack([ys, xs]) + targets.offset[0][:, ys, xs].numpy() * OFFSET_UNIT
    assert np.allclose(ends.T, crop.centres[crop.ids[ys, xs]], atol=1e-3)
    assert targets.heat.max() == 1


def test_relighting_keeps_range_and_changes_pictures():
    images = torch.full((4, 3, 64, 64), 128.0)
    relit = relight(images.clone(), np.random.default_rng(0))
    assert relit.min() >= 0 and relit.max() <= 255
    assert not torch.allclose(relit, images, atol=5)


def test_cards_without_insects_can_be_trained_on(cards, tmp_path):
    from detector_cards import write_card

    write_card(tmp_path, "cccccccc.2020-07-01_10-00-00", [])
    images, targets = Batches(read_cards(tmp_path), seed=0, batch=2, crop_px=64)[0]
    assert targets.foreground.sum() == 0 and torch.isfinite(images).all()
