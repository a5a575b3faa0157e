"""The client against a scripted wire (what can go wrong) and against the real server (what it is for)."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5

import pytest
from live import PASSWORD, START, live_server, pictures, scripted_server, write_all

from spi_dash import errors
from spi_dash.client import SpiClient
from spi_dash.client.files import ChecksumWriter, checksums_of
from spi_dash.client.wire import decode, encode

NOW = 1_700_000_000
IMAGE = {"device": "5c173ff2", "datetime": datetime(2020, 6, 20, 21, 33, 24)}


class Wire:
    """A scripted server: gives out tokens, and answers all else from a list, the last answer again and again."""

    def __init__(self, *answers, life_s=86_400):
        self.answers, self.life_s = list(answers), life_s
        self.tokens = 0
        self.requests = []

    def __call__(self, path, body, headers):
        if path == "/get_token":
            self.tokens += 1
            return ok({"token": f"token{self.tokens}", "expiration": NOW + self.life_s})
        self.requests.append((path, body, headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ok(value):
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def failure(status, code, message="no", headers=None, **details):
    body = {"error": {"code": code, "message": message, "details": details}}
    return status, headers or {}, json.dumps(body).encode()


@pytest.fixture
def connect():
    """A client of a scripted server, and the list of its pauses."""
    stack = []

    def make(wire, **options):
        server = scripted_server(wire)
        url, pauses = server.__enter__(), []
        client = SpiClient(url, "maria", "secret", **{"sleep": pauses.append, "now": lambda: NOW, **options})
        stack.append((server, client))
        return client, pauses

    yield make
    for server, client in stack:
        client.close()
        server.__exit__(None, None, None)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_importing_it_costs_little():
    heavy = "{'sqlalchemy', 'flask', 'dash', 'torch', 'pandas', 'numpy', 'PIL', 'pydantic'}"
    code = f"import sys, spi_dash.client; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_times_go_out_as_utc_and_come_back_as_datetimes():
    east = timezone(timedelta(hours=2))
    assert json.loads(encode([datetime(2020, 6, 20, 23, tzinfo=east)])) == ["2020-06-20T21:00:00Z"]
    assert json.loads(encode([datetime(2020, 6, 20, 23, 0, 0, 5)])) == ["2020-06-20T23:00:00Z"]
    rows = decode(b'[{"a": "2020-06-20T21:33:24Z", "b": "2020-06-20_21-33-24", "c": "2020-06-20T21:33:24Z!"}]')
    assert rows == [{"a": IMAGE["datetime"], "b": IMAGE["datetime"], "c": "2020-06-20T21:33:24Z!"}]
    assert decode(b'["2020-99-20T21:33:24Z", "2020-99-20_21-33-24"]') == ["2020-99-20T21:33:24Z", "2020-99-20_21-33-24"]


def test_what_json_cannot_carry_is_refused():
    with pytest.raises(errors.InvalidInput):
        encode([object()])


def test_one_token_serves_all_threads_until_shortly_before_it_ends(connect):
    clock = [NOW]
    wire = Wire(ok([]))
    client, _ = connect(wire, now=lambda: clock[0])
    threads = [threading.Thread(target=client.get_users) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wire.tokens == 1
    clock[0] = NOW + 86_400 - 59
    client.get_users()
    assert wire.tokens == 2
    assert client.get_token() == "token2"


def test_a_refused_token_is_replaced_once(connect):
    wire = Wire(failure(401, "unauthorized"), ok([]))
    client, pauses = connect(wire)
    assert client.get_users() == []
    assert (wire.tokens, pauses) == (2, [])
    wire.answers = [failure(401, "unauthorized")]
    with pytest.raises(errors.Unauthorized):
        client.get_users()
    assert wire.tokens == 3


def test_a_given_token_is_used_and_cannot_be_renewed():
    wire = Wire(ok([]), failure(401, "unauthorized"))
    with scripted_server(wire) as url, SpiClient(url, token="given") as client:
        assert client.get_users() == []
        for _ in range(2):
            with pytest.raises(errors.Unauthorized):
                client.get_users()
    assert (wire.tokens, len(wire.requests)) == (0, 2)


@pytest.mark.parametrize(
    "passing", [(500, "internal"), (503, "unavailable"), (502, ""), (429, "too_many_requests"), None]
)
def test_what_may_pass_is_repeated(connect, passing):
    bad = passing and failure(*passing)
    client, pauses = connect(Wire(bad, bad, ok([{"id": 1}])))
    assert client.get_users() == [{"id": 1}]
    assert len(pauses) == 2
    assert 0.25 <= pauses[0] <= 0.75
    assert 0.5 <= pauses[1] <= 1.5


@pytest.mark.parametrize(
    "kind", [errors.BadRequest, errors.Forbidden, errors.NotFound, errors.Conflict, errors.TooLarge]
)
def test_refusals_are_not_repeated_and_keep_their_details(connect, kind):
    wire = Wire(failure(kind.status, kind.code, "because", device="5c173ff2"))
    client, pauses = connect(wire)
    with pytest.raises(kind, match="because") as caught:
        client.get_users()
    assert caught.value.details["device"] == "5c173ff2"
    assert (len(wire.requests), pauses) == (1, [])


def test_older_servers_and_proxies_are_understood(connect):
    client, _ = connect(Wire((401, {}, b"Unauthorized Access")))
    with pytest.raises(errors.Unauthorized, match="password"):
        client.get_users()
    client, _ = connect(Wire((502, {}, b"<html>")), retries=1)
    with pytest.raises(errors.Unavailable, match="502"):
        client.get_users()
    client, _ = connect(Wire((200, {}, b"<html>Welcome to our hotel</html>")))
    with pytest.raises(errors.InvalidInput, match="not a Sticky Pi server"):
        client.get_users()
    client, _ = connect(Wire((301, {"Location": "https://api.example.org/get_users"}, b"")))
    with pytest.raises(errors.InvalidInput, match=r"use https://api\.example\.org"):
        client.get_users()


def test_the_server_decides_how_long_to_wait(connect):
    client, pauses = connect(Wire(failure(429, "too_many_requests", headers={"Retry-After": "7"}), ok([])))
    assert client.get_users() == []
    assert pauses == [7.0]
    wire = Wire(failure(429, "too_many_requests", headers={"Retry-After": "9999"}))
    client, pauses = connect(wire)
    with pytest.raises(errors.TooManyRequests):
        client.get_users()
    assert (len(wire.requests), pauses) == (1, [])


def test_a_server_that_is_gone_is_one_sentence(connect):
    with scripted_server(Wire(ok([]))) as url:
        pass
    pauses = []
    with SpiClient(url, "maria", "secret", sleep=pauses.append) as client, pytest.raises(errors.Unavailable) as caught:
        client.get_users()
    assert caught.value.message == f"the server at {url} does not answer: connection refused"
    assert len(pauses) == 5


@pytest.mark.parametrize(
    "url", ["api.example.org", "ftp://a", "http://", "http://u:p@a", "https://a:99999", "https://a?b=1"]
)
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(errors.InvalidInput):
        SpiClient(url, "maria", "secret")


def test_a_client_needs_credentials():
    with pytest.raises(errors.InvalidInput):
        SpiClient("https://a", "maria")


def test_an_upload_looks_like_that_of_the_newest_python_client(connect):
    name, data = "5c173ff2.2020-06-20_21-33-24.jpg", b"\xff\xd8picture\r\n"
    wire = Wire(ok([{"id": None, "md5": "2d1158d2bf6cf01f14a3b4cb2c5d0a9e"}]))
    client, _ = connect(wire)
    with pytest.raises(errors.InvalidInput, match="not confirmed"):  # the server tells of another md5
        client.upload_image(name, data)
    path, body, headers = wire.requests[0]
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    first, second = body.split(b"--" + boundary)[1:3]
    assert path == "/_put_new_images"
    head, _, content = first.partition(b"\r\n\r\n")
    assert f'name="{name}"; filename="{name}"'.encode() in head
    assert b"Content-Type: application/jpeg" in head
    assert content == data + b"\r\n"
    head, _, content = second.partition(b"\r\n\r\n")
    assert head.strip() == f'Content-Disposition: form-data; name="{name}.md5"'.encode()
    assert len(content.strip()) == 32


def test_an_upload_whose_answer_was_lost_is_confirmed(live):
    lost, (name, data) = [True], next(iter(pictures(1, "10050000").items()))

    def proxy(path, body, headers):
        import requests

        headers = {key: value for key, value in headers.items() if key in ("Authorization", "Content-Type")}
        answer = requests.post(live.url + path, data=body, headers=headers)
        if path == "/_put_new_images" and lost:
            lost.clear()
            return None
        return answer.status_code, {"Content-Type": "application/json"}, answer.content

    with scripted_server(proxy) as url, SpiClient(url, "admin", PASSWORD, sleep=lambda _: None) as client:
        assert client.upload_image(name, data)["device"] == "10050000"
    assert not lost


def test_images_go_up_once_and_come_down_the_same(live, tmp_path):
    sent = pictures(3)
    with live.client() as client:
        paths = write_all(tmp_path, sent)
        assert len(client.put_images(paths[:2])) == 2
        assert [row["datetime"] for row in client.put_images(sent)] == [START + timedelta(minutes=40)]
        rows = client.get_image_series("5c173ff2", START, START + timedelta(days=1), "image")
        assert [row["datetime"] for row in rows] == [START + timedelta(minutes=20 * i) for i in range(3)]
        for row, (name, data) in zip(rows, sent.items(), strict=True):
            path = client.download(row["url"], tmp_path / "down" / name, md5=row["md5"])
            assert path.read_bytes() == client.fetch(row["url"], row["md5"]) == data
        with pytest.raises(errors.Conflict):
            client.upload_image(next(iter(sent)), sent[list(sent)[1]])
        assert len(client.get_images(rows)) == 3
        assert len(client.delete_images(rows)) == 3
        assert client.get_images(rows) == []


def test_annotations_go_up_and_come_down(live):
    name, data = next(iter(pictures(1, "0000a000").items()))
    found = [{"contour": [[[1, 2]], [[3, 4]], [[5, 1]]], "name": "insect"}]
    with live.client() as client:
        row = client.upload_image(name, data)
        day = ("0000a000", START, START + timedelta(days=1))
        claimed = client.get_images_to_annotate("test", "1-a", *day)
        assert [each["md5"] for each in claimed] == [row["md5"]]
        metadata = {
            "algo_name": "test",
            "algo_version": "1-a",
            **{key: row[key] for key in ("device", "datetime", "md5")},
        }
        client.put_uid_annotations([{"annotations": found, "metadata": metadata}])
        by_key, by_range = client.get_uid_annotations(claimed), client.get_uid_annotations_series(*day)
        assert by_key == by_range
        assert json.loads(by_key[0]["json"])["annotations"] == found
        assert "json" not in client.get_uid_annotations(claimed, "metadata")[0]


def test_accounts(live):
    with live.client() as client:
        client.put_users([{"username": "maria", "password": "another password", "can_write": False}])
        assert [user["username"] for user in client.get_users([{"username": "mar%"}])] == ["maria"]
        with SpiClient(live.url, "maria", "another password") as reader, pytest.raises(errors.Forbidden):
            reader.delete_users([{"username": "maria"}])
        assert len(client.delete_users([{"username": "maria"}])) == 1
    with SpiClient(live.url, "maria", "wrong") as client, pytest.raises(errors.Unauthorized):
        client.get_users()


def test_a_bundle_goes_up_and_comes_down(live, tmp_path):
    files = {
        "config/config.yaml": b"a: 1",
        "output/model_final.pth": bytes(range(256)) * 80_000,  # 20 MB: more than one part
        "output/.version.txt": b"1-a",
        "data/.cache/x.jpg": b"ignored",
        "notes.md": b"ignored",
    }
    for key, data in files.items():
        (tmp_path / "up" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / key).write_bytes(data)
    with live.client() as client:
        sent = client.upload_bundle("test-bundle", tmp_path / "up")
        assert [path.name for path in sent] == ["config.yaml", "model_final.pth", ".version.txt"]
        assert client.upload_bundle("test-bundle", tmp_path / "up") == []
        got = client.download_bundle("test-bundle", tmp_path / "down")
        assert [path.name for path in got][-1] == ".version.txt"
        for path in got:
            assert path.read_bytes() == files[path.relative_to(tmp_path / "down").as_posix()]
        assert client.download_bundle("test-bundle", tmp_path / "down") == []
        assert sorted(path.name for path in (tmp_path / "down").rglob(".*.part")) == []


def test_bundle_keys_cannot_leave_the_folder(connect, tmp_path):
    for key in ("../evil", "/etc/evil", "a\\..\\evil"):
        client, _ = connect(Wire(ok([{"key": key, "md5": "", "mtime": 1.0, "url": "http://127.0.0.1:1/"}])))
        with pytest.raises(errors.InvalidInput, match="outside"):
            client.download_bundle("b", tmp_path)


def test_a_damaged_download_leaves_nothing_and_is_tried_again(connect, tmp_path):
    client, pauses = connect(Wire((200, {}, b"damaged"), (200, {"Content-Length": "9"}, b"cut"), (200, {}, b"whole")))
    url = client.url + "/files/a"
    client.download(url, tmp_path / "a", md5=md5(b"whole").hexdigest())
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert len(pauses) == 2
    with pytest.raises(errors.Unavailable, match="damaged"):
        client.download(url, tmp_path / "b", md5="0" * 32)
    with pytest.raises(errors.Unavailable, match="damaged"):
        client.fetch(url, md5="0" * 32)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_links_are_asked_without_our_password(connect, tmp_path):
    wire = Wire((200, {}, b"picture"))
    client, _ = connect(wire)
    client.fetch(client.url + "/files/a")
    assert "Authorization" not in wire.requests[0][2]


@pytest.mark.parametrize("size", [0, 1, 8 << 20, (8 << 20) + 1, 15 << 20, (15 << 20) + 1])
def test_checksums_are_those_of_s3(tmp_path, size):
    data = bytes(size)
    (tmp_path / "f").write_bytes(data)
    sums = checksums_of(tmp_path / "f")

    def etag(part):
        parts = [md5(data[start : start + part]) for start in range(0, size, part)]
        if len(parts) < 2:
            return md5(data).hexdigest() if size else ""
        return f"{md5(b''.join(each.digest() for each in parts)).hexdigest()}-{len(parts)}"

    assert (sums.size, sums.md5) == (size, md5(data).hexdigest())
    assert (sums.etag_8m, sums.etag_15m) == (etag(8 << 20), etag(15 << 20))
    in_pieces = ChecksumWriter()
    for start in range(0, size, 3_000_001):
        in_pieces.write(data[start : start + 3_000_001])
    assert in_pieces.result() == sums


def test_times_with_a_zone_select_the_same_images(live):
    (name, data) = next(iter(pictures(1, "0000b000").items()))
    with live.client() as client:
        client.upload_image(name, data)
        start = START.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=-8)))
        assert len(client.get_image_series("0000b000", start, start + timedelta(seconds=1))) == 1
