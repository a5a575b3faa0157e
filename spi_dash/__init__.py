"""Spi Dash: the server of a lab with Sticky Pi insect traps. Importing this costs nothing."""

__version__ = "0.1.0"
