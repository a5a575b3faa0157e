"""The whole network: a residual U-Net that says, for every second pixel of a trap picture, "insect?" and "whose?".

Four maps come out at half the resolution of the picture. `foreground` tells insects from card; `heat` peaks at the
centre of each insect; `offset` points from each insect pixel to that centre, so that insects that touch can be told
apart. Grouping pixels by where they point to: Neven et al. 2019, doi:10.1109/CVPR.2019.00904, and
Cheng et al. 2020 (Panoptic-DeepLab), doi:10.1109/CVPR42600.2020.01249. Space to depth as a cheap stem at full
resolution: Shi et al. 2016, doi:10.1109/CVPR.2016.207.

Sizes in comments: B pictures, H x W pixels of the picture, C channels.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDE = 32  # sides of the input must be a multiple: the coarsest level sees every 32nd pixel
CELL = 2  # the output has one value for every CELL x CELL pixels
OFFSET_UNIT = 16.0  # the network's offsets are in this many output cells: keeps them near 1
FOREGROUND, HEAT, OFFSET_Y, OFFSET_X = range(4)


@dataclass(frozen=True)
class ModelArgs:
    """What is needed to build the same network again; stored in every checkpoint.

    `widths`: channels at strides 4, 8, 16, 32. `depths`: residual blocks on the way down, at the same strides.
    """

    widths: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 2, 2, 2)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Express pixels relative to the card: light and colour of the lamp drop out, what lies on the card stays.

    A picture is background times transmission of what lies on it, and the median of a trap picture is background.

    Args:
        images: (B, 3, H, W) uint8 or float, 0 to 255.

    Returns:
        (B, 3, H, W) float32, about 0 for background and -1 for black.
    """
    images = images.float()
    card = images[:, :, ::8, ::8].flatten(2).median(dim=2).values[:, :, None, None]  # (B, 3, 1, 1)
    return (images - card).div_(card + 16.0).clamp_(-1.0, 2.0)


class ConvNorm(nn.Sequential):
    """Convolution and batch norm, which `fold` turns into one convolution."""

    def __init__(self, c_in: int, c_out: int, size: int = 3, stride: int = 1) -> None:
        padding = size // 2 if stride == 1 else 0
        super().__init__(nn.Conv2d(c_in, c_out, size, stride, padding, bias=False), nn.BatchNorm2d(c_out))


class Block(nn.Module):
    """Two 3x3 convolutions and a short cut. He et al. 2016, doi:10.1109/CVPR.2016.90."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ConvNorm(c, c), ConvNorm(c, c)
        nn.init.zeros_(self.conv2[1].weight)  # starts as the identity: deep nets train from the first step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.conv1(x), inplace=True)
        return F.relu(self.conv2(y).add_(x) if not self.training else self.conv2(y) + x, inplace=True)


class InsectNet(nn.Module):
    """Picture in, four maps out; fully convolutional, so any size that is a multiple of STRIDE."""

    def __init__(self, args: ModelArgs) -> None:
        super().__init__()
        self.args = args
        w = args.widths
        self.stem = ConvNorm(3 * 16, w[0])
        self.down = nn.ModuleList(
            [nn.Identity(), *(ConvNorm(w[i - 1], w[i], size=2, stride=2) for i in range(1, len(w)))]
        )
        self.encoders = nn.ModuleList(
            nn.Sequential(*(Block(c) for _ in range(depth))) for c, depth in zip(w, args.depths, strict=True)
        )
        self.up = nn.ModuleList(ConvNorm(w[i + 1], w[i], size=1) for i in range(len(w) - 1))
        self.decoders = nn.ModuleList(Block(c) for c in w[:-1])
        self.head = nn.Conv2d(w[0], 4 * (4 // CELL) ** 2, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():  # insects cover few pixels: begin by saying so
            self.head.bias.copy_(torch.tensor([-3.0, -4.0, 0.0, 0.0]).repeat_interleave(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) from `normalise` -> (B, 4, H/2, W/2): foreground and heat as logits, offsets in OFFSET_UNIT."""
        x = F.relu(self.stem(F.pixel_unshuffle(x, 4)), inplace=True)  # (B, w0, H/4, W/4)
        skips = []
        for i, (down, encoder) in enumerate(zip(self.down, self.encoders, strict=True)):
            x = encoder(F.relu(down(x)) if i else x)  # (B, wi, H/4/2^i, W/4/2^i)
            skips.append(x)
        for i in reversed(range(len(self.up))):
            x = F.interpolate(self.up[i](x), scale_factor=2.0, mode="nearest")
            x = self.decoders[i](F.relu(x + skips[i], inplace=True))
        return F.pixel_shuffle(self.head(x), 4 // CELL)  # (B, 4, H/2, W/2)


def fold(net: InsectNet) -> InsectNet:
    """Put every batch norm into its convolution: the same answers with a third less memory traffic. In place."""
    net.eval()
    for module in net.modules():
        if isinstance(module, ConvNorm) and len(module) == 2:
            module[0] = fuse_conv_bn_eval(module[0], module[1])
            del module[1]
    return net.to(memory_format=torch.channels_last)
