"""Make many cards of few: other poses, other light, other dirt, and insects moved from card to card.

What lies on a translucent card multiplies its light. So insects, shadows, hairs and ink are kept and applied as
ratios to the background, and an insect cut from a yellow card looks right on a green one. Copy-paste as augmentation:
Ghiasi et al. 2021, doi:10.1109/CVPR46437.2021.00294.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy import ndimage
from torch.nn import functional as F

from .labels import Card
from .model import CELL

RATIO_ONE = 127  # ratios are stored as uint8: 127 is "like the background"
MARGIN_PX = 8  # taken along around a pasted insect: legs and shadow that the outline left out
SCALES = (0.65, 1.5)  # picture pixels per crop pixel


@dataclass(frozen=True)
class Insect:
    """One insect cut out. `ratio`: RGBA, colour as ratio to the background and softened mask. `mask`: L, 0 or 255."""

    ratio: Image.Image
    mask: Image.Image


@dataclass
class Crop:
    """A square piece of a card on its way to a training example; pasting changes it.

    `ids`: (S/CELL, S/CELL) int32, 0 is card. `centres`: (n + 1, 2) y, x in cells and `areas`: (n + 1,) in pixels
    of the crop, of each id; they are those of the whole insect, even if the crop cuts it.
    """

    image: Image.Image
    ids: np.ndarray
    centres: np.ndarray
    areas: np.ndarray


class Source:
    """One card with what is computed once: centres, areas, background colour, insects cut out."""

    def __init__(self, card: Card) -> None:
        ids, n = card.ids, len(card.polygons)
        self.image, self.id_image = Image.fromarray(card.image), Image.fromarray(ids)
        self.areas = np.bincount(ids.ravel(), minlength=n + 1).astype(float)  # (n + 1,)
        centres = ndimage.center_of_mass(np.ones_like(ids, dtype=np.uint8), ids, range(1, n + 1))
        self.centres = np.array([(0.0, 0.0), *centres])  # (n + 1, 2) y, x
        self.fill = tuple(int(c) for c in np.median(card.image[::8, ::8].reshape(-1, 3), axis=0))
        self._card = card

    @cached_property
    def insects(self) -> list[Insect]:
        background = _background(self._card)
        boxes = ndimage.find_objects(self._card.ids)
        return [_cut_out(self._card, background, k + 1, box) for k, box in enumerate(boxes) if box is not None]


def _background(card: Card) -> np.ndarray:
    """The card without what lies on it: (H/16, W/16, 3) uint8, a wide running percentile above the median."""
    small = np.asarray(Image.fromarray(card.image).reduce(16))
    return ndimage.percentile_filter(small, 65, size=(13, 13, 1))


def _cut_out(card: Card, background: np.ndarray, k: int, box: tuple[slice, slice]) -> Insect:
    h, w = card.ids.shape
    y0, y1 = max(box[0].start - MARGIN_PX, 0), min(box[0].stop + MARGIN_PX, h)
    x0, x1 = max(box[1].start - MARGIN_PX, 0), min(box[1].stop + MARGIN_PX, w)
    behind = Image.fromarray(background).resize((x1 - x0, y1 - y0), box=(x0 / 16, y0 / 16, x1 / 16, y1 / 16))
    ratio = card.image[y0:y1, x0:x1] / (np.asarray(behind, dtype=np.float32) + 1.0)  # (h, w, 3)
    near = card.ids[y0:y1, x0:x1]  # (h, w)
    mask = Image.fromarray(np.where(near == k, 255, 0).astype(np.uint8))
    soft = np.asarray(mask.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(2)))
    alpha = np.where((near > 0) & (near != k), 0, soft)  # neighbours stay at home
    rgba = np.dstack([(ratio * RATIO_ONE).clip(0, 255), alpha]).astype(np.uint8)
    return Insect(Image.fromarray(rgba), mask)


def cut_crop(source: Source, size_px: int, rng: np.random.Generator) -> Crop:
    """A random square of a card in a random pose, more often than not where insects are."""
    scale = math.exp(rng.uniform(*np.log(SCALES)))
    turn = rng.uniform(0, 2 * math.pi)
    across = rng.choice([-1.0, 1.0]) * math.exp(rng.normal(0, 0.06))
    to_card = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    to_card = to_card @ np.diag([across, 1.0])  # x, y of the crop -> x, y of the card
    origin = _middle(source, size_px * scale, rng) - to_card @ np.full(2, size_px / 2)  # (2,) x, y
    affine = [to_card[0, 0], to_card[0, 1], origin[0], to_card[1, 0], to_card[1, 1], origin[1]]
    image = source.image.transform(
        (size_px, size_px), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR, fillcolor=source.fill
    )
    coarse = [a * CELL if i % 3 < 2 else a for i, a in enumerate(affine)]
    cells = size_px // CELL
    ids = np.array(source.id_image.transform((cells, cells), Image.Transform.AFFINE, coarse))
    centres = (source.centres[:, ::-1] + 0.5 - origin) @ np.linalg.inv(to_card).T / CELL - 0.5  # (n + 1, 2) x, y
    return Crop(image, ids, centres[:, ::-1].copy(), source.areas / abs(np.linalg.det(to_card)))


def _middle(source: Source, extent_px: float, rng: np.random.Generator) -> np.ndarray:
    """Where on the card to look: x, y."""
    w, h = source.image.size
    if len(source.centres) > 1 and rng.random() < 0.6:
        y, x = source.centres[rng.integers(1, len(source.centres))] + rng.uniform(-0.4, 0.4, 2) * extent_px
    else:
        x, y = rng.uniform(0, w), rng.uniform(0, h)
    rim = min(extent_px * 0.4, h / 2)  # the crop reaches over the border a little at most
    return np.array([np.clip(x, rim, w - rim), np.clip(y, rim, h - rim)])


def paste_insects(crop: Crop, insects: list[Insect], rng: np.random.Generator) -> None:
    """Put insects on the crop, some of them touching those that are there. Changes the crop."""
    new_centres, new_areas = [], []
    for k in rng.integers(0, len(insects), rng.integers(1, 6) if rng.random() < 0.7 else rng.integers(6, 30)):
        ratio, mask = _pose(insects[k], rng)
        x, y = (int(rng.integers(-8, max(crop.image.width - side + 8, -7))) // CELL * CELL for side in ratio.size)
        inside = np.asarray(mask)[::CELL, ::CELL] > 127  # (h, w) in cells
        ys, xs = np.nonzero(inside)
        ys, xs = ys + y // CELL, xs + x // CELL
        seen = (ys >= 0) & (xs >= 0) & (ys < len(crop.ids)) & (xs < len(crop.ids))
        there = crop.ids[ys[seen], xs[seen]]
        if seen.sum() < 10 or (there > 0).mean() > 0.15:
            continue
        crop.ids[ys[seen], xs[seen]] = len(crop.centres) + len(new_centres)
        new_centres.append((ys.mean(), xs.mean()))
        new_areas.append(float(len(ys) * CELL**2))
        _multiply(crop.image, ratio, x, y, strength=1.0 if rng.random() < 0.7 else rng.uniform(0.3, 1.0))
    if new_centres:
        crop.centres = np.concatenate([crop.centres, new_centres])
        crop.areas = np.concatenate([crop.areas, new_areas])


def _pose(insect: Insect, rng: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    w, h = insect.ratio.size
    scale = math.exp(rng.uniform(-0.4, 0.4)) if max(w, h) < 150 else math.exp(rng.uniform(-0.7, 0.1))
    size = (max(round(w * scale), 4), max(round(h * scale), 4))
    turn = float(rng.uniform(0, 360))
    ratio, mask = insect.ratio.resize(size), insect.mask.resize(size)
    if rng.random() < 0.5:
        ratio, mask = (i.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for i in (ratio, mask))
    return ratio.rotate(turn, Image.Resampling.BILINEAR, expand=True), mask.rotate(turn, expand=True)


def _multiply(image: Image.Image, ratio: Image.Image, x: int, y: int, strength: float) -> None:
    """Image times ratio where the ratio's alpha says so, in place; a strength below 1 makes it pale."""
    box = (x, y, x + ratio.width, y + ratio.height)
    behind = np.asarray(image.crop(box), dtype=np.float32)  # (h, w, 3)
    over = np.asarray(ratio, dtype=np.float32)  # (h, w, 4)
    alpha = over[..., 3:] * (strength / 255)
    mixed = behind * (1 - alpha + alpha * over[..., :3] / RATIO_ONE)
    image.paste(Image.fromarray(mixed.clip(0, 255).astype(np.uint8)), (x, y))


