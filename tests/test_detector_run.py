"""`spi-dash detector run`, and the detector beside `spi-dash serve`."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from live import ADMIN, PASSWORD, live_server, pictures

from spi_dash.cli import main, sidecar
from spi_dash.client import SpiClient
from spi_dash.clock import utcnow
from spi_dash.config import Config
from spi_dash.demo import demo_pictures, tiny_picture
from spi_dash.models import UidAnnotation, UidIntent
from spi_dash.services import claims, detection

START = datetime(2022, 6, 1, 12)
EVER = (datetime(2000, 1, 1), datetime(2100, 1, 1))


@pytest.fixture
def live(tmp_path):
    with live_server(tmp_path / "data") as server:
        yield server


@pytest.fixture
def start():
    """Start commands in processes of their own; what is left of them is killed in the end."""
    processes = []

    def process(*arguments, **environ):
        command = [sys.executable, "-m", "spi_dash", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, env={**os.environ, **environ}, **pipes))
        return processes[-1]

    yield process
    for each in processes:
        each.kill()
        each.communicate()


def wait_for(condition, seconds=90):
    give_up_at = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    return found


def season(n):
    """Pictures of drawn cards, in the size of the first cameras."""
    found = demo_pictures(1, 1, START, START.replace(day=3))
    return {name: data for (name, data, _), _ in zip(found, range(n), strict=False)}


def test_the_reference_model_annotates_what_is_there(live, start):
    pytest.importorskip("torch")
    with live.client() as client:
        client.put_images(season(2))
        process = start("detector", "run", "--url", live.url, "--user", ADMIN, "--threads", 1, SPI_PASSWORD=PASSWORD)
        rows = wait_for(lambda: [*client.get_uid_annotations_series("%", *EVER, "metadata")][1:] or process.poll())
        assert process.poll() is None and rows
        first, second = client.get_uid_annotations_series("%", *EVER)
    assert first["algo_name"] == "universal-insect-detector" and first["algo_version"] == second["algo_version"]
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_two_sidecars_on_200_pictures_and_one_is_killed(live, start):
    """Real processes with the reference model; the pictures are of no camera's shape, and so looked at as they are."""
    pytest.importorskip("torch")
    wide = dict(tiny_picture("5c173ff2", START + timedelta(minutes=20 * i), (320, 200)) for i in range(200))
    command = ("detector", "run", "--url", live.url, "--user", ADMIN, "--threads", 1)

    def annotated():
        with live.spi.read() as session:
            return session.scalar(sa.select(sa.func.count(UidAnnotation.id)))

    def claimed():
        with live.spi.read() as session:
            return session.scalar(sa.select(sa.func.count(UidIntent.id)))

    with live.client() as client:
        client.put_images(wide)
        mortal, other = (start(*command, SPI_PASSWORD=PASSWORD) for _ in range(2))
        wait_for(lambda: {row.worker for row in _workers(live) if row.images_done} and len(_workers(live)) == 2)
        mortal.kill()
        mortal.wait()
        wait_for(lambda: annotated() + claimed() == 200 and annotated() >= 192)
        with live.spi.begin() as session:
            claims.end_expired_claims(session, utcnow() + claims.LEASE + timedelta(seconds=1))
        wait_for(lambda: annotated() == 200)
        rows = client.get_uid_annotations_series("%", *EVER, "metadata")
    assert other.poll() is None and Counter(row["parent_image_id"] for row in rows).most_common(1)[0][1] == 1
    assert len(rows) == 200 and claimed() == 0


def _workers(live):
    with live.spi.read() as session:
        return detection.list_workers(session, utcnow())


def test_serve_runs_a_detector_until_it_stops(start, tmp_path):
    pytest.importorskip("torch")
    secrets = {"API_ADMIN_PASSWORD": PASSWORD, "UID_PASSWORD": PASSWORD}
    process = start("serve", "--data", tmp_path / "data", "--port", 0, **secrets)
    url = re.search(r"http://[0-9.:]+", process.stdout.readline()).group()
    with SpiClient(url, ADMIN, PASSWORD, sleep=lambda _: None) as client:
        client.put_images(pictures(1))
        (row,) = wait_for(lambda: client.get_uid_annotations_series("%", *EVER, "metadata"))
    assert row["algo_name"] == "universal-insect-detector"
    children = children_of(process.pid)
    assert len(children) == 1 and PASSWORD not in Path(f"/proc/{children[0]}/cmdline").read_text()
    process.terminate()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and out.endswith("Spi Dash has stopped.\n")
    assert not os.path.exists(f"/proc/{children[0]}")


def children_of(pid):
    return [int(child) for task in os.listdir(f"/proc/{pid}/task") for child in _children(pid, task)]


def _children(pid, task):
    return Path(f"/proc/{pid}/task/{task}/children").read_text().split()


def test_a_wrong_password_is_one_sentence(live, start):
    pytest.importorskip("torch")
    process = start("detector", "run", "--url", live.url, "--user", ADMIN, SPI_PASSWORD="wrong password")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in said and said.splitlines()[-1].startswith("Error: ")


