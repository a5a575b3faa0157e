"""The storage tests against a real S3 server, and what a mock cannot tell: signatures, expiry, keys that are wrong."""

import io
import os
import ssl
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

import pytest
from test_storage import KEY, ODD_KEYS, StorageContract

from spi_dash.clock import utcnow
from spi_dash.errors import ConfigError, NotFound, Unavailable
from spi_dash.storage import S3Storage
from spi_dash.storage.links import VALID_S, window_start_s

pytestmark = pytest.mark.stack

BUCKET = "spi-test"


@pytest.fixture(scope="module")
def bucket(rgw):
    client = rgw.client()
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture
def storage(rgw, bucket):
    storage = S3Storage(rgw.host, BUCKET, rgw.access_key, rgw.secret_key, b"secret")
    yield storage
    storage.delete([info.key for info in storage.list("")])
    storage.close()


@pytest.fixture
def threads() -> int:
    return 8


class TestRgw(StorageContract):
    """The same tests as every storage."""


def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    """GET without any sign-in, as a browser does."""
    try:
        with build_opener(ProxyHandler({})).open(Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_presigned_links_open_every_file(storage):
    sign = storage.signer("", utcnow())
    for key in [*ODD_KEYS, KEY]:
        storage.put(key, key.encode())
        status, data, headers = fetch(sign(key))
        assert (status, data) == (200, key.encode()), key
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Cache-Control"] == "private, max-age=86400"


def test_presigned_links_give_ranges(storage):
    storage.put(KEY, b"0123456789")
    assert fetch(storage.signer("", utcnow())(KEY), Range="bytes=2-4")[:2] == (206, b"234")


def test_presigned_links_cannot_be_altered(storage):
    storage.put(KEY, b"mine")
    storage.put("other.jpg", b"theirs")
    link = storage.signer("", utcnow())(KEY)
    assert fetch(link)[0] == 200
    last = "0" if link[-1] != "0" else "1"
    for altered in (
        link.replace(KEY, "other.jpg"),
        link[:-1] + last,
        link.replace(f"X-Amz-Expires={VALID_S}", f"X-Amz-Expires={VALID_S - 1}"),
        link.partition("?")[0],
    ):
        assert fetch(altered)[0] == 403, altered


def test_presigned_links_work_for_six_days_and_end(storage):
    """The server's clock cannot be moved, so the links are as old as they would be."""
    storage.put(KEY, b"x")
    now_s = datetime.now(UTC).timestamp()
    for age in (timedelta(), timedelta(days=3), timedelta(days=6) - timedelta(minutes=1)):
        assert fetch(storage.signer("", utcnow() - age)(KEY))[0] == 200, age
    late = utcnow() - timedelta(days=8)
    assert window_start_s(late) + VALID_S < now_s
    assert fetch(storage.signer("", late)(KEY))[0] == 403


def test_everything_works_over_tls(rgw, storage, monkeypatch):
    """Over HTTPS botocore signs bodies in another way, and by default adds a checksum that this server refuses."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(rgw.certificate))
    tls = S3Storage(rgw.tls_host, BUCKET, rgw.access_key, rgw.secret_key, b"secret")
    tls.check()
    tls.put(KEY, b"image")
    large = os.urandom(16 << 20)
    tls.put_file("model", io.BytesIO(large))
    assert tls.get(KEY) == b"image"
    assert tls.get("model") == large
    assert [info.key for info in tls.list("")] == ["model", KEY]
    context = ssl.create_default_context(cafile=rgw.certificate)
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    with opener.open(tls.signer("", utcnow())(KEY), timeout=30) as answer:
        assert answer.read() == b"image"
    tls.delete([KEY, "model"])
    assert list(tls.list("")) == []
    tls.close()


def test_wrong_keys_and_buckets_are_named(rgw, bucket):
    for bucket_name, access_key, secret_key, sentence in (
        (BUCKET, rgw.access_key, "wrong", "S3_ACCESS_KEY, S3_PRIVATE_KEY"),
        (BUCKET, "NOBODY", rgw.secret_key, "S3_ACCESS_KEY, S3_PRIVATE_KEY"),
        ("no-such-bucket", rgw.access_key, rgw.secret_key, "does not exist"),
    ):
        storage = S3Storage(rgw.host, bucket_name, access_key, secret_key, b"secret")
        with pytest.raises(ConfigError, match=sentence):
            storage.check()
        for call in (
            lambda s=storage: s.get(KEY),
            lambda s=storage: s.put(KEY, b"x"),
            lambda s=storage: s.delete([KEY]),
        ):
            with pytest.raises(Unavailable):
                call()
        storage.close()


def test_large_files_leave_no_parts_behind(storage, bucket):
    class Breaks(io.BytesIO):
        def read(self, size=-1):
            data = super().read(size)
            if not data:
                raise ConnectionResetError("the client went away")
            return data

    with pytest.raises(ConnectionResetError):
        storage.put_file("model", Breaks(os.urandom(40 << 20)))
    assert not bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    with pytest.raises(NotFound):
        storage.stat("model")


def test_a_file_that_was_changed_on_the_way_is_refused(storage, monkeypatch):
    monkeypatch.setattr("spi_dash.storage.s3._md5", lambda data: "AAAAAAAAAAAAAAAAAAAAAA==")
    with pytest.raises(Unavailable, match="BadDigest"):
        storage.put(KEY, b"x")
    with pytest.raises(NotFound):
        storage.stat(KEY)
