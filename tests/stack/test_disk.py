"""A disk that is full or read-only, and copies that are cut short: refusals, nothing lost, and it goes on."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest
from click.testing import CliRunner
from live import ADMIN, PASSWORD, live_server, pictures, plain_session

from spi_dash.cli import main, web
from spi_dash.clock import utcnow
from spi_dash.errors import SpiError
from spi_dash.services.check import check
from spi_dash.services.check_report import Options
from spi_dash.storage import DiskStorage

pytestmark = pytest.mark.stack
LOGIN = (ADMIN, PASSWORD)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of a few megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def full(disk):
    """No byte more goes on this disk."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    yield
    (disk / "filler").unlink()


@contextmanager
def read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@pytest.mark.parametrize("fault, reason", [(full, "No space left"), (read_only, "Read-only file system")])
def test_files_that_cannot_be_written_are_refused_until_they_can(tmp_path, small_disk, fault, reason):
    (name, data), (second, more), *_ = pictures(2).items()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model_final.pth").write_bytes(os.urandom(300_000))
    with live_server(tmp_path / "data") as live, live.client(retries=0) as client:
        object.__setattr__(live.spi, "storage", DiskStorage(small_disk / "files", b"secret"))
        client.upload_image(name, data)
        with fault(small_disk):
            for call in (lambda: client.upload_image(second, more), lambda: client.upload_bundle("a-model", bundle)):
                with pytest.raises(SpiError, match=reason) as failure:
                    call()
                assert (failure.value.status, failure.value.details["retry_after_s"]) == (503, 5)
        client.upload_image(second, more)
        client.upload_bundle("a-model", bundle)
        assert everything_is_there(client, {name: data, second: more})


def everything_is_there(client, files):
    rows = client.get_images([{"device": name[:8], "datetime": name[9:28]} for name in files], "image")
    return sorted(client.fetch(row["url"], row["md5"]) for row in rows) == sorted(files.values())


@pytest.mark.parametrize("kept_in_memory", [True, False])
def test_database_files_and_temporary_files_on_one_full_disk(small_disk, monkeypatch, kept_in_memory):
    """With nginx before it or not: a body that waits in a temporary file is taken to its end, and refused."""
    monkeypatch.setenv("TMPDIR", str(small_disk))
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    if not kept_in_memory:
        monkeypatch.setitem(web.SETTINGS, "inbuf_overflow", 1000)
        monkeypatch.setattr("spi_dash.app.IN_MEMORY_MB", 0)
    files = pictures(4)
    (first, data), *others = files.items()
    with live_server(small_disk / "data") as live, live.client(retries=0) as client, plain_session() as session:
        client.upload_image(first, data)
        with full(small_disk):
            for name, other in others:
                answer = session.post(f"{live.url}/_put_new_images", files={name: (name, other)}, auth=LOGIN)
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable"), answer.text
                assert int(answer.headers["Retry-After"]) > 0
            assert session.get(f"{live.url}/healthz").status_code == 200
            assert len(client.get_images([{"device": first[:8], "datetime": first[9:28]}])) == 1
        for name, other in others:
            client.upload_image(name, other)
        assert everything_is_there(client, files)
        assert look(live.spi).found.keys() <= {"stray"}


