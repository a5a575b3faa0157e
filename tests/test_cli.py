"""The commands, as people and scripts run them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner
from live import PASSWORD, live_server, pictures, plain_session, wait_until

from spi_dash.cli import main, web
from spi_dash.client import SpiClient
from spi_dash.config import Config
from spi_dash.errors import ConfigError

ENVIRON = {"API_ADMIN_PASSWORD": PASSWORD, "UID_PASSWORD": PASSWORD}
COMMANDS = [
    [],
    ["serve"],
    ["demo"],
    ["push"],
    ["fetch"],
    ["check"],
    ["backup"],
    ["restore"],
    ["db"],
    ["db", "upgrade"],
    ["users"],
    *(["users", verb] for verb in ("add", "list", "reset-password", "delete")),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command on a data directory of this test."""
    for name, value in {**ENVIRON, "SPI_DATA_DIR": str(tmp_path / "data")}.items():
        monkeypatch.setenv(name, value)

    def command(*arguments, **options):
        return CliRunner().invoke(main, [str(each) for each in arguments], **options)

    return command


@pytest.fixture
def start():
    """Start commands in processes of their own; each is killed in the end."""
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


def read_url(process):
    for line in process.stdout:
        if found := re.search(r"http://[0-9.:]+", line):
            return found.group()
    raise AssertionError(process.stderr.read())


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_reads_well(run, command):
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "..." not in re.sub(r"PATH\.\.\.|\[ARGS\]\.\.\.", "", result.output)
    assert all(len(line) <= 100 for line in result.output.splitlines())


def test_help_is_quick():
    heavy = "{'flask', 'dash', 'sqlalchemy', 'requests', 'waitress', 'PIL', 'pydantic', 'torch', 'pandas'}"
    code = f"import sys, spi_dash.cli; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_version(run):
    assert re.fullmatch(r"spi-dash, version \d+\.\d+\.\d+\n", run("--version").output)


@pytest.mark.parametrize("command", [["users", "list"], ["check"]])
def test_a_data_directory_that_is_not_there_is_one_sentence(run, tmp_path, command):
    result = run(*command, "--data", tmp_path / "typo")
    assert result.exit_code == 1
    assert result.stderr == f"Error: the data directory {tmp_path / 'typo'} does not exist\n"
    assert not (tmp_path / "typo").exists()
    (tmp_path / "empty").mkdir()
    assert "no database" in run(*command, "--data", tmp_path / "empty").stderr


