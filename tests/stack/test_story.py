"""The whole story, as in production: from the manual's commands to a restored server, all of it through https.

nginx as in its image, two server processes, MariaDB, an S3 server of its own origin, two detectors, and a browser. No
secret of any of them is in a log, a list of processes, the metrics or an error page afterwards.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import md5
from pathlib import Path

import pytest
import sqlalchemy as sa
from browser.chromium import CHROMIUM, OPTIONS
from live import plain_session, write_all
from playwright.sync_api import Page, Playwright, expect
from stack import reverse_proxy
from stack.mariadb import MariaDb
from stack.reverse_proxy import DOMAIN, Nginx, names, require_nginx, server_process, start_nginx
from stack.servers import database_variables, s3_variables
from test_backup import everything

from spi_dash import db
from spi_dash.demo import demo_pictures, tiny_picture
from spi_dash.storage import S3Storage

pytestmark = [pytest.mark.stack, pytest.mark.browser]
API, WEBAPP = f"https://api.{DOMAIN}", f"https://webapp.{DOMAIN}"
START = datetime(2022, 6, 1, 12)
HOSTS = ("127.0.0.1", "127.0.0.2")
SLOW_MS, DETECT_S = 60_000, 240
SECRETS = {
    "SECRET_API_KEY": "kx7-the-key-that-signs-everything",
    "API_ADMIN_PASSWORD": "adm-9f2-password-of-the-admin",
    "UID_PASSWORD": "uid-4c1-password-of-the-detector",
    "MYSQL_PASSWORD": "sql-8d3-password-of-the-database",
    "SPI_METRICS_TOKEN": "mon-5e7-token-of-the-monitor",
}
ADMIN = ("admin", SECRETS["API_ADMIN_PASSWORD"])
READER = ("spi", "R3ad_0nly")


class Story:
    """Everything that runs, and where it writes."""

    def __init__(self, folder: Path, mariadb: MariaDb, rgw) -> None:
        self.folder, self.port = folder, reverse_proxy.free_port()
        self.rgw, self.nginx, self.pids = rgw, None, set()
        (folder / "data").mkdir()
        admin = sa.make_url(mariadb.url)
        self.url = admin.set(username="lab", password=SECRETS["MYSQL_PASSWORD"])
        _sql(admin, f"CREATE USER lab@'127.0.0.1' IDENTIFIED BY '{SECRETS['MYSQL_PASSWORD']}'")
        _sql(admin, "GRANT ALL ON spi.* TO lab@'127.0.0.1'")
        with closing(rgw.client()) as s3:
            for bucket in ("story", "story-backups"):
                s3.create_bucket(Bucket=bucket)
        address = self.url.render_as_string(hide_password=False)
        self.variables = database_variables(address) | s3_variables(rgw, "story") | SECRETS
        # Over TLS: browsers load no plain picture into a page that came by https.
        self.variables |= {"SPI_S3_PUBLIC_HOST": rgw.tls_host, "ROOT_DOMAIN_NAME": DOMAIN, "LOG_FORMAT": "json"}
        self.database = db.connect(address)
        self.storage = S3Storage(rgw.host, "story", rgw.access_key, rgw.secret_key, b"")

    def close(self) -> None:
        self.database.engine.dispose()
        self.storage.close()

    def curl(self, *arguments: str) -> str:
        done = self.nginx.curl("--fail", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *arguments: str) -> str:
        """One command, as an admin types it on the host."""
        command = [sys.executable, "-m", "spi_dash", *arguments, "--data", str(self.folder / "data")]
        environ = {**os.environ, **self.variables}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        self.note("commands", done.stdout + done.stderr)
        return done.stdout

    def note(self, name: str, text: str) -> None:
        with (self.folder / f"{name}.log").open("a") as log:
            log.write(text)

    @contextlib.contextmanager
    def servers(self) -> Iterator[None]:
        """Two of them, one address each."""
        with contextlib.ExitStack() as stack:
            for host in HOSTS:
                process = server_process(self.folder / "data", host, self.port, **self.variables)
                self.pids.add(stack.enter_context(process).pid)
            yield
            self.look_for_secrets()
        for path in self.folder.glob("127*.log"):
            path.rename(path.with_name(f"{time.monotonic_ns()}-{path.name}"))

    @contextlib.contextmanager
    def detectors(self) -> Iterator[None]:
        """Two of them, each at a server of its own, ended as a container is."""
        with contextlib.ExitStack() as stack:
            for number, host in enumerate(HOSTS):
                log = stack.enter_context((self.folder / f"detector-{number}.log").open("w"))
                command = [sys.executable, "-m", "spi_dash", "detector", "run", "--url", f"http://{host}:{self.port}"]
                environ = {**os.environ, "UID_USER": "spi_uid", "UID_PASSWORD": SECRETS["UID_PASSWORD"]}
                environ["REQUESTS_CA_BUNDLE"] = str(self.rgw.certificate)
                process = subprocess.Popen([*command, "--threads", "1"], env=environ, stdout=log, stderr=log)
                stack.callback(process.kill)
                self.pids.add(process.pid)
                stack.callback(process.wait, 120)
                stack.callback(process.terminate)
            yield
            self.look_for_secrets()

    def look_for_secrets(self) -> None:
        """In the lists of processes, in every log, in what monitors get."""
        own = [_command_line(pid) for pid in self.pids]
        assert any("serve" in line for line in own)
        self.note("metrics", self.metrics(HOSTS[0]))
        shown = {"processes": "\n".join(own), "access": self.nginx.access_log, "error": self.nginx.error_log}
        shown |= {path.name: path.read_text() for path in self.folder.glob("*.log")}
        hidden = [*SECRETS.values(), READER[1], self.rgw.secret_key, *self.issued]
        assert [(name, word) for name, text in shown.items() for word in hidden if word in text] == []
        assert "/_put_new_images" in shown["access"]

    issued: tuple[str, ...] = ()  # tokens and cookies that the server gave away

    def metrics(self, host: str) -> str:
        headers = {"Authorization": f"Bearer {SECRETS['SPI_METRICS_TOKEN']}"}
        with plain_session() as session:
            return session.get(f"http://{host}:{self.port}/metrics", headers=headers).text


def _sql(url: sa.URL, *statements: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def _command_line(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


@pytest.fixture
def story(tmp_path, own_mariadb, rgw) -> Iterator[Story]:
    require_nginx()
    pytest.importorskip("torch")
    story = Story(tmp_path, own_mariadb, rgw)
    with closing(story), names(list(HOSTS)) as resolver, start_nginx(f"spi_dash.test:{story.port}", resolver) as nginx:
        story.nginx = nginx
        yield story


def season() -> dict[str, bytes]:
    """A drawn card with insects, and more pictures than one detector takes at a time."""
    cards = demo_pictures(1, 1, START, START.replace(day=3))
    found = {name: data for (name, data, _), _ in zip(cards, range(1), strict=False)}
    device = next(iter(found))[:8]
    return found | dict(tiny_picture(device, START + timedelta(days=3, minutes=20 * i)) for i in range(8))


@pytest.mark.timeout(600)  # a minute and a half on two cores of one's own
def test_from_the_first_token_to_a_restored_server(story, playwright, tmp_path):
    files = season()
    with story.servers():
        _run_the_commands_of_the_manual(story)
        _upload(story, files, tmp_path / "sd")
        with story.detectors():
            _wait_for_both(story, len(files))
        _browse(story, playwright, files)
        _compare_files(story, files)
    before, stored = everything(story.database), _contents(story.storage)
    assert len(stored) == 3 * len(files)
    said = story.command("backup", "--to", "s3://story-backups/nightly", "--files")
    assert f"{sum(map(len, before.values()))} rows, {len(stored)} files" in said
    story.database.engine.dispose()
    _sql(story.url, "DROP DATABASE spi", "CREATE DATABASE spi")
    story.storage.delete(list(stored))
    assert _contents(story.storage) == {}
    story.command("restore", "s3://story-backups/nightly")
    assert everything(story.database) == before
    assert _contents(story.storage) == stored
    with story.servers():
        _browse(story, playwright, files)
        _compare_files(story, files)


def _run_the_commands_of_the_manual(story: Story) -> None:
    """As they are printed, with our domain and password."""
    login = ":".join(ADMIN)
    token = json.loads(story.curl("--user", login, "-X", "POST", f"{API}/get_token"))
    assert set(token) == {"expiration", "token"}
    story.issued += (token["token"],)
    account = '[{"username": "spi", "password": "R3ad_0nly", "is_admin": 0, "email": "", "can_write":0}]'
    sent = ["-X", "POST", "-H", "Content-Type: application/json", "-d", account, f"{API}/put_users"]
    story.curl("--user", login, *sent)
    users = json.loads(story.curl("--user", login, "-X", "POST", f"{API}/get_users"))
    assert {user["username"] for user in users} == {"admin", "spi", "spi_uid"}
    assert "token" in json.loads(story.curl("--user", ":".join(READER), "-X", "POST", f"{API}/get_token"))


def _upload(story: Story, files: dict[str, bytes], folder: Path) -> None:
    for path in write_all(folder, files):
        parts = [f"{path.name}=@{path};type=image/jpeg", f"{path.name}.md5={md5(files[path.name]).hexdigest()}"]
        form = [word for part in parts for word in ("-F", part)]
        (row,) = json.loads(story.curl("--user", ":".join(ADMIN), *form, f"{API}/_put_new_images"))
        assert row["md5"] == md5(files[path.name]).hexdigest()


def _wait_for_both(story: Story, n_images: int) -> None:
    """Both took part, and every picture was done once."""
    give_up_at = time.monotonic() + DETECT_S
    count = "SELECT COUNT(*), COUNT(DISTINCT parent_image_id) FROM uid_annotations"
    while _rows(story, count)[0][0] < n_images:
        assert time.monotonic() < give_up_at, story.folder
        time.sleep(0.2)
    assert _rows(story, count) == [(n_images, n_images)]
    done = [(story.folder / f"detector-{number}.log").read_text() for number in range(2)]
    assert all(done), done


def _rows(story: Story, query: str) -> list[tuple]:
    with story.database.read() as session:
        return [tuple(row) for row in session.execute(sa.text(query))]


@contextlib.contextmanager
def _browser(nginx: Nginx, playwright: Playwright) -> Iterator[Page]:
    """Chromium, for which the lab's names are this nginx. It fails on other hosts, and on anything in the console."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    rules = f"MAP *.{DOMAIN} 127.0.0.1:{nginx.https_port}"
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*OPTIONS, f"--host-resolver-rules={rules}", "--no-proxy-server"]
    )
    context = browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
    page, told = context.new_page(), []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    try:
        yield page
        assert told == []
    finally:
        browser.close()


