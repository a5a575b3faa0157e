"""Zones of places, and what their clocks show."""

from datetime import date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from spi_dash.services import zones

NOW = datetime(2022, 7, 1)


@pytest.mark.parametrize(
    ("lat", "lng", "name"),
    [
        (49.25, -123.1, "America/Vancouver"),
        (52.5, 13.4, "Europe/Berlin"),
        (27.7, 85.3, "Asia/Kathmandu"),
        (0.0, 0.0, "Etc/GMT"),
        (None, None, "UTC"),
        (-123.1, 49.25, "UTC"),
        (float("nan"), 3.0, "UTC"),
    ],
)
def test_places_have_zones(lat, lng, name):
    assert zones.find_zone(lat, lng) == name
    assert ZoneInfo(name).utcoffset(NOW) is not None


@pytest.mark.parametrize(("name", "city"), [("America/Los_Angeles", "Los Angeles"), ("Etc/GMT", ""), ("UTC", "")])
def test_zones_are_called_by_their_city(name, city):
    assert zones.SiteZone(name).city == city


def test_without_a_place_it_is_utc():
    assert zones.find_site_zone([SimpleNamespace(lat=None, lng=None)], NOW) == zones.SiteZone("UTC", 0)


def test_a_day_begins_where_clocks_say_so():
    assert zones.day_start_s(date(2022, 7, 1), ZoneInfo("UTC")) == 1_656_633_600
    skipped = zones.day_start_s(date(2022, 9, 11), ZoneInfo("America/Santiago"))  # from 24:00 to 01:00
    assert datetime.fromtimestamp(skipped, ZoneInfo("America/Santiago")).isoformat() == "2022-09-11T01:00:00-03:00"


@pytest.mark.parametrize(
    ("offsets", "text"),
    [([0], "UTC"), ([-25200], "UTC\u22127"), ([-28800, -25200, -28800], "UTC\u22128/\u22127"), ([20700], "UTC+5:45")],
)
def test_offsets_are_printed(offsets, text):
    assert zones.offset_text(offsets) == text


def test_zones_follow_the_rules_of_the_package():
    """Vancouver keeps summer time since 2026; machines with older rules do not know."""
    assert datetime(2026, 11, 23, tzinfo=zones.load_zone("America/Vancouver")).utcoffset() == timedelta(hours=-7)
    for name in ("", "Nowhere/At_all", "America", "../zoneinfo/UTC", "/etc/localtime", "tzdata.zi", "UTC\x00"):
        with pytest.raises(ZoneInfoNotFoundError):
            zones.load_zone(name)
