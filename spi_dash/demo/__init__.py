"""Synthetic traps: pictures, weather and insects that look like a real season, the same ones from the same seed."""

from spi_dash.demo.pictures import picture, schedule, tiny_picture
from spi_dash.demo.season import demo_pictures
from spi_dash.demo.traps import Trap, make_traps

__all__ = ["Trap", "demo_pictures", "make_traps", "picture", "schedule", "tiny_picture"]
