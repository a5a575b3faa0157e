"""What a TLS scanner and a curious stranger try at the way in; large bodies and repeated pictures cost little."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from live import PASSWORD, pictures, wait_until, write_all
from stack.reverse_proxy import DOMAIN, ROOT, require_nginx, start_nginx
from stack.test_nginx import API, LOGIN, WEBAPP, Lab, lab

__all__ = ["lab"]  # the fixture
pytestmark = pytest.mark.stack
HOST = f"api.{DOMAIN}"
BIG_MB = 95


def connect(nginx, version=None, alpn=("http/1.1",)) -> ssl.SSLSocket:
    """Verified: the chain, and the name."""
    context = ssl.create_default_context(cafile=nginx.folder / "fullchain.pem")
    context.set_alpn_protocols(list(alpn))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(("127.0.0.1", nginx.https_port), timeout=20)
    return context.wrap_socket(raw, server_hostname=HOST)


def ask(nginx, request: str) -> str:
    """What comes back for these very bytes."""
    with connect(nginx) as connection:
        connection.sendall(request.encode("latin-1"))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode("latin-1")
    return ""


def status_of(answer: str) -> int:
    return int(answer.split(" ", 2)[1]) if answer else 0


def test_tls_as_scanners_want_it(lab: Lab):
    with connect(lab.nginx, alpn=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2" and connection.compression() is None
        assert connection.version() == "TLSv1.3"
        names = {value for kind, value in connection.getpeercert()["subjectAltName"] if kind == "DNS"}
        assert names == {DOMAIN, f"*.{DOMAIN}"}
    with connect(lab.nginx, ssl.TLSVersion.TLSv1_2) as connection:
        assert connection.cipher()[0].startswith("ECDHE-")
        assert not connection.session.has_ticket, "keys of tickets would undo forward secrecy"
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{lab.nginx.https_port}", "-servername", HOST, "-tls1_2"]
    said = subprocess.run(client, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20).stdout
    assert "Secure Renegotiation IS supported" in said and "Compression: NONE" in said


@pytest.mark.parametrize("method, statuses", [("TRACE", {405}), ("CONNECT", {400, 405}), ("MOVE", {404, 405})])
def test_odd_methods_are_refused_and_echo_nothing(lab: Lab, method, statuses):
    answer = ask(
        lab.nginx, f"{method} /get_users HTTP/1.1\r\nHost: {HOST}\r\nX-Mine: abc123\r\nConnection: close\r\n\r\n"
    )
    assert status_of(answer) in statuses and "abc123" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: +4\r\n",
        "Content-Length : 4\r\n",
    ],
)
def test_two_readings_of_one_request_are_refused(lab: Lab, headers):
    """Or a second request could be hidden in the first one's body."""
    hidden = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    answer = ask(lab.nginx, f"POST /get_users HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n0\r\n\r\n{hidden}")
    assert answer.count("HTTP/1.1 ") == 1 and status_of(answer) in (400, 501), answer[:200]


def test_oversized_and_broken_requests_are_refused(lab: Lab):
    cookie = f"GET / HTTP/1.1\r\nHost: {HOST}\r\nCookie: a={'b' * 20_000}\r\n\r\n"
    assert status_of(ask(lab.nginx, cookie)) in (400, 431)
    assert status_of(ask(lab.nginx, f"GET /{'a' * 20_000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n")) == 414
    assert status_of(ask(lab.nginx, "GET / HTTP/1.1\r\n\r\n")) == 400
    large = f"POST /get_users HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {101 << 20}\r\nConnection: close\r\n\r\n"
    assert status_of(ask(lab.nginx, large)) == 413


def test_slow_headers_end_by_themselves(tmp_path):
    require_nginx()
    template = tmp_path / "nginx.conf"
    patient = (ROOT / "nginx.conf").read_text()
    assert int(re.search(r"client_header_timeout (\d+)s;", patient)[1]) <= 30
    shorter = "client_header_timeout 4s"  # which is the limit of the handshake, too
    template.write_text(patient.replace("client_header_timeout 30s", shorter))
    with start_nginx("127.0.0.1:9", NGINX_TEMPLATE=str(template)) as nginx, connect(nginx) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert b"200" not in connection.recv(1000)  # it hangs up long before the 20 s of this socket


def test_few_large_bodies_arrive_at_a_time_from_one_address(lab: Lab):
    """They are kept before anybody knows who sends them."""
    head = f"POST /files/upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(connect(lab.nginx))
            connection.sendall(head + b"x")
        wait_until(lambda: lab.headers(f"{API}/files/upload", "-d", "x")[0] == 429)
        status, headers = lab.headers(f"{API}/files/upload", "-d", "x")
        assert (status, headers["content-type"], headers["retry-after"]) == (429, "application/json", "2")
        assert lab.headers(f"{API}/files/upload")[0] != 429, "looking is no upload"
        assert lab.headers(f"{API}/get_users", "-d", "[]")[0] == 401, "small calls go on"
    wait_until(lambda: lab.headers(f"{API}/files/upload", "-d", "x")[0] != 429)


