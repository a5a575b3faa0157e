"""spi-dash db"""

from pathlib import Path

import click

from .settings import config_options, load_config


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
@config_options
def upgrade(data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Bring the tables to this version of the server.

    The server does so itself when it starts; several may do so at once. Existing Sticky Pi databases are adopted in
    place: nothing in them is dropped. Make a backup first all the same.
    """
    config = load_config(data, env_files)
    from ..db import connect
    from ..db import upgrade as upgrade_tables

    upgrade_tables(connect(config.database_url))
    click.echo("The database is up to date.")
