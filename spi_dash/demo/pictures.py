"""Pictures as devices write them: a JPEG with its EXIF, under its name, at the moments a device wakes."""

import io
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from spi_dash.clock import unix_s
from spi_dash.demo.cards import draw_card
from spi_dash.demo.traps import Trap, card_at
from spi_dash.demo.weather import sensor_works, weather
from spi_dash.trap_image import file_name

SIZE = (1296, 972)  # half a camera's 2592 x 1944: light enough for a season of them
HEADER = "v,T,H,B,L,lat,lng,a,l,b"

_MAKE, _MODEL, _DATE, _EXIF_IFD, _USER_COMMENT = 271, 272, 306, 0x8769, 37510
_READINGS = {
    "v": "3.1.0",
    "T": 20.6,
    "H": 42.6,
    "B": 72,
    "L": 1.2,
    "lat": 49.88012,
    "lng": -119.44363,
    "a": 421.0,
    "b": 0,
}


def picture(trap: Trap, at: datetime, size_px: tuple[int, int] = SIZE, grain: float = 0.0) -> tuple[str, bytes]:
    """The file a trap writes at a moment (naive UTC): its name and its bytes, EXIF of form C.

    `grain` is the sensor's noise in grey levels: 9 at 2592 x 1944 makes a file as heavy as a camera's, 2.1 MB.
    """
    image = draw_card(trap, at, size_px).image
    if grain:
        noise = np.random.default_rng([int(trap.device, 16), unix_s(at)]).normal(0, grain, (*image.size[::-1], 1))
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    return file_name(trap.device, at), encode(image, at, read_sensors(trap, at), quality=91 if grain else 84)


def schedule(trap: Trap, start: datetime, end: datetime, every_s: int = 1200) -> list[datetime]:
    """When a trap takes pictures from start (inclusive) to end (exclusive), without the hours in which it was off."""
    first, last = unix_s(start) // every_s, -(-unix_s(end) // every_s)
    wakes = (_wake(trap, number, every_s) for number in range(first, last + 1))
    return [at for at in wakes if start <= at < end and _is_on(trap, at)]


def encode(image: Image.Image, at: datetime, readings: Mapping[str, Any], quality: int = 84) -> bytes:
    """A JPEG with EXIF of form C: `Make` says StickyPi, `UserComment` holds the readings without a charset prefix."""
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL], exif[_DATE] = "StickyPi", "RP_imx477", at.strftime("%Y:%m:%d %H:%M:%S")
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = user_comment(readings).encode("ascii")
    return _save(image, exif, quality)


def user_comment(readings: Mapping[str, Any]) -> str:
    """The two lines of form C, at most 127 characters, printed as the firmware prints them.

    `readings` has the keys of the header; `l`, the last synchronisation in UNIX seconds, may be absent.
    """
    r = {"l": "2000-01-01 00:00:00", **readings}
    place = f"{r['lat']:.5f},{r['lng']:.5f},{r['a']:.1f}"
    return f"{HEADER}\n{r['v']},{r['T']:.1f},{r['H']:.1f},{r['B']},{r['L']:.2f},{place},{r['l']},{int(r['b'])}"[:127]


def read_sensors(trap: Trap, at: datetime) -> dict[str, Any]:
    """What a trap writes at a moment, its faults included, under the names of form C."""
    now, card = weather(trap, at), card_at(at)
    position = {
        "fix": (trap.lat, trap.lng, trap.alt),
        "swapped": (trap.lng, trap.lat, trap.alt),
        "none": (0.0, 0.0, 0.0),
    }[trap.gps]
    works = sensor_works(trap, at)
    return {
        "v": "3.1.0",
        "T": now.temp if works else -300.0,
        "H": now.hum if works else -1.0,
        "B": now.bat,
        "L": now.lum,
        **dict(zip(("lat", "lng", "a"), position, strict=True)),
        "l": unix_s(card.start_at),
        "b": at - card.start_at < timedelta(minutes=20),  # somebody pressed the button after changing the card
    }


