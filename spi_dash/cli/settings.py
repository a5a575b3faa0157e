"""What the commands share: the configuration's options, and failures as one sentence."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..config import Config
    from ..db import Database


class Commands(click.Group):
    """A group whose commands tell expected failures in one sentence on stderr, with exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        from ..errors import SpiError

        try:
            return super().invoke(ctx)
        except SpiError as error:
            raise click.ClickException(error.message) from None


def config_options(command: Callable) -> Callable:
    """--data and --env-file."""
    data = click.option(
        "--data",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Data directory of the server. [default: SPI_DATA_DIR, or ./spi-data]",
    )
    env_file = click.option(
        "--env-file",
        "env_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Read variables from FILE where the environment does not set them. May be repeated.",
    )
    return data(env_file(command))


def load_config(data: Path | None, env_files: Iterable[Path], existing: bool = False, **variables: Any) -> "Config":
    """The configuration: options, then the environment, then the env files.

    Args:
        existing: refuse a data directory that is not there, where a server would make it.
        variables: further variables of the environment that options set; None: not set.

    Raises:
        ConfigError: names what is wrong.
    """
    from ..config import Config
    from ..errors import ConfigError

    if existing and data is not None and not data.is_dir():
        raise ConfigError(f"the data directory {data} does not exist")
    options = {name: str(value) for name, value in {"SPI_DATA_DIR": data, **variables}.items() if value is not None}
    try:
        config = Config.from_env({**os.environ, **options}, env_files)
        if config.database_url.startswith("sqlite") or config.s3 is None:
            _check_writable(config.data_dir)
    except OSError as error:
        raise ConfigError(f"the data directory cannot be used: {error.filename}: {error.strerror}") from None
    return config


def open_database(config: "Config") -> "Database":
    """The database of a server that has run before.

    Raises:
        ConfigError: there is none in the data directory.
    """
    from ..db import connect, upgrade
    from ..errors import ConfigError

    if config.database_url.startswith("sqlite") and not (config.data_dir / "spi.db").exists():
        raise ConfigError(f"there is no database in {config.data_dir}: start the server there first, or give --data")
    database = connect(config.database_url)
    upgrade(database, adopt=False)
    return database


def _check_writable(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