def test_without_a_password_it_does_not_start(monkeypatch):
    pytest.importorskip("torch")
    for name in ("SPI_PASSWORD", "UID_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    result = CliRunner().invoke(main, ["detector", "run", "--url", "http://127.0.0.1:9", "--user", "x"])
    for number, handler in before.items():
        signal.signal(number, handler)
    assert result.exit_code == 1 and "SPI_PASSWORD or UID_PASSWORD" in result.stderr


def test_where_the_password_comes_from(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from spi_dash.detector.commands import read_password

    (tmp_path / "secret").write_text("of the file\nsecond line\n")
    monkeypatch.setenv("UID_PASSWORD", "of uid")
    monkeypatch.delenv("SPI_PASSWORD", raising=False)
    assert read_password(tmp_path / "secret") == "of the file" and read_password(None) == "of uid"
    monkeypatch.setenv("SPI_PASSWORD", "of spi")
    assert read_password(None) == "of spi"


def test_a_bundle_is_downloaded_once_per_version(tmp_path):
    pytest.importorskip("torch")
    from spi_dash.detector.bundle import REFERENCE, Bundle, read_version
    from spi_dash.detector.sidecar import make_loader
    from spi_dash.errors import InvalidInput

    reference = read_version(Bundle(REFERENCE))
    mine = "1-" + reference.partition("-")[2]
    asked, name = [], "mine"

    def download_bundle(bundle, folder, what):
        asked.append((bundle, folder, what))
        shutil.copytree(REFERENCE, folder, dirs_exist_ok=True)
        Bundle(folder).version_file.write_text(mine)

    load = make_loader(SimpleNamespace(download_bundle=download_bundle), lambda: name, tmp_path, "cpu")
    assert load(reference).version == reference and asked == []
    assert load(mine).version == mine and asked == [("mine", tmp_path / mine, "model")]
    with pytest.raises(InvalidInput, match="the bundle mine is"):
        load("2-other")
    with pytest.raises(InvalidInput, match="no version"):
        load("../escape")
    name = None
    with pytest.raises(InvalidInput, match="reference model of this program"):
        load(mine)


def test_it_ends_with_its_parent(tmp_path):
    pytest.importorskip("torch")
    from spi_dash.detector.sidecar import make_client, make_worker

    with make_client("http://127.0.0.1:9", "x", "y") as client:
        for parent, ends in ((None, False), (os.getppid(), False), (os.getppid() + 1, True)):
            assert make_worker(client, tmp_path, "cpu", threading.Event(), parent).stopped() is ends


def test_a_detector_that_dies_is_started_again_with_growing_pauses(tmp_path, caplog):
    log, asked = tmp_path / "starts", threading.Event()
    code = f"open({str(log)!r}, 'a').write('x'); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    arguments = ([sys.executable, "-c", code], dict(os.environ), asked, 0.01)
    thread = threading.Thread(target=sidecar.keep_running, args=arguments, daemon=True)
    thread.start()
    wait_for(lambda: len(caplog.messages) >= 3)
    asked.set()
    thread.join(10)
    assert not thread.is_alive() and len(log.read_text()) >= 3
    assert caplog.messages[0] == (
        "the detector was killed by SIGKILL, maybe because memory ran out; it starts again in 0.01 s"
    )
    assert caplog.messages[2].endswith("again in 0.04 s")


def test_a_detector_that_does_not_listen_is_killed(monkeypatch, caplog):
    monkeypatch.setattr(sidecar, "STOP_WITHIN_S", 0.05)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        process.stdout.readline()
        sidecar._end(process)
    assert process.returncode == -signal.SIGKILL and "was killed" in caplog.messages[0]


def test_without_torch_a_sentence_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sidecar, "EXTRA", ("no_such_library",))
    asked = threading.Event()
    config = Config.from_env({"SPI_DATA_DIR": str(tmp_path)})
    assert sidecar.start_detector(config, "http://127.0.0.1:9", asked, lambda: None) is asked
    assert "pip install 'spi-dash[detector]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, production, starts",
    [
        ([], False, True),
        (["--no-detector"], False, False),
        ([], True, False),
        (["--detector"], True, True),
    ],
)
def test_when_serve_starts_one(monkeypatch, tmp_path, arguments, production, starts):
    seen = []
    monkeypatch.setattr(sys.modules["spi_dash.cli.serve"], "serve_app", lambda config, detector: seen.append(detector))
    secrets = {"SECRET_API_KEY": "0123456789abcdef", "API_ADMIN_PASSWORD": PASSWORD, "UID_PASSWORD": PASSWORD}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    if production:
        for name in ("MYSQL_HOST", "MYSQL_DATABASE", "MYSQL_USER", "MYSQL_PASSWORD"):
            monkeypatch.setenv(name, "here")
    result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path), *arguments])
    assert result.exit_code == 0, result.output
    assert seen == [starts]
