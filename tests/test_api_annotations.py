"""Annotations over HTTP, and the claims by which several detectors share the work."""

from datetime import timedelta

import orjson
import pytest
from conftest import ADMIN, NOON, READER, assert_error

DEVICE = "0a1b2c3d"
ALL = {"device": "%", "start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2030-01-01T00:00:00Z"}
UID = {"algo_name": "universal-insect-detector", "algo_version": "1598113346-ad2cd78d"}


@pytest.fixture
def with_pages():
    return False


def annotate(image, n=1, **meta):
    outline = {
        "contour": [[[2194, 1597]], [[2189, 1602]], [[-3, 1617]]],
        "name": "insect",
        "value": 0,
        "stroke_colour": "#0000ff",
        "fill_colour": "#ff0000",
        "score": 0.5,
    }
    known = {name: image[name] for name in ("device", "datetime", "md5")}
    return {"annotations": [outline] * n, "metadata": {**UID, **known, "note": "kept", **meta}}


@pytest.mark.parametrize("moment", ["2022-07-01T12:00:00Z", "2022-07-01_12-00-00"])
def test_what_was_posted_is_read_back(make_image, post, moment):
    element = annotate(make_image() | {"datetime": moment}, n=2)
    (row,) = post("/put_uid_annotations", [element])
    assert row | {"datetime_created": ""} == {
        **{"id": 1, "datetime_created": "", "api_version": "1.0.0", "api_user_id": 1, "parent_image_id": 1},
        **{"algo_name": UID["algo_name"], "algo_version": UID["algo_version"], "n_objects": 2, "json": ""},
    }
    for what in ("data", "json"):
        (row,) = post(f"/get_uid_annotations/{what}", [{"device": DEVICE, "datetime": moment}])
        assert orjson.loads(row["json"]) == element
    (row,) = post("/get_uid_annotations_series/metadata", [ALL])
    assert "json" not in row and row["n_objects"] == 2


def test_an_image_without_insects(make_image, post):
    post("/put_uid_annotations", [annotate(make_image(), n=0)])
    assert post("/get_uid_annotations_series/data", [ALL])[0]["n_objects"] == 0


def test_every_version_is_kept_and_none_twice(make_image, post, client):
    image = make_image()
    post("/put_uid_annotations", [annotate(image), annotate(image, algo_version="2")])
    assert_error(client.post("/put_uid_annotations", json=[annotate(image)], auth=ADMIN), 409, "conflict")
    assert [row["algo_version"] for row in post("/get_uid_annotations/metadata", [image])] == [UID["algo_version"], "2"]


def test_all_or_nothing(make_image, post, client):
    image = make_image()
    body = [annotate(image), annotate(image | {"device": "ffffffff"})]
    error = assert_error(client.post("/put_uid_annotations", json=body, auth=ADMIN), 404, "not_found")
    assert error["details"]["device"] == "ffffffff"
    assert post("/get_uid_annotations_series/metadata", [ALL]) == []


def test_the_md5_must_be_the_image_s(make_image, client):
    body = [annotate(make_image(), md5="0" * 32)]
    assert_error(client.post("/put_uid_annotations", json=body, auth=ADMIN), 409, "conflict")


@pytest.mark.parametrize(
    "path, value, field",
    [
        (("annotations", 0, "contour"), [[1, 2]], "[0].annotations.0.contour"),
        (("annotations",), None, "[0].annotations"),
        (("metadata", "algo_name"), "", "[0].metadata.algo_name"),
        (("metadata", "datetime"), "yesterday", "[0].metadata.datetime"),
    ],
)
def test_a_wrong_field_of_an_annotation_is_named(make_image, client, path, value, field):
    element = annotate(make_image())
    target = element
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    error = assert_error(client.post("/put_uid_annotations", json=[element], auth=ADMIN), 422, "invalid_input")
    assert error["details"]["field"].startswith(field)


def test_deleting_an_image_deletes_its_annotations(make_image, post):
    image = make_image()
    post("/put_uid_annotations", [annotate(image)])
    post("/delete_images", [image])
    assert post("/get_uid_annotations_series/metadata", [ALL]) == []


def claim(post, **extra):
    return post("/get_images_to_annotate/image", [{**ALL, **UID, **extra}])


def test_claims_are_shared_newest_first(make_image, post):
    for hour in range(10):
        make_image(at=NOON + timedelta(hours=hour))
    first, second = claim(post), claim(post)
    assert len(first) == 8 and len(second) == 2 and claim(post) == []
    assert {row["datetime"][11:13] for row in second} == {"12", "13"}
    assert first[0]["url"].startswith("http")


def test_claims_end_with_the_annotation(make_image, post):
    make_image()
    (image,) = claim(post)
    post("/put_uid_annotations", [annotate(image)])
    assert claim(post) == []
    assert len(claim(post, algo_version="2")) == 1  # a newer version wants it again
    assert claim(post, algo_version="1") == []  # for an older one the newer annotation will do


def test_claims_of_a_detector_that_died_come_back(make_image, post, spi):
    from spi_dash.clock import utcnow
    from spi_dash.models import UidIntent

    make_image()
    claim(post)
    with spi.begin() as session:
        session.query(UidIntent).update({"datetime_created": utcnow() - timedelta(hours=6, seconds=1)})
    assert len(claim(post)) == 1


def test_without_an_algorithm_the_unannotated_are_offered(make_image, post):
    done, _ = make_image(), make_image(at=NOON + timedelta(hours=1))
    post("/put_uid_annotations", [annotate(done)])
    query = {"device": "%", "start_datetime": "2021-01-01_00-00-00", "end_datetime": "2100-01-01_00-00-00"}
    (row,) = post("/get_images_to_annotate/metadata", [query])
    assert row["datetime"] == "2022-07-01_13-00-00"


@pytest.mark.usefixtures("accounts")
def test_readers_claim_and_write_nothing(client):
    for path in ("/get_images_to_annotate/metadata", "/put_uid_annotations"):
        assert_error(client.post(path, json=[], auth=READER), 403, "forbidden")
