"""What the server keeps about itself, its devices and its files."""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from .base import Base, table_args


class ObjectChecksum(Base):
    """Checksums of a stored ML file, computed while it was received: S3's own ETags depend on how it was sent."""

    __tablename__ = "object_checksums"
    __table_args__ = table_args()

    key: Mapped[str] = mapped_column(String(512), primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    md5: Mapped[str] = mapped_column(String(32))
    etag_8m: Mapped[str] = mapped_column(String(48))  # multipart ETag with parts of 8 MiB (clients of 2021)
    etag_15m: Mapped[str] = mapped_column(String(48))  # ... of 15 MiB (newest clients)
    modified_at: Mapped[float] = mapped_column(sa.Double)  # UNIX s


class Device(Base):
    """What people call a device and where it stands."""

    __tablename__ = "devices"
    __table_args__ = table_args()

    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(64))
    site: Mapped[str | None] = mapped_column(String(128))
    changed_at: Mapped[DateTime]
    changed_by: Mapped[int | None]


class AuditEntry(Base):
    """Who did what, when. Names as they were then: users may be gone since."""

    __tablename__ = "audit_log"
    __table_args__ = table_args()

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[DateTime]
    user_id: Mapped[int | None]  # null: somebody at the server's own command line
    username: Mapped[str | None] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(32))
    target: Mapped[str] = mapped_column(String(128))
    details: Mapped[str] = mapped_column(String(255))


class ServerSetting(Base):
    """What admins change while the server runs; `value` is JSON."""

    __tablename__ = "server_settings"
    __table_args__ = table_args()

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)
    changed_at: Mapped[DateTime]
    changed_by: Mapped[int | None]
