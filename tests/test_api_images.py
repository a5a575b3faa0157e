"""Pictures over HTTP: as phones, harvesters and scripts upload, ask for and delete them."""

import hashlib
import io
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import ADMIN, NOON, READER, REAL_PICTURES, WRITER, assert_error, contents

from spi_dash.demo.pictures import form_a_picture, form_b_picture, tiny_picture

DEVICE = "0a1b2c3d"
ALL = [{"device": "%", "start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2030-01-01T00:00:00Z"}]
ROW_KEYS = {
    *("id", "datetime_created", "api_version", "api_user_id", "device", "datetime", "md5", "device_version"),
    *("width", "height", "lat", "lng", "alt", "temp", "hum", "lum", "bat", "but", "url"),
}


@pytest.fixture
def with_pages():
    return False


def md5(data):
    return hashlib.md5(data).hexdigest()


def test_upload_then_ask(upload, post, client, spi):
    name, data = tiny_picture(DEVICE, NOON, T=21.5, H=60)
    answer = upload((name, data), md5s={name: md5(data)})
    (row,) = answer.json
    assert row["id"] is None and row["md5"] == md5(data) and row["but"] in (True, False) and "url" not in row
    assert set(row) == ROW_KEYS - {"url"}

    (row,) = post("/get_images/image", [{"device": DEVICE, "datetime": "2022-07-01T12:00:00Z"}])
    assert set(row) == ROW_KEYS
    assert row["id"] == 1 and row["but"] in (0, 1) and row["temp"] == 21.5 and row["datetime"] == "2022-07-01T12:00:00Z"
    assert row["url"].rpartition("?")[0].endswith(f"/{name}")
    assert client.get(row["url"]).data == data


@pytest.mark.parametrize("what, size", [("thumbnail", (512, 384)), ("thumbnail-mini", (128, 96))])
def test_thumbnails(make_image, post, client, what, size):
    from PIL import Image

    make_image()
    (row,) = post(f"/get_images/{what}", [{"device": DEVICE, "datetime": "2022-07-01T12:00:00Z"}])
    response = client.get(row["url"])
    thumbnail = Image.open(io.BytesIO(response.data))
    assert response.content_type == "image/jpeg"
    assert thumbnail.width <= size[0] and thumbnail.height <= size[1]


def test_metadata_has_an_empty_url(make_image, post):
    make_image()
    assert post("/get_image_series/metadata", ALL)[0]["url"] == ""


def test_answers_use_the_dialect_of_the_question(make_image, post):
    make_image()
    legacy = post("/get_images/metadata", [{"device": DEVICE, "datetime": "2022-07-01_12-00-00"}])[0]
    assert legacy["datetime"] == "2022-07-01_12-00-00" and "_" in legacy["datetime_created"]
    for asked in ("2022-07-01T12:00:00Z", "2022-07-01T12:00:00", "2022-07-01 12:00:00", "2022-07-01T12:00:00.000Z:"):
        (row,) = post("/get_images/metadata", [{"device": DEVICE, "datetime": asked}])
        assert row["datetime"] == "2022-07-01T12:00:00Z"


def test_coordinates_are_numbers_with_a_fraction(client, post, make_image):
    make_image(lat=49.0, lng=-123.0)
    text = client.post("/get_image_series/metadata", json=ALL, auth=ADMIN).text
    deleted = client.post("/delete_images", json=post("/get_image_series/metadata", ALL), auth=ADMIN).text
    for answer in (text, deleted):
        assert '"lat":49.0' in answer.replace(" ", "") and '"lng":-123.0' in answer.replace(" ", "")


def test_links_are_the_same_in_two_answers(make_image, post):
    make_image()
    assert post("/get_image_series/image", ALL) == post("/get_image_series/image", ALL)


def test_series_bounds_order_and_patterns(make_image, post):
    for device in ("0bbb0000", "0aaa0000"):
        for hour in (2, 0, 1):
            make_image(device=device, at=NOON + timedelta(hours=hour))
    query = {"device": "0A%", "start_datetime": "2022-07-01T12:00:00Z", "end_datetime": "2022-07-01T14:00:00Z"}
    assert [row["datetime"][11:13] for row in post("/get_image_series/metadata", [query])] == ["12", "13"]
    rows = post("/get_image_series/metadata", ALL)
    assert [(row["device"], row["datetime"]) for row in rows] == sorted((r["device"], r["datetime"]) for r in rows)
    assert len(post("/get_image_series/metadata", ALL + ALL)) == 12  # duplicates are kept
    assert len(post("/get_image_series/metadata", [{**ALL[0], "device": "0_bb0000"}])) == 3
    assert post("/get_image_series/metadata", [{**ALL[0], "device": "nobody"}]) == []