def test_a_data_directory_that_cannot_be_used_is_one_sentence(run, tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run("serve", "--data", folder, "--port", 0)
        assert result.exit_code == 1
        assert re.fullmatch(r"Error: the data directory cannot be used: .*\n", result.stderr)


def test_bad_configuration_is_one_sentence(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SPI_THREADS", "many")
    result = run("serve")
    assert (result.exit_code, result.stderr) == (1, "Error: SPI_THREADS='many' is not a whole number\n")
    assert "no.env" in run("db", "upgrade", "--env-file", tmp_path / "no.env").stderr


def test_a_port_in_use_is_one_sentence(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("serve", "--port", port)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"port {port} of 127.0.0.1 is in use" in result.stderr


def test_an_address_of_another_machine_is_refused():
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(ConfigError):
            web.bind(host, 0)


def test_users(run, tmp_path):
    assert run("db", "upgrade").output == "The database is up to date.\n"
    assert run("db", "upgrade").exit_code == 0
    added = run("users", "add", "maria", "--role", "admin", "--email", "maria@example.org", "--generate")
    assert added.exit_code == 0, added.output
    assert re.search(r"Password: \S{16}", added.stdout)
    assert run("users", "add", "phone", "--password-stdin", input="a long password\n").exit_code == 0
    assert (
        run("users", "add", "reader", "--role", "read-only", input="a long password\na long password\n").exit_code == 0
    )
    listed = run("users", "list").stdout
    assert re.search(r"maria +admin +\d{4}-\d\d-\d\d  maria@example.org", listed)
    assert re.search(r"phone +read-write", listed)
    assert re.search(r"reader +read-only", listed)
    short = run("users", "reset-password", "phone", "--password-stdin", input="short\n")
    assert short.exit_code == 0
    assert "safer" in short.stderr
    assert run("users", "delete", "reader", input="n\n").exit_code == 1
    assert run("users", "delete", "reader", "--yes").exit_code == 0
    assert "reader" not in run("users", "list").stdout


def test_mistakes_with_users_are_one_sentence(run):
    run("db", "upgrade")
    run("users", "add", "maria", "--role", "admin", "--generate")
    for command in (
        ["users", "add", "maria", "--generate"],
        ["users", "reset-password", "nobody", "--generate"],
        ["users", "delete", "nobody", "--yes"],
        ["users", "delete", "maria", "--yes"],  # the last admin
    ):
        result = run(*command)
        assert result.exit_code == 1, command
        assert re.fullmatch(r"Error: .*\n", result.stderr), result.stderr
    assert run("users", "add", "a", "--generate", "--password-stdin").exit_code == 2
    assert run("users", "add", "a", "--password-stdin", input="").exit_code == 1


def test_check(run, tmp_path):
    run("db", "upgrade")
    assert run("check").stdout == "0 pictures checked, nothing is wrong.\n"
    (name, data), *_ = pictures(1).items()
    folder = tmp_path / "data" / "files" / "raw_images" / "5c173ff2"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    for options, exit_code, end in (
        (["--quick"], 1, "1 problems found, 1 left."),
        (["--repair"], 0, "1 problems found, 0 left."),
        ([], 0, "1 pictures checked, nothing is wrong."),
    ):
        result = run("check", *options)
        assert (result.exit_code, result.stdout.strip().endswith(end)) == (exit_code, True), result.output


def test_a_detector_without_torch_is_one_sentence(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "spi_dash.detector.commands", None)
    result = run("detector", "train", "--help")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: .*\n", result.stderr)


def test_a_detector_whose_torch_is_missing_when_it_runs_is_one_sentence(run, monkeypatch):
    import types

    import click

    @click.command()
    def detector():
        import torch  # noqa: F401

    module = types.ModuleType("spi_dash.detector.commands")
    module.detector = detector
    monkeypatch.setitem(sys.modules, "spi_dash.detector.commands", module)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run("detector")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: the detector needs torch: pip install 'spi-dash[detector]'\n",
    )


def test_the_detector_gets_its_own_arguments(run, monkeypatch):
    import types

    import click

    @click.group()
    def detector():
        """A detector."""

    @detector.command()
    @click.option("--steps", type=int)
    def train(steps):
        click.echo(f"{steps} steps")

    module = types.ModuleType("spi_dash.detector.commands")
    module.detector = detector
    monkeypatch.setitem(sys.modules, "spi_dash.detector.commands", module)
    assert run("detector", "train", "--steps", "3").stdout == "3 steps\n"
    assert "A detector." in run("detector", "--help").stdout
    assert run("detector", "train", "--steps", "x").exit_code == 2


def test_serve_and_its_first_sign_in(start, tmp_path):
    data = tmp_path / "data"
    process = start("serve", "--data", data, "--port", "0")
    url = read_url(process)
    password = re.search(r"Sign in as admin with the password (\S+)", process.stdout.readline()).group(1)
    assert str(data / "secrets.env") in process.stdout.readline()
    assert (data / "secrets.env").stat().st_mode & 0o777 == 0o600
    with SpiClient(url, "admin", password) as client:
        (name, picture), *_ = pictures(1).items()
        client.upload_image(name, picture)
    answer = requests.get(f"{url}/healthz")
    assert answer.status_code == 200
    assert "Server" not in answer.headers
    process.terminate()
    stdout, _ = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (0, "Spi Dash has stopped.\n")
    again = start("serve", "--data", data, "--port", "0")
    read_url(again)
    again.send_signal(signal.SIGINT)
    assert again.communicate(timeout=20)[0] == "Spi Dash has stopped.\n"  # and no password this time


def test_the_demo_fills_itself(start):
    process = start("demo", "--port", "0", "--days", "1", "--traps", "2", "--no-detector")
    url = read_url(process)
    name, password = re.search(r"Sign in as (\S+) with the password (\S+)", process.stdout.readline()).groups()
    with SpiClient(url, name, password) as client:
        give_up_at = time.monotonic() + 30
        while time.monotonic() < give_up_at:
            rows = client.get_uid_annotations_series("%", _year(2020), _year(2100), "metadata")
            if len(rows) > 5:
                break
            time.sleep(0.2)
    assert len(rows) > 5
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_demo_stays_away_from_real_data(run, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "spi.db").write_bytes(b"")
    result = run("demo", "--data", tmp_path / "real", "--port", 0)
    assert result.exit_code == 1
    assert "a folder of its own" in result.stderr


def test_requests_under_way_are_answered_when_the_server_stops(tmp_path):
    """One answer is being made, one request still arriving, one connection idle; then the server is told to stop."""
    making, finish = threading.Event(), threading.Event()

    def app(environ, start_response):
        body = environ["wsgi.input"].read()
        if environ["PATH_INFO"] == "/slow":
            making.set()
            finish.wait(10)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body) + 100_000))])
        return [body, b"x" * 100_000]

    listener, stop = web.bind("127.0.0.1", 0), threading.Event()
    port = listener.getsockname()[1]
    server = web.make_server(app, _config(tmp_path), listener)
    thread = threading.Thread(target=web.run, args=(server, stop, 10), daemon=True)
    thread.start()
    slow, arriving, idle = (socket.create_connection(("127.0.0.1", port)) for _ in range(3))
    idle.sendall(_request("/", b""))
    assert len(_read(idle)) > 100_000
    slow.sendall(_request("/slow", b""))
    arriving.sendall(_request("/", b"0123456789")[:-5])
    assert making.wait(10)
    wait_until(lambda: any(channel.request is not None for channel in list(server.active_channels.values())))
    stop.set()
    web.wake(server)
    assert idle.recv(10) == b""  # closed at once
    wait_until(lambda: _refuses(port))
    arriving.sendall(b"56789")
    finish.set()
    assert b"0123456789x" in _read(arriving)
    assert len(_read(slow)) > 100_000
    thread.join(10)
    assert not thread.is_alive()
    for connection in (slow, arriving, idle):
        connection.close()


