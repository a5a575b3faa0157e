"""spi-dash check"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config, open_database

if TYPE_CHECKING:
    from ..services.check import Problem, Report


@click.command(short_help="Compare the database with the stored pictures.")
@click.option("--repair", is_flag=True, help="Mend what can be mended; no picture and no row is ever deleted.")
@click.option("--quick", is_flag=True, help="Do not read the pictures: finds lost ones, not damaged ones.")
@config_options
def check(repair: bool, quick: bool, data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Compare the database with the stored pictures; the server may be running.

    Finds pictures in the database whose file is gone or damaged, stored pictures that are not in the database, and
    missing thumbnails. --repair makes thumbnails again, adds whole pictures to the database, and moves other files to
    lost+found/ in the storage. Lost and damaged pictures need their file from a backup or an SD card: put it back, or
    delete the picture through the API and upload it again.

    The exit code is 0 when nothing is wrong, or everything was mended.
    """
    config = load_config(data, env_files, existing=True)
    database = open_database(config)
    import sys

    from tqdm import tqdm

    from ..clock import utcnow
    from ..services.check import Options
    from ..services.check import check as check_images
    from ..storage import make_storage

    options = Options(now=utcnow(), repair=repair, quick=quick)
    with tqdm(unit="picture", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        report = check_images(database.begin, database.read, make_storage(config), options, _tell, bar.update)
    click.echo(_summary(report))
    if report.left:
        raise SystemExit(1)


def _tell(problem: "Problem") -> None:
    from ..services.check import KINDS

    done = f" ({problem.repair})" if problem.repair else ""
    click.echo(f"{problem.key}: {KINDS[problem.kind]}{done}")


def _summary(report: "Report") -> str:
    looked = f"{report.images:,} pictures checked".replace(",", " ")
    if not report.found:
        return f"{looked}, nothing is wrong."
    left = sum(report.left.values())
    return f"{looked}, {sum(report.found.values())} problems found, {left} left."
