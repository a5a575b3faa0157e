"""Real nginx with production's template and script before two server processes: the manual's commands, and attacks."""

import base64
import contextlib
import hashlib
import json
import shutil
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

import pytest
from live import PASSWORD, pictures, write_all
from stack import reverse_proxy
from stack.reverse_proxy import DOMAIN, Nginx, names, require_nginx, server_process, start_nginx

pytestmark = pytest.mark.stack
API, WEBAPP = f"https://api.{DOMAIN}", f"https://webapp.{DOMAIN}"
LOGIN = f"admin:{PASSWORD}"
PUT_USERS = '[{"username": "spi", "password": "R3ad_0nly_user", "is_admin": 0, "email": "", "can_write":0}]'


@dataclass(frozen=True)
class Lab:
    nginx: Nginx
    servers: list[Popen]
    folder: Path | None = None  # of the servers' logs

    def curl(self, *arguments):
        done = self.nginx.curl(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def headers(self, url, *arguments):
        """Status and headers of an answer."""
        status, *lines = self.curl("--output", "/dev/null", "--dump-header", "-", *arguments, url).splitlines()
        return int(status.split()[1]), {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    require_nginx()
    folder, port = tmp_path_factory.mktemp("lab"), reverse_proxy.free_port()
    hosts = ["127.0.0.1", "127.0.0.2"]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(server_process(folder / "data", host, port)) for host in hosts]
        resolver = stack.enter_context(names(hosts))
        yield Lab(stack.enter_context(start_nginx(f"spi_dash.test:{port}", resolver)), servers, folder)


def test_the_commands_of_the_manual(lab):
    token = json.loads(lab.curl("--user", LOGIN, "-X", "POST", f"{API}/get_token"))
    assert set(token) == {"expiration", "token"}
    sent = ["-X", "POST", "-H", "Content-Type: application/json", "-d", PUT_USERS, f"{API}/put_users"]
    lab.curl("--user", LOGIN, *sent)
    users = json.loads(lab.curl("--user", LOGIN, "-X", "POST", f"{API}/get_users"))
    assert "spi" in {user["username"] for user in users}
    spi = json.loads(lab.curl("--user", "spi:R3ad_0nly_user", "-X", "POST", f"{API}/get_token"))
    assert "token" in spi
    by_token = lab.curl("--user", f"{token['token']}:", "-X", "POST", f"{API}/get_users")
    assert json.loads(by_token) == users


def test_a_picture_goes_in_and_comes_out(lab, tmp_path):
    [(name, data)] = pictures(1).items()
    [path] = write_all(tmp_path, {name: data})
    lab.curl("--user", LOGIN, "-F", f"{name}=@{path}", f"{API}/_put_new_images")
    asked = json.dumps([{"device": name[:8], "datetime": name[9:28]}])
    command = ["--user", LOGIN, "-H", "Content-Type: application/json", "-d", asked]
    for kind in ("image", "thumbnail", "thumbnail-mini"):
        [row] = json.loads(lab.curl(*command, f"{API}/get_images/{kind}"))
        assert row["url"].startswith(f"{API}/files/") and urlsplit(row["url"]).query
        lab.curl("--fail", "--output", str(tmp_path / kind), row["url"])
        status, _ = lab.headers(row["url"].partition("?")[0])
        assert status in (401, 403, 404), "a link without its signature"
    assert (tmp_path / "image").read_bytes() == data
    assert (tmp_path / "thumbnail").read_bytes()[:2] == b"\xff\xd8"


def test_both_servers_answer(lab):
    for _ in range(8):
        lab.curl(f"{API}/healthz")
    assert all(f"upstream={host}:" in lab.nginx.access_log for host in ("127.0.0.1", "127.0.0.2"))


@pytest.mark.parametrize("name", [DOMAIN, f"api.{DOMAIN}", f"webapp.{DOMAIN}"])
def test_plain_http_is_sent_to_https(lab, name):
    status, headers = lab.headers(f"http://{name}/some/page?a=b")
    assert (status, headers["location"]) == (301, f"https://{name}/some/page?a=b")


def test_the_domain_itself_leads_to_the_pages(lab):
    assert lab.headers(f"https://{DOMAIN}/")[1]["location"] == f"{WEBAPP}/"


def test_challenges_of_certificates_are_answered_without_tls(lab):
    folder = lab.nginx.folder / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "a-token").write_text("the answer")
    assert lab.curl(f"http://api.{DOMAIN}/.well-known/acme-challenge/a-token") == "the answer"