def draw_dirt(crop: Crop, rng: np.random.Generator) -> None:
    """Hairs, ink, drops, stains: what is on cards and is no insect. Changes the crop."""
    layer = Image.new("RGB", crop.image.size, (255, 255, 255))
    draw, size = ImageDraw.Draw(layer), crop.image.width
    drawn = [paint(draw, size, rng) for paint, often in _DIRT if rng.random() < often]
    if drawn:
        layer = layer.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.5))))
        crop.image = ImageChops.multiply(crop.image, layer)


def _draw_hairs(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        shade = int(rng.integers(40, 190))
        draw.line(_wander(size, rng, bend=0.25, length=rng.uniform(0.05, 0.6)), (shade,) * 3, int(rng.integers(1, 4)))


def _draw_ink(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    colour = ((20, 20, 20), (160, 50, 40), (50, 50, 130))[rng.choice(3, p=[0.7, 0.2, 0.1])]
    width = int(np.exp(rng.uniform(np.log(5), np.log(45))))
    for _ in range(rng.integers(1, 6)):
        points = _wander(size, rng, bend=rng.choice([0.3, 0.7, 1.6]), length=rng.uniform(0.01, 0.4))
        draw.line(points, colour, width, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), colour)


def _draw_drops(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 8)):
        (x, y), r = rng.uniform(0, size, 2), rng.uniform(4, 45)
        box = (x - r, y - r * rng.uniform(0.6, 1), x + r, y + r * rng.uniform(0.6, 1))
        inner = int(rng.integers(215, 256))
        draw.ellipse(box, (inner,) * 3, outline=(int(rng.integers(130, 230)),) * 3, width=int(rng.integers(1, 5)))


