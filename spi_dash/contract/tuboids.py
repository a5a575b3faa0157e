"""Insects followed over several pictures (tiled tuboids), and what a classifier says that they are."""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from ..clock import LEGACY
from ..errors import InvalidInput
from .base import Info, Moment, whole

MAX_SHOTS = 10_000
MAX_TUBOID_ID_CHARS = 100
_DEVICE = "[A-Za-z0-9_-]{1,8}"
_DEVICES = "[A-Za-z0-9_%-]{1,8}"
_TIME = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"
_NUMBER = r"\s*[+-]?\d{1,9}(?:\.\d{0,12})?(?:[eE][+-]?\d{1,2})?\s*"
_TUBOID_ID = rf"^{_DEVICE}[.]{_TIME}[.]{_TIME}[.][A-Za-z0-9_+-]{{1,46}}[.][0-9]{{4,6}}$"
_SHOT = re.compile(rf"({_DEVICE})\.({_TIME}),({_NUMBER}),({_NUMBER}),({_NUMBER})", re.ASCII)
_SHOT_EXPECTED = "<device>.<YYYY-MM-DD_HH-MM-SS>,<x>,<y>,<scale>"


def _with_possible_times(tuboid_id: str) -> str:
    for text in tuboid_id.split(".")[1:3]:
        datetime.strptime(text, LEGACY)
    return tuboid_id


TuboidId = Annotated[
    str,
    Field(
        max_length=MAX_TUBOID_ID_CHARS,
        pattern=_TUBOID_ID,
        description="<device>.<start>.<end>.<algo_version>.<NNNN>, times as 2020-06-20_21-33-24",
    ),
    AfterValidator(_with_possible_times),
]
Count = Annotated[int, BeforeValidator(whole), Field(strict=True, ge=0, lt=2**31)]
Rank = Annotated[str, Field(max_length=32)] | None


class NewTuboidId(Info):
    """The name under which a tuboid is uploaded."""

    tuboid_id: TuboidId


class TuboidSeriesInfo(Info):
    """The run of an algorithm over the pictures of a device, or of several, that a tuboid comes from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Annotated[str, Field(pattern=f"^{_DEVICES}$", description="device, or a LIKE pattern of several: % is all")]
    start_datetime: Moment
    end_datetime: Moment
    algo_name: Annotated[str, Field(min_length=1, max_length=64)]
    algo_version: Annotated[str, Field(min_length=1, max_length=46)]
    n_images: Count
    n_tuboids: Count

    @field_validator("end_datetime")
    @classmethod
    def _ends_after_its_start(cls, end: datetime, info: ValidationInfo) -> datetime:
        start = info.data.get("start_datetime")
        if start is not None and end < start:
            raise ValueError("is before start_datetime")
        return end


class TuboidKey(Info):
    """One tuboid, by its name."""

    tuboid_id: Annotated[str, Field(max_length=MAX_TUBOID_ID_CHARS)]


class NewLabel(TuboidKey):
    """What one version of a classifier says that a tuboid is."""

    algo_name: Annotated[str, Field(min_length=1, max_length=32)]
    algo_version: Annotated[str, Field(min_length=1, max_length=46)]
    label: Annotated[int, BeforeValidator(whole), Field(strict=True, ge=-(2**31), lt=2**31)]
    pattern: Annotated[str, Field(max_length=128, description=r"regular expression of type\.order\.family...")]
    type: Annotated[str, Field(max_length=32)]
    order: Rank = None
    family: Rank = None
    genus: Rank = None
    species: Rank = None


@dataclass(frozen=True)
class Shot:
    """Where the insect is on one picture: centre in pixels of the full picture, and how much its tile is enlarged."""

    device: str
    taken_at: datetime
    x: float
    y: float
    scale: float


def parse_shots(data: bytes) -> list[Shot]:
    """The lines of a metadata.txt, one per shot in order of time; an empty line ends it.

    Raises:
        InvalidInput: names the line.
    """
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise _wrong_line(data[: error.start].count(b"\n") + 1, "is not plain text") from None
    end = next((index for index, line in enumerate(lines) if not line.strip()), len(lines))
    if not 0 < end <= MAX_SHOTS:
        raise _wrong_line(min(end, MAX_SHOTS) + 1, f"a tuboid has 1 to {MAX_SHOTS} shots, one per line")
    shots: list[Shot] = []
    for number, line in enumerate(lines[:end], 1):
        shots.append(_parse_shot(number, line))
        if number > 1 and shots[-1].taken_at < shots[-2].taken_at:
            raise _wrong_line(number, "is earlier than the line before it")
    return shots


def _parse_shot(number: int, line: str) -> Shot:
    match = _SHOT.fullmatch(line.rstrip())
    if match is None:
        raise _wrong_line(number, f"{line[:80]!r} is not {_SHOT_EXPECTED}")
    try:
        taken_at = datetime.strptime(match[2], LEGACY)
    except ValueError:
        raise _wrong_line(number, f"{match[2]} is no possible time") from None
    x, y, scale = (float(match[k]) for k in (3, 4, 5))
    if not all(map(math.isfinite, (x, y, scale))) or scale < 0:
        raise _wrong_line(number, "the scale cannot be negative")
    return Shot(match[1], taken_at, x, y, scale)


def _wrong_line(number: int, reason: str) -> InvalidInput:
    return InvalidInput(f"metadata.txt, line {number}: {reason}", field="metadata", line=number)
