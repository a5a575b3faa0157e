"""spi-dash push"""

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..push import Outcome, Summary

NAMED = 10  # files told by name on stderr; the rest is counted, and failures are all in the file
PASSWORD_VARIABLE = "SPI_PASSWORD"


@click.command(short_help="Upload the pictures in folders or on an SD card.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@click.option("--url", required=True, help="The server's API, as in https://api.example.org")
@click.option("--user", required=True, help="Name of an account that may write.")
@click.option(
    "--password-file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="Read the password from the first line of FILE; - is stdin.",
)
@click.option("--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Uploads at a time.")
@click.option(
    "--failures",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default="spi-push-failures.csv",
    show_default=True,
    metavar="FILE",
    help="Where failed files are listed, with reasons; written only if there are any.",
)
def push(paths: tuple[Path, ...], url: str, user: str, password_file: Path | None, jobs: int, failures: Path) -> None:
    """Upload the pictures in folders, or on an SD card, that the server does not have.

    Folders are searched to any depth for files named as traps name them, like
    5c173ff2.2020-06-20_21-33-24.jpg; other files are ignored. Run it again after a break: what is there is skipped.
    A picture is never replaced: where the server has another one of the same device and time, that is a failure.

    The password comes from --password-file, or the variable SPI_PASSWORD, or is asked for. There is no option for it:
    everybody on this machine could read it in the list of processes, and it would stay in the shell's history.

    The exit code is 0 when everything is on the server.
    """
    import threading

    from ..client import SpiClient
    from ..push import push as push_pictures

    if not os.access(failures.absolute().parent, os.W_OK):
        raise click.ClickException(f"{failures} cannot be written")
    password = read_password(user, password_file)
    stop = threading.Event()
    with _Report(paths, failures) as report, SpiClient(url, user, password, sleep=stop.wait) as client:
        client.get_token()  # a wrong password or URL ends here, before anything is read
        summary = push_pictures(client, paths, jobs=jobs, stop=stop, report=report.note)
    report.tell(summary)
    if not summary.complete:
        raise SystemExit(130 if summary.interrupted else 1)


def read_password(user: str, file: Path | None) -> str:
    """The password of an account, from a file, the environment, or who sits there."""
    if file is not None:
        with click.open_file(str(file), encoding="utf-8") as lines:
            return lines.readline().rstrip("\r\n")
    # Of the machine that uploads, not of a server's configuration: config.py knows nothing of it.
    found = os.environ.get(PASSWORD_VARIABLE)
    return found if found is not None else click.prompt(f"Password of {user}", hide_input=True, err=True)


class _Report:
    """A progress bar where there is a terminal, a file of failures, and a summary."""

    def __init__(self, paths: tuple[Path, ...], failures: Path) -> None:
        self._paths, self._failures = paths, failures
        self._file: IO[str] | None = None
        self._rows: Any = None
        self._ignored: list[Path] = []
        self._told = 0

    def __enter__(self) -> "_Report":
        from tqdm import tqdm

        from ..push import find_pictures

        shown = sys.stderr.isatty()
        total = sum(1 for _ in find_pictures(self._paths)) if shown else None
        self._bar = tqdm(total=total, unit="file", disable=not shown, dynamic_ncols=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._file is not None:
            self._file.close()

    def note(self, outcome: "Outcome") -> None:
        """One file is done."""
        self._bar.update()
        if outcome.kind == "ignored" and len(self._ignored) < NAMED:
            self._ignored.append(outcome.path)
        if outcome.kind == "failed":
            self._write_failure(outcome)
            self._told += 1
            if self._told <= NAMED:
                self._bar.write(f"{outcome.path}: {outcome.reason}", file=sys.stderr)

    def tell(self, summary: "Summary") -> None:
        """The end: what was ignored and why it stopped on stderr, the counts on stdout."""
        if summary.ignored:
            more = ["..."] if summary.ignored > len(self._ignored) else []
            names = ", ".join([str(path) for path in self._ignored] + more)
            click.echo(f"Ignored, as their names are not those of traps' pictures: {names}", err=True)
        if summary.stopped:
            click.echo(f"Stopped: {summary.stopped}. Run the same command again to go on.", err=True)
        if summary.interrupted:
            click.echo("Interrupted. Run the same command again to go on.", err=True)
        if summary.failed:
            click.echo(f"The failures are listed in {self._failures}", err=True)
        files = "file" if summary.ignored == 1 else "files"
        ignored = f", {_number(summary.ignored)} other {files} ignored" if summary.ignored else ""
        counts = [f"{_number(getattr(summary, kind))} {text}" for kind, text in KINDS.items()]
        click.echo(", ".join(counts) + ignored)

    def _write_failure(self, outcome: "Outcome") -> None:
        import csv

        try:
            if self._file is None:
                self._file = self._failures.open("w", newline="", encoding="utf-8", errors="backslashreplace")
                self._rows = csv.writer(self._file)
                self._rows.writerow(["file", "reason"])
            self._rows.writerow([outcome.path, outcome.reason])
            self._file.flush()
        except OSError as error:
            raise click.ClickException(f"{self._failures} cannot be written: {error.strerror}") from None


KINDS = {"uploaded": "uploaded", "there": "there already", "failed": "failed"}


def _number(value: int) -> str:
    return f"{value:,}".replace(",", " ")
