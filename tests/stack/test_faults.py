"""What happens when something stops while the server runs: refusals that say so, nothing lost, and it goes on alone."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import md5

import pytest
import sqlalchemy as sa
from live import ADMIN, PASSWORD, live_server, pictures, plain_session, wait_until
from stack.proxy import wire_to
from stack.servers import database_variables, s3_variables

from spi_dash import db
from spi_dash.breaker import Breaker
from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.errors import SpiError, Unavailable
from spi_dash.services.check import check
from spi_dash.services.check_report import Options
from spi_dash.storage import S3Storage

pytestmark = pytest.mark.stack


def refusal(answer):
    """The message of an answer that says to come back."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert set(answer.json()) == {"error"}
    assert answer.json()["error"]["code"] == "unavailable"
    return answer.json()["error"]["message"]


def test_mariadb_is_killed_and_comes_back(tmp_path, own_mariadb):
    """Callers that never pause: each gets an answer or 503 with the time to wait, and nothing acknowledged is lost."""
    files, lock = pictures(400), threading.Lock()
    names, acknowledged, statuses, done = iter(files), [], Counter(), threading.Event()
    variables = database_variables(own_mariadb.url)
    with live_server(tmp_path / "data", **variables) as live, plain_session() as session:

        def upload():
            with live.client(retries=0) as client:
                while not done.is_set():
                    with lock:
                        name = next(names)
                    status = 200
                    try:
                        client.upload_image(name, files[name])
                        acknowledged.append(name)
                    except SpiError as error:
                        status = error.status
                    with lock:
                        statuses[status] += 1

        with ThreadPoolExecutor(3) as pool:
            workers = [pool.submit(upload) for _ in range(3)]
            try:
                wait_until(lambda: statuses[200] > 20)
                own_mariadb.kill()
                login = (ADMIN, PASSWORD)
                for path in ("get_users", "get_token", "get_images/metadata", "_put_new_images"):
                    assert "database" in refusal(session.post(f"{live.url}/{path}", json=[], auth=login)), path
                assert "database" in refusal(session.get(f"{live.url}/readyz"))
                assert session.get(f"{live.url}/healthz").status_code == 200
                assert "spi_database_up 0.0" in session.get(f"{live.url}/metrics").text
                wait_until(lambda: statuses[503] > 3)
                own_mariadb.start()
                before = statuses[200]
                wait_until(lambda: statuses[200] > before + 20)
            finally:
                done.set()
            for worker in workers:
                worker.result()
        assert set(statuses) == {200, 503}, statuses
        assert session.get(f"{live.url}/readyz").status_code == 200
        report = look(live.spi)
        assert set(report.found) <= {"stray"}  # never acknowledged; another attempt replaces them
        with live.client() as client:
            keys = [{"device": name[:8], "datetime": name[9:28]} for name in acknowledged]
            rows = client.get_images(keys, "image")
            found = sorted(client.fetch(row["url"], row["md5"]) for row in rows)
        assert found == sorted(files[name] for name in acknowledged)


@pytest.mark.parametrize("fault", ["refuses", "resets", "hangs"])
def test_s3_goes_and_comes_back(tmp_path, rgw, monkeypatch, fault):
    """Uploads are refused within the limits and leave no row; what needs no file is answered, and it goes on alone."""
    monkeypatch.setattr("spi_dash.storage.s3_clients.READ_TIMEOUT_S", 3)  # or the test takes a minute
    monkeypatch.setattr("spi_dash.storage.s3_clients.CHECK_TIMEOUT_S", 1)
    make_bucket(rgw, f"fault-{fault}")
    files = pictures(12)
    (first, data), *others = files.items()
    with wire_to(rgw.host) as wire, plain_session() as session:
        variables = s3_variables(rgw, f"fault-{fault}", f"http://127.0.0.1:{wire.port}")
        with live_server(tmp_path, **variables) as live, live.client(retries=0) as client:
            client.upload_image(first, data)
            wire.set(fault)
            began = time.monotonic()
            for name, other in others[:2]:
                answer = session.post(
                    f"{live.url}/_put_new_images", files={name: (name, other)}, auth=(ADMIN, PASSWORD)
                )
                assert "object storage" in refusal(answer)
            assert "storage" in refusal(session.get(f"{live.url}/readyz"))
            assert time.monotonic() - began < 10
            rows = client.get_images([{"device": name[:8], "datetime": name[9:28]} for name in files])
            assert [row["md5"] for row in rows] == [md5(data).hexdigest()]
            wire.set("up")
            upload_in_the_end(client, others)
            assert session.get(f"{live.url}/readyz").status_code == 200
            report = look(live.spi)
            assert (report.images, dict(report.found)) == (len(files), {})


