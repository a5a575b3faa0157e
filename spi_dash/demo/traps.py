"""The traps of an invented orchard: where each stands, how it catches, and what is wrong with it."""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

_ORCHARD = (49.8801, -119.4436, 421.0)  # degrees, degrees, m
_CARD_CHANGE = datetime(2022, 1, 5, 18)  # a Wednesday morning in the orchard, UTC
_CARD_LIFE = timedelta(days=14)


@dataclass(frozen=True)
class Trap:
    """One device at one site.

    Units: lat, lng in degrees; alt in m; warmer_c and moister_c (of the dew point) in degrees C against the region;
    catch_rate 1 for an ordinary trap; blur_px at 1296 pixels of width; gps one of "fix", "swapped", "none".
    """

    device: str
    seed: int
    lat: float
    lng: float
    alt: float
    warmer_c: float
    moister_c: float
    catch_rate: float
    shade: float
    blur_px: float
    gps: str = "fix"
    sensor: str = "good"
    grid: bool = False
    long_gap: bool = False


@dataclass(frozen=True)
class Card:
    """One yellow sheet in a trap: its number and the time it is in place."""

    number: int
    start_at: datetime
    end_at: datetime


def make_traps(seed: int, n: int) -> list[Trap]:
    """Traps of one site, five with their own story (and so on for every further five).

    The second's sensor is broken, the third exchanges latitude and longitude, the fourth has no GPS, the fifth was
    off for days and stands in the shade.
    """
    stories = (
        {"catch_rate": 1.5},
        {"sensor": "broken", "grid": True},
        {"gps": "swapped", "catch_rate": 2.2},
        {"gps": "none", "catch_rate": 0.5, "grid": True},
        {"long_gap": True, "shade": 1.0},
    )
    return [replace(_make_trap(seed, number), **stories[number % 5]) for number in range(n)]


def _make_trap(seed: int, number: int) -> Trap:
    chance = random.Random(f"trap {seed} {number}")
    lat, lng, alt = _ORCHARD
    return Trap(
        device=f"{chance.getrandbits(32):08x}",
        seed=seed,
        lat=round(lat + chance.uniform(-0.004, 0.004), 5),
        lng=round(lng + chance.uniform(-0.006, 0.006), 5),
        alt=round(alt + chance.uniform(-9, 14), 1),
        warmer_c=chance.gauss(0, 0.9),
        moister_c=chance.gauss(0, 0.7),
        catch_rate=chance.uniform(0.7, 1.3),
        shade=chance.uniform(0.2, 0.7),
        blur_px=chance.uniform(0.0, 0.7),
    )


def card_at(at: datetime) -> Card:
    """The card that is in every trap of the site at a moment (naive UTC); cards are changed every two weeks."""
    number = (at - _CARD_CHANGE) // _CARD_LIFE
    start_at = _CARD_CHANGE + number * _CARD_LIFE
    return Card(number, start_at, start_at + _CARD_LIFE)