def test_arrays_of_one_and_extra_keys(make_image, post):
    row = make_image()
    assert post("/get_images/metadata", [{"device": [DEVICE], "datetime": [row["datetime"]], "md5": "x", "url": "y"}])


@pytest.mark.parametrize("body", [[], None])
def test_asking_for_nothing(post, client, body):
    if body is None:
        assert_error(client.post("/get_images/metadata", auth=ADMIN), 422, "invalid_input")
    else:
        assert post("/get_images/metadata", body) == []


def test_android_upload(client):
    """As the phone writes it: boundary of stars, md5 as a bare text with a JSON type, transfer encoding header."""
    name, data = tiny_picture(DEVICE, NOON)
    boundary = "*****1650000000000*****"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}.md5"\r\n'
            "Content-Type: application/json\r\n\r\n"
            f'{md5(data)}\r\n--{boundary}\r\nContent-Disposition: form-data; name="{name}";filename="{name}"\r\n'
            "Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "User-Agent": "Android Multipart HTTP Client 1.0",
    }
    assert client.post("/_put_new_images", data=body, headers=headers, auth=ADMIN).json[0]["md5"] == md5(data)


def test_the_part_s_name_counts(client, post):
    name, data = tiny_picture(DEVICE, NOON)
    other, _ = tiny_picture(DEVICE, NOON + timedelta(hours=1))
    assert client.post("/_put_new_images", data={name: (io.BytesIO(data), other)}, auth=ADMIN).status_code == 200
    assert client.post("/_put_new_images", data={"file": (io.BytesIO(data), other)}, auth=ADMIN).status_code == 200
    assert [row["datetime"][11:13] for row in post("/get_image_series/metadata", ALL)] == ["12", "13"]


def test_the_same_picture_again(upload, make_image):
    make_image()
    error = assert_error(upload(tiny_picture(DEVICE, NOON)), 409, "conflict")
    assert error["details"]["identical"] is True and "same content" in error["message"]


def test_a_rejected_duplicate_touches_nothing(upload, make_image, spi):
    row = make_image(T=10)
    before = contents(spi.storage)
    error = assert_error(upload(tiny_picture(DEVICE, NOON, T=30)), 409, "conflict")
    assert error["details"] == {"device": DEVICE, "md5": row["md5"], "identical": False}
    assert contents(spi.storage) == before


def test_all_files_of_a_request_or_none(upload, post, spi, make_image):
    make_image(at=NOON)
    good, taken, bad = (
        tiny_picture(DEVICE, NOON + timedelta(hours=1)),
        tiny_picture(DEVICE, NOON),
        (f"{DEVICE}.x.jpg", b"?"),
    )
    for refused in (taken, bad):
        assert 400 <= upload(good, refused).status_code < 500
        assert len(post("/get_image_series/metadata", ALL)) == 1
        assert len(contents(spi.storage)) == 3
    assert len(upload(good, tiny_picture(DEVICE, NOON + timedelta(hours=2))).json) == 2


def test_a_wrong_md5_is_refused(upload, post):
    name, data = tiny_picture(DEVICE, NOON)
    error = assert_error(upload((name, data), md5s={name: "0" * 32}), 422, "invalid_input")
    assert error["details"]["field"] == f"{name}.md5"
    assert post("/get_image_series/metadata", ALL) == []


@pytest.mark.parametrize(
    "name, data, status",
    [
        ("picture.jpg", None, 422),
        (f"{DEVICE}.2019-01-01_00-00-00.jpg", None, 422),
        (f"{DEVICE}.2022-02-30_00-00-00.jpg", None, 422),
        (f"{DEVICE}.2022-07-01_12-00-00.jpg", b"GIF89a", 415),
        (f"{DEVICE}.2022-07-01_12-00-00.jpg", b"", None),
        (f"{DEVICE}.2022-07-01_12-00-00.jpg", b"\xff\xd8\xff\xe0 rubbish", None),
    ],
)
def test_what_is_no_trap_picture_is_refused(upload, name, data, status):
    response = upload((name, tiny_picture(DEVICE, NOON)[1] if data is None else data))
    assert 400 <= response.status_code < 500
    assert_error(response, status or response.status_code)


