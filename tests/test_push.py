"""spi-dash push: what it finds, what it sends, and how it ends."""

import csv
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from live import ADMIN, PASSWORD, live_server, pictures, scripted_server, write_all

from spi_dash import push as push_module
from spi_dash.cli import main
from spi_dash.client import SpiClient
from spi_dash.errors import Forbidden, Unavailable
from spi_dash.push import Outcome, Summary, find_pictures, push


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def send(live):
    """Push to the server; returns the summary and what was reported."""

    def run(*paths: Path, jobs: int = 4, client=None) -> tuple[Summary, list[Outcome]]:
        reported: list[Outcome] = []
        with client or live.client() as connected:
            summary = push(connected, paths, jobs=jobs, stop=threading.Event(), report=reported.append)
        return summary, reported

    return run


class FakeClient:
    """A server's answers without a server."""

    def __init__(self, upload):
        self.upload_image = upload
        self.asked = []

    def get_images(self, keys):
        self.asked.append(len(keys))
        return []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def accept(name, data):
    return {"id": None, "md5": name}


def counts(summary):
    return summary.uploaded, summary.there, summary.failed, summary.ignored


def test_a_card_is_uploaded_once(send, live, tmp_path):
    files = pictures(5, "00000001")
    write_all(tmp_path / "a" / "b" / "c", dict(list(files.items())[:3]))
    write_all(tmp_path / "a", dict(list(files.items())[3:]))
    (tmp_path / "readme.txt").write_text("x")
    (tmp_path / "a" / "._00000001.2022-05-01_00-00-00.jpg").write_bytes(b"x")
    summary, reported = send(tmp_path)
    assert counts(summary) == (5, 0, 0, 2)
    assert summary.complete
    assert summary.bytes_sent == sum(map(len, files.values()))
    assert len({outcome.path for outcome in reported}) == 7
    assert counts(send(tmp_path)[0]) == (0, 5, 0, 2)


def test_another_picture_of_the_same_moment_is_a_conflict(send, live, tmp_path):
    files = pictures(2, "00000002")
    first, second = files
    send(*write_all(tmp_path / "card", {first: files[first]}))
    summary, reported = send(*write_all(tmp_path / "other", {first: files[second]}))
    assert counts(summary) == (0, 0, 1, 0)
    assert "conflict" in reported[0].reason
    with live.client() as client:
        (row,) = client.get_image_series("00000002", *_day(), "image")
        assert client.fetch(row["url"]) == files[first]


def test_the_same_file_in_many_folders_is_sent_once(send, tmp_path):
    files = pictures(3, "00000003")
    for number in range(4):
        write_all(tmp_path / str(number), files)
    summary, _ = send(tmp_path)
    assert counts(summary) == (3, 9, 0, 0)


def test_differing_files_of_one_name_are_told(send, tmp_path):
    (first, data), (_, other) = pictures(2, "00000004").items()
    write_all(tmp_path / "a", {first: data})
    write_all(tmp_path / "b", {first: other})
    summary, reported = send(tmp_path)
    assert counts(summary) == (1, 0, 1, 0)
    assert [outcome.path.parent.name for outcome in reported if outcome.kind == "failed"] == ["b"]


def test_bad_files_are_failures_and_stop_nobody(send, tmp_path):
    files = pictures(4, "00000005")
    empty, cut, renamed, _ = files
    paths = write_all(tmp_path, {**files, empty: b"", cut: files[cut][:500]})
    (tmp_path / renamed).write_bytes(b"not a JPEG")
    summary, reported = send(tmp_path)
    assert counts(summary) == (1, 0, 3, 0)
    reasons = {outcome.path: outcome.reason for outcome in reported if outcome.kind == "failed"}
    assert "empty" in reasons[paths[0]]
    assert all(reasons[path] for path in paths[:3])


