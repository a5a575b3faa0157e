"""A whole picture in, one outline and one score per insect out.

The network sees the picture in one pass, so there are no tile borders. Pixels that are insect are first joined where
they touch; a group in which several centres are found is then divided, each pixel going to the centre it points to.
"""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from scipy import ndimage
from torch.nn import functional as F

from ..errors import InvalidInput
from .contours import trace_outline
from .model import (
    CELL,
    FOREGROUND,
    HEAT,
    OFFSET_UNIT,
    OFFSET_X,
    OFFSET_Y,
    STRIDE,
    InsectNet,
    normalise,
)

LONG_SIDE_PX = 2592  # of the pictures that the network was trained on
MAX_ENLARGEMENT = 2.0


@dataclass(frozen=True)
class DetectArgs:
    """How maps become insects; tuned on the validation cards and stored in the bundle."""

    foreground: float = 0.5  # probability from which a pixel is insect
    centre: float = 0.15  # blurred heat from which a peak is a centre
    blur_cells: float = 2.0  # of the heat, before peaks are looked for
    sure_area_px: float = 2000.0  # smaller finds must be clearer: people leave out most specks
    min_score: float = 0.3
    min_area_px: float = 100.0  # areas are in pixels of a picture of LONG_SIDE_PX


@dataclass(frozen=True)
class Detection:
    """One insect. `outline`: (N, 2) int, x and y in pixels of the full picture. `score`: 0 to 1."""

    outline: np.ndarray
    score: float


@dataclass(frozen=True)
class Maps:
    """The network's answer for one picture, as probabilities (h, w) and offsets (2, h, w) y, x in cells."""

    foreground: np.ndarray
    heat: np.ndarray
    offset: np.ndarray


