"""Nights, against an almanac."""

from datetime import UTC, datetime

import pytest

from spi_dash.figures.night import find_nights


def hours(lat, lng, day) -> list[tuple[float, float]]:
    start_s = int(datetime(*day, tzinfo=UTC).timestamp())
    nights = find_nights(lat, lng, start_s, start_s + 86_400)
    return [((a - start_s) / 3600, (b - start_s) / 3600) for a, b in nights]


@pytest.mark.parametrize(
    ("lat", "lng", "day", "sunset_h", "sunrise_h"),
    [
        (51.48, 0.0, (2022, 6, 21), 20.36, 27.72),  # Greenwich: 21:21 and 04:43 BST
        (51.48, 0.0, (2022, 12, 21), 15.89, 32.08),  # 15:53 and 08:04 GMT
        (0.0, 0.0, (2022, 3, 20), 18.18, 30.06),  # the equator at the equinox
    ],
)
def test_sunset_and_sunrise_are_those_of_the_almanac(lat, lng, day, sunset_h, sunrise_h):
    assert hours(lat, lng, day)[-1] == pytest.approx((sunset_h, sunrise_h), abs=0.07)


def test_polar_days_have_no_night_and_polar_nights_no_day():
    assert hours(78, 15, (2022, 6, 21)) == []
    long = hours(78, 15, (2022, 12, 21))
    assert sum(b - a for a, b in long) >= 24