@pytest.mark.parametrize(
    "url", [f"{API}/healthz", f"{WEBAPP}/sign-in", f"{API}/metrics", f"{WEBAPP}/metrics", f"https://{DOMAIN}/"]
)
def test_every_answer_has_the_headers_of_security_once(lab, url):
    shown = lab.curl("--output", "/dev/null", "--dump-header", "-", url).lower()
    for header in ("strict-transport-security", "x-content-type-options", "referrer-policy", "x-frame-options"):
        assert shown.count(f"\n{header}:") == 1, shown
    assert "max-age=31536000" in shown and "permissions-policy:" in shown
    assert "nginx/" not in shown and "waitress" not in shown


def test_the_sign_in_page_has_a_content_policy(lab):
    status, headers = lab.headers(f"{WEBAPP}/sign-in")
    assert status == 200 and "default-src" in headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
@pytest.mark.parametrize("site", [API, WEBAPP])
def test_what_is_for_insiders_is_not_shown(lab, site, path):
    assert lab.headers(f"{site}{path}")[0] == 404


def test_unknown_hosts_are_refused(lab):
    status, _ = lab.headers("https://evil.example/", "--insecure")
    assert status == 421
    plain = lab.nginx.curl("http://evil.example/")
    assert plain.returncode == 52, "closed without an answer"


def test_the_client_cannot_make_up_its_address(lab):
    lab.curl("--user", LOGIN, "-X", "POST", "-H", "X-Forwarded-For: 203.0.113.9", f"{API}/get_token")
    logs = "".join(path.read_text() for path in lab.folder.glob("*.log"))
    assert "get_token" in logs and "127.0.0.1" in logs
    assert "203.0.113.9" not in logs + lab.nginx.access_log


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version, taken", [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_old_tls_is_refused(lab, version, taken):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(lab.nginx.folder / "fullchain.pem")
    context.set_ciphers("ALL:@SECLEVEL=0")  # or our own side refuses
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    refused = contextlib.nullcontext() if taken else pytest.raises(ssl.SSLError, match=r"(?i)protocol.version")
    with socket.create_connection(("127.0.0.1", lab.nginx.https_port), timeout=10) as raw, refused:
        with context.wrap_socket(raw, server_hostname=f"api.{DOMAIN}") as connection:
            assert connection.version() == version.replace("_", ".")
            assert connection.cipher()[0].startswith(("ECDHE-", "TLS_"))


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"])
def test_weak_ciphers_are_refused(lab, cipher):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(lab.nginx.folder / "fullchain.pem")
    context.set_ciphers(f"{cipher}:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", lab.nginx.https_port), timeout=10) as raw:
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
            context.wrap_socket(raw, server_hostname=f"api.{DOMAIN}")


def test_too_large_requests_are_refused(lab, tmp_path):
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(11 << 20)
    assert lab.headers(f"{WEBAPP}/sign-in", "--data-binary", f"@{big}", "-H", "Expect:")[0] == 413


def test_floods_of_sign_ins_are_kept_away_from_the_server(lab):
    for _ in range(40):
        status, headers = lab.headers(f"{WEBAPP}/sign-in", "-d", "username=nobody&password=wrong")
        if status == 429 and headers["retry-after"] == "2":
            break
    assert status == 429 and headers["x-frame-options"] == "DENY" and headers["cache-control"] == "no-store"
    assert lab.headers(f"{WEBAPP}/sign-in")[0] == 200, "looking at the page is no sign-in"


def test_logs_hold_no_permissions(lab):
    token = json.loads(lab.curl("--user", LOGIN, "-X", "POST", f"{API}/get_token"))["token"]
    lab.curl(f"{API}/files/a.jpg?signature=in-a-link")
    lab.curl("--user", f"{token}:", "-X", "POST", f"{API}/get_users?hidden=in-a-query")
    logs = lab.nginx.access_log + lab.nginx.error_log
    assert "/files/a.jpg" in logs and "/get_users" in logs
    assert not [word for word in ("in-a-link", "in-a-query", token, PASSWORD, "Basic") if word in logs]


