"""Hourly and daily counts for the pages, the triggers that mark what changed, and names of devices.

Triggers rather than calls: whoever writes images or annotations, by whatever program, marks the hour in the same
transaction.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TABLE = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB", "if_not_exists": True}
HOUR = {
    "sqlite": "CAST(strftime('%s', {}) AS INTEGER) / 3600 * 3600",
    "mysql": "TIMESTAMPDIFF(HOUR, '1970-01-01', {}) * 3600",
}
DEGREES = sa.Numeric(precision=9, scale=6, asdecimal=False)


def upgrade() -> None:
    _create_tables()
    dialect = "sqlite" if op.get_bind().dialect.name == "sqlite" else "mysql"
    _create_triggers(HOUR[dialect])
    count = sa.text("SELECT COUNT(*) FROM rollup_state")
    if op.get_bind().scalar(count) == 0:
        hour = HOUR[dialect].format("datetime")
        op.execute(
            sa.text(f"INSERT INTO rollup_marks (device, start_s) SELECT DISTINCT device, {_escaped(hour)} FROM images")
        )
        op.execute("INSERT INTO rollup_state (id, last_mark_id) VALUES (1, 0)")


def _create_tables() -> None:
    op.create_table(
        "rollup_marks",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("device", sa.String(8), nullable=False),
        sa.Column("start_s", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
        **TABLE,
    )
    op.create_table(
        "rollup_state",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last_mark_id", sa.Integer(), nullable=False),
        **TABLE,
    )
    op.create_table(
        "rollup_images",
        sa.Column("span_s", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("device", sa.String(8), primary_key=True),
        sa.Column("start_s", sa.Integer(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_images", "first_s", "last_s", "n_temp")),
        sa.Column("sum_temp", sa.Double()),
        sa.Column("min_temp", sa.Float()),
        sa.Column("max_temp", sa.Float()),
        sa.Column("n_hum", sa.Integer(), nullable=False),
        sa.Column("sum_hum", sa.Double()),
        sa.Column("n_lum", sa.Integer(), nullable=False),
        sa.Column("sum_lum", sa.Double()),
        sa.Column("lat", DEGREES),
        sa.Column("lng", DEGREES),
        sqlite_with_rowid=False,
        **TABLE,
    )
    op.create_table(
        "rollup_annotations",
        sa.Column("detector_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("span_s", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("device", sa.String(8), primary_key=True),
        sa.Column("start_s", sa.Integer(), primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_annotated", "sum_objects", "max_objects")),
        sqlite_with_rowid=False,
        **TABLE,
    )
    op.create_table(
        "rollup_detectors",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("algo_name", sa.String(64), nullable=False),
        sa.Column("algo_version", sa.String(46), nullable=False),
        sa.UniqueConstraint("algo_name", "algo_version", name="rollup_detectors_name"),
        **TABLE,
    )
    op.create_table(
        "rollup_devices",
        sa.Column("device", sa.String(8), primary_key=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("n_images", "first_s", "last_s")),
        sa.Column("lat", DEGREES),
        sa.Column("lng", DEGREES),
        sa.Column("last_mark_id", sa.Integer(), nullable=False),
        **TABLE,
    )
    op.create_table(
        "devices",
        sa.Column("device", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(64)),
        sa.Column("site", sa.String(128)),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("changed_by", sa.Integer()),
        **TABLE,
    )


def _create_triggers(hour: str) -> None:
    for event, rows in (("INSERT", ("NEW",)), ("DELETE", ("OLD",)), ("UPDATE", ("OLD", "NEW"))):
        images = [
            f"INSERT INTO rollup_marks (device, start_s) VALUES ({row}.device, {hour.format(row + '.datetime')});"
            for row in rows
        ]
        _create_trigger("images", event, images)
        row = rows[-1]
        parent = f"SELECT device, {hour.format('datetime')} FROM images WHERE id = {row}.parent_image_id"
        _create_trigger("uid_annotations", event, [f"INSERT INTO rollup_marks (device, start_s) {parent};"])


def _create_trigger(table: str, event: str, statements: list[str]) -> None:
    name = f"rollup_{table}_{event.lower()}"
    body = " ".join(statements)
    op.execute(
        sa.text(_escaped(f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON {table} FOR EACH ROW BEGIN {body} END"))
    )


def _escaped(statement: str) -> str:
    """Colons are bind parameters to text()."""
    return statement.replace(":", "\\:")
