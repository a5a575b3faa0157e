"""ML bundles over HTTP, and the files that links and forms lead to."""

import hashlib
import io

import pytest
import sqlalchemy as sa
from conftest import ADMIN, NOON, READER, WRITER, assert_error, contents, multipart

from spi_dash.models import ObjectChecksum
from spi_dash.services.bundles import MIB, checksums
from spi_dash.services.system import put_setting

BUNDLE = "universal-insect-detector"


@pytest.fixture
def with_pages():
    return False


def offer(key="output/model_final.pth", data=b"weights", mtime=1_600_000_000.5, **changes):
    offered = {"key": key, "path": f"/local/{key}", "md5": hashlib.md5(data).hexdigest(), "mtime": mtime}
    return {**offered, "bundle_name": BUNDLE, **changes}


@pytest.fixture
def send(client, post):
    """Upload one file of the bundle as the clients do."""

    def send(key, data):
        (link,) = post("/_get_ml_bundle_upload_links", [offer(key, data, mtime=9e9)])
        response = client.post(link["url"]["url"], **multipart({**link["url"]["fields"], "file": ("file", data)}))
        assert response.status_code == 204 and response.data == b""

    return send


def test_upload_then_list_then_get(send, post, client):
    send("output/model_final.pth", b"weights")
    (file,) = post("/_get_ml_bundle_file_list/all", BUNDLE)
    assert set(file) == {"key", "path", "md5", "mtime", "url"}
    assert file["key"] == "output/model_final.pth" and file["path"] == f"ml/{BUNDLE}/output/model_final.pth"
    assert file["md5"] == hashlib.md5(b"weights").hexdigest()
    assert client.get(file["url"]).data == b"weights"


def test_which_files_are_listed(send, post):
    keys = [
        "data/a.svg",
        "data/x/b.jpg",
        "config/config.yaml",
        "output/model_final.pth",
        "output/other.pth",
        "data/.cache/c.svg",
    ]
    for key in keys:
        send(key, key.encode())

    def listed(what):
        return [file["key"] for file in post(f"/_get_ml_bundle_file_list/{what}", BUNDLE)]

    assert listed("data") == ["config/config.yaml", "data/a.svg"]
    assert listed("model") == ["config/config.yaml", "output/model_final.pth"]
    assert listed("all") == ["config/config.yaml", "data/a.svg", "data/x/b.jpg", "output/model_final.pth"]
    assert post("/_get_ml_bundle_file_list/all", BUNDLE[:-1]) == []  # a name that only begins alike


def test_what_is_there_is_not_asked_for(send, post):
    send("data/a.svg", b"one")
    assert post("/_get_ml_bundle_upload_links", [offer("data/a.svg", b"one", mtime=9e9)]) == []
    assert post("/_get_ml_bundle_upload_links", [offer("data/a.svg", b"two", mtime=1.0)]) == []  # older than ours
    (newer,) = post("/_get_ml_bundle_upload_links", [offer("data/a.svg", b"two", mtime=9e9)])
    assert newer["path"] == "/local/data/a.svg" and "key" in newer["url"]["fields"]


def test_all_etags_of_one_content_are_the_same_file(send, post):
    data = bytes(range(256)) * (17 * MIB // 256)
    send("data/big.db", data)
    sums = checksums([data])
    assert sums.etag_8m.endswith("-3") and sums.etag_15m.endswith("-2")
    for md5 in (sums.md5, sums.etag_8m, sums.etag_15m):
        assert post("/_get_ml_bundle_upload_links", [offer("data/big.db", mtime=9e9, md5=md5)]) == []
    assert post("/_get_ml_bundle_file_list/all", BUNDLE)[0]["md5"] == sums.etag_15m


def test_etags_are_those_of_s3():
    data = b"x" * (9 * MIB)
    parts = hashlib.md5(hashlib.md5(data[: 8 * MIB]).digest() + hashlib.md5(data[8 * MIB :]).digest()).hexdigest()
    sums = checksums([data[:MIB], data[MIB:]])
    assert sums.etag_8m == f"{parts}-2"
    assert sums.etag_15m == sums.md5 == hashlib.md5(data).hexdigest()
    assert checksums([]).etag_8m == ""


@pytest.mark.parametrize("name", ["a#1", "a&b", "50%", "[x]", "it's", "a;b", "\u6f22", "a b", "\u00e9t\u00e9"])
def test_files_may_be_named_as_people_name_them(send, post, client, name):
    send(f"data/{name}.svg", b"<svg/>")
    (file,) = post("/_get_ml_bundle_file_list/data", BUNDLE)
    assert file["key"] == f"data/{name}.svg"
    assert client.get(file["url"]).data == b"<svg/>"


@pytest.mark.parametrize("key", ["../../x.txt", "/etc/x.txt", "a/../../x.txt", "a\\b.txt", "a//b.txt", "./a.txt"])
def test_keys_stay_in_the_bundle(client, key):
    assert_error(client.post("/_get_ml_bundle_upload_links", json=[offer(key)], auth=ADMIN), 422, "invalid_input")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "."])
