"""What the Tuboids page counts and pages through, and the triggers that mark tuboids that came, went or were labelled.

The page asked tiled_tuboids and itc_labels themselves: for a season of 100,000 tuboids that was seconds, with every
index that these tables could have, since each tuboid's newest label must be found.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TABLE = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB", "if_not_exists": True}
RANKS = ("type", "order", "family", "genus", "species")
MARK = "INSERT INTO tuboid_marks (tuboid) "


def upgrade() -> None:
    _create_tables()
    _create_triggers()
    if op.get_bind().scalar(sa.text("SELECT COUNT(*) FROM tuboid_index_state")) == 0:
        op.execute(f"{MARK} SELECT id FROM tiled_tuboids")
        op.execute("INSERT INTO tuboid_index_state (id, n_marks) VALUES (1, 0)")


def _create_tables() -> None:
    op.create_table(
        "tuboid_marks",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        sa.Column("tuboid", sa.Integer(), nullable=False),
        sqlite_autoincrement=True,
        **TABLE,
    )
    op.create_table(
        "tuboid_index_state",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("n_marks", sa.BigInteger(), nullable=False),
        **TABLE,
    )
    op.create_table(
        "tuboid_taxa",
        sa.Column("id", sa.Integer(), nullable=False, primary_key=True),
        *(sa.Column(rank, sa.String(32), nullable=False) for rank in RANKS),
        **TABLE,
    )
    op.create_table(
        "tuboid_index",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("start_s", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(8), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("label_id", sa.Integer()),
        **TABLE,
    )
    op.create_index("tuboid_index_start", "tuboid_index", ["start_s", "id", "device", "taxon_id"], if_not_exists=True)


def _create_triggers() -> None:
    for event, rows in (("INSERT", ("NEW",)), ("DELETE", ("OLD",)), ("UPDATE", ("OLD", "NEW"))):
        for table, column in (("tiled_tuboids", "id"), ("itc_labels", "parent_tuboid_id")):
            _create_trigger(f"AFTER {event}", table, [f"{MARK} VALUES ({row}.{column});" for row in rows])
    # MariaDB runs no triggers for rows that go with their series: it must be asked for them before.
    below = f"{MARK} SELECT id FROM tiled_tuboids WHERE parent_series_id = OLD.id;"
    for when in ("BEFORE DELETE", "AFTER UPDATE"):
        _create_trigger(when, "tuboid_series", [below])


def _create_trigger(when: str, table: str, statements: list[str]) -> None:
    name = f"tuboid_index_{table}_{when.split()[1].lower()}"
    op.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {when} ON {table} FOR EACH ROW BEGIN {' '.join(statements)} END")
