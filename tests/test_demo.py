"""The synthetic traps: the same season from the same seed, in valid files, with weather that is one region's."""

import io
from datetime import datetime, timedelta
from itertools import islice, pairwise

import numpy as np
import pytest
from PIL import Image

from spi_dash.demo import demo_pictures, make_traps, picture, schedule, tiny_picture
from spi_dash.demo.cards import CardPainter, draw_card, list_catches
from spi_dash.demo.lettering import SIGNS
from spi_dash.demo.pictures import form_a_picture, form_b_picture, read_sensors, user_comment
from spi_dash.demo.traps import card_at
from spi_dash.demo.weather import sun_position, weather
from spi_dash.trap_image import examine, looks_swapped, read_trap_image

START = datetime(2022, 6, 8, 18)
NOON = datetime(2022, 6, 16, 20)
NIGHT = datetime(2022, 6, 16, 8)
SMALL = (324, 243)


@pytest.fixture(scope="module")
def traps():
    return make_traps(7, 5)


def test_the_same_seed_gives_the_same_traps_and_another_gives_others(traps):
    assert make_traps(7, 5) == traps == make_traps(7, 9)[:5]
    assert len({trap.device for trap in make_traps(7, 40)}) == 40
    assert make_traps(8, 1)[0].device != traps[0].device


def test_a_season_is_the_same_bytes_each_time_and_in_order():
    first, again = (
        list(islice(demo_pictures(7, 2, START, START + timedelta(days=1), size_px=SMALL), 12)) for _ in "ab"
    )
    assert first == again
    assert [name[9:] for name, _, _ in first] == sorted(name[9:] for name, _, _ in first)
    assert len({data for _, data, _ in first}) == 12


def test_every_picture_of_a_season_is_a_traps_picture(traps):
    for name, data, outlines in demo_pictures(7, traps, START, START + timedelta(hours=3), size_px=SMALL):
        image, _, _ = examine(name, data)
        assert (image.width, image.height, image.device_version) == (*SMALL, "3.1.0")
        assert all(len(outline.points) > 2 for outline in outlines)


def test_a_series_and_a_single_picture_agree(traps):
    trap, at = traps[2], START + timedelta(days=3, seconds=123)
    name, data, _ = next(demo_pictures(7, [trap], at, at + timedelta(days=1)))
    assert picture(trap, datetime.strptime(name[9:-4], "%Y-%m-%d_%H-%M-%S")) == (name, data)


def test_drawing_step_by_step_or_at_once_gives_the_same(traps):
    painter = CardPainter(traps[2], SMALL)
    for day in range(4):
        drawing = painter.draw(START + timedelta(days=day))
    at_once = draw_card(traps[2], START + timedelta(days=3), SMALL)
    assert drawing.outlines == at_once.outlines and drawing.image.tobytes() == at_once.image.tobytes()
    assert len(painter.draw(START + timedelta(days=1)).outlines) < len(at_once.outlines)  # going back starts again


def test_cards_fill_and_are_changed(traps):
    painter = CardPainter(traps[0], SMALL)
    counts = [len(painter.draw(START + timedelta(days=day)).outlines) for day in range(16)]
    assert counts[0] <= 3 and 30 < counts[13] < 700
    assert counts[:14] == sorted(counts[:14]) and counts[14] < counts[13] / 4


def test_more_insects_where_more_are_caught(traps):
    card = card_at(NOON)
    assert len(list_catches(traps[2], card)) > 2 * len(list_catches(traps[3], card))


def test_outlines_go_around_dark_things(traps):
    drawing = draw_card(traps[2], NOON, (1296, 972))
    grey = np.asarray(drawing.image.convert("L"), float)
    bodies = [outline for outline in drawing.outlines if outline.name in ("small fly", "house fly")]
    inside = [np.mean([grey[y, x] for x, y in [centre(outline)]]) for outline in bodies if in_frame(outline)]
    assert len(inside) > 10 and np.median(inside) < 0.6 * np.median(grey)


def centre(outline):
    xs, ys = zip(*outline.points, strict=True)
    return round(sum(xs) / len(xs)), round(sum(ys) / len(ys))


def in_frame(outline):
    x, y = centre(outline)
    return 0 <= x < 1296 and 0 <= y < 972


def test_day_and_night_look_different_and_the_card_is_yellow(traps):
    noon, night = (np.asarray(draw_card(traps[0], at, SMALL).image, float).mean((0, 1)) for at in (NOON, NIGHT))
    for red, green, blue in (noon, night):
        assert min(red, green) > 1.3 * blue
    assert noon.sum() > 1.15 * night.sum()


