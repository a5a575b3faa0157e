"""What the pages read instead of counting a million images: kept by services/rollups.py."""

import sqlalchemy as sa
from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, Degrees, table_args


class RollupMark(Base):
    """An hour of a device whose images or annotations changed. Database triggers write it, so no writer can forget."""

    __tablename__ = "rollup_marks"
    # An id is not given out twice: marks are deleted by it.
    __table_args__ = ({**Base.__table_args__, "sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(String(8))
    start_s: Mapped[int]  # UNIX time of the hour


class RollupState(Base):
    """One row, locked by whoever is refreshing."""

    __tablename__ = "rollup_state"
    __table_args__ = table_args()

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_mark_id: Mapped[int]  # how many marks have been seen to; once it was the newest one's id, which was no less


class ImageBucket(Base):
    """The images of one device in one hour (span_s 3600) or UTC day (86400). Times are UNIX seconds."""

    __tablename__ = "rollup_images"
    __table_args__ = ({**Base.__table_args__, "sqlite_with_rowid": False},)  # its rows lie in the order of the key

    span_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    start_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_images: Mapped[int]
    first_s: Mapped[int]
    last_s: Mapped[int]
    n_temp: Mapped[int]
    sum_temp: Mapped[float | None] = mapped_column(sa.Double)
    min_temp: Mapped[float | None] = mapped_column(sa.Float)
    max_temp: Mapped[float | None] = mapped_column(sa.Float)
    n_hum: Mapped[int]
    sum_hum: Mapped[float | None] = mapped_column(sa.Double)
    n_lum: Mapped[int]
    sum_lum: Mapped[float | None] = mapped_column(sa.Double)
    lat: Mapped[float | None] = mapped_column(Degrees)
    lng: Mapped[float | None] = mapped_column(Degrees)


class AnnotationBucket(Base):
    """What one version of a detector found in the images of one bucket."""

    __tablename__ = "rollup_annotations"
    __table_args__ = ({**Base.__table_args__, "sqlite_with_rowid": False},)  # its rows lie in the order of the key

    detector_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    span_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    start_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_annotated: Mapped[int]
    sum_objects: Mapped[int]
    max_objects: Mapped[int]


class RollupBlock(Base):
    """The hours or days of one device as services/blocks.py packs them; detector 0 stands for the images themselves."""

    __tablename__ = "rollup_blocks"
    __table_args__ = table_args()

    span_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    detector_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start_s: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    numbers: Mapped[bytes] = mapped_column(sa.LargeBinary)


class DetectorVersion(Base):
    """A version of a detector that has annotated something."""

    __tablename__ = "rollup_detectors"
    __table_args__ = table_args(UniqueConstraint("algo_name", "algo_version", name="rollup_detectors_name"))

    id: Mapped[int] = mapped_column(primary_key=True)
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))


class DeviceSummary(Base):
    """All that a device ever sent, and the change number up to which it was counted."""

    __tablename__ = "rollup_devices"
    __table_args__ = table_args()

    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    n_images: Mapped[int]
    first_s: Mapped[int]
    last_s: Mapped[int]
    lat: Mapped[float | None] = mapped_column(Degrees)
    lng: Mapped[float | None] = mapped_column(Degrees)
    last_mark_id: Mapped[int]
