"""The frames that the viewer steps through."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from spi_dash.clock import unix_s
from spi_dash.errors import InvalidInput
from spi_dash.models import Image
from spi_dash.services import moments, rollups

DEVICE, OTHER = "0a1b2c3d", "1b2c3d4e"
START = datetime(2022, 7, 1)
START_S = unix_s(START)
HOUR_S, DAY_S = 3600, 86_400
DAY = (START_S, START_S + DAY_S)


def insert(database, *taken_s, device=DEVICE) -> None:
    audit = {"api_version": "1.0.0", "api_user_id": 1, "md5": "0" * 32, "width": 4, "height": 3}
    times = [START + timedelta(seconds=taken - START_S) for taken in taken_s]
    rows = [{"device": device, "datetime": at, "datetime_created": at, **audit} for at in times]
    with database.begin() as session:
        session.execute(sa.insert(Image), rows)
    rollups.refresh(database.begin, database.read)


def look(database, around, *ranges, since="", beside=True) -> moments.Moments:
    with database.read() as session:
        return moments.list_moments(session, DEVICE, ranges, str(around), since, beside)


def hours(*numbers) -> list[int]:
    return [START_S + HOUR_S * number for number in numbers]


def test_the_list_spans_the_range_whose_end_is_not_part_of_it(database):
    insert(database, *hours(-1, 0, 12, 23, 24))
    insert(database, *hours(3), device=OTHER)
    found = look(database, START_S, DAY)
    assert (found.taken_s.tolist(), found.outside) == (hours(0, 12, 23), False)


def test_several_ranges_restrict_it_and_may_overlap(database):
    insert(database, *hours(0, 1, 2, 3, 4, 5))
    ranges = [tuple(hours(0, 2)), tuple(hours(1, 3)), tuple(hours(5, 6))]
    assert look(database, hours(5)[0], *ranges).taken_s.tolist() == hours(0, 1, 2, 5)


def test_around_a_frame_beside_the_range_as_much_as_the_range_is_long(database):
    insert(database, *hours(0, 100 * 24, 100 * 24 + 5, 100 * 24 + 13, 130 * 24))
    found = look(database, hours(100 * 24)[0], DAY)
    assert (found.taken_s.tolist(), found.outside) == (hours(100 * 24, 100 * 24 + 5), True)
    wide = look(database, hours(100 * 24)[0], (START_S + DAY_S, START_S + 90 * DAY_S))
    assert wide.taken_s.tolist() == hours(100 * 24, 100 * 24 + 5, 100 * 24 + 13)


def test_of_frames_beside_the_ranges_one_alone_may_be_listed(database):
    insert(database, *hours(0, 100, 101))
    for ranges in ([], [DAY]):
        found = look(database, hours(100)[0], *ranges, beside=False)
        assert (found.taken_s.tolist(), found.outside) == (hours(100), True)


@pytest.mark.parametrize(("around", "outside"), [(23, False), (30, True), (25, False)])
def test_a_moment_without_picture_counts_as_the_nearest_picture(database, around, outside):
    insert(database, *hours(22, 36))
    assert look(database, hours(around)[0], DAY).outside is outside


def test_nothing_is_listed_again_while_the_trap_stays_the_same(database):
    insert(database, *hours(1))
    first = look(database, hours(1)[0], DAY)
    insert(database, *hours(1), device=OTHER)
    assert look(database, hours(1)[0], DAY, since=str(first.change)).taken_s is None
    insert(database, *hours(2))
    again = look(database, hours(1)[0], DAY, since=str(first.change))
    assert (again.taken_s.tolist(), again.change > first.change) == (hours(1, 2), True)


def test_a_trap_without_pictures_has_an_empty_list(database):
    found = look(database, START_S, DAY, since="0")
    assert (found.taken_s.tolist(), found.outside, found.step_s) == ([], False, moments.USUAL_STEP_S)


def test_the_usual_step_is_the_median(database):
    insert(database, START_S, START_S + 600, START_S + 1200, START_S + HOUR_S)
    assert look(database, START_S, DAY).step_s == 600
    assert look(database, START_S, (START_S, START_S + 1)).step_s == moments.USUAL_STEP_S


@pytest.mark.parametrize("around", ["", "soon", "1e9", "9" * 30])
def test_what_is_no_time_is_refused(database, around):
    with pytest.raises(InvalidInput, match="UNIX time"):
        look(database, around, DAY)
