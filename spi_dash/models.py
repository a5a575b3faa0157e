"""Tables. Columns and constraints only: behaviour lives in services.

Names, types and keys of the first part are those of existing Sticky Pi databases, which this server adopts in place.
"""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Whole seconds on every database; on SQLite a text that sorts by time.
Moment = sa.DateTime().with_variant(sqlite.DATETIME(truncate_microseconds=True), "sqlite")
LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
Degrees = sa.Numeric(9, 6, asdecimal=False)


class Base(DeclarativeBase):
    type_annotation_map = {DateTime: Moment}  # noqa: RUF012
    __table_args__ = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB"}  # noqa: RUF012


class Audited:
    """What every table of the wire contract carries."""

    id: Mapped[int] = mapped_column(primary_key=True, sort_order=-4)
    datetime_created: Mapped[DateTime] = mapped_column(sort_order=-3)
    api_version: Mapped[str | None] = mapped_column(String(8), sort_order=-2)
    api_user_id: Mapped[int | None] = mapped_column(sort_order=-1)


def _table_args(*constraints: sa.schema.SchemaItem) -> tuple:
    return (*constraints, Base.__table_args__)


class Image(Audited, Base):
    """One picture of one trap. The unique key serves every look-up by device and time."""

    __tablename__ = "images"
    __table_args__ = _table_args(
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
    __table_args__ = _table_args(UniqueConstraint("parent_image_id", "algo_name", "algo_version", name="annotation_id"))

    parent_image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))
    n_objects: Mapped[int]
    json: Mapped[str | None] = mapped_column(LongText)  # last: reading the columns before it skips its overflow pages


class UidIntent(Audited, Base):
    """A detector's claim on an image, until it hands in an annotation or the claim is too old."""

    __tablename__ = "uid_intents"
    __table_args__ = _table_args(UniqueConstraint("parent_image_id", name="uid_intents_image"))

    parent_image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    # Ours; null in claims of detectors that send no heartbeats, which last for services.claims.CLAIM_LIFE.
    worker: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[DateTime | None]
    algo_name: Mapped[str | None] = mapped_column(String(64))
    algo_version: Mapped[str | None] = mapped_column(String(46))