def decode_image(data: bytes, name: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB from the bytes of an image file; `name` is for the error message.

    Raises:
        InvalidInput: not an image, or cut off.
    """
    try:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "no known image format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InvalidInput(f"{name} cannot be read as an image: {reason}", file=name) from None


def scale_for(height: int, width: int) -> float:
    """How many pixels a pixel becomes before detection.

    Every camera sees the whole card in 4:3, however many pixels it has, and the network knows insects by their size: so
    such pictures are brought to LONG_SIDE_PX. Other shapes are pieces of pictures, and only reduced if too large.
    """
    scale = LONG_SIDE_PX / max(height, width)
    whole_card = abs(width / height - 4 / 3) < 0.01
    return min(scale, MAX_ENLARGEMENT if whole_card else 1.0)


class Detector:
    """A network ready to look at pictures, one after the other."""

    def __init__(self, net: InsectNet, args: DetectArgs, device: str = "cpu") -> None:
        self.net, self.args, self.device = net.to(device).eval(), args, device

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Find the insects of a picture: (H, W, 3) uint8 RGB, of any size."""
        h, w = image.shape[:2]
        scale = scale_for(h, w)
        if scale != 1:
            method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
            size = (max(round(w * scale), 1), max(round(h * scale), 1))
            image = np.asarray(Image.fromarray(image).resize(size, method))
        maps = self.look(image)
        ids, peaks = group_cells(maps, self.args)
        return [
            Detection(np.rint((outline + 0.5) / scale - 0.5).astype(int), score)
            for outline, score in outline_groups(maps, ids, peaks, self.args, image.shape[:2])
        ]

    @torch.inference_mode()
    def look(self, image: np.ndarray) -> Maps:
        """Run the network on a picture that need not be reduced."""
        h, w = image.shape[:2]
        x = normalise(torch.from_numpy(np.array(image)).to(self.device).permute(2, 0, 1)[None])  # (1, 3, H, W)
        x = F.pad(x, (0, -w % STRIDE, 0, -h % STRIDE))
        out = self.net(x.contiguous(memory_format=torch.channels_last))[0].float()  # (4, H/2, W/2), padded
        out = out[:, : -(-h // CELL), : -(-w // CELL)]
        offset = out[[OFFSET_Y, OFFSET_X]] * OFFSET_UNIT
        return Maps(*(m.cpu().numpy() for m in (out[FOREGROUND].sigmoid(), out[HEAT].sigmoid(), offset)))


def group_cells(maps: Maps, args: DetectArgs) -> tuple[np.ndarray, np.ndarray]:
    """Give each insect cell the number of its insect.

    Returns:
        (h, w) int32, 0 is card; and (n + 1,) highest heat that each number's cells hold or point to.
    """
    groups, n = ndimage.label(maps.foreground > args.foreground)
    ys, xs = find_centres(maps.heat, args)
    home = ndimage.grey_dilation(groups, size=(5, 5))[ys, xs]  # (centres,) the group each lies in or next to
    ids = groups.astype(np.int32)
    boxes = ndimage.find_objects(groups)
    for group in np.flatnonzero(np.bincount(home[home > 0], minlength=n + 1) > 1):
        own = home == group
        n += _divide(ids, groups, boxes[group - 1], int(group), np.stack([ys[own], xs[own]], axis=1), maps, n)
    heat = ndimage.maximum(maps.heat, ids, np.arange(n + 1)) if n else np.zeros(1)
    return ids, np.asarray(heat)


def find_centres(heat: np.ndarray, args: DetectArgs) -> tuple[np.ndarray, np.ndarray]:
    """Cells (ys, xs) where the blurred heat is highest around."""
    smooth = ndimage.gaussian_filter(heat, args.blur_cells, truncate=3)
    highest = ndimage.maximum_filter(smooth, size=9)
    return np.nonzero((smooth == highest) & (smooth > args.centre))


def _divide(
    ids: np.ndarray, groups: np.ndarray, box: tuple, group: int, centres: np.ndarray, maps: Maps, last: int
) -> int:
    """Divide one group among its centres, (k, 2) y, x; the first keeps the group's number. Returns how many are new."""
    ys, xs = np.nonzero(groups[box] == group)
    ys, xs = ys + box[0].start, xs + box[1].start
    votes = np.stack([ys, xs], axis=1) + maps.offset[:, ys, xs].T  # (cells, 2)
    nearest = ((votes[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)  # (cells,)
    ids[ys, xs] = np.where(nearest == 0, group, last + nearest)
    return len(centres) - 1


def outline_groups(
    maps: Maps, ids: np.ndarray, heat: np.ndarray, args: DetectArgs, shape: tuple[int, int]
) -> list[tuple[np.ndarray, float]]:
    """Outlines (N, 2) x, y in pixels of the picture of this shape, with scores, best first."""
    found = []
    for k, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is None:
            continue
        own = ids[box] == k
        score = score_of(maps.foreground[box][own], heat[k], args)
        if score < args.min_score:
            continue
        y0, x0 = max(box[0].start - 1, 0), max(box[1].start - 1, 0)
        y1, x1 = box[0].stop + 1, box[1].stop + 1
        near = ids[y0:y1, x0:x1]
        inside = np.where((near == k) | (near == 0), maps.foreground[y0:y1, x0:x1], 0)
        mask = _refine(inside, args.foreground)[: shape[0] - CELL * y0, : shape[1] - CELL * x0]
        if mask.sum() >= args.min_area_px:
            found.append((trace_outline(mask) + np.array([CELL * x0, CELL * y0]), score))
    return sorted(found, key=lambda pair: -pair[1])


def score_of(foreground: np.ndarray, heat: float, args: DetectArgs) -> float:
    """How sure this is an insect, 0 to 1: by the probabilities of its cells (n,), its centre and its size."""
    size = min(1.0, len(foreground) * CELL**2 / args.sure_area_px)
    return float(np.sqrt(foreground.mean() * heat * size))


def _refine(foreground: np.ndarray, threshold: float) -> np.ndarray:
    """The largest object of a piece of foreground, (h, w) -> (CELL h, CELL w) bool, with a smooth border."""
    fine = F.interpolate(torch.from_numpy(foreground)[None, None], scale_factor=CELL, mode="bilinear")[0, 0].numpy()
    parts, n = ndimage.label(fine > threshold)
    if n < 2:
        return parts > 0
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1
