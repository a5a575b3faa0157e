"""Weather of the invented site: one region for all traps, small differences between them, a sun that rises and sets."""

import math
import random
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from spi_dash.clock import unix_s
from spi_dash.demo.traps import Trap

_NIGHT_LUM, _DAY_LUM = 0.90, 2.65  # log10(1e6 / exposure in microseconds): 125 ms and 2.2 ms


@dataclass(frozen=True)
class Weather:
    """What the trap measures, and the sky above it.

    Units: temp in degrees C, hum in %, lum as traps define it, bat in %; sun: elevation in degrees, azimuth in degrees
    from north; cloud in [0, 1].
    """

    temp: float
    hum: float
    lum: float
    bat: int
    sun: float
    azimuth: float
    cloud: float


def weather(trap: Trap, at: datetime) -> Weather:
    """The weather at a trap at a moment (naive UTC), a pure function of both."""
    sun, azimuth = sun_position(trap.lat, trap.lng, at)
    solar_h = (unix_s(at) / 3600 + trap.lng / 15) % 24
    cloud = 0.5 + 0.5 * math.tanh(2.2 * _drift(f"cloud {trap.seed}", at, (19, 47, 83, 151)))
    swing = (6.5 - 3.5 * cloud) * math.sin(2 * math.pi * (solar_h - 9.2) / 24)
    region = 16.5 + 3.6 * _drift(f"warmth {trap.seed}", at, (61, 143, 237)) + swing
    own = trap.warmer_c + (1.6 - 1.4 * trap.shade) * max(0, math.sin(math.radians(sun))) * (1 - cloud)
    temp = region + own + 0.25 * _drift(f"air {trap.device}", at, (0.9, 2.3, 5.1))
    dew = 8.5 + 2.6 * _drift(f"moisture {trap.seed}", at, (37, 97, 211)) + trap.moister_c + 2.0 * cloud
    dew += 0.4 * _drift(f"breath {trap.device}", at, (1.1, 3.7))
    return Weather(
        temp=round(temp, 1),
        hum=round(min(99.9, max(12.0, 100 * _vapour(dew) / _vapour(temp))), 1),
        lum=round(_light(sun, cloud, trap.shade) + 0.03 * _drift(f"light {trap.device}", at, (0.7, 1.9)), 2),
        bat=_battery(trap, at, solar_h),
        sun=sun,
        azimuth=azimuth,
        cloud=cloud,
    )


def sensor_works(trap: Trap, at: datetime) -> bool:
    """A broken sensor answers now and then, for hours."""
    return trap.sensor == "good" or random.Random(f"sensor {trap.device} {unix_s(at) // 64_800}").random() < 0.25


def sun_position(lat: float, lng: float, at: datetime) -> tuple[float, float]:
    """Elevation and azimuth (from north, clockwise) of the sun in degrees.

    Source: Spencer 1971, Fourier series of the sun's declination, first terms; good to a degree.
    """
    declination = math.radians(-23.44) * math.cos(2 * math.pi * (at.timetuple().tm_yday + 10) / 365.25)
    hour_angle = math.radians(((unix_s(at) / 3600 + lng / 15) % 24 - 12) * 15)
    here = math.radians(lat)
    up = math.sin(here) * math.sin(declination) + math.cos(here) * math.cos(declination) * math.cos(hour_angle)
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.cos(here) * math.sin(declination) - math.sin(here) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1, min(1, up)))), math.degrees(math.atan2(east, north)) % 360


def _light(sun: float, cloud: float, shade: float) -> float:
    day = 1 / (1 + math.exp(-(sun - 4) / 3.2))
    return _NIGHT_LUM + day * (_DAY_LUM - _NIGHT_LUM - 0.35 * cloud - 0.3 * shade)


def _battery(trap: Trap, at: datetime, solar_h: float) -> int:
    sunny = 9 * math.sin(2 * math.pi * (solar_h - 11) / 24)
    return round(min(100, max(6, 74 + sunny + 14 * _drift(f"battery {trap.device}", at, (71, 169)) - 16 * trap.shade)))


def _vapour(temp_c: float) -> float:
    """Saturation pressure of water vapour, hPa. Source: Magnus formula, Alduchov and Eskridge 1996."""
    return 6.1094 * math.exp(17.625 * temp_c / (temp_c + 243.04))


@lru_cache(maxsize=512)
def _phases(name: str, count: int) -> tuple[float, ...]:
    chance = random.Random(name)
    return tuple(chance.uniform(0, 2 * math.pi) for _ in range(count))


def _drift(name: str, at: datetime, periods_h: tuple[float, ...]) -> float:
    """A smooth random curve around 0, of about unit size, made of waves of given periods."""
    hours = unix_s(at) / 3600
    waves = zip(periods_h, _phases(name, len(periods_h)), strict=True)
    return sum(math.sin(2 * math.pi * hours / period + phase) for period, phase in waves) / math.sqrt(len(periods_h))
