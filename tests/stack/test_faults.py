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
from live import ADMIN, PASSWORD, live_server, pictures, plain_session
from stack.proxy import wire_to
from stack.servers import database_variables, s3_variables

from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.errors import SpiError
from spi_dash.services.check import check
from spi_dash.services.check_report import Options
from spi_dash.storage import DiskStorage

pytestmark = pytest.mark.stack


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(tmp_path, small_disk):
    (name, data), (second, more), *_ = pictures(2).items()
    with live_server(tmp_path / "data") as live, live.client(retries=0) as client:
        object.__setattr__(live.spi, "storage", DiskStorage(small_disk / "files", b"secret"))
        client.upload_image(name, data)
        with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(4096))
        with pytest.raises(SpiError, match="No space left") as failure:
            client.upload_image(second, more)
        assert (failure.value.status, failure.value.details["retry_after_s"]) == (503, 5)
        (small_disk / "filler").unlink()
        client.upload_image(second, more)
        rows = client.get_images([{"device": n[:8], "datetime": n[9:28]} for n in (name, second)], "image")
        assert len([client.fetch(row["url"], row["md5"]) for row in rows]) == 2


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


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_s3_goes_and_comes_back(tmp_path, rgw, monkeypatch, fault):
    """Uploads are refused within the limits and leave no row; what needs no file is answered, and it goes on alone."""
    monkeypatch.setattr("spi_dash.storage.s3.READ_TIMEOUT_S", 1)  # or the test takes a minute
    monkeypatch.setattr("spi_dash.storage.s3.CHECK_TIMEOUT_S", 1)
    with closing(rgw.client()) as s3:
        s3.create_bucket(Bucket=f"fault-{fault}")
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
            assert time.monotonic() - began < 15
            rows = client.get_images([{"device": name[:8], "datetime": name[9:28]} for name in files])
            assert [row["md5"] for row in rows] == [md5(data).hexdigest()]
            wire.set("up")
            for name, other in others:
                client.upload_image(name, other)
            assert session.get(f"{live.url}/readyz").status_code == 200
            report = look(live.spi)
            assert (report.images, dict(report.found)) == (len(files), {})


def look(spi):
    """What `spi-dash check` says."""
    return check(spi.begin, spi.read, spi.storage, Options(now=utcnow()), note=lambda problem: None)


def wait_until(condition, limit_s=30):
    """Other threads are at work meanwhile."""
    give_up_at = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_at, "it does not happen"
        time.sleep(0.01)


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