def tiny_picture(device: str, at: datetime, size_px: tuple[int, int] = (320, 240), **values: Any) -> tuple[str, bytes]:
    """A valid small picture of form C for tests; `values` are readings under the names of form C (T=3.5, lat=0)."""
    unknown = values.keys() - {*_READINGS, "l"}
    if unknown:
        raise TypeError(f"no such column of form C: {', '.join(sorted(unknown))}")
    return file_name(device, at), encode(_tiny_card(device, at, size_px), at, _READINGS | values)


def form_a_picture(
    device: str, at: datetime, size_px: tuple[int, int] = (320, 240), **values: Any
) -> tuple[str, bytes]:
    """A valid small picture of form A (2020), `values` replace entries of its dictionary."""
    entries = {
        "lng": 0.0,
        "lat": 0.0,
        "alt": 0.0,
        "datetime": "2020-06-20 04:50:10",
        "no_flash_exposure_time": (22443, 1000000),
        "no_flash_iso": 100,
        "no_flash_bv": (254, 100),
        "no_flash_shutter_speed": (5477590, 1000000),
        "temp": 21.700000762939453,
        "hum": 86.30000305175781,
    }
    return _dictionary_picture(device, at, size_px, entries | values)


def form_b_picture(
    device: str, at: datetime, size_px: tuple[int, int] = (320, 240), **values: Any
) -> tuple[str, bytes]:
    """A valid small picture of form B (2021), `values` replace entries of its dictionary."""
    entries = {
        "lat": None,
        "lng": None,
        "alt": None,
        "device_version": "1.0.0",
        "no_flash_exposure_time": 9182,
        "no_flash_analog_gain": 1.0,
        "no_flash_digital_gain": 1.5,
        "temp": None,
        "hum": None,
    }
    return _dictionary_picture(device, at, size_px, entries | values)


def _dictionary_picture(device: str, at: datetime, size: tuple[int, int], entries: dict[str, Any]) -> tuple[str, bytes]:
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL], exif[_DATE] = repr(entries), "RP_ov5647", at.strftime("%Y:%m:%d %H:%M:%S")
    return file_name(device, at), _save(_tiny_card(device, at, size), exif, 75)


def _tiny_card(device: str, at: datetime, size: tuple[int, int]) -> Image.Image:
    """A yellow card with some specks, different from picture to picture."""
    chance = random.Random(f"{device} {at}")
    image = Image.new("RGB", size, (180, 196, 40 + chance.randrange(40)))
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y, radius = chance.randrange(size[0]), chance.randrange(size[1]), chance.uniform(1, 5)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), (36, 33, 32))
    return image


def _save(image: Image.Image, exif: Image.Exif, quality: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, exif=exif)
    return stream.getvalue()


def _wake(trap: Trap, number: int, every_s: int) -> datetime:
    """The moment of a device's n-th wake since 1970: its clock is off by a constant, its start takes some seconds."""
    late = random.Random(trap.device).randrange(max(1, every_s * 3 // 4))
    late += random.Random(f"wake {trap.device} {number}").randrange(max(1, min(40, every_s // 4)))
    return datetime(1970, 1, 1) + timedelta(seconds=number * every_s + late)


def _is_on(trap: Trap, at: datetime) -> bool:
    """Devices miss single pictures, some hours now and then, and one was off for two days and a half in two weeks."""
    if trap.long_gap and timedelta(days=5.2) <= at - card_at(at).start_at < timedelta(days=7.7):
        return False
    midnight = datetime(at.year, at.month, at.day)
    chance = random.Random(f"power {trap.device} {midnight.date()}")
    if chance.random() < 0.1:
        off_h = chance.uniform(0, 20)
        if off_h <= (at - midnight) / timedelta(hours=1) < off_h + chance.uniform(1.5, 9):
            return False
    return random.Random(f"miss {trap.device} {at}").random() > 0.004