def test_a_server_killed_under_uploads_loses_nothing_that_was_confirmed(lab, tmp_path):
    sent = pictures(24, "0a1b2c3d")
    folder, begun = tmp_path / "sent", threading.Semaphore(0)
    write_all(folder, sent)

    def upload(name):
        begun.release()
        form = ["--user", LOGIN, "-F", f"{name}=@{folder / name}", f"{API}/_put_new_images"]
        return lab.curl("--output", "/dev/null", "--write-out", "%{http_code}", *form)

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(upload, sent)
        for _ in range(8):
            begun.acquire()
        lab.servers[1].kill()
        codes = dict(zip(sent, answers, strict=True))
    assert set(codes.values()) <= {"200", "503"}
    confirmed = [name for name, code in codes.items() if code == "200"]
    assert len(confirmed) >= len(sent) - 4, "only those under way at that moment may fail"
    asked = json.dumps([{"device": name[:8], "datetime": name[9:28]} for name in confirmed])
    command = ["--user", LOGIN, "-H", "Content-Type: application/json", "-d", asked]
    rows = json.loads(lab.curl(*command, f"{API}/get_images/image"))
    stored = tmp_path / "stored"
    for row in rows:
        lab.curl("--fail", "--output", str(stored), row["url"])
        name = next(name for name in confirmed if name[9:28] in row["url"])
        assert stored.read_bytes() == sent[name]
    assert len(rows) == len(confirmed)


def test_one_server_of_two_is_enough(lab):
    lab.servers[1].kill()
    lab.servers[1].wait()
    for _ in range(10):
        assert json.loads(lab.curl(f"{API}/healthz")) == {"status": "ok"}
        assert "token" in json.loads(lab.curl("--user", LOGIN, "-X", "POST", f"{API}/get_token"))


AWAY = [
    (API, "*/*", "application/json"),
    (API, "text/html", "application/json"),
    (WEBAPP, "*/*", "application/json"),
    (WEBAPP, "text/html,*/*;q=0.8", "text/html"),
    (f"https://s3.{DOMAIN}", "*/*", "text/plain"),
]


def test_no_server_at_all_is_said_kindly_and_hides_links():
    require_nginx()
    with start_nginx(f"127.0.0.1:{reverse_proxy.free_port()}") as nginx:
        for site, accept, kind in AWAY:
            url = f"{site}/files/a.jpg?signature=in-a-link"
            status, headers = Lab(nginx, []).headers(url, "-H", f"Accept: {accept}")
            assert (status, headers["retry-after"], headers["cache-control"]) == (503, "5", "no-store")
            assert headers["content-type"].startswith(kind), (site, accept)
            for header in ("strict-transport-security", "x-content-type-options", "referrer-policy", "x-frame-options"):
                assert header in headers
        page = nginx.curl("--include", "-H", "Accept: text/html", WEBAPP).stdout
        script = page[page.index("<script>") + 8 : page.index("</script>")]
        allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{allowed}';" in page and "http-equiv" not in page
        assert "in-a-link" not in nginx.access_log + nginx.error_log


def test_a_renewed_certificate_is_taken_without_a_restart():
    require_nginx()
    with start_nginx("127.0.0.1:9", NGINX_RELOAD_S="0.2") as nginx:
        old = ssl.get_server_certificate(("127.0.0.1", nginx.https_port))
        reverse_proxy.make_certificate(nginx.folder)
        deadline = time.monotonic() + 20
        while (new := ssl.get_server_certificate(("127.0.0.1", nginx.https_port))) == old:
            assert time.monotonic() < deadline, nginx.error_log
        assert new.split() == (nginx.folder / "fullchain.pem").read_text().split()


def test_a_missing_certificate_says_what_to_do(tmp_path):
    require_nginx()
    environ = {"ROOT_DOMAIN_NAME": DOMAIN, "NGINX_CERTIFICATES": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with Popen(
        [shutil.which("sh"), "docker/nginx.sh"], env=environ, cwd=reverse_proxy.ROOT, stderr=-1, text=True
    ) as done:
        assert "deploy.sh prod-init" in done.communicate(timeout=10)[1]
    assert done.returncode == 1
