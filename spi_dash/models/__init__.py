"""Tables. Columns and constraints only: behaviour lives in services.

Names, types and keys of the tables of the wire contract are those of existing Sticky Pi databases, which this server
adopts in place; the others are ours alone.
"""

from .base import Audited, Base, Degrees, LongText, Moment
from .detection import UidCursor, UidFailure, UidGeneration, UidWorker
from .images import Image, UidAnnotation, UidIntent
from .projects import Project, ProjectPermission
from .rollups import AnnotationBucket, DetectorVersion, DeviceSummary, ImageBucket, RollupBlock, RollupMark, RollupState
from .server import AuditEntry, Device, ObjectChecksum, ServerSetting
from .tuboids import (
    ItcLabel,
    TiledTuboid,
    TuboidEntry,
    TuboidIndexState,
    TuboidMark,
    TuboidSeries,
    TuboidTaxon,
)
from .users import SignIn, SignInFailure, User

__all__ = [
    "AnnotationBucket",
    "AuditEntry",
    "Audited",
    "Base",
    "Degrees",
    "DetectorVersion",
    "Device",
    "DeviceSummary",
    "Image",
    "ImageBucket",
    "ItcLabel",
    "LongText",
    "Moment",
    "ObjectChecksum",
    "Project",
    "ProjectPermission",
    "RollupBlock",
    "RollupMark",
    "RollupState",
    "ServerSetting",
    "SignIn",
    "SignInFailure",
    "TiledTuboid",
    "TuboidEntry",
    "TuboidIndexState",
    "TuboidMark",
    "TuboidSeries",
    "TuboidTaxon",
    "UidAnnotation",
    "UidCursor",
    "UidFailure",
    "UidGeneration",
    "UidIntent",
    "UidWorker",
    "User",
]
