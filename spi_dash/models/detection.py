"""Who detects, what cannot be detected, and what was looked through for work."""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, table_args


class UidFailure(Base):
    """An image that a version of a detector cannot do. Without a reason it is not given up: only `attempts` died."""

    __tablename__ = "uid_failures"
    __table_args__ = table_args(UniqueConstraint("parent_image_id", "algo_name", "algo_version", name="uid_failure"))

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))
    attempts: Mapped[int]  # claims that ended without a result
    reason: Mapped[str | None] = mapped_column(String(500))
    worker: Mapped[str] = mapped_column(String(64))
    changed_at: Mapped[DateTime]


class UidWorker(Base):
    """What a running detector last said of itself."""

    __tablename__ = "uid_workers"
    __table_args__ = table_args()

    worker: Mapped[str] = mapped_column(String(64), primary_key=True)
    algo_version: Mapped[str] = mapped_column(String(46))
    images_done: Mapped[int]
    images_failed: Mapped[int]
    images_per_minute: Mapped[float] = mapped_column(sa.Double)
    last_error: Mapped[str] = mapped_column(String(500))
    started_at: Mapped[DateTime]
    seen_at: Mapped[DateTime]


class UidCursor(Base):
    """How far one question for work has been looked through: services/claims.py says what the columns promise."""

    __tablename__ = "uid_cursors"
    __table_args__ = table_args()

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a hash of the question
    generation: Mapped[int]
    up_to_id: Mapped[int]
    before: Mapped[DateTime]
    made_at: Mapped[DateTime]


class UidGeneration(Base):
    """One row, counting the times that images which had been claimed or given up became free: cursors end then."""

    __tablename__ = "uid_generation"
    __table_args__ = table_args()

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
