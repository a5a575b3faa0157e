"""spi-dash serve"""

import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .settings import config_options, load_config

if TYPE_CHECKING:
    from ..config import Config


@click.command()
@config_options
@click.option("--host", metavar="H", help="Address to listen on; 0.0.0.0 is all. [default: SPI_HOST, or 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="[default: SPI_PORT, or 8050] 0 is any free.")
@click.option(
    "--detector/--no-detector",
    default=None,
    help="Start the insect detector beside the server. [default: yes, but not where MYSQL_HOST or S3_HOST is set]",
)
def serve(
    data: Path | None, env_files: tuple[Path, ...], host: str | None, port: int | None, detector: bool | None
) -> None:
    """Start the server: the API for devices and the pages for people.

    Without further configuration it keeps everything in the data directory: a database, the pictures, and generated
    passwords. docs/configuration.md lists the variables that connect it to MariaDB and S3.

    SIGTERM or Ctrl-C stop it when the requests under way are answered, a second one at once.
    """
    config = load_config(data, env_files, SPI_HOST=host, SPI_PORT=port)
    serve_app(config, detector=not config.production if detector is None else detector)


def serve_app(config: "Config", detector: bool) -> None:
    """Serve until a signal comes."""
    import threading

    from . import web
    from .sidecar import start_detector

    set_up_logging(config.log_json, config.debug)
    web.save_memory()
    listener = web.bind(config.host, config.port)
    first_start = is_first_start(config)
    from ..app import create_app

    server, asked = web.make_server(create_app(config), config, listener), threading.Event()
    web.stop_on_signals(server, asked)
    url = web.address_of(listener)
    click.echo(f"Spi Dash is at {url}")
    if first_start:
        click.echo(sign_in_text(config))
    stop = start_detector(config, url, asked, lambda: web.wake(server)) if detector else asked
    web.run(server, stop)
    click.echo("Spi Dash has stopped.")


class JsonLines(logging.Formatter):
    """One JSON object per line, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's own fields, or its message, and the trace of an error."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        found = {"time": at, "level": record.levelname, "logger": record.name}
        found |= getattr(record, "fields", None) or {"message": record.getMessage()}
        if hasattr(record, "request_id"):
            found["request_id"] = record.request_id
        if record.exc_info:
            found["trace"] = self.formatException(record.exc_info)
        return json.dumps(found, default=str)


def set_up_logging(as_json: bool = False, debug: bool = False) -> None:
    """Log lines on stderr; with `debug` also calls of the S3 server, and requests that wait for a thread."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if as_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    logging.getLogger("waitress.queue").setLevel(logging.NOTSET if debug else logging.ERROR)
    logging.getLogger("urllib3").setLevel(logging.DEBUG if debug else logging.NOTSET)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def is_first_start(config: "Config") -> bool:
    """Whether this embedded server has no database yet."""
    return config.database_url.startswith("sqlite") and not (config.data_dir / "spi.db").exists()


def sign_in_text(config: "Config") -> str:
    """How to sign in as the admin, and where a generated password is kept."""
    secrets = config.data_dir / "secrets.env"
    generated = secrets.exists() and f"API_ADMIN_PASSWORD={config.admin_password}\n" in secrets.read_text()
    if not generated:
        return f"Sign in as {config.admin_name}, with the password of API_ADMIN_PASSWORD."
    where = f"It is kept in {secrets}; spi-dash users reset-password {config.admin_name} sets another."
    return f"Sign in as {config.admin_name} with the password {config.admin_password}\n{where}"
