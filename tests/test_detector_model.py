"""The network: shapes, folding, and what normalising takes away."""

import pytest

pytest.importorskip("torch", reason="the detector needs PyTorch: pip install -e '.[detector]'")

import torch

from spi_dash.detector.model import STRIDE, InsectNet, ModelArgs, fold, normalise

SMALL = ModelArgs(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1))


@pytest.mark.parametrize(("h", "w"), [(STRIDE, STRIDE), (64, 160)])
def test_four_maps_at_half_the_size(h, w):
    assert InsectNet(SMALL)(torch.zeros(2, 3, h, w)).shape == (2, 4, h // 2, w // 2)


def test_folding_changes_no_answer():
    torch.manual_seed(0)
    net = InsectNet(SMALL)
    for _ in range(3):
        net(torch.randn(2, 3, 64, 64))
    x = torch.randn(1, 3, 64, 64)
    before = net.eval()(x)
    assert torch.allclose(fold(net)(x), before, atol=1e-4)


def test_light_drops_out_of_normalised_pictures():
    card = torch.full((1, 3, 64, 64), 100.0)
    card[:, :, 20:30, 20:30] = 30.0
    brighter = normalise(card * 2)
    assert normalise(card).median() == 0
    assert torch.allclose(normalise(card), brighter, atol=0.1)


def test_black_pictures_are_finite():
    assert torch.isfinite(normalise(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))).all()


def test_the_network_is_small_enough_for_the_package():
    assert sum(p.numel() for p in InsectNet(ModelArgs()).parameters()) < 5e6