def make_bucket(rgw, name):
    with closing(rgw.client()) as s3:
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="first")  # which takes the gateway seconds


def ask_at_once(pool, url, calls):
    """Answers of a server with four threads to these calls, and how long each of them took."""

    def ask(call):
        method, path, options = call
        with plain_session() as session:
            began = time.monotonic()
            answer = session.request(method, f"{url}/{path}", timeout=60, **options)
            return answer, time.monotonic() - began

    return [pool.submit(ask, call) for call in calls]


def test_a_hanging_s3_server_leaves_threads_for_everything_else(tmp_path, rgw, own_mariadb, monkeypatch):
    monkeypatch.setattr("spi_dash.storage.s3_clients.READ_TIMEOUT_S", 4)
    make_bucket(rgw, "fault-busy")
    (first, data), *others = pictures(13).items()
    login = {"auth": (ADMIN, PASSWORD)}
    uploads = [("POST", "_put_new_images", login | {"files": {name: (name, other)}}) for name, other in others]
    with wire_to(rgw.host) as wire, ThreadPoolExecutor(12) as pool:
        variables = database_variables(own_mariadb.url)
        variables |= s3_variables(rgw, "fault-busy", f"http://127.0.0.1:{wire.port}")
        with (
            live_server(tmp_path / "data", **variables) as live,
            live.client(retries=0) as client,
            plain_session() as session,
        ):
            client.upload_image(first, data)
            wire.set("hangs")
            refused = ask_at_once(pool, live.url, uploads)
            wait_until(lambda: any(each.done() for each in refused))
            began = time.monotonic()
            assert session.get(f"{live.url}/healthz").status_code == 200
            assert len(client.get_images([{"device": first[:8], "datetime": first[9:28]}])) == 1
            assert session.get(f"{live.url}/sign-in").status_code == 200
            assert time.monotonic() - began < 4
            answers = [each.result() for each in refused]
            assert all("object storage" in refusal(answer) for answer, _ in answers)
            assert max(took for _, took in answers) < 12
            [(answer, took)] = [each.result() for each in ask_at_once(pool, live.url, uploads[:1])]
            assert refusal(answer) and took < 4  # while it is known to hang nobody waits
            wire.set("up")
            upload_in_the_end(client, others)
            report = look(live.spi)
            assert (report.images, dict(report.found)) == (13, {})


def test_a_hanging_database_is_known_to_hang_and_comes_back(tmp_path, own_mariadb, monkeypatch):
    monkeypatch.setattr("spi_dash.engines.READ_S", 3)
    (first, data), *others = pictures(5).items()
    login = {"auth": (ADMIN, PASSWORD)}
    with wire_to(f"http://127.0.0.1:{own_mariadb.port}") as wire, ThreadPoolExecutor(12) as pool:
        variables = database_variables(own_mariadb.url) | {"MYSQL_HOST": f"127.0.0.1:{wire.port}"}
        with (
            live_server(tmp_path / "data", **variables) as live,
            live.client(retries=0) as client,
            plain_session() as session,
        ):
            client.upload_image(first, data)
            wire.set("hangs")
            refused = ask_at_once(pool, live.url, [("POST", "get_users", login | {"json": []})] * 12)
            wait_until(lambda: any(each.done() for each in refused))
            began = time.monotonic()
            assert session.get(f"{live.url}/healthz").status_code == 200
            assert time.monotonic() - began < 3
            assert all("database" in refusal(each.result()[0]) for each in refused)
            assert max(each.result()[1] for each in refused) < 15
            wire.set("up")
            upload_in_the_end(client, others)
            wire.set("resets")
            assert "database" in refusal(session.post(f"{live.url}/get_users", json=[], auth=(ADMIN, PASSWORD)))
            wire.set("up")
            assert session.post(f"{live.url}/get_users", json=[], auth=(ADMIN, PASSWORD)).status_code == 200
            assert (look(live.spi).images, session.get(f"{live.url}/readyz").status_code) == (5, 200)