class TuboidSeries(Audited, Base):
    __tablename__ = "tuboid_series"
    __table_args__ = _table_args(
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
    __table_args__ = _table_args(
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
    __table_args__ = _table_args(UniqueConstraint("parent_tuboid_id", "algo_name", "algo_version", name="label_id"))

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


class User(Audited, Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("username", name="username"),
        Index("ix_users_email", "email"),
        # A deleted user's id is not given out again: it stands on what she uploaded.
        {**Base.__table_args__, "sqlite_autoincrement": True},
    )

    username: Mapped[str] = mapped_column(String(32))
    email: Mapped[str | None] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(String(128))
    is_admin: Mapped[bool | None] = mapped_column(default=False)
    can_write: Mapped[bool | None] = mapped_column(default=True)
    disabled_at: Mapped[DateTime | None]  # ours; null in adopted databases
    preferences: Mapped[str | None] = mapped_column(sa.Text)  # ours; JSON: zone, theme


class Project(Audited, Base):
    __tablename__ = "projects"
    __table_args__ = _table_args(Index("ix_projects_name", "name"), Index("ix_projects_description", "description"))

    name: Mapped[str] = mapped_column(String(32))
    description: Mapped[str | None] = mapped_column(String(20))
    notes: Mapped[str | None] = mapped_column(String(2048))


class ProjectPermission(Audited, Base):
    __tablename__ = "project_permissions"
    __table_args__ = _table_args(UniqueConstraint("parent_user_id", "parent_project_id", name="permission_id"))

    parent_project_id: Mapped[int] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    parent_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    level: Mapped[int] = mapped_column(sa.SmallInteger)


# What follows is ours alone.


class SignIn(Base):
    """One sign-in of one user from one client: tokens and page sessions carry its id, revoking it ends them."""

    __tablename__ = "sign_ins"
    __table_args__ = _table_args(Index("sign_ins_user", "user_id", "client"), Index("sign_ins_expiry", "expires_at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # random, not guessable
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))  # "token" or "page"
    client: Mapped[str] = mapped_column(String(128))  # what the client calls itself, for the list of one's tokens
    address: Mapped[str] = mapped_column(String(45))
    created_at: Mapped[DateTime]
    seen_at: Mapped[DateTime]  # to the hour: not worth a write per request
    expires_at: Mapped[DateTime]
    revoked_at: Mapped[DateTime | None]


class SignInFailure(Base):
    """Failed passwords counted per account and address, shared by all server processes."""

    __tablename__ = "sign_in_failures"
    __table_args__ = _table_args(Index("sign_in_failures_last", "last_at"))

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a hash: no user names or addresses are kept
    count: Mapped[int]
    last_at: Mapped[DateTime]


class ObjectChecksum(Base):
    """Checksums of a stored ML file, computed while it was received: S3's own ETags depend on how it was sent."""

    __tablename__ = "object_checksums"
    __table_args__ = _table_args()

    key: Mapped[str] = mapped_column(String(512), primary_key=True)
    size: Mapped[int] = mapped_column(sa.BigInteger)
    md5: Mapped[str] = mapped_column(String(32))
    etag_8m: Mapped[str] = mapped_column(String(48))  # multipart ETag with parts of 8 MiB (clients of 2021)
    etag_15m: Mapped[str] = mapped_column(String(48))  # ... of 15 MiB (newest clients)
    modified_at: Mapped[float] = mapped_column(sa.Double)  # UNIX s


# What the pages read instead of counting a million images: kept by services/rollups.py.


class RollupMark(Base):
    """An hour of a device whose images or annotations changed. Database triggers write it, so no writer can forget."""

    __tablename__ = "rollup_marks"
    # An id is not given out twice: the newest one is the change number of the pages.
    __table_args__ = ({**Base.__table_args__, "sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(String(8))
    start_s: Mapped[int]  # UNIX time of the hour


class RollupState(Base):
    """One row, locked by whoever is refreshing."""

    __tablename__ = "rollup_state"
    __table_args__ = _table_args()

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_mark_id: Mapped[int]


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


class DetectorVersion(Base):
    """A version of a detector that has annotated something."""

    __tablename__ = "rollup_detectors"
    __table_args__ = _table_args(UniqueConstraint("algo_name", "algo_version", name="rollup_detectors_name"))

    id: Mapped[int] = mapped_column(primary_key=True)
    algo_name: Mapped[str] = mapped_column(String(64))
    algo_version: Mapped[str] = mapped_column(String(46))


class DeviceSummary(Base):
    """All that a device ever sent, and the mark after which this was counted."""

    __tablename__ = "rollup_devices"
    __table_args__ = _table_args()

    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    n_images: Mapped[int]
    first_s: Mapped[int]
    last_s: Mapped[int]
    lat: Mapped[float | None] = mapped_column(Degrees)
    lng: Mapped[float | None] = mapped_column(Degrees)
    last_mark_id: Mapped[int]


class Device(Base):
    """What people call a device and where it stands."""

    __tablename__ = "devices"
    __table_args__ = _table_args()

    device: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(64))
    site: Mapped[str | None] = mapped_column(String(128))
    changed_at: Mapped[DateTime]
    changed_by: Mapped[int | None]


class AuditEntry(Base):
    """Who did what, when. Names as they were then: users may be gone since."""

    __tablename__ = "audit_log"
    __table_args__ = _table_args()

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
    __table_args__ = _table_args()

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[str] = mapped_column(sa.Text)
    changed_at: Mapped[DateTime]
    changed_by: Mapped[int | None]


# Who detects, what cannot be detected, and what was looked through for work.


class UidFailure(Base):
    """An image that a version of a detector cannot do. Without a reason it is not given up: only `attempts` died."""

    __tablename__ = "uid_failures"
    __table_args__ = _table_args(UniqueConstraint("parent_image_id", "algo_name", "algo_version", name="uid_failure"))

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
    __table_args__ = _table_args()

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
    __table_args__ = _table_args()

    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a hash of the question
    generation: Mapped[int]
    up_to_id: Mapped[int]
    before: Mapped[DateTime]
    made_at: Mapped[DateTime]


class UidGeneration(Base):
    """One row, counting the times that images which had been claimed or given up became free: cursors end then."""

    __tablename__ = "uid_generation"
    __table_args__ = _table_args()

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
