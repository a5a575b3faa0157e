"""spi-dash check"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config, open_database

if TYPE_CHECKING:
    from ..services.check_report import Problem, Report


@click.command(short_help="Compare the database with the stored pictures.")
@click.option("--repair", is_flag=True, help="Mend what can be mended; no picture and no row is ever deleted.")
@click.option("--quick", is_flag=True, help="Do not read the pictures: finds lost ones, not damaged ones.")
@config_options
def check(repair: bool, quick: bool, data: Path | None, env_files: tuple[Path, ...]) -> None:
    """Compare the database with the stored pictures and tuboids; the server may be running.

    Finds pictures in the database whose file is gone or damaged, stored pictures that are not in the database, and
    missing thumbnails; the same for the files of tuboids. --repair makes thumbnails again, adds whole pictures to the
    database, and moves other files to lost+found/ in the storage. Lost and damaged pictures need their file from a
    backup or an SD card: put it back, or delete the picture through the API and upload it again.

    The exit code is 0 when nothing is wrong, or everything was mended.
    """
    config = load_config(data, env_files, existing=True)
    database = open_database(config)
    import sys

    from tqdm import tqdm

    from ..clock import utcnow
    from ..services.check import check as check_images
    from ..services.check_report import Options
    from ..services.check_tuboids import check_tuboids
    from ..storage import make_storage

    storage = make_storage(config)
    options = Options(now=utcnow(), repair=repair, quick=quick)
    with tqdm(unit="picture", disable=not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        report = check_images(database.begin, database.read, storage, options, _tell, bar.update)
        check_tuboids(database.begin, database.read, storage, options, report, _tell)
    click.echo(_summary(report))
    if report.left:
        raise SystemExit(1)


def _tell(problem: "Problem") -> None:
    from ..services.check_report import KINDS

    done = f" ({problem.repair})" if problem.repair else ""
    click.echo(f"{problem.key}: {KINDS[problem.kind]}{done}")


def _summary(report: "Report") -> str:
    tuboids = f" and {report.tuboids:,} tuboids" if report.tuboids else ""
    looked = f"{report.images:,} pictures{tuboids} checked".replace(",", " ")
    if not report.found:
        return f"{looked}, nothing is wrong."
    left = sum(report.left.values())
    return f"{looked}, {sum(report.found.values())} problems found, {left} left."