def test_connections_made_as_the_server_stops_are_answered(tmp_path):
    """Nobody has read a byte of them yet: two wait to be accepted, and one of these says nothing at first."""
    listener, stop = web.bind("127.0.0.1", 0), threading.Event()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "100000")])
        return [b"x" * 100_000]

    server = web.make_server(app, _config(tmp_path), listener)
    early, late = (socket.create_connection(listener.getsockname()) for _ in range(2))
    early.sendall(_request("/", b""))
    stop.set()
    thread = threading.Thread(target=web.run, args=(server, stop, 10), daemon=True)
    thread.start()
    assert len(_read(early)) > 100_000  # it has begun to stop
    late.sendall(_request("/", b""))
    assert len(_read(late)) > 100_000
    thread.join(10)
    assert not thread.is_alive()
    for connection in (early, late):
        connection.close()


def test_a_request_that_never_arrives_does_not_keep_the_server(tmp_path):
    listener, stop = web.bind("127.0.0.1", 0), threading.Event()
    server = web.make_server(lambda environ, start_response: [], _config(tmp_path), listener)
    thread = threading.Thread(target=web.run, args=(server, stop, 0.2), daemon=True)
    thread.start()
    with socket.create_connection(listener.getsockname()) as connection:
        connection.sendall(_request("/", b"0123456789")[:-5])
        wait_until(lambda: any(channel.request is not None for channel in list(server.active_channels.values())))
        stop.set()
        web.wake(server)
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(("proxy", "scheme"), [(None, "http"), ("127.0.0.1", "https")])
def test_only_the_trusted_proxy_is_believed(tmp_path, proxy, scheme):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    listener, stop = web.bind("127.0.0.1", 0), threading.Event()
    server = web.make_server(app, _config(tmp_path, SPI_TRUSTED_PROXY=proxy or ""), listener)
    thread = threading.Thread(target=web.run, args=(server, stop), daemon=True)
    thread.start()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.org", "X-Forwarded-For": "203.0.113.9"}
    requests.get(web.address_of(listener), headers=headers)
    stop.set()
    web.wake(server)
    thread.join(10)
    assert seen["wsgi.url_scheme"] == scheme
    assert (seen["REMOTE_ADDR"] == "203.0.113.9") == (proxy is not None)
    assert ("HTTP_X_FORWARDED_FOR" in seen) is (proxy is not None)


def _config(data_dir: Path, **environ: str) -> Config:
    return Config.from_env({"SPI_DATA_DIR": str(data_dir), **ENVIRON, **environ})


def _request(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _read(connection: socket.socket) -> bytes:
    """One answer: its head says how long it is."""
    connection.settimeout(10)
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    length = int(re.search(rb"Content-Length: (\d+)", data).group(1))
    while len(data.partition(b"\r\n\r\n")[2]) < length:
        data += connection.recv(65536)
    return data


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def _year(year: int):
    from datetime import datetime

    return datetime(year, 1, 1)


def test_first_visitors_of_a_server_get_all_scripts(tmp_path):
    """As behind nginx, where one server sends the page, and one that has just started is asked for its scripts."""
    names = ("dash/dash-renderer/build/dash_renderer.min.js", "dash/html/dash_html_components.min.js",
             "dash/dcc/dash_core_components.js", "dash_ag_grid/dash_ag_grid.min.js")  # fmt: skip
    with live_server(tmp_path / "data") as live, plain_session() as session, ThreadPoolExecutor(len(names)) as pool:
        asked = [pool.submit(session.get, f"{live.url}/_dash-component-suites/{name}") for name in names]
        assert [each.result().status_code for each in asked] == [200] * len(names)
