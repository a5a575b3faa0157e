"""One frame for the viewer: outlines, what is new, its neighbours, and strips."""

import io
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from PIL import Image as Picture

from spi_dash.clock import unix_s
from spi_dash.errors import InvalidInput, NotFound
from spi_dash.models import Image, UidAnnotation
from spi_dash.services import devices, frames, rollups
from spi_dash.storage import MemoryStorage

NOON = datetime(2022, 7, 1, 12)
NOON_S = unix_s(NOON)
DEVICE = "0a1b2c3d"


def test_a_second_version_is_shown_beside_the_first_also_where_it_has_not_looked(database, add):
    add(outlines='{"annotations": [{"contour": [[[0, 0]], [[9, 0]], [[9, 9]]]}]}')
    add(NOON - timedelta(hours=1))
    audit = {"datetime_created": NOON, "api_version": "1.0.0", "api_user_id": 1}
    also = {"algo_name": "uid", "algo_version": "0", "n_objects": 0, "json": '{"annotations": []}', **audit}
    with database.begin() as session:
        image_id = session.scalar(sa.select(Image.id).where(Image.datetime == NOON))
        session.execute(sa.insert(UidAnnotation).values(parent_image_id=image_id, **also))
    rollups.refresh(database.begin, database.read)
    with database.read() as session:
        both, none = (
            frames.get_frame(session, DEVICE, unix_s(at), "uid 1", "0") for at in (NOON, NOON - timedelta(hours=1))
        )
        alone = frames.get_frame(session, DEVICE, NOON_S, "uid 1", "1")
    assert (len(both["outlines"]), both["compared"]["outlines"], both["compared"]["detector"]["version"]) == (
        1,
        [],
        "0",
    )
    assert (none["compared"]["detector"], alone["compared"]) == (None, None)


@pytest.fixture
def add(database):
    def insert(at=NOON, outlines=None, **values) -> None:
        audit = {"datetime_created": at, "api_version": "1.0.0", "api_user_id": 1}
        image = {"device": DEVICE, "datetime": at, "md5": "0" * 32, "width": 4, "height": 3, **audit, **values}
        with database.begin() as session:
            (image_id,) = session.execute(sa.insert(Image).values(image)).inserted_primary_key
            if outlines is not None:
                found = {"algo_name": "uid", "algo_version": "1", "n_objects": 1, "json": outlines, **audit}
                session.execute(sa.insert(UidAnnotation).values(parent_image_id=image_id, **found))
        rollups.refresh(database.begin, database.read)

    return insert


def look(database, at=NOON) -> dict:
    with database.read() as session:
        return frames.get_frame(session, DEVICE, unix_s(at), "")


def test_a_frame_says_how_its_trap_is_called(database, add):
    add(NOON)
    assert look(database)["trap"] == ""
    with database.begin() as session:
        devices.name_device(session, DEVICE, "Orchard", None, 1, NOON)
    assert look(database)["trap"] == "Orchard"


def test_a_frame_says_what_is_new_since_the_one_before(database, add):
    one = '{"annotations": [{"contour": [[[0, 0]], [[9, 0]], [[9, 9]]], "name": "fly"}]}'
    two = one.replace("[{", '[{"contour": [[[50, 50]], [[59, 50]], [[59, 59]]], "name": "bee"}, {')
    add(NOON - timedelta(minutes=20), one)
    add(NOON, two)
    frame = look(database)
    assert (frame["outlines"][0], frame["names"], frame["new"]) == ([50, 50, 59, 50, 59, 59], ["bee", "fly"], [0])


def test_names_stay_with_their_outlines(database, add):
    dot, fly = '{"contour": [[[0, 0]]], "name": "dot"}', '{"contour": [[[0, 0]], [[9, 0]], [[9, 9]]], "name": "fly"}'
    add(outlines=f'{{"annotations": [{dot}, {fly}]}}')
    assert look(database)["names"] == ["fly"]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"text"', '{"annotations": 3}', '{"annotations": [3]}', '{"annotations": [{"contour": [[1, 2]]}]}',
     '{"annotations": [{"contour": [[["a", "b"]]]}]}', '{"annotations": [{"contour": [[[NaN, 1]]]}]}',
     '{"annotations": [{"contour": [[[1, 2, 3]]]}]}', '{"annotations": [{"contour": null}]}'],
)  # fmt: skip
def test_an_unreadable_annotation_is_said_to_be_one(database, add, text):
    add(NOON - timedelta(minutes=20), '{"annotations": []}')
    add(NOON, text)
    frame = look(database)
    assert (frame["outlines"], frame["names"], frame["new"], frame["unread"]) == ([], [], None, True)
    assert frame["detector"]["name"] == "uid"


def test_empty_and_tiny_contours_are_no_outlines(database, add):
    add(outlines='{"annotations": [{"contour": []}, {"contour": [[[1, 2]]]}, {"contour": [[[1, 2]], [[3, 4]]]}, {}]}')
    assert (look(database)["outlines"], look(database)["unread"]) == ([], False)


def test_an_unprocessed_frame_is_not_an_empty_one(database, add):
    add(NOON - timedelta(minutes=20))
    add(NOON, '{"annotations": []}')
    assert (look(database)["outlines"], look(database)["new"]) == ([], None)
    assert look(database, NOON - timedelta(minutes=20))["detector"] is None


def test_swapped_coordinates_and_sentinels_are_put_right(database, add):
    add(lat=-119.4, lng=49.2, temp=-300, hum=-1)
    frame = look(database)
    assert (frame["lat"], frame["lng"], frame["swapped"]) == (49.2, -119.4, True)
    assert (frame["temp"], frame["hum"]) == (None, None)


def test_a_frame_that_is_not_there(database):
    with pytest.raises(NotFound):
        look(database)


def test_a_moment_after_all_calendars_has_no_frame(database):
    with database.read() as session, pytest.raises(NotFound):
        frames.get_frame(session, DEVICE, 10**14, "")
    with pytest.raises(NotFound):
        frames.picture_key(DEVICE, 10**14, "thumbnail")


def test_a_strip_is_as_wide_as_its_frames_and_grey_where_one_is_missing():
    storage, file = MemoryStorage(), io.BytesIO()
    Picture.new("RGB", frames.CELL_PX, (200, 200, 0)).save(file, "JPEG")
    storage.put(frames.picture_key(DEVICE, NOON_S, "mini"), file.getvalue())
    strip = Picture.open(io.BytesIO(frames.draw_strip(storage, DEVICE, [NOON_S, NOON_S + 1])))
    assert strip.size == (256, 96)
    assert strip.getpixel((64, 48))[2] < 30 < strip.getpixel((192, 48))[2]


@pytest.mark.parametrize("text", ["", "-1", "zz zz", ".".join(["1"] * 65)])
def test_a_bad_list_of_moments_is_refused(text):
    with pytest.raises(InvalidInput):
        frames.parse_moments(text)
