"""Annotated cards in, training batches out. Batch number n is the same for the same seed, cards and settings."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from . import augment
from .augment import Crop, Insect, Source
from .labels import Card
from .model import OFFSET_UNIT, normalise

TYPICAL_AREA_PX = 1500.0  # an insect of this size counts once; smaller ones count more per pixel, larger ones less


@dataclass(frozen=True)
class Targets:
    """What the network should say, and how much each pixel matters. Sizes in output cells.

    `foreground`, `heat`: (B, h, w), 0 to 1. `offset`: (B, 2, h, w) y, x in OFFSET_UNIT. `weight`: (B, h, w).
    """

    foreground: torch.Tensor
    heat: torch.Tensor
    offset: torch.Tensor
    weight: torch.Tensor

    def to(self, device: torch.device) -> "Targets":
        return Targets(*(t.to(device) for t in (self.foreground, self.heat, self.offset, self.weight)))


class Batches:
    """Endless batches of augmented crops; the pictures stay decoded in memory."""

    def __init__(self, cards: list[Card], seed: int, batch: int, crop_px: int) -> None:
        self.sources = [Source(card) for card in cards]
        self.seed, self.batch, self.crop_px = seed, batch, crop_px
        rate = np.array([np.sqrt(len(card.polygons)) + 1.0 for card in cards])
        self.rate = rate / rate.sum()  # (cards,) dense cards teach more, but must not drown the others

    @cached_property
    def insects(self) -> list[list[Insect]]:
        return [source.insects for source in self.sources]

    def __getitem__(self, number: int) -> tuple[torch.Tensor, Targets]:
        """Batch `number`: (B, 3, S, S) float from `normalise`, and targets."""
        rng = np.random.default_rng((self.seed, number))
        crops = [self._crop(rng) for _ in range(self.batch)]
        pixels = np.stack([np.asarray(crop.image) for crop in crops])  # (B, S, S, 3)
        images = augment.relight(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous(), rng)
        images = normalise(images) + 1.0
        gain = np.exp(rng.normal(0, 0.12, (self.batch, 1, 1, 1)) + rng.normal(0, 0.04, (self.batch, 3, 1, 1)))
        images.mul_(torch.from_numpy(gain.astype(np.float32))).sub_(1.0)  # a crop's median is not quite its card's
        return images, stack_targets(crops)

    def _crop(self, rng: np.random.Generator) -> Crop:
        crop = augment.cut_crop(self.sources[rng.choice(len(self.sources), p=self.rate)], self.crop_px, rng)
        augment.draw_dirt(crop, rng)
        if rng.random() < 0.6:
            donors = self.insects[rng.choice(len(self.sources), p=self.rate)]
            if donors:
                augment.paste_insects(crop, donors, rng)
        return crop


def stack_targets(crops: list[Crop]) -> Targets:
    """Targets of several crops of one size."""
    foreground = np.stack([crop.ids > 0 for crop in crops]).astype(np.float32)  # (B, h, w)
    parts = [_pixel_targets(crop) for crop in crops]
    return Targets(
        torch.from_numpy(foreground),
        torch.from_numpy(np.stack([draw_heat(crop) for crop in crops])),
        torch.from_numpy(np.stack([offset for offset, _ in parts])),
        torch.from_numpy(np.stack([weight for _, weight in parts])),
    )


def _pixel_targets(crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (2, h, w) in OFFSET_UNIT and weights (h, w)."""
    h, w = crop.ids.shape
    grid = np.mgrid[0:h, 0:w].astype(np.float32)  # (2, h, w)
    towards = crop.centres.astype(np.float32)[crop.ids].transpose(2, 0, 1)  # (2, h, w)
    offset = np.where(crop.ids > 0, (towards - grid) / OFFSET_UNIT, 0)
    weight = np.sqrt(TYPICAL_AREA_PX / np.maximum(crop.areas, 1)).clip(0.4, 1.8).astype(np.float32)
    weight[0] = 1.0
    return offset.astype(np.float32), weight[crop.ids]


def draw_heat(crop: Crop) -> np.ndarray:
    """(h, w) float32: a bump at each centre, wider for larger insects, 1 on the centre's cell."""
    h, w = crop.ids.shape
    heat = np.zeros((h, w), np.float32)
    for k in np.unique(crop.ids[crop.ids > 0]):
        cy, cx = crop.centres[k].round().astype(int)
        sigma = float(np.clip(0.06 * np.sqrt(crop.areas[k]), 1.5, 5.0))  # cells
        r = int(3 * sigma)
        y0, y1, x0, x1 = max(cy - r, 0), min(cy + r + 1, h), max(cx - r, 0), min(cx + r + 1, w)
        if y0 >= y1 or x0 >= x1:
            continue
        dy, dx = np.arange(y0, y1)[:, None] - cy, np.arange(x0, x1)[None] - cx
        bump = np.exp(-(dy**2 + dx**2) / (2 * sigma**2))
        np.maximum(heat[y0:y1, x0:x1], bump, out=heat[y0:y1, x0:x1])
    return heat
