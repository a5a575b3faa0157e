"""When the sun is down, for the shading behind the plots."""

import numpy as np

DAY_S = 86_400
SUNSET_DEG = 90.833  # zenith of the sun's centre when its upper edge is on the horizon, refraction included


def find_nights(lat: float, lng: float, start_s: int, end_s: int) -> list[list[int]]:
    """Nights that touch a range, as [sunset, sunrise] in UNIX seconds, right to a minute or two.

    Args:
        lat, lng: degrees, north and east positive.

    Source: NOAA Global Monitoring Laboratory, "General Solar Position Calculations", after Spencer 1971,
        Fourier series representation of the position of the sun, Search 2 (5), 172.
    """
    days = np.arange(start_s // DAY_S - 1, -(-end_s // DAY_S) + 2)
    declination, equation_min = _sun(days)
    noon_s = days * DAY_S + (720 - 4 * lng - equation_min) * 60
    phi = np.radians(np.clip(lat, -89.9, 89.9))
    cosine = np.cos(np.radians(SUNSET_DEG)) / (np.cos(phi) * np.cos(declination)) - np.tan(phi) * np.tan(declination)
    half_s = np.degrees(np.arccos(np.clip(cosine, -1, 1))) * 240  # polar day: 12 h; polar night: none
    sunset, sunrise = (noon_s + half_s)[:-1], (noon_s - half_s)[1:]
    seen = (sunrise - sunset > 60) & (sunrise > start_s) & (sunset < end_s)
    return np.column_stack([sunset, sunrise])[seen].round().astype(int).tolist()


def _sun(days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Declination (radians) and equation of time (minutes) at noon of days since 1970."""
    year = 2 * np.pi * ((days + 0.5) % 365.2425) / 365.2425  # 0 at New Year, wandering by a day at most
    declination = (
        0.006918 - 0.399912 * np.cos(year) + 0.070257 * np.sin(year) - 0.006758 * np.cos(2 * year)
        + 0.000907 * np.sin(2 * year) - 0.002697 * np.cos(3 * year) + 0.00148 * np.sin(3 * year)
    )  # fmt: skip
    equation_min = 229.18 * (
        0.000075 + 0.001868 * np.cos(year) - 0.032077 * np.sin(year)
        - 0.014615 * np.cos(2 * year) - 0.040849 * np.sin(2 * year)
    )  # fmt: skip
    return declination, equation_min
