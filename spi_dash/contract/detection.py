"""What detectors say to the server."""

from typing import Annotated

from pydantic import Field

from .base import Info
from .images import ImageKey, SeriesKey

MAX_REASON_CHARS = 500

WorkerName = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$", description="chosen by the worker, and unique")]


class ClaimKey(SeriesKey):
    """Images that a detector wants to annotate. Without an algorithm: those that nobody annotated."""

    algo_name: Annotated[str, Field(max_length=64)] | None = None
    algo_version: Annotated[str, Field(max_length=46)] | None = None
    worker: WorkerName | None = None  # ours: a worker's claim ends early without heartbeats


class ReleasedClaim(ImageKey):
    """A claim that a worker gives back."""

    worker: WorkerName


class Failure(ImageKey):
    """A picture that a version of a detector cannot do; nobody tries again with that version."""

    worker: WorkerName
    algo_name: Annotated[str, Field(min_length=1, max_length=64)]
    algo_version: Annotated[str, Field(min_length=1, max_length=46)]
    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON_CHARS)]


class Heartbeat(Info):
    """What a running detector says of itself; its claims go on."""

    worker: WorkerName
    algo_version: Annotated[str, Field(max_length=46, description="empty until a model is loaded")]
    images_done: Annotated[int, Field(strict=True, ge=0, lt=2**31)]
    images_failed: Annotated[int, Field(strict=True, ge=0, lt=2**31)]
    images_per_minute: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
    last_error: Annotated[str, Field(max_length=MAX_REASON_CHARS)] = ""