def _browse(story: Story, playwright: Playwright, files: dict[str, bytes]) -> None:
    first, day = min(files), "?start=2022-06-01&end=2022-06-06&zone=utc"
    with _browser(story.nginx, playwright) as page:
        origins = set()
        page.on("request", lambda request: origins.add("/".join(request.url.split("/")[:3])))
        page.goto(f"{WEBAPP}/{day}")
        page.fill("input[name=username]", READER[0])
        page.fill("input[name=password]", READER[1])
        page.click("button[type=submit]")
        expect(page.locator(".row canvas").first).to_be_attached(timeout=SLOW_MS)
        cookies = {each["name"]: each for each in page.context.cookies()}
        session = cookies["__Host-spi_session"]
        assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Lax")
        story.issued += (session["value"],)
        page.goto(f"{WEBAPP}/image/{first[:8]}/{first[9:28]}{day}")
        # Outlines are drawn on canvas: what is painted there is no empty picture.
        page.wait_for_function(
            """() => spi.viewer.frame?.outlines.length > 0 && [...document.querySelectorAll(".stage canvas")].some(
                (each) => each.getContext("2d").getImageData(0, 0, each.width, each.height)
                    .data.some(Boolean))""",
            timeout=SLOW_MS,
        )
        page.wait_for_function(
            "() => document.querySelector('.stage img.now').currentSrc.endsWith('original.jpg')", timeout=SLOW_MS
        )
    cookie = f"Cookie: {session['name']}={session['value']}"
    answer = story.nginx.curl("--include", "-H", cookie, "-H", "Accept: text/html", f"{WEBAPP}/nowhere").stdout
    assert answer.startswith("HTTP/2 404") and "There is no such page" in answer
    story.note("error-page", answer)
    assert origins - {"data:", "blob:https:"} == {WEBAPP, story.rgw.tls_host}


def _compare_files(story: Story, files: dict[str, bytes]) -> None:
    asked = json.dumps([{"device": name[:8], "datetime": name[9:28]} for name in files])
    command = ["--user", ":".join(READER), "-H", "Content-Type: application/json", "-d", asked]
    rows = json.loads(story.curl(*command, f"{API}/get_images/image"))
    with plain_session() as session:
        found = [session.get(row["url"], verify=str(story.rgw.certificate)) for row in rows]
    assert sorted(each.content for each in found) == sorted(files.values())


def _contents(storage: S3Storage) -> dict[str, bytes]:
    return {info.key: storage.get(info.key) for info in storage.list("")}
