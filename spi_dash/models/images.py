"""Pictures, and what detectors and people outlined in them."""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Audited, Base, Degrees, LongText, table_args


class Image(Audited, Base):
    """One picture of one trap. The unique key serves every look-up by device and time."""

    __tablename__ = "images"
    __table_args__ = table_args(
        UniqueConstraint("device", "datetime", name="image_id"), Index("images_datetime", "datetime", "device")
    )

    device: Mapped[str] = mapped_column(String(8))
    datetime: Mapped[DateTime]
    md5: Mapped[str] = mapped_column(String(32))
    device_version: Mapped[str | None] = mapped_column(String(8))
    width: Mapped[int] = mapped_column(sa.SmallInteger)
    height: Mapped[int] = mapped_column(sa.SmallInteger)
    lat: Mapped[float | None] = mapped_column(Degrees)
    lng: Mapped[float | None] = mapped_column(Degrees)
    alt: Mapped[int | None] = mapped_column(sa.SmallInteger)
    temp: Mapped[float | None] = mapped_column(sa.Float)
    hum: Mapped[float | None] = mapped_column(sa.Float)
    lum: Mapped[float | None] = mapped_column(sa.Float)
    bat: Mapped[int | None] = mapped_column(sa.SmallInteger)
    but: Mapped[bool | None]


class UidAnnotation(Audited, Base):
    """What one version of one detector found in one image; `json` is the element as it was posted."""

    __tablename__ = "uid_annotations"
    __table_args__ = table_args(UniqueConstraint("parent_image_id", "algo_name", "algo_version", name="annotation_id"))

    parent_image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))
    n_objects: Mapped[int]
    json: Mapped[str | None] = mapped_column(LongText)  # last: reading the columns before it skips its overflow pages


class UidIntent(Audited, Base):
    """A detector's claim on an image, until it hands in an annotation or the claim is too old."""

    __tablename__ = "uid_intents"
    __table_args__ = table_args(UniqueConstraint("parent_image_id", name="uid_intents_image"))

    parent_image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    # Ours; null in claims of detectors that send no heartbeats, which last for services.claims.CLAIM_LIFE.
    worker: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[DateTime | None]
    algo_name: Mapped[str | None] = mapped_column(String(64))
    algo_version: Mapped[str | None] = mapped_column(String(46))
