"""The counts of hours and days once more, thirty-two in one value each: what Explore reads.

As services/blocks.py packs them: rows of 32-bit floats, the moments in seconds after the block's start.
"""

import array
import sys
from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

TABLE = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB", "if_not_exists": True}
ROWS, HOUR_S, DAY_S = 32, 3600, 86_400
KEY = ("span_s", "device", "detector_id", "start_s")
IMAGES = (
    "SELECT device, 0, start_s, first_s - start_s, last_s - start_s, n_images, n_temp, n_hum, n_lum, "
    "1000 * sum_temp, 1000 * min_temp, 1000 * max_temp, 1000 * sum_hum, 1000 * sum_lum "
    "FROM rollup_images WHERE span_s = :span_s AND device = :device ORDER BY start_s"
)
FOUND = (
    "SELECT device, detector_id, start_s, n_annotated, sum_objects "
    "FROM rollup_annotations WHERE span_s = :span_s AND device = :device ORDER BY detector_id, start_s"
)


def upgrade() -> None:
    op.create_table(
        "rollup_blocks",
        sa.Column("span_s", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("device", sa.String(8), primary_key=True),
        sa.Column("detector_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("start_s", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        **TABLE,
    )
    connection = op.get_bind()
    connection.execute(sa.text("DELETE FROM rollup_blocks"))  # of a migration that was cut off
    for device in connection.scalars(sa.text("SELECT device FROM rollup_devices ORDER BY device")).all():
        for span_s in (HOUR_S, DAY_S):
            for query in (IMAGES, FOUND):
                _pack(connection, sa.text(query).bindparams(span_s=span_s, device=device), span_s)


def _pack(connection: sa.Connection, query: sa.TextClause, span_s: int) -> None:
    blocks = sa.table("rollup_blocks", *(sa.column(name) for name in (*KEY, "numbers")))
    rows = []
    for (device, detector_id, start_s), some in groupby(connection.execute(query), lambda row: _key(row, span_s)):
        numbers = array.array("f")
        for row in some:
            numbers.append(row[2] - start_s)
            numbers.extend(float("nan") if value is None else value for value in row[3:])
        if sys.byteorder == "big":
            numbers.byteswap()
        rows.append(
            dict(zip(KEY, (span_s, device, detector_id, start_s), strict=True)) | {"numbers": numbers.tobytes()}
        )
    if rows:
        connection.execute(blocks.insert(), rows)


def _key(row: sa.Row, span_s: int) -> tuple:
    return row[0], row[1], row[2] // (ROWS * span_s) * ROWS * span_s
