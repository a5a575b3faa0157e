"""A whole season of several traps, in the order in which their pictures would arrive."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from spi_dash.demo.cards import CardPainter, Outline
from spi_dash.demo.pictures import SIZE, encode, read_sensors, schedule
from spi_dash.demo.traps import Trap, make_traps
from spi_dash.trap_image import file_name


def demo_pictures(
    seed: int,
    traps: int | Sequence[Trap],
    start: datetime,
    end: datetime,
    every_s: int = 1200,
    size_px: tuple[int, int] = SIZE,
) -> Iterator[tuple[str, bytes, list[Outline]]]:
    """Name, bytes and true outlines of every picture from start (inclusive) to end (exclusive), by time.

    The same arguments give the same bytes; memory stays at one card per trap.
    """
    chosen = make_traps(seed, traps) if isinstance(traps, int) else list(traps)
    painters = {trap.device: CardPainter(trap, size_px) for trap in chosen}
    plan = [(at, trap) for trap in chosen for at in schedule(trap, start, end, every_s)]
    for at, trap in sorted(plan, key=lambda item: (item[0], item[1].device)):
        drawing = painters[trap.device].draw(at)
        yield file_name(trap.device, at), encode(drawing.image, at, read_sensors(trap, at)), drawing.outlines