def test_weather_is_a_region_with_a_day_and_a_night(traps):
    hours = [START + timedelta(hours=h) for h in range(24 * 14)]
    temps = np.array([[weather(trap, at).temp for at in hours] for trap in traps])  # (5, 336)
    assert np.corrcoef(temps).min() > 0.9 and 0.1 < np.ptp(temps.mean(1)) < 6
    assert temps.min() > -5 and temps.max() < 42
    now = [weather(traps[0], at) for at in hours]
    assert np.corrcoef([w.temp for w in now], [w.hum for w in now])[0, 1] < -0.4
    assert all(12 <= w.hum <= 99.9 and 0 <= w.bat <= 100 for w in now)
    assert min(w.lum for w in now) < 1.0 and max(w.lum for w in now) > 2.2
    assert all(abs(w.lum) >= 0.005 for w in now)


def test_the_sun_stands_where_it_should():
    up, azimuth = sun_position(49.88, -119.44, datetime(2022, 6, 21, 19, 58))
    assert abs(up - 63.5) < 1.5 and abs(azimuth - 180) < 5
    assert sun_position(49.88, -119.44, datetime(2022, 6, 21, 8))[0] < -14


def test_each_trap_has_its_fault(traps):
    good, broken, swapped, no_gps, _ = (read_trap_image(*tiny_from(trap, NOON)) for trap in traps)
    assert good.temp is not None and good.lat == pytest.approx(49.88, abs=0.01)
    assert looks_swapped(swapped.lat, swapped.lng) and not looks_swapped(good.lat, good.lng)
    assert (no_gps.lat, no_gps.lng, no_gps.alt) == (None, None, None)
    readings = [read_sensors(traps[1], START + timedelta(hours=6 * step)) for step in range(56)]
    assert 0.4 < sum(r["T"] == -300 and r["H"] == -1 for r in readings) / 56 < 1
    assert broken.bat is not None


def tiny_from(trap, at):
    return tiny_picture(trap.device, at, **read_sensors(trap, at))


def test_a_schedule_has_a_rhythm_and_gaps(traps):
    end = START + timedelta(days=28)
    for trap in traps:
        times = schedule(trap, START, end)
        steps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
        assert START <= times[0] and times[-1] < end and 1500 < len(times) < 2017
        assert 1150 < np.median(steps) < 1250 and max(steps) > 3600
        assert schedule(trap, START + timedelta(days=3), end) == [at for at in times if at >= START + timedelta(days=3)]
    assert max(later - earlier for earlier, later in pairwise(schedule(traps[4], START, end))) > timedelta(days=2)


def test_tiny_pictures_are_valid_small_and_all_different():
    files = [tiny_picture("0011aabb", START + timedelta(seconds=s)) for s in range(20)]
    assert len({data for _, data in files}) == 20
    assert all(len(data) < 8_000 for _, data in files)
    image, _, _ = examine(*tiny_picture("0011aabb", START, T=-3.5, size_px=(64, 48)))
    assert (image.temp, image.width, image.height) == (-3.5, 64, 48)
    with pytest.raises(TypeError, match="temp"):
        tiny_picture("0011aabb", START, temp=3)


def test_all_three_forms_are_written():
    assert examine(*form_a_picture("0011aabb", START, temp=4.5))[0].temp == 4.5
    assert examine(*form_b_picture("0011aabb", START, device_version="1.0.1"))[0].device_version == "1.0.1"


def test_the_comment_is_what_firmware_prints(traps):
    readings = {
        "v": "3.1.0",
        "T": 20.6,
        "H": 42.6,
        "B": 72,
        "L": 1.2,
        "lat": 49.26142,
        "lng": -123.25088,
        "a": 97.3,
        "b": 1,
    }
    printed = "v,T,H,B,L,lat,lng,a,l,b\n3.1.0,20.6,42.6,72,1.20,49.26142,-123.25088,97.3,1652813182,1"
    assert user_comment(readings | {"l": 1652813182}) == printed
    assert len(user_comment(readings | {"v": "x" * 200})) == 127
    exif = Image.open(io.BytesIO(picture(traps[0], NOON, SMALL)[1])).getexif()
    assert exif[271] == "StickyPi" and exif.get_ifd(0x8769)[37510].startswith(b"v,T,H,B,L,lat,lng,a,l,b\n")


def test_grain_makes_a_picture_as_heavy_as_a_cameras(traps):
    _, light = picture(traps[0], NOON, (648, 486))
    _, heavy = picture(traps[0], NOON, (648, 486), grain=9)
    assert 2.1e6 * 0.6 < len(heavy) * 16 < 2.1e6 * 1.5 and len(light) < len(heavy) / 2


def test_people_can_write_all_hexadecimal_digits():
    assert set("0123456789ABCDEF:/ ") == set(SIGNS)