def test_truncated_pictures_are_refused(upload):
    name, data = tiny_picture(DEVICE, NOON)
    assert_error(upload((name, data[: len(data) // 2])), 422)


def test_a_request_without_a_file(client):
    assert_error(client.post("/_put_new_images", auth=ADMIN), 400, "bad_request")
    assert_error(client.post("/_put_new_images", data={"a": "b"}, auth=ADMIN), 400, "bad_request")


def test_pictures_have_a_largest_size(restart, tmp_path):
    name, data = tiny_picture(DEVICE, NOON)
    client = restart(max_image_mb=0).test_client()
    response = client.post("/_put_new_images", data={name: (io.BytesIO(data), name)}, auth=ADMIN)
    assert_error(response, 413, "too_large")


@pytest.mark.parametrize("make", [form_a_picture, form_b_picture])
def test_old_pictures_get_a_version_in_the_table_only(upload, post, make):
    name, data = make(DEVICE, NOON)
    assert upload((name, data)).status_code == 200
    assert post("/get_image_series/metadata", ALL)[0]["device_version"] == "1.0.0"


def test_sentinels_are_null_when_written_and_when_read(make_image, post, spi):
    row = make_image(T=-300.0, H=-1.0, B=-1, lat=0.0, lng=0.0, a=0.0)
    assert [row[name] for name in ("temp", "hum", "bat", "lat", "lng", "alt")] == [None] * 6
    from spi_dash.models import Image

    with spi.begin() as session:  # a row that an older server wrote
        session.query(Image).update({"temp": -300, "hum": -1, "bat": -1, "lat": 0, "lng": 0, "alt": 0})
    (row,) = post("/get_image_series/metadata", ALL)
    assert [row[name] for name in ("temp", "hum", "bat", "lat", "lng", "alt")] == [None] * 6


def test_delete(make_image, post, spi):
    row = make_image()
    make_image(at=NOON + timedelta(hours=1))
    (deleted,) = post("/delete_images", [row])
    assert deleted["id"] == 1 and "url" not in deleted and deleted["but"] in (True, False)
    assert len(post("/get_image_series/metadata", ALL)) == 1
    assert len(contents(spi.storage)) == 3
    assert post("/delete_images", [row]) == []


@pytest.mark.usefixtures("accounts")
def test_roles(upload, client):
    assert_error(upload(tiny_picture(DEVICE, NOON), auth=READER), 403, "forbidden")
    assert upload(tiny_picture(DEVICE, NOON), auth=WRITER).status_code == 200
    assert_error(client.post("/delete_images", json=[], auth=WRITER), 403, "forbidden")
    assert client.post("/get_images/metadata", json=[], auth=READER).status_code == 200


def test_a_long_list_comes_in_pieces(spi, post):
    from spi_dash.models import Image

    common = {"md5": "0" * 32, "width": 1, "height": 1, "datetime_created": NOON}
    rows = [{"device": DEVICE, "datetime": NOON + timedelta(minutes=i), **common} for i in range(4500)]
    with spi.begin() as session:
        session.execute(Image.__table__.insert(), rows)
    answer = post("/get_image_series/thumbnail-mini", ALL, headers={"Accept-Encoding": "identity"})
    assert len(answer) == 4500
    assert answer[-1]["datetime"] == (NOON + timedelta(minutes=4499)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_answers_are_compressed(make_image, client):
    import gzip

    for hour in range(6):
        make_image(at=NOON + timedelta(hours=hour))
    plain = client.post("/get_image_series/image", json=ALL, auth=ADMIN)
    packed = client.post("/get_image_series/image", json=ALL, auth=ADMIN, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and len(packed.data) < len(plain.data) / 2
    assert gzip.decompress(packed.data) == plain.data


def test_real_pictures_come_back_unchanged(upload, post, client):
    files = sorted(REAL_PICTURES.rglob("*.jpg"))
    if not files:
        pytest.skip("the real pictures of ../shared/data are not here")
    for file in files:
        assert upload((file.name, file.read_bytes())).status_code == 200
    rows = post("/get_image_series/image", ALL)
    assert len(rows) == len(files)
    by_name = {file.name: file.read_bytes() for file in files}
    for row in rows:
        assert client.get(row["url"]).data == by_name[Path(row["url"].partition("?")[0]).name]


def test_year_2020_is_as_good_as_any(make_image, post):
    make_image(at=datetime(2020, 2, 29, 23, 59, 59))
    assert post("/get_images/metadata", [{"device": DEVICE, "datetime": "2020-02-29_23-59-59"}])
