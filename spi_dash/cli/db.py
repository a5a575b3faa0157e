"""spi-dash db"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config

if TYPE_CHECKING:
    from ..adoption import Plan, Step


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@config_options
def upgrade(data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Bring the tables to this version of the server.

    The server does so itself when it starts; several may do so at once. Existing Sticky Pi databases are adopted in
    place: no picture, no result and no account in them is dropped. Make a backup first all the same.
    """
    _change_tables(data, env_files)
    click.echo("The database is up to date.")


@db.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@config_options
def adopt(dry_run: bool, data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Take over the database of an existing Sticky Pi server, in place.

    MYSQL_HOST and its companions name the database. Tables and columns are added; pictures, results, accounts and
    projects stay as they are. When it is interrupted, run it again. Make a backup first. See docs/adopt.md.
    """
    if not dry_run:
        plan = _change_tables(data, env_files)
        click.echo("There was nothing to adopt." if plan is None else "Adopted. The server can be started.")
        return
    from ..db import connect, plan_adoption

    plan = plan_adoption(connect(load_config(data, env_files).database_url))
    if plan is None:
        click.echo("There is nothing to adopt: the database is empty, or is ours already.")
        return
    _show(plan)
    for step in plan.steps:
        _tell(step)
    if plan.new_tables:
        click.echo(f"- create {len(plan.new_tables)} tables: {', '.join(plan.new_tables)}")
    click.echo("- create triggers on images and uid_annotations, which note the hours that change")
    click.echo(f"- at the first start, count {plan.counts['images']:,} pictures for the pages".replace(",", " "))
    click.echo("Nothing was changed.")


def _change_tables(data: Path | None, env_files: tuple[Path, ...]) -> "Plan | None":
    config = load_config(data, env_files)
    from ..db import connect
    from ..db import upgrade as upgrade_tables

    plan = upgrade_tables(connect(config.database_url), tell=_tell)
    if plan is not None:
        _show(plan)
    return plan


def _show(plan: "Plan") -> None:
    click.echo(f"A Sticky Pi database of {plan.when} ({plan.generation}):")
    for table, rows in sorted(plan.counts.items()):
        click.echo(f"  {table}: {rows:,} rows".replace(",", " "))


def _tell(step: "Step") -> None:
    rows = f" ({step.rows:,} rows)".replace(",", " ") if step.rows else ""
    click.echo(f"- {step.words}{rows}")