def _draw_stains(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        (x, y), angles = rng.uniform(0, size, 2), np.sort(rng.uniform(0, 2 * math.pi, 12))
        radii = rng.uniform(15, 120) * np.exp(rng.normal(0, 0.3, 12))
        shade = rng.integers(190, 246)
        colour = tuple(int(c) for c in np.clip(shade + rng.integers(-12, 12, 3), 0, 255))
        draw.polygon(list(zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)), colour)


_DIRT = ((_draw_stains, 0.15), (_draw_hairs, 0.25), (_draw_drops, 0.12), (_draw_ink, 0.12))


def _wander(size: int, rng: np.random.Generator, bend: float, length: float) -> list[tuple[float, float]]:
    """A smooth random line: points x, y."""
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, bend, 16))
    steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * (length * size / 16)  # (16, 2)
    return [tuple(p) for p in (rng.uniform(0, size, 2) + np.cumsum(steps, axis=0)).tolist()]


def relight(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Other light, shadows, exposure, colour, focus and noise: (B, 3, S, S) float, 0 to 255 -> the same, rounded."""
    b, _, s, _ = images.shape
    images = images * _smooth_field(rng.normal(0, 0.16, (b, 1, 3, 3)), s).exp_()
    if rng.random() < 0.5:
        images *= _shadows(b, s, rng)
    images = _veil(images, rng)
    images *= _tensor(np.exp(rng.normal(0, 0.25, (b, 1, 1, 1)) + rng.normal(0, 0.14, (b, 3, 1, 1))))
    images = _over_expose(images, rng)
    grey = images.mean(dim=1, keepdim=True)  # (B, 1, S, S)
    images = torch.lerp(grey, images, _tensor(rng.uniform(0.5, 1.4, (b, 1, 1, 1))))
    images = images.clamp_(0, 255).div_(255).pow_(_tensor(np.exp(rng.normal(0, 0.15, (b, 1, 1, 1))))).mul_(255)
    images = _refocus(images, rng)
    noise = torch.from_numpy(rng.standard_normal(images.shape[1:], dtype=np.float32))  # one for all: it is slow to draw
    return images.addcmul_(noise, _tensor(rng.uniform(0, 6, (b, 1, 1, 1)))).clamp_(0, 255).round_()


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _smooth_field(values: np.ndarray, size: int) -> torch.Tensor:
    """(B, C, n, n) -> (B, C, size, size)."""
    return F.interpolate(_tensor(values), size=(size, size), mode="bicubic", align_corners=True)


def _shadows(b: int, s: int, rng: np.random.Generator) -> torch.Tensor:
    """Leaves in front of the sun: (B, 3, S, S) factors, with borders from soft to sharp, on a third of the pictures."""
    field = _smooth_field(rng.normal(0, 1, (b, 1, 7, 7)), s) * _tensor(rng.uniform(2, 25, (b, 1, 1, 1)))
    depth = rng.uniform(0, 0.6, (b, 1, 1, 1)) * (rng.random((b, 1, 1, 1)) < 0.35) + rng.uniform(-0.05, 0, (b, 3, 1, 1))
    return 1 - torch.sigmoid(field) * _tensor(depth)


def _veil(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mist on the lens, or insects behind the card: on a third of the pictures contrasts fade, down to a quarter."""
    card = images[:, :, ::8, ::8].flatten(2).median(dim=2).values[:, :, None, None]  # (B, 3, 1, 1)
    clear = np.where(rng.random((len(images), 1, 1, 1)) < 0.35, rng.uniform(0.25, 1, (len(images), 1, 1, 1)), 1)
    return torch.lerp(card, images, _tensor(clear))


def _over_expose(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Turn some pictures saturated yellow or white, as cards in full sun come out."""
    for i in np.nonzero(rng.random(len(images)) < 0.15)[0]:
        card = images[i, :, ::8, ::8].flatten(1).median(dim=1).values + 1  # (3,)
        wanted = np.array([rng.uniform(225, 290), rng.uniform(215, 280), rng.choice([0.0, 30.0, 120.0, 240.0])])
        images[i] *= (_tensor(wanted) / card)[:, None, None]
    return images


def _refocus(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Blur or sharpen each picture: mixed with its own blurred copy by -0.7 (sharper) to 1 (blurred)."""
    b, c, h, w = images.shape
    sigma, amount = rng.uniform(0.6, 1.8, (b, 1)), rng.uniform(-0.7, 1.0, (b, 1, 1, 1))
    taps = np.exp(-0.5 * (np.arange(-3, 4)[None] / sigma) ** 2)  # (B, 7)
    kernel = _tensor(taps / taps.sum(axis=1, keepdims=True)).repeat_interleave(c, dim=0)  # (B * 3, 7)
    flat = F.pad(images.reshape(1, b * c, h, w), (3, 3, 3, 3), mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=b * c)
    soft = F.conv2d(flat, kernel[:, None, :, None], groups=b * c).reshape(b, c, h, w)
    return torch.lerp(images, soft, _tensor(amount))
