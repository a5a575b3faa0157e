"""The Python client: what the detector, `spi-dash push` and scripts use to talk to a server, ours or an older one."""

from .downloads import Downloads
from .rows import Rows
from .spi import WHATS, SpiClient

__all__ = ["WHATS", "Downloads", "Rows", "SpiClient"]
