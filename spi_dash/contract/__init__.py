"""What travels over the wire between devices, phones, scripts, the detector and the server: typed and validated.

The names are those of the Sticky Pi clients, which exist and are not ours to change. Times are naive UTC.
"""

from .annotations import Annotation, AnnotationMetadata, Outline, Pixel, version_order
from .base import (
    API_VERSION,
    LETTERS,
    MAX_DEVICE_CHARS,
    PRINTABLE,
    STYLES,
    DevicePattern,
    Flag,
    Info,
    Moment,
    Part,
    Style,
    parse,
    parse_filters,
    parse_flag,
    parse_infos,
    parse_moment,
    style_of,
    unknown_what,
    unwrap,
)
from .bundles import BUNDLE_NAME, BundleFile
from .detection import MAX_REASON_CHARS, ClaimKey, Failure, Heartbeat, ReleasedClaim, WorkerName
from .images import ImageKey, SeriesKey
from .projects import (
    NewProject,
    ProjectColumn,
    ProjectColumnKey,
    ProjectKey,
    ProjectLevel,
    ProjectSeries,
    ProjectSeriesKey,
)
from .tuboids import NewLabel, NewTuboidId, Shot, TuboidKey, TuboidSeriesInfo, parse_shots
from .users import NewUser

__all__ = [
    "API_VERSION",
    "BUNDLE_NAME",
    "LETTERS",
    "MAX_DEVICE_CHARS",
    "MAX_REASON_CHARS",
    "PRINTABLE",
    "STYLES",
    "Annotation",
    "AnnotationMetadata",
    "BundleFile",
    "ClaimKey",
    "DevicePattern",
    "Failure",
    "Flag",
    "Heartbeat",
    "ImageKey",
    "Info",
    "Moment",
    "NewLabel",
    "NewProject",
    "NewTuboidId",
    "NewUser",
    "Outline",
    "Part",
    "Pixel",
    "ProjectColumn",
    "ProjectColumnKey",
    "ProjectKey",
    "ProjectLevel",
    "ProjectSeries",
    "ProjectSeriesKey",
    "ReleasedClaim",
    "SeriesKey",
    "Shot",
    "Style",
    "TuboidKey",
    "TuboidSeriesInfo",
    "WorkerName",
    "parse",
    "parse_filters",
    "parse_flag",
    "parse_infos",
    "parse_moment",
    "parse_shots",
    "style_of",
    "unknown_what",
    "unwrap",
    "version_order",
]