def look(spi):
    """What `spi-dash check` says."""
    return check(spi.begin, spi.read, spi.storage, Options(now=utcnow()), note=lambda problem: None)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A stopped server with pictures, and the commands on it."""
    monkeypatch.setenv("API_ADMIN_PASSWORD", PASSWORD)
    data_dir = tmp_path / "lab"
    with live_server(data_dir) as live, live.client() as client:
        for name, data in pictures(4).items():
            client.upload_image(name, data)
        for number in range(200):
            live.spi.storage.put(f"ml/large/{number}", os.urandom(20_000))

    def run(*arguments):
        return CliRunner().invoke(main, [*map(str, arguments), "--data", str(data_dir)])

    run.data_dir = data_dir
    return run


def test_a_full_target_holds_no_backup_and_has_one_when_there_is_room(lab, small_disk):
    target = small_disk / "backups"
    with full(small_disk):
        failed = lab("backup", "--to", target, "--files")
        assert failed.exit_code == 1 and "No space left" in failed.stderr
    with (small_disk / "filler").open("wb") as filler:  # room for the database, not for the files
        filler.write(bytes(4 << 20))
    failed = lab("backup", "--to", target, "--files")
    assert failed.exit_code == 1 and "No space left" in failed.stderr
    assert list(target.rglob("manifest.json")) == []
    (small_disk / "filler").unlink()
    assert lab("backup", "--to", target, "--files").exit_code == 0
    assert "is whole" in lab("backup", "--to", target, "--check").output


KILLED = """
import os, signal, sys
from spi_dash.cli import main
from spi_dash.storage.disk import DiskStorage
rename, left = DiskStorage._rename, int(sys.argv.pop(1))
def count(storage, source, target):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(storage, source, target)
DiskStorage._rename = count
main()
"""


@pytest.mark.parametrize("step", [5, 100])
def test_a_killed_backup_is_none_and_the_next_one_tidies_up(lab, tmp_path, step):
    """Killed while it copies tables, and while it copies files."""
    target = tmp_path / "backups"
    arguments = ["backup", "--to", str(target), "--files", "--data", str(lab.data_dir)]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(step), *arguments], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    [begun] = target.glob("2*")
    begun.rename(target / "2026-01-01_00-00-00")  # not in this very second
    assert list(target.rglob("manifest.json")) == []
    assert "no backup" in lab("restore", target, "--replace", "--yes").stderr
    assert "another backup is being made" in lab("backup", "--to", target).stderr
    for mark in target.glob("*/running*"):
        os.utime(mark, (0, 0))  # an hour later
    made = lab("backup", "--to", target, "--files", "--keep", "1")
    assert made.exit_code == 0, made.output
    assert len(list(target.glob("2*"))) == 1 and "is whole" in lab("backup", "--to", target, "--check").output


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_damaged_backup_is_refused_by_the_name_of_the_file(lab, tmp_path):
    target = tmp_path / "backups"
    assert lab("backup", "--to", target, "--files").exit_code == 0
    before = rows(lab.data_dir / "spi.db")
    [table] = target.glob("2*/tables/images.jsonl.gz")
    content = sorted(target.glob("objects/*/*"))[0]
    for path in (table, content):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        failed = lab("restore", target, "--replace", "--yes")
        assert failed.exit_code == 1 and "damaged" in failed.stderr and path.name in failed.stderr, failed.stderr
        path.write_bytes(whole)
    assert rows(lab.data_dir / "spi.db") == before


def test_a_backup_while_pictures_arrive_has_the_file_of_every_row(tmp_path, monkeypatch):
    monkeypatch.setenv("API_ADMIN_PASSWORD", PASSWORD)
    files, stop, sent = iter(pictures(400).items()), threading.Event(), []
    with live_server(tmp_path / "lab") as live, live.client() as client:

        def upload():
            for name, data in files:
                if stop.is_set():
                    return
                client.upload_image(name, data)
                sent.append(name)

        sender = threading.Thread(target=upload)
        sender.start()
        try:
            while len(sent) < 5:
                time.sleep(0.01)
            arguments = ["backup", "--to", str(tmp_path / "b"), "--files", "--data", str(tmp_path / "lab")]
            made = CliRunner().invoke(main, arguments)
        finally:
            stop.set()
            sender.join()
        assert made.exit_code == 0, made.output
    assert CliRunner().invoke(main, ["restore", str(tmp_path / "b"), "--data", str(tmp_path / "new")]).exit_code == 0
    with live_server(tmp_path / "new") as live:
        report = look(live.spi)
        assert report.images >= 5 and set(report.found) <= {"stray"}, report.found
