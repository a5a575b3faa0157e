"""What happens when something stops while the server runs: refusals that say so, nothing lost, and it goes on alone."""

import os
import signal
import socket
import subprocess
import sys
from base64 import b64encode

import pytest
from live import ADMIN, PASSWORD, live_server, pictures

from spi_dash.client import SpiClient
from spi_dash.errors import SpiError
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
