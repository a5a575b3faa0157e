"""Claims that know their worker, images that cannot be done, and what workers say of themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

TABLE = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB", "if_not_exists": True}


def upgrade() -> None:
    _add_columns()
    op.create_table(
        "uid_failures",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("parent_image_id", sa.Integer(), sa.ForeignKey("images.id", ondelete="CASCADE"), nullable=False),
        sa.Column("algo_name", sa.String(64), nullable=False),
        sa.Column("algo_version", sa.String(46), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("worker", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("parent_image_id", "algo_name", "algo_version", name="uid_failure"),
        **TABLE,
    )
    op.create_table(
        "uid_workers",
        sa.Column("worker", sa.String(64), primary_key=True),
        sa.Column("algo_version", sa.String(46), nullable=False),
        sa.Column("images_done", sa.Integer(), nullable=False),
        sa.Column("images_failed", sa.Integer(), nullable=False),
        sa.Column("images_per_minute", sa.Double(), nullable=False),
        sa.Column("last_error", sa.String(500), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        **TABLE,
    )
    op.create_table(
        "uid_cursors",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("up_to_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.DateTime(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        **TABLE,
    )
    op.create_table(
        "uid_generation",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), nullable=False),
        **TABLE,
    )


def _add_columns() -> None:
    """SQLite knows no ADD COLUMN IF NOT EXISTS."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("uid_intents")}
    columns = {
        "worker": sa.String(64),
        "expires_at": sa.DateTime(),
        "algo_name": sa.String(64),
        "algo_version": sa.String(46),
    }
    for name, kind in columns.items():
        if name not in there:
            op.add_column("uid_intents", sa.Column(name, kind))
