"""The phone that harvests traps, over real connections: many calls at once, lost power, and no sign-in yet."""

import base64
import hashlib
import json
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from live import ADMIN, PASSWORD, START, live_server, pictures, plain_session, wait_until

from spi_dash.clock import LEGACY
from spi_dash.demo import tiny_picture

BOUNDARY = "*****1650000000000*****"
USER, USER_PASSWORD = "harvester", "of the field"
DEVICE = "5c173ff2"


class Phone:
    """As the app calls: no port but the URL's own, a token polled for each second, the password for each upload."""

    def __init__(self, url: str, user: str = USER, password: str = USER_PASSWORD) -> None:
        self.url, self.user, self.password, self.token = url, user, password, "null"

    def post(self, endpoint, payload, user, password=""):
        headers = {"Content-Type": "application/json;charset=UTF-8", "Accept": "application/json"}
        with plain_session() as session:
            return session.post(f"{self.url}/{endpoint}", json.dumps(payload), headers=headers, auth=(user, password))

    def get_token(self):
        answer = self.post("get_token", {}, self.token)
        if answer.status_code == 401:
            answer = self.post("get_token", {}, self.user, self.password)
        answer.raise_for_status()
        self.token = answer.json()["token"]
        return answer.json()

    def find(self, name):
        device, taken_at, _ = name.split(".")
        answer = self.post("get_images/metadata", [{"device": device, "datetime": taken_at}], self.token)
        answer.raise_for_status()
        return answer.json()

    def upload(self, name, data):
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Connection": "Keep-Alive"}
        with plain_session() as session:
            auth = (self.user, self.password)
            return session.post(f"{self.url}/_put_new_images", form_of(name, data), headers=headers, auth=auth)

    def upload_until(self, name, data, n_bytes):
        """The first bytes of an upload, and no more: the phone is off."""
        body, parts = form_of(name, data), urlsplit(self.url)
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        head = (
            f"POST /_put_new_images HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Basic {credentials}\r\n"
            f"User-Agent: Android Multipart HTTP Client 1.0\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        ).encode()
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall((head + body)[: n_bytes if n_bytes >= 0 else len(head + body) + n_bytes])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no farewell


def form_of(name, data):
    md5 = hashlib.md5(data).hexdigest()
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
        f"Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\n\r\n".encode()
        + data
        + f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}.md5"\r\n'
        f"Content-Type: application/json\r\n\r\n{md5}\r\n--{BOUNDARY}--\r\n".encode()
    )


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("phone") / "data") as server:
        with server.client() as client:
            client.put_users([{"username": USER, "password": USER_PASSWORD}])
        yield server


@pytest.fixture
def phone(live):
    yield Phone(live.url)
    with live.client() as client:
        client.delete_images(client.get_image_series())


def stored_files(live):
    return sorted(path.name for path in (live.data_dir / "files").rglob("*") if path.is_file())


def test_the_first_call_has_no_token_and_no_password(live, phone):
    for user, password in (("null", ""), ("", ""), ("null", "null"), (USER, ""), ("None", "")):
        answer = phone.post("get_token", {}, user, password)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    assert set(phone.get_token()) == {"token", "expiration"}


def test_a_phone_that_has_no_token_is_not_slowed_down(phone):
    """It asks each second, whatever it was told before."""
    answers = {phone.post("get_token", {}, "null").status_code for _ in range(60)}
    assert answers == {401}
    ends = [phone.get_token()["expiration"] for _ in range(20)]
    assert ends == sorted(ends) and phone.find(f"{DEVICE}.2022-05-01_00-00-00.jpg") == []


def test_sixteen_calls_and_eight_uploads_at_once(live, phone):
    phone.get_token()
    sent = pictures(24)
    with ThreadPoolExecutor(24) as pool:
        uploads = [pool.submit(phone.upload, name, data) for name, data in sent.items()]
        finds = [pool.submit(phone.find, name) for name in [*sent, *sent]]
        tokens = [pool.submit(phone.get_token) for _ in range(16)]
    assert [each.result().status_code for each in uploads] == [200] * 24
    md5s = [hashlib.md5(data).hexdigest() for data in sent.values()]
    assert [each.result().json()[0]["md5"] for each in uploads] == md5s
    assert all(isinstance(each.result(), list) for each in finds)
    assert all(isinstance(each.result()["expiration"], int) for each in tokens)
    assert [phone.find(name)[0]["md5"] for name in sent] == md5s
    assert datetime.strptime(phone.find(next(iter(sent)))[0]["datetime"], LEGACY) == START


# waitress leaves the temporary file of a body that never ends to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("n_bytes", [30, 340, 460, 700, 2_000, 600_000, -300, -60, -2])
def test_power_lost_in_an_upload(live, phone, n_bytes):
    """Nothing half is stored, whichever the byte at which the connection is cut, and the next attempt works."""
    (name, data), *_ = pictures(1).items()
    phone.upload_until(name, data + bytes(1 << 20), n_bytes)  # zeros after the end are taken
    phone.get_token()
    assert phone.find(name) == [] and stored_files(live) == []
    assert phone.upload(name, data).json()[0]["md5"] == hashlib.md5(data).hexdigest()
    assert len(stored_files(live)) == 3


def test_power_lost_before_the_answer(live, phone):
    """All was sent: it is stored whole or not at all, and the phone finds out which."""
    (name, data), *_ = pictures(1).items()
    phone.upload_until(name, data, 1 << 30)
    phone.get_token()
    again = phone.upload(name, data)
    assert again.status_code in (200, 409)
    (row,) = phone.find(name)
    assert row["md5"] == hashlib.md5(data).hexdigest()
    wait_until(lambda: len(stored_files(live)) == 3)  # the other of the two tidies up after its answer


def test_the_same_picture_from_eight_phones_at_once(live, phone):
    (name, data), *_ = pictures(1).items()
    start = threading.Barrier(8)

    def send(_number):
        start.wait()
        return phone.upload(name, data).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(send, range(8)))
    assert statuses == [200] + [409] * 7
    assert len(stored_files(live)) == 3


def test_another_picture_of_the_same_moment_is_refused_and_the_first_kept(live, phone):
    taken_at = START + timedelta(days=1)
    (name, first), (_, second) = tiny_picture(DEVICE, taken_at, T=10), tiny_picture(DEVICE, taken_at, T=30)
    phone.get_token()
    assert phone.upload(name, first).status_code == 200
    answer = phone.upload(name, second)
    assert answer.status_code == 409 and "md5" not in answer.json()
    assert phone.find(name)[0]["md5"] == hashlib.md5(first).hexdigest()


def test_an_admin_s_phone_is_as_good(live, phone):
    (name, data), *_ = pictures(1).items()
    assert Phone(live.url, ADMIN, PASSWORD).upload(name, data).status_code == 200