def test_bundle_names_are_names(client, name):
    assert_error(client.post("/_get_ml_bundle_upload_links", json=[offer(bundle_name=name)], auth=ADMIN), 422)
    assert_error(client.post("/_get_ml_bundle_file_list/all", json=name, auth=ADMIN), 422)


@pytest.mark.usefixtures("accounts")
def test_readers_get_no_upload_links(client):
    assert_error(client.post("/_get_ml_bundle_upload_links", json=[offer()], auth=READER), 403)


@pytest.mark.usefixtures("accounts")
def test_only_admins_upload_what_detectors_run(client, spi):
    matcher = offer(bundle_name="siamese-insect-matcher")
    response = client.post("/_get_ml_bundle_upload_links", json=[offer()], auth=WRITER)
    assert_error(response, 403, "forbidden")
    assert BUNDLE in response.json["error"]["message"]
    assert client.post("/_get_ml_bundle_upload_links", json=[matcher], auth=WRITER).status_code == 200
    with spi.begin() as session:
        put_setting(session, "active_bundle", "siamese-insect-matcher", 1, NOON)
    assert_error(client.post("/_get_ml_bundle_upload_links", json=[matcher], auth=WRITER), 403)
    assert client.post("/_get_ml_bundle_upload_links", json=[matcher, offer()], auth=ADMIN).status_code == 200


def test_files_that_came_another_way_are_read_once(post, spi, monkeypatch):
    spi.storage.put(f"ml/{BUNDLE}/data/a.svg", b"copied")
    (first,) = post("/_get_ml_bundle_file_list/all", BUNDLE)
    assert first["md5"] == hashlib.md5(b"copied").hexdigest()
    monkeypatch.setattr(spi.storage, "open", None)
    assert [file["md5"] for file in post("/_get_ml_bundle_file_list/all", BUNDLE)] == [first["md5"]]


def test_files_that_another_program_replaced_are_read_again(send, post, spi):
    """A newly trained model is as long as the one before it, to the byte."""
    send("output/model_final.pth", b"weights of May")
    with spi.begin() as session:
        session.execute(sa.update(ObjectChecksum).values(modified_at=ObjectChecksum.modified_at - 60))
    spi.storage.put(f"ml/{BUNDLE}/output/model_final.pth", b"weights of Jun")
    (listed,) = post("/_get_ml_bundle_file_list/all", BUNDLE)
    assert listed["md5"] == hashlib.md5(b"weights of Jun").hexdigest()
    assert post("/_get_ml_bundle_upload_links", [offer(data=b"weights of Jun", mtime=9e9)]) == []


def test_forms_cannot_be_altered(client, post):
    (link,) = post("/_get_ml_bundle_upload_links", [offer("data/a.svg")])
    url, fields = link["url"]["url"], link["url"]["fields"]
    for changed in ({"key": f"ml/{BUNDLE}/output/model_final.pth"}, {"max_bytes": "9" * 12}, {"signature": "x"}):
        response = client.post(url, data={**fields, **changed, "file": (io.BytesIO(b"x"), "x")})
        assert_error(response, 403, "forbidden")
    assert_error(client.post(url, data=fields), 400, "bad_request")
    assert post("/_get_ml_bundle_file_list/all", BUNDLE) == []


def picture_link(make_image, post):
    make_image()
    (row,) = post("/get_images/image", [{"device": "0a1b2c3d", "datetime": "2022-07-01T12:00:00Z"}])
    return row["url"]


def test_links_cannot_be_altered(make_image, post, client):
    url = picture_link(make_image, post)
    assert_error(client.get(url.replace("0a1b2c3d.2022", "0a1b2c3d.2023")), 403)
    assert_error(client.get(url[:-1] + ("A" if url[-1] != "A" else "B")), 403)
    assert_error(client.get(url.partition("?")[0]), 403)


def test_browsers_can_cache_and_resume(make_image, post, client):
    url = picture_link(make_image, post)
    whole = client.get(url)
    assert whole.headers["Content-Type"] == "image/jpeg" and int(whole.headers["Content-Length"]) == len(whole.data)
    assert whole.headers["Content-Disposition"].startswith("inline") and "max-age" in whole.headers["Cache-Control"]
    assert client.get(url, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.data == whole.data[10:20]
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.data)}"
    assert client.get(url, headers={"Range": "bytes=-5"}).data == whole.data[-5:]
    assert client.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416
    assert client.head(url).headers["Content-Length"] == str(len(whole.data))


def test_a_stored_file_that_is_gone(make_image, post, client, spi):
    url = picture_link(make_image, post)
    spi.storage.delete(contents(spi.storage))
    assert_error(client.get(url), 404, "not_found")


def test_names_of_downloads_are_plain(send, post, client):
    send("data/odd name.txt", b"text")
    (file,) = post("/_get_ml_bundle_file_list/all", BUNDLE)
    response = client.get(file["url"])
    assert response.headers["Content-Disposition"] == 'attachment; filename="odd_name.txt"'
    assert NOON and response.headers["Content-Security-Policy"].startswith("sandbox")
