"""The client on a directory: like a server, without one."""

import subprocess
import sys

import pytest
from live import live_server, pictures

from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.config import Config
from spi_dash.errors import Forbidden, Unauthorized, Unavailable, UnsupportedMedia
from spi_dash.local import LocalSpi
from spi_dash.services import users


def test_a_directory_is_made_used_and_left_clean(tmp_path):
    sent = pictures(3)
    with LocalSpi(tmp_path / "a" / "lab") as client:
        assert [user["username"] for user in client.get_users()] == ["admin", "spi_uid"]
        assert len(client.put_images(sent)) == 3
        rows = client.get_image_series(what="image")
        assert [client.fetch(row["url"], row["md5"]) for row in rows] == list(sent.values())
        with pytest.raises(UnsupportedMedia, match="not a JPEG"):
            client.upload_image("5c173ff2.2022-06-01_00-00-00.jpg", b"no picture")
    assert sorted(path.name for path in client.directory.iterdir()) == ["files", "secrets.env", "spi.db"]
    with LocalSpi(tmp_path / "a" / "lab") as client:
        assert len(client.get_image_series()) == 3
        assert len(client.delete_images(rows)) == 3


def test_a_bundle_goes_in_and_out(tmp_path):
    (tmp_path / "up" / "output").mkdir(parents=True)
    (tmp_path / "up" / "output" / "model_final.pth").write_bytes(bytes(20 << 20))
    with LocalSpi(tmp_path / "lab") as client:
        assert len(client.upload_bundle("b", tmp_path / "up")) == 1
        assert [path.stat().st_size for path in client.download_bundle("b", tmp_path / "down")] == [20 << 20]


def test_the_environment_is_not_looked_at(tmp_path, monkeypatch):
    for name in ("MYSQL_HOST", "S3_HOST", "API_ADMIN_NAME"):
        monkeypatch.setenv(name, "elsewhere")
    with LocalSpi(tmp_path) as client:
        assert client.get_users()[0]["username"] == "admin"


def test_a_server_finds_what_a_script_has_left(tmp_path):
    with LocalSpi(tmp_path) as client:
        client.put_images(pictures(2))
    with live_server(tmp_path) as server, LocalSpi(tmp_path) as client:
        client.put_images(pictures(1, "00000001"))
        secrets = Config.from_env({"SPI_DATA_DIR": str(tmp_path)})
        with SpiClient(server.url, "admin", secrets.admin_password) as remote:
            assert len(remote.get_image_series()) == 3


def test_links_of_others_are_refused(tmp_path):
    with LocalSpi(tmp_path) as client:
        with pytest.raises(Forbidden):
            client.fetch(f"{client.url}/files/raw_images/a.jpg?e=9999999999&s=x")
        with pytest.raises(Unavailable, match="cannot be reached"):
            client.fetch("http://127.0.0.1:1/elsewhere")


def test_an_admin_who_is_none_any_more_is_refused(tmp_path):
    with LocalSpi(tmp_path) as client:
        client.put_users([{"username": "x", "password": "a long password", "is_admin": True}])
        spi = client._spi
        with spi.begin() as session:
            kept = {"email": None, "disabled": False, "acting_user_id": 3, "now": utcnow()}
            users.update_user(session, 1, role="read_write_user", **kept)
        with pytest.raises(Unauthorized, match="no admin"):
            client._make_token()


def test_two_scripts_at_once(tmp_path):
    """Both make the directory, and write to it."""
    code = """
import sys
sys.path.insert(0, "tests")
from live import pictures
from spi_dash.local import LocalSpi
with LocalSpi(sys.argv[1]) as client:
    client.put_images(pictures(5, sys.argv[2]))
"""
    devices = ["0000000a", "0000000b", "0000000c"]
    arguments = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "lab")]
    processes = [subprocess.Popen([*arguments, device]) for device in devices]
    assert [process.wait() for process in processes] == [0, 0, 0]
    secrets = (tmp_path / "lab" / "secrets.env").read_text().splitlines()
    assert len(secrets) == 3
    with LocalSpi(tmp_path / "lab") as client:
        assert len(client.get_image_series()) == 15


def test_it_starts_without_the_pages():
    code = "import sys, spi_dash.local; sys.exit(', '.join({'dash', 'torch', 'pandas'} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