def test_names_in_requests_lead_nowhere_else(lab: Lab, tmp_path):
    """Links in answers are of the host that was asked for, whatever other headers say."""
    [(name, data)] = pictures(1, "0f0f0f0f").items()
    [path] = write_all(tmp_path, {name: data})
    lab.curl("--user", LOGIN, "-F", f"{name}=@{path}", f"{API}/_put_new_images")
    asked = json.dumps([{"device": name[:8], "datetime": name[9:28]}])
    command = ["--user", LOGIN, "-H", "Content-Type: application/json", "-d", asked]
    evil = ["-H", "X-Forwarded-Host: evil.example", "-H", "Forwarded: host=evil.example", "-H", "X-Host: evil.example"]
    [row] = json.loads(lab.curl(*command, *evil, f"{API}/get_images/image"))
    assert row["url"].startswith(f"{API}/files/")
    first_line = ["--http1.1", "--request-target", f"{API}/get_images/image", "-H", "Host: evil.example"]
    assert "evil" not in lab.curl(*command, *first_line, f"{API}/")


@pytest.mark.parametrize("site", [f"http://{HOST}", WEBAPP])
def test_lines_cannot_be_smuggled_into_headers(lab: Lab, site):
    shown = lab.curl("--output", "/dev/null", "--dump-header", "-", f"{site}/%0d%0aSet-Cookie:%20mine=1?next=%0d%0aX: 1"
                     .replace(" ", "%20"))  # fmt: skip
    assert "\nset-cookie: mine" not in shown.lower() and "\nx:" not in shown.lower()


def test_other_sites_may_not_read_answers(lab: Lab):
    for extra in ([], ["-X", "OPTIONS", "-H", "Access-Control-Request-Method: POST"]):
        for url in (f"{API}/get_users", f"{WEBAPP}/sign-in"):
            shown = lab.curl(
                "--output", "/dev/null", "--dump-header", "-", "-H", "Origin: https://evil.example", *extra, url
            )
            assert "access-control" not in shown.lower()


def test_cookies_are_of_this_host_alone(lab: Lab):
    shown = lab.curl("--output", "/dev/null", "--dump-header", "-", f"{WEBAPP}/sign-in")
    (cookie,) = [line for line in shown.splitlines() if line.lower().startswith("set-cookie:")]
    assert "__Host-" in cookie and "Path=/" in cookie and "Domain" not in cookie
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}


def test_policies_pass_the_proxy_once(lab: Lab):
    for url in (f"{WEBAPP}/sign-in", f"{API}/healthz", f"{API}/api-docs", f"{WEBAPP}/metrics"):
        shown = lab.curl("--output", "/dev/null", "--dump-header", "-", url).lower()
        assert shown.count("\ncontent-security-policy:") <= 1 and ("policy: default" in shown or "metrics" in url)
        assert re.search(r"\nserver: nginx\r?\n", shown)


def test_text_is_packed_and_assets_are_kept(lab: Lab):
    for url in (f"{WEBAPP}/assets/00-base.css?m=1", f"{API}/openapi.json"):
        _, headers = lab.headers(url, "-H", "Accept-Encoding: gzip")
        assert headers["content-encoding"] == "gzip" and "accept-encoding" in headers["vary"].lower()
    _, headers = lab.headers(f"{WEBAPP}/assets/00-base.css?m=1")
    assert "immutable" in headers["cache-control"] and "content-encoding" not in headers


def test_a_thumbnail_is_asked_of_the_server_once(lab: Lab, tmp_path):
    [(name, data)] = pictures(1, "0e0e0e0e").items()
    [path] = write_all(tmp_path, {name: data})
    lab.curl("--user", LOGIN, "-F", f"{name}=@{path}", f"{API}/_put_new_images")
    asked = json.dumps([{"device": name[:8], "datetime": name[9:28]}])
    command = ["--user", LOGIN, "-H", "Content-Type: application/json", "-d", asked]
    [row] = json.loads(lab.curl(*command, f"{API}/get_images/thumbnail"))
    for _ in range(3):
        assert lab.headers(row["url"])[0] == 200
    lines = [line for line in lab.nginx.access_log.splitlines() if "/files/" in line and "0e0e0e0e" in line]
    assert [line.count("upstream=-") for line in lines] == [0, 1, 1]
    altered = row["url"][:-2] + ("aa" if row["url"][-2:] != "aa" else "bb")
    assert lab.headers(altered)[0] == 403


def peak_kb(pid: int) -> int:
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_a_large_body_is_in_nobodys_memory(lab: Lab, tmp_path):
    big = tmp_path / "big.jpg"
    with big.open("wb") as file:
        file.truncate(BIG_MB << 20)
    master = int((lab.nginx.folder / "run" / "nginx.pid").read_text())
    workers = [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]
    pids = [server.pid for server in lab.servers if server.poll() is None] + workers
    for _ in range(8):  # hashing a password takes tens of MB, the first time, in each server
        lab.curl("--user", LOGIN, "-X", "POST", f"{API}/get_users")
    before = {pid: peak_kb(pid) for pid in pids}
    name = "0d0d0d0d.2022-07-01_12-00-00.jpg"
    status, _ = lab.headers(
        f"{API}/_put_new_images", "--user", f"admin:{PASSWORD}", "-F", f"{name}=@{big}", "--max-time", "120"
    )
    assert status in (413, 415, 422)
    grown = {pid: peak_kb(pid) - before[pid] for pid in pids if Path(f"/proc/{pid}").exists()}
    assert len(grown) >= 3 and max(grown.values()) < BIG_MB * 1024 / 2, grown
