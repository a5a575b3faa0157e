"""Insects followed over several pictures, and what they are."""

from datetime import datetime as DateTime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Audited, Base, table_args


class TuboidSeries(Audited, Base):
    __tablename__ = "tuboid_series"
    __table_args__ = table_args(
        UniqueConstraint(
            "device", "start_datetime", "end_datetime", "algo_name", "algo_version", name="tiled_series_id"
        )
    )

    device: Mapped[str] = mapped_column(String(8))
    start_datetime: Mapped[DateTime]
    end_datetime: Mapped[DateTime]
    n_images: Mapped[int]
    n_tuboids: Mapped[int]
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))


class TiledTuboid(Audited, Base):
    __tablename__ = "tiled_tuboids"
    __table_args__ = table_args(
        UniqueConstraint("tuboid_id", name="tuboid_id"), Index("tiled_tuboids_series", "parent_series_id")
    )

    parent_series_id: Mapped[int] = mapped_column(ForeignKey("tuboid_series.id", ondelete="CASCADE"))
    tuboid_id: Mapped[str] = mapped_column(String(100))
    id_in_series: Mapped[int]
    start_datetime: Mapped[DateTime]
    end_datetime: Mapped[DateTime]
    n_shots: Mapped[int]


class ItcLabel(Audited, Base):
    __tablename__ = "itc_labels"
    __table_args__ = table_args(UniqueConstraint("parent_tuboid_id", "algo_name", "algo_version", name="label_id"))

    parent_tuboid_id: Mapped[int] = mapped_column(ForeignKey("tiled_tuboids.id", ondelete="CASCADE"))
    algo_name: Mapped[str] = mapped_column(String(32))
    algo_version: Mapped[str] = mapped_column(String(46))
    label: Mapped[int]
    pattern: Mapped[str] = mapped_column(String(128))
    type: Mapped[str] = mapped_column(String(32))
    order: Mapped[str | None] = mapped_column(String(32))
    family: Mapped[str | None] = mapped_column(String(32))
    genus: Mapped[str | None] = mapped_column(String(32))
    species: Mapped[str | None] = mapped_column(String(32))
