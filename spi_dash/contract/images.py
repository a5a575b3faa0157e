"""Which images a request means."""

from typing import Annotated

from pydantic import Field

from .base import MAX_DEVICE_CHARS, DevicePattern, Info, Moment


class ImageKey(Info):
    """One image: exact device and time, to the second."""

    device: Annotated[str, Field(max_length=MAX_DEVICE_CHARS)]
    datetime: Moment


class SeriesKey(Info):
    """Images of matching devices from start (included) to end (excluded)."""

    device: DevicePattern
    start_datetime: Moment
    end_datetime: Moment
