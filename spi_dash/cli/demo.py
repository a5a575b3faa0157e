"""spi-dash demo"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError, SpiError

if TYPE_CHECKING:
    from ..client import SpiClient
    from ..config import Config
    from ..demo import Trap

SEED = 1
HISTORY_EVERY_S, LIVE_EVERY_S = 3600, 6
MARKER = "demo"  # a file that says that a data directory belongs to the demo
ALGORITHM = {"algo_name": "demo-outlines", "algo_version": "1"}  # the truth, where there is no detector


@click.command()
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Keep the data here. [default: nowhere]")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, metavar="N")
@click.option("--days", type=click.IntRange(1, 60), default=3, show_default=True, help="Days of history.")
@click.option("--traps", type=click.IntRange(1, 50), default=5, show_default=True, help="Number of traps.")
@click.option("--detector/--no-detector", default=True, help="Without it, the outlines are those that were drawn.")
def demo(data: Path | None, host: str, port: int, days: int, traps: int, detector: bool) -> None:
    """Start a server with synthetic traps, to look around.

    The traps draw cards that fill with insects, and upload them through the API as real ones do: first some days of
    history, which takes a moment, then a new picture every few seconds. The insect detector outlines what it finds on
    them, the newest first, if it is installed.
    """
    with _data_dir(data) as folder:
        _serve(_demo_config(folder, host, port), days, traps, detector)


@contextmanager
def _data_dir(data: Path | None) -> Iterator[Path]:
    """A folder of the demo's own: synthetic pictures must never get among real ones."""
    import tempfile

    if data is None:
        with tempfile.TemporaryDirectory(prefix="spi-dash-demo-") as folder:
            yield Path(folder)
        return
    if data.exists() and not (data / MARKER).exists() and (not data.is_dir() or any(data.iterdir())):
        raise ConfigError(f"{data} holds something else: the demo needs a folder of its own")
    try:
        data.mkdir(parents=True, exist_ok=True)
        (data / MARKER).touch()
    except OSError as error:
        raise ConfigError(f"the data directory {data} cannot be used: {error.strerror}") from None
    yield data


def _demo_config(folder: Path, host: str, port: int) -> "Config":
    """Nothing of the environment: a demo on a lab's machine must not find its database."""
    from ..config import Config

    return Config.from_env({"SPI_DATA_DIR": str(folder), "SPI_HOST": host, "SPI_PORT": str(port)})


def _serve(config: "Config", days: int, n_traps: int, detector: bool) -> None:
    from . import web
    from .serve import set_up_logging, sign_in_text
    from .sidecar import start_detector

    set_up_logging()
    listener = web.bind(config.host, config.port)
    from ..app import create_app
    from ..client import SpiClient
    from ..demo import make_traps

    server = web.make_server(create_app(config), config, listener)
    url, stop = web.address_of(listener), threading.Event()
    web.stop_on_signals(server, stop)
    click.echo(f"The demo is at {url}\n{sign_in_text(config)}\nCtrl-C stops it.")
    client = SpiClient(url, config.admin_name, config.admin_password, sleep=stop.wait)
    ended = start_detector(config, url, stop, lambda: web.wake(server)) if detector else stop
    with_outlines = ended is stop
    devices = [_start_device(client, trap, days, stop, with_outlines) for trap in make_traps(SEED, n_traps)]
    web.run(server, ended, stop_within_s=5)
    for device in devices:
        device.join(timeout=5)
    client.close()


def _start_device(
    client: "SpiClient", trap: "Trap", days: int, stop: threading.Event, with_outlines: bool
) -> threading.Thread:
    arguments = (client, trap, days, stop, with_outlines)
    thread = threading.Thread(target=_be_device, args=arguments, name=trap.device, daemon=True)
    thread.start()
    return thread


def _be_device(client: "SpiClient", trap: "Trap", days: int, stop: threading.Event, with_outlines: bool) -> None:
    """What one trap does: upload what it has taken, then a picture now and then."""
    from ..clock import utcnow
    from ..demo import schedule
    from ..demo.cards import CardPainter
    from ..demo.pictures import SIZE

    painter, now = CardPainter(trap, SIZE), utcnow()
    start = now - timedelta(days=days)
    try:
        there = {row["datetime"] for row in client.get_image_series(trap.device, start, now)}
        for at in schedule(trap, start, now, HISTORY_EVERY_S):
            if stop.is_set():
                return
            if at not in there:
                _upload(client, trap, painter, at, with_outlines)
        while not stop.wait(LIVE_EVERY_S):
            _upload(client, trap, painter, utcnow(), with_outlines)
    except SpiError as error:
        if not stop.is_set():
            click.echo(f"The trap {trap.device} has stopped: {error.message}", err=True)


def _upload(client: "SpiClient", trap: "Trap", painter: Any, at: datetime, with_outlines: bool) -> None:
    """One picture, and if need be the outlines of the insects on it."""
    from ..clock import LEGACY
    from ..demo.pictures import encode, read_sensors

    drawing = painter.draw(at)
    row = client.upload_image(f"{trap.device}.{at:{LEGACY}}.jpg", encode(drawing.image, at, read_sensors(trap, at)))
    if not with_outlines:
        return
    objects = [
        {"contour": [[[x, y]] for x, y in outline.points], "name": outline.name, "value": 0}
        for outline in drawing.outlines
    ]
    metadata = {**ALGORITHM, "device": trap.device, "datetime": at, "md5": row["md5"]}
    client.put_uid_annotations([{"annotations": objects, "metadata": metadata}])
