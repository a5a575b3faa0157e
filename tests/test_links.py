"""Links without sign-in: presigned ones equal botocore's, ours cannot be altered, both stay the same for hours."""

import re
import socket
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from spi_dash.clock import unix_s
from spi_dash.errors import Forbidden, InvalidInput
from spi_dash.storage.links import (
    SKEW_S,
    VALID_S,
    WINDOW_S,
    DiskLinks,
    S3Links,
    UploadForms,
    _Seal,
    window_start_s,
)

NOW = datetime(2026, 7, 1, 12, 30)
KEYS = [
    "raw_images/ab01/ab01.2026-07-01_12-00-00.jpg",
    "raw_images/ab01/ab01.2026-07-01_12-00-00.jpg.thumbnail-mini",
    "ml/bundle/output/.version.txt",
    "a b/c+d/e=f&g?h#i.jpg",
    'it\'s (a) "test"!*.jpg',
    "100%/%2F/ü-ñ-昆虫-🦟.svg",
    "~tilde/under_score/-dash/semi;colon,comma@at:colon$.txt",
    "[x]{y}|z^`<>.jpg",
]
ENDPOINTS = ["https://s3.lab.org", "http://127.0.0.1:9000", "https://s3.lab.org:443", "http://s3.lab.org:80"]


def s3_links(endpoint="https://s3.lab.org") -> S3Links:
    return S3Links(endpoint, "sticky-pi", "AKIDEXAMPLE/+=", "secret/+=", "eu-west-1")