def test_a_slow_line_to_the_s3_server_is_no_hanging_one(rgw, monkeypatch):
    """Each piece has its time, not the whole: also where the whole takes several times as long."""
    for name in ("CONNECT_TIMEOUT_S", "PATIENT_S"):
        monkeypatch.setattr(f"spi_dash.storage.s3_clients.{name}", 0.5)
    make_bucket(rgw, "fault-slow")
    with wire_to(rgw.host) as wire:
        host, keys = f"http://127.0.0.1:{wire.port}", (rgw.access_key, rgw.secret_key)
        storage = S3Storage(host, "fault-slow", *keys, b"", breaker=Breaker("the store", 4))
        with closing(storage):
            storage.check()
            wire.set("slow")
            large = os.urandom(14 << 20)
            storage.put("large", large)
            assert storage.get("large") == large


def test_mariadb_ends_what_takes_too_long_but_no_list_and_no_command(mariadb_url, monkeypatch):
    monkeypatch.setattr("spi_dash.engines.STATEMENT_S", 1)
    slow = sa.select(sa.literal_column("SLEEP(1.5)"))
    for_requests, for_commands = db.connect(mariadb_url, Breaker("the database", 4)), db.connect(mariadb_url)
    try:
        with pytest.raises(Unavailable, match="takes too long"), for_requests.read() as session:
            session.execute(slow)
        with for_requests.read() as session:
            assert session.execute(slow.execution_options(yield_per=10)).all() == [(0,)]
        with for_commands.read() as session, for_requests.patient() as patient, patient.read() as other:
            assert session.scalar(slow) == other.scalar(slow) == 0
    finally:
        for each in (for_requests, for_commands):
            each.engine.dispose()


def look(spi):
    """What `spi-dash check` says."""
    return check(spi.begin, spi.read, spi.storage, Options(now=utcnow()), note=lambda problem: None)


def upload_in_the_end(client, files):
    """Each of them, tried again as long as it is refused for now."""

    def is_taken(name, data):
        try:
            client.upload_image(name, data)
        except Unavailable:
            return False
        return True

    for name, data in files:
        wait_until(lambda name=name, data=data: is_taken(name, data), every_s=0.3)


def test_a_slow_upload_is_finished_before_the_server_ends(tmp_path):
    environ = {**os.environ, "API_ADMIN_PASSWORD": PASSWORD}
    command = [sys.executable, "-m", "spi_dash", "serve", "--data", str(tmp_path), "--port", "0", "--no-detector"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        url = server.stdout.readline().split()[-1]
        (name, data), *_ = pictures(1).items()
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
        body = head + data + b"\r\n--b--\r\n"
        login = b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
        request = (
            f"POST /_put_new_images HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nExpect: 100-continue\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(request.encode())
            assert b"100 Continue" in connection.recv(1000)  # the server has begun to read it
            connection.sendall(body[:1000])
            server.send_signal(signal.SIGTERM)
            connection.sendall(body[1000:])
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.wait(20) == 0
    with live_server(tmp_path) as live, SpiClient(live.url, ADMIN, PASSWORD) as client:
        assert len(client.get_images([{"device": name[:8], "datetime": name[9:28]}])) == 1
