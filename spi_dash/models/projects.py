"""Projects: who works together, on which traps and dates."""

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from .base import Audited, Base, table_args


class Project(Audited, Base):
    __tablename__ = "projects"
    __table_args__ = table_args(Index("ix_projects_name", "name"), Index("ix_projects_description", "description"))

    name: Mapped[str] = mapped_column(String(32))
    description: Mapped[str | None] = mapped_column(String(20))
    notes: Mapped[str | None] = mapped_column(String(2048))


class ProjectPermission(Audited, Base):
    __tablename__ = "project_permissions"
    __table_args__ = table_args(UniqueConstraint("parent_user_id", "parent_project_id", name="permission_id"))

    parent_project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    parent_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    level: Mapped[int] = mapped_column(sa.SmallInteger)