def botocore_link(links: S3Links, path: str, monkeypatch) -> str:
    moment = datetime.fromtimestamp(window_start_s(NOW), UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
    credentials = Credentials(links.access_key, links.secret_key)
    request = AWSRequest("GET", f"{links.endpoint_url}/{links.bucket}/{path}")
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", links.region, expires=VALID_S).add_auth(request)
    return request.url


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("key", KEYS)
def test_presigned_links_equal_those_of_botocore(key, endpoint, monkeypatch):
    from botocore.compat import quote

    links = s3_links(endpoint)
    assert links.signer(NOW)(key) == botocore_link(links, quote(key, safe="/~"), monkeypatch)


def test_presigned_links_equal_those_of_a_whole_client(monkeypatch):
    import botocore.session
    from botocore.config import Config

    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(window_start_s(NOW), UTC))
    links = s3_links()
    client = botocore.session.Session().create_client(
        "s3",
        endpoint_url=links.endpoint_url,
        region_name=links.region,
        aws_access_key_id=links.access_key,
        aws_secret_access_key=links.secret_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    signer = links.signer(NOW)
    for key in KEYS:
        assert signer(key) == client.generate_presigned_url(
            "get_object", Params={"Bucket": links.bucket, "Key": key}, ExpiresIn=VALID_S
        )
    client.close()


@pytest.fixture(params=["disk", "s3"])
def make_signer(request):
    if request.param == "s3":
        return s3_links().signer
    links = DiskLinks(b"secret")
    return lambda now: links.signer("https://api.lab.org", now)


@pytest.mark.parametrize("key", KEYS)
def test_a_link_has_the_form_that_existing_clients_need(make_signer, key):
    link = make_signer(NOW)(key)
    path, _, query = link.partition("?")
    assert re.fullmatch(r"[A-Za-z0-9%/:._~?&=-]+", link)  # the R page puts it into CSS and JavaScript without quotes
    assert "/" not in query
    assert unquote(path.rpartition("/")[2]) == key.rpartition("/")[2]
    assert urlsplit(link).scheme == "https"


def test_a_link_stays_the_same_for_hours(make_signer):
    links = [make_signer(NOW + timedelta(minutes=minutes))(KEYS[0]) for minutes in range(0, 7 * 1440, 5)]
    changes = [index for index in range(1, len(links)) if links[index] != links[index - 1]]
    lasted_min = [5 * (after - before) for before, after in pairwise(changes)]
    assert set(lasted_min) == {23 * 60}


def test_a_window_began_before_every_clock_and_leaves_six_days():
    for minutes in range(0, 3 * 1440):
        now = NOW + timedelta(minutes=minutes, seconds=minutes % 60)
        age_s = unix_s(now) - window_start_s(now)
        assert SKEW_S <= age_s < SKEW_S + WINDOW_S
        assert VALID_S - age_s >= 6 * 86400


def disk_link(key: str, base_url: str = "https://api.lab.org") -> tuple[DiskLinks, str, str]:
    links = DiskLinks(b"secret")
    query = parse_qs(urlsplit(links.signer(base_url, NOW)(key)).query)
    return links, query["e"][0], query["s"][0]


@pytest.mark.parametrize("key", KEYS)
def test_our_links_are_accepted_until_they_expire(key):
    links, expires, signature = disk_link(key)
    links.verify(key, expires, signature, NOW)
    links.verify(key, expires, signature, NOW + timedelta(days=6))
    with pytest.raises(Forbidden, match="expired"):
        links.verify(key, expires, signature, NOW + timedelta(days=7))


def test_our_links_cannot_be_altered():
    links, expires, signature = disk_link(KEYS[0])
    other = "A" if signature[-1] != "A" else "B"
    for key, late, forged in [
        (KEYS[1], expires, signature),
        (KEYS[0], str(int(expires) + 1), signature),
        (KEYS[0], f"0{expires}", signature),
        (KEYS[0], f" {expires}", signature),
        (KEYS[0], "", ""),
        (KEYS[0], "\udcff", "ü\udcff"),
        (KEYS[0], expires, signature[:-1] + other),
        (KEYS[0], expires, signature + "="),
        (KEYS[0], expires, signature.lower()),
    ]:
        with pytest.raises(Forbidden, match="not valid"):
            links.verify(key, late, forged, NOW)
    with pytest.raises(Forbidden):
        DiskLinks(b"other secret").verify(KEYS[0], expires, signature, NOW)


def test_links_lead_nowhere_outside():
    links, expires, signature = disk_link(KEYS[0])
    for key in ("../etc/passwd", "/etc/passwd", "a/../../b", ".staging/x", ""):
        with pytest.raises(InvalidInput):
            links.verify(key, expires, signature, NOW)
        with pytest.raises(InvalidInput):
            links.signer("", NOW)(key)
        with pytest.raises(InvalidInput):
            s3_links().signer(NOW)(key)


def test_a_long_secret_counts_to_its_last_byte():
    secret = b"x" * 200
    link = DiskLinks(secret).signer("", NOW)(KEYS[0])
    assert link != DiskLinks(secret + b"y").signer("", NOW)(KEYS[0])


def test_links_are_relative_without_a_base_url():
    assert DiskLinks(b"secret").signer("", NOW)("a/b.jpg").startswith("/files/a/b.jpg?e=")
    assert DiskLinks(b"secret").signer("http://lab.org/", NOW)("a/b.jpg").startswith("http://lab.org/files/a/b.jpg?e=")


def test_an_upload_form_allows_one_file():
    forms = UploadForms(b"secret")
    url, fields = forms.form("https://api.lab.org", "ml/b/output/model_final.pth", 10_000, NOW)
    assert url == "https://api.lab.org/files/upload"
    assert fields["key"] == "ml/b/output/model_final.pth"
    assert all(isinstance(value, str) for value in fields.values())
    grant = forms.verify(fields | {"more": "x"}, NOW + timedelta(hours=23))
    assert (grant.key, grant.max_bytes) == ("ml/b/output/model_final.pth", 10_000)
    with pytest.raises(Forbidden, match="expired"):
        forms.verify(fields, NOW + timedelta(hours=24))


def test_an_upload_form_cannot_be_altered():
    forms = UploadForms(b"secret")
    _, fields = forms.form("", "ml/b/x.txt", 10, NOW)
    for name, value in {"key": "ml/b/y.txt", "max_bytes": "11", "expires": "9999999999", "signature": ""}.items():
        with pytest.raises(Forbidden, match="not valid"):
            forms.verify(fields | {name: value}, NOW)
        with pytest.raises(Forbidden, match="incomplete"):
            forms.verify({other: fields[other] for other in fields if other != name}, NOW)
    with pytest.raises(InvalidInput):
        forms.form("", "../x", 10, NOW)


def test_a_link_to_read_is_no_form_to_write():
    """Signatures for one purpose are worth nothing for the other."""
    forms, links = UploadForms(b"secret"), DiskLinks(b"secret")
    _, expires, signature = disk_link("ml/b/x.txt")
    with pytest.raises(Forbidden):
        forms.verify({"key": "ml/b/x.txt", "max_bytes": "", "expires": expires, "signature": signature}, NOW)
    _, fields = forms.form("", "x.txt", 10, NOW)
    with pytest.raises(Forbidden):
        links.verify("x.txt", fields["expires"], fields["signature"], NOW)
    assert _Seal(b"secret", b"file").sign("same text") != _Seal(b"secret", b"upload").sign("same text")


def test_secrets_do_not_show_in_logs():
    links = s3_links()
    assert "secret/+=" not in repr(links)
    assert "signing_key" not in repr(links.signer(NOW))


def test_making_links_needs_no_network(monkeypatch, make_signer):
    monkeypatch.setattr(socket, "socket", None)
    assert make_signer(NOW)(KEYS[0])
