"""What all tables share."""

from datetime import datetime as DateTime

import sqlalchemy as sa
from sqlalchemy import String
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


def table_args(*constraints: sa.schema.SchemaItem) -> tuple:
    return (*constraints, Base.__table_args__)
