"""spi-dash fetch"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .push import read_password

if TYPE_CHECKING:
    from ..client import Downloads

NAMED = 10  # failed files told by name; the rest is counted
TABLE, TIME = "images.csv", "%Y-%m-%dT%H:%M:%SZ"
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])


@click.command(short_help="Download pictures and a table of them.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", required=True, help="The server's API, as in https://api.example.org")
@click.option("--user", required=True, help="Name of an account.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Read the password from the first line of FILE; - is stdin.",
)
@click.option("--device", "devices", multiple=True, help="A trap, or a pattern (% is anything); may be repeated.")
@click.option("--from", "start", type=MOMENT, metavar="TIME", help="Pictures from this time on, in UTC.")
@click.option("--to", "end", type=MOMENT, metavar="TIME", help="Pictures before this time, in UTC.")
@click.option(
    "--what",
    type=click.Choice(["image", "thumbnail", "thumbnail-mini", "nothing"]),
    default="image",
    show_default=True,
    help="Which pictures; `nothing` writes the table alone.",
)
@click.option("--version", default="newest", show_default=True, help="Whose counts: newest, each, all, or a version.")
@click.option("--jobs", type=click.IntRange(1, 32), default=8, show_default=True, help="Downloads at a time.")
def fetch(
    folder: Path,
    url: str,
    user: str,
    password_file: Path | None,
    devices: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    what: Any,
    version: str,
    jobs: int,
) -> None:
    """Download pictures to FOLDER, and a table of them with the counts of insects, images.csv.

    Pictures are stored as FOLDER/DEVICE/DEVICE.TIME.jpg. Run it again after a break: what is there and right stays,
    what is damaged is replaced. In the table, n_objects is empty where no detector has looked at a picture, and file
    is empty where the picture is not in FOLDER.

    The password comes from --password-file, or the variable SPI_PASSWORD, or is asked for.

    The exit code is 0 when everything is there.
    """
    from ..client import Downloads, SpiClient

    with SpiClient(url, user, read_password(user, password_file)) as client:
        table = client.counts_frame(list(devices) or "%", start, end, version=version)
        folder.mkdir(parents=True, exist_ok=True)
        result = Downloads()
        try:
            if what != "nothing":
                result = client.download_images(folder, images=table, what=what, jobs=jobs)
        except KeyboardInterrupt:
            result.stopped = "interrupted"
        finally:
            write_table(table, folder, what)
    _tell(result, len(table), folder)
    if not result.complete:
        raise SystemExit(130 if result.stopped == "interrupted" else 1)


def write_table(table: Any, folder: Path, what: str) -> None:
    """Write a DataFrame of pictures, whole or not at all, with the names of those files that are there."""
    from ..client.names import PICTURES, picture_path

    keys = zip(table["device"], table["datetime"], strict=True)
    paths = [picture_path(device, at.to_pydatetime(), what) if what in PICTURES else None for device, at in keys]
    names = [path.as_posix() if path is not None and (folder / path).is_file() else "" for path in paths]
    part = folder / f".{TABLE}.part"
    try:
        table.assign(file=names).to_csv(part, index=False, date_format=TIME)
        part.replace(folder / TABLE)
    except OSError as error:
        raise click.ClickException(f"{folder / TABLE} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _tell(result: "Downloads", n_rows: int, folder: Path) -> None:
    for path, reason in result.failures[:NAMED]:
        click.echo(f"{path}: {reason}", err=True)
    if len(result.failures) > NAMED:
        click.echo(f"... and {len(result.failures) - NAMED} more", err=True)
    if result.stopped:
        click.echo(f"Stopped: {result.stopped}. Run the same command again to go on.", err=True)
    counts = f"{result.downloaded} downloaded, {result.there} there already, {len(result.failures)} failed"
    click.echo(f"{counts}; {n_rows} rows in {folder / TABLE}")
