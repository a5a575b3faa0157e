"""Insects followed over several pictures, and what they are."""

from datetime import datetime as DateTime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
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


class TuboidMark(Base):
    """A tuboid that came, went or got another label. Database triggers write it, so no writer can forget."""

    __tablename__ = "tuboid_marks"
    __table_args__ = ({**Base.__table_args__, "sqlite_autoincrement": True},)  # an id is not given out twice

    id: Mapped[int] = mapped_column(primary_key=True)
    tuboid: Mapped[int]


class TuboidIndexState(Base):
    """One row, locked by whoever is refreshing: how many marks were seen to so far."""

    __tablename__ = "tuboid_index_state"
    __table_args__ = table_args()

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_marks: Mapped[int] = mapped_column(BigInteger)


class TuboidTaxon(Base):
    """What newest labels say, each once; a rank that is not known is empty."""

    __tablename__ = "tuboid_taxa"
    __table_args__ = table_args()

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    order: Mapped[str] = mapped_column(String(32))
    family: Mapped[str] = mapped_column(String(32))
    genus: Mapped[str] = mapped_column(String(32))
    species: Mapped[str] = mapped_column(String(32))


class TuboidEntry(Base):
    """A tuboid as the page counts it: when it began (UNIX time), by which trap, what its newest label says."""

    __tablename__ = "tuboid_index"
    __table_args__ = table_args(Index("tuboid_index_start", "start_s", "id", "device", "taxon_id"))

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # of tiled_tuboids
    start_s: Mapped[int] = mapped_column(BigInteger)
    device: Mapped[str] = mapped_column(String(8))
    taxon_id: Mapped[int]  # 0: no label, or one that says nothing
    label_id: Mapped[int | None]
