"""The Python client: what the detector, `spi-dash push` and scripts use to talk to a server, ours or an older one."""

from .spi import WHATS, Rows, SpiClient

__all__ = ["WHATS", "Rows", "SpiClient"]
