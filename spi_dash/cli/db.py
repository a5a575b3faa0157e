"""spi-dash db"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config

if TYPE_CHECKING:
    from ..adoption import Plan, Step
    from ..db import Database


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

    database = connect(load_config(data, env_files).database_url)
    plan = plan_adoption(database)
    if plan is None:
        click.echo("There is nothing to adopt: the database is empty, or is ours already.")
        return
    _show(plan, _name(database))
    click.echo("What would be done:")
    for step in plan.steps:
        _tell(step)
    if plan.new_tables:
        click.echo(f"- create {len(plan.new_tables)} tables: {', '.join(plan.new_tables)}")
    click.echo("- create triggers on images and uid_annotations, which note the hours that change")
    click.echo(f"- at the first start of the server: count {_number(plan.counts['images'], 'picture')} for the pages")
    click.echo("Nothing was changed.")


def _change_tables(data: Path | None, env_files: tuple[Path, ...]) -> "Plan | None":
    config = load_config(data, env_files)
    from ..db import connect
    from ..db import upgrade as upgrade_tables

    database = connect(config.database_url)
    return upgrade_tables(database, found=lambda plan: _show(plan, _name(database)), tell=_tell)


def _name(database: "Database") -> str:
    url = database.engine.url
    return f"{url.database} at {url.host}" if url.host else str(url.database)


def _show(plan: "Plan", name: str) -> None:
    click.echo(f"{name} is a Sticky Pi database of {plan.when} ({plan.generation}):")
    for table, rows in sorted(plan.counts.items()):
        kept = "" if table in plan.known else ", no table of the server: stays as it is"
        click.echo(f"  {table}: {_number(rows, 'row')}{kept}")


def _tell(step: "Step") -> None:
    click.echo(f"- {step.words}" + (f" ({_number(step.rows, 'row')})" if step.rows else ""))


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", " ")