def test_a_file_that_was_named_must_be_a_picture(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    assert [found.kind for found in find_pictures([tmp_path / "notes.txt"])] == ["failed"]
    assert [found.kind for found in find_pictures([tmp_path])] == ["ignored"]


def test_links_pipes_and_deep_folders(tmp_path):
    (name, data) = next(iter(pictures(1).items()))
    write_all(tmp_path / "card", {name: data})
    (tmp_path / "card" / "loop").symlink_to(tmp_path / "card")
    os.mkfifo(tmp_path / "card" / "00000009.2022-05-01_00-00-00.jpg")
    deep = tmp_path / "card"
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    write_all(deep, {name: data})
    found = list(find_pictures([tmp_path]))
    assert sum(each.key is not None for each in found) == 2
    assert sum(each.kind == "ignored" and each.key is None for each in found) == 2


def test_files_that_vanish_or_change_are_failures(tmp_path, send, monkeypatch):
    vanishing, changing = write_all(tmp_path, pictures(2, "00000006"))
    real_fstat, grown = os.fstat, []

    def upload(name, data):
        raise AssertionError("nothing is to be sent")

    def get_images(keys):
        vanishing.unlink()
        return []

    def fstat(descriptor):
        if not grown and os.readlink(f"/proc/self/fd/{descriptor}") == str(changing):
            grown.append(changing.write_bytes(changing.read_bytes() + b"x"))
            return real_fstat(descriptor)
        return os.stat_result((*real_fstat(descriptor)[:6], 1, *real_fstat(descriptor)[7:]))

    client = FakeClient(upload)
    client.get_images = get_images
    monkeypatch.setattr(push_module.os, "fstat", fstat)
    summary, reported = send(tmp_path, client=client, jobs=1)
    assert counts(summary) == (0, 0, 2, 0)
    reasons = sorted(outcome.reason for outcome in reported)
    assert reasons == ["cannot be read: No such file or directory", "cannot be read: it changed while it was read"]


def test_it_asks_in_chunks_and_ends_when_the_server_has_gone(tmp_path, send):
    write_all(tmp_path, {f"{number:08x}.2022-05-01_00-00-00.jpg": b"x" for number in range(300)})
    client = FakeClient(accept)
    assert counts(send(tmp_path, client=client)[0]) == (300, 0, 0, 0)
    assert client.asked == [128, 128, 44]

    def gone(name, data):
        raise Unavailable("the server does not answer")

    summary, reported = send(tmp_path, client=FakeClient(gone))
    assert summary.stopped == "the server does not answer"
    assert 3 <= summary.failed == len(reported) <= 3 + 4

    def refuse(name, data):
        raise Forbidden("this user may not do that")

    summary, reported = send(tmp_path, client=FakeClient(refuse), jobs=1)
    assert (summary.stopped, summary.failed) == ("this user may not do that", 1)


def test_single_refusals_of_an_answering_server_do_not_end_the_run(tmp_path, send):
    write_all(tmp_path, {f"{number:08x}.2022-05-01_00-00-00.jpg": b"x" for number in range(20)})

    def moody(name, data):
        if int(name[:8], 16) % 2:
            raise Unavailable("the storage is full")
        return accept(name, data)

    assert counts(send(tmp_path, client=FakeClient(moody), jobs=1)[0]) == (10, 0, 10, 0)


def test_a_bug_is_not_swallowed(tmp_path, send):
    write_all(tmp_path, pictures(3))

    def crash(name, data):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send(tmp_path, client=FakeClient(crash))


def test_interrupting_finishes_what_is_under_way(tmp_path, send):
    write_all(tmp_path, {f"{number:08x}.2022-05-01_00-00-00.jpg": b"x" for number in range(200)})
    interrupted = threading.Event()

    def upload(name, data):
        if not interrupted.is_set():
            interrupted.set()
            os.kill(os.getpid(), signal.SIGINT)
        interrupted.wait()
        return accept(name, data)

    summary, reported = send(tmp_path, client=FakeClient(upload))
    assert summary.interrupted
    assert not summary.complete
    assert 0 < summary.uploaded == len(reported) < 200


def test_the_command(live, tmp_path, monkeypatch):
    files = pictures(3, "00000007")
    first = next(iter(files))
    write_all(tmp_path / "card", {**files, "notes.txt": b"x"})
    (tmp_path / "card" / first).write_bytes(b"not a JPEG")
    failures, password = tmp_path / "failures.csv", tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    where = ["push", str(tmp_path / "card"), "--url", live.url, "--user", ADMIN, "--failures", str(failures)]
    result = CliRunner().invoke(main, [*where, "--password-file", str(password)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == "2 uploaded, 0 there already, 1 failed, 1 other file ignored\n"
    assert "notes.txt" in result.stderr
    with failures.open(newline="") as file:
        header, row = csv.reader(file)
    assert header == ["file", "reason"]
    assert row[0].endswith(first)
    assert "JPEG" in row[1]
    (tmp_path / "card" / first).unlink()
    failures.unlink()
    monkeypatch.setenv("SPI_PASSWORD", PASSWORD)
    result = CliRunner().invoke(main, where)
    assert (result.exit_code, result.stdout) == (0, "0 uploaded, 2 there already, 0 failed, 1 other file ignored\n")
    assert not failures.exists()
    monkeypatch.delenv("SPI_PASSWORD")
    assert CliRunner().invoke(main, where, input=f"{PASSWORD}\n").exit_code == 0


def test_a_file_of_failures_that_cannot_be_written_is_told_before_anything_is_sent(live, tmp_path):
    write_all(tmp_path, pictures(1))
    where = ["push", str(tmp_path), "--url", live.url, "--user", ADMIN]
    result = CliRunner().invoke(main, [*where, "--failures", str(tmp_path / "missing" / "f.csv")])
    assert result.exit_code == 1
    assert result.stderr.endswith("f.csv cannot be written\n")


def test_a_wrong_password_is_one_sentence(live, tmp_path, monkeypatch):
    write_all(tmp_path, pictures(1))
    monkeypatch.setenv("SPI_PASSWORD", "wrong")
    result = CliRunner().invoke(main, ["push", str(tmp_path), "--url", live.url, "--user", ADMIN])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1


def test_ctrl_c_prints_the_summary(tmp_path):
    """The real command, in a process of its own, against a server that takes its time."""
    write_all(tmp_path, {f"{number:08x}.2022-05-01_00-00-00.jpg": b"x" for number in range(50)})
    begun, go = threading.Event(), threading.Event()

    def answer(path, body, headers):
        if path == "/get_token":
            return 200, {}, b'{"token": "t", "expiration": 9999999999}'
        if path != "/_put_new_images":
            return 200, {}, b"[]"
        begun.set()
        go.wait(10)
        return 409, {}, b'{"error": {"code": "conflict", "message": "is already stored", "details": {}}}'

    with scripted_server(answer) as url:
        command = [sys.executable, "-m", "spi_dash", "push", str(tmp_path), "--url", url, "--user", "a", "--jobs", "2"]
        environ = {**os.environ, "SPI_PASSWORD": "x"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([*command, "--failures", str(tmp_path / "f.csv")], env=environ, **pipes) as process:
            assert begun.wait(20)
            process.send_signal(signal.SIGINT)
            go.set()
            stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    failed = int(re.fullmatch(r"0 uploaded, 0 there already, (\d+) failed\n", stdout).group(1))
    assert 1 <= failed < 50
    assert "Interrupted" in stderr
    assert "Traceback" not in stderr


def test_memory_does_not_grow_with_the_card():
    """The walk and the chunks are lazy: nothing is read ahead of what is asked for."""
    seen = []

    def endless():
        for number in range(10_000):
            seen.append(number)
            yield push_module.Found(Path(f"{number}"), None, "x")

    chunks = push_module._chunks(endless())
    next(chunks)
    assert len(seen) == push_module.KEYS_PER_REQUEST


def _day():
    from datetime import timedelta

    from live import START

    return START, START + timedelta(days=1)


def test_the_client_of_the_command_waits_interruptibly():
    stop = threading.Event()
    stop.set()
    client = SpiClient("http://127.0.0.1:9", "a", "b", sleep=stop.wait, retries=2)
    with client, pytest.raises(Unavailable):
        client.get_users()
