"""The command line. Every command imports what it needs when it runs, so that `spi-dash --help` is quick."""

import click

from .backup import backup, restore
from .check import check
from .db import db
from .demo import demo
from .detector import detector
from .fetch import fetch
from .push import push
from .serve import serve
from .settings import Commands
from .users import users


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="spi-dash", prog_name="spi-dash")
def main() -> None:
    """Spi Dash: the server of a lab with Sticky Pi insect traps.

    \b
    Look around:       spi-dash demo
    Run a server:      spi-dash serve --data /srv/spi-dash
    Add an account:    spi-dash users add maria --data /srv/spi-dash
    Upload an SD card: spi-dash push /media/card --url https://api.example.org --user maria
    Get data:          spi-dash fetch pictures --url https://api.example.org --user maria
    """


for command in (serve, demo, push, fetch, users, db, check, backup, restore, detector):
    main.add_command(command)
