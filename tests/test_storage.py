"""Storage: one set of tests for every implementation, then what only a disk or only an S3 server can do wrong."""

import errno
import io
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from moto import mock_aws

from spi_dash.errors import ConfigError, Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from spi_dash.storage import DiskStorage, MemoryStorage, S3Storage, endpoint_url, s3_clients
from spi_dash.storage import disk as disk_module
from spi_dash.storage.s3 import PART_BYTES

NOW = datetime(2026, 7, 1, 12)
KEY = "raw_images/ab01/ab01.2026-07-01_12-00-00.jpg"
BAD_KEYS = [
    "",
    "/etc/passwd",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "a/./b",
    "a//b",
    "a/",
    ".staging/x",
    "a\x00b",
    "a\nb",
    "a\x7fb",
    "a\\b",
    "\ud800",
    "x" * 256,
    "/".join(["x" * 200] * 6),
]
ODD_KEYS = [
    "a b/c+d.jpg",
    'it\'s (a) "test".jpg',
    "100%/%2F.jpg",
    "ü-昆虫-🦟.jpg",
    ".hidden/.version.txt",
    "q?x=1&y#z.txt",
    "a..b/...jpg",
    "~*:|<>",
    "x" * 255,
    "/".join(["y" * 200] * 5),
]


class Trickle(io.RawIOBase):
    """A body that comes in small pieces and cannot seek, like a request; it may break."""

    def __init__(self, data: bytes, breaks: bool = False) -> None:
        self.data, self.breaks = io.BytesIO(data), breaks

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self.data.read(min(size, 70_000) if size >= 0 else 70_000)
        if not piece and self.breaks:
            raise ConnectionResetError("the client went away")
        return piece


class StorageContract:
    """What every storage does; the fixture `storage` is empty at first, `threads` may use it at once."""

    def test_what_is_put_comes_back(self, storage):
        data = bytes(range(256)) * 100
        storage.put(KEY, data)
        assert storage.get(KEY) == data
        with storage.open(KEY) as file:
            assert file.read(1000) == data[:1000]
            assert file.read() == data[1000:]
            assert file.read() == b""

    def test_an_empty_file_is_a_file(self, storage):
        storage.put("empty", b"")
        storage.put_file("empty2", io.BytesIO())
        assert storage.get("empty") == storage.get("empty2") == b""
        assert storage.stat("empty").size == 0

    def test_a_second_put_replaces_the_first(self, storage):
        storage.put(KEY, b"first")
        before = storage.stat(KEY)
        storage.put(KEY, b"other")
        assert storage.get(KEY) == b"other"
        assert storage.stat(KEY).etag != before.etag

    def test_what_is_not_there_is_not_found(self, storage):
        storage.put("folder/file", b"x")
        for key in (KEY, "folder", "folder/file2", "fold"):
            for method in (storage.get, storage.open, storage.stat):
                with pytest.raises(NotFound) as error:
                    method(key)
                assert error.value.details["key"] == key

    def test_staged_files_are_invisible_until_published(self, storage):
        staged = [storage.stage(KEY, b"image"), storage.stage(KEY + ".thumbnail", b"small")]
        assert list(storage.list("")) == []
        with pytest.raises(NotFound):
            storage.get(KEY)
        storage.publish(staged)
        assert [info.key for info in storage.list("")] == [KEY, KEY + ".thumbnail"]
        storage.discard(staged)
        storage.discard(staged)
        assert storage.get(KEY + ".thumbnail") == b"small"

    def test_discarded_files_never_appear(self, storage):
        storage.put(KEY, b"first")
        staged = [storage.stage(KEY, b"second")]
        storage.discard(staged)
        storage.discard(staged)
        assert storage.get(KEY) == b"first"
        assert [info.key for info in storage.list("")] == [KEY]

    def test_publishing_nothing_is_fine(self, storage):
        storage.publish([])

    def test_large_files_are_streamed(self, storage):
        data = os.urandom(1 << 20) * 31 + b"end"  # two parts and a bit
        file = Trickle(data)
        storage.put_file("ml/b/output/model_final.pth", file)
        assert not file.closed
        assert storage.stat("ml/b/output/model_final.pth").size == len(data)
        assert storage.get("ml/b/output/model_final.pth") == data

    @pytest.mark.parametrize("size", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1])
    def test_files_about_one_part_long(self, storage, size):
        data = bytes(size - 4) + b"tail"
        storage.put_file("model", io.BytesIO(data))
        assert storage.get("model") == data

    @pytest.mark.parametrize("size", [1000, PART_BYTES + 1000])
    def test_a_broken_stream_stores_nothing(self, storage, size):
        storage.put("model", b"old")
        with pytest.raises(ConnectionResetError):
            storage.put_file("model", Trickle(bytes(size), breaks=True))
        assert storage.get("model") == b"old"
        assert [info.key for info in storage.list("")] == ["model"]

    def test_put_file_starts_where_the_file_stands(self, storage):
        file = io.BytesIO(b"0123456789")
        file.seek(4)
        storage.put_file("part", file)
        assert storage.get("part") == b"456789"
        assert not file.closed

    def test_delete_removes_and_does_not_mind_repetition(self, storage):
        storage.put("a/b/c", b"1")
        storage.put("a/d", b"2")
        storage.delete(iter(["a/b/c", "never/there", "a/b", "a/d/below"]))
        storage.delete(["a/b/c"])
        storage.delete([])
        assert [info.key for info in storage.list("")] == ["a/d"]
        storage.put("a/b/c", b"3")
        assert storage.get("a/b/c") == b"3"

    def test_thousands_of_files_are_listed_and_deleted(self, storage, threads):
        keys = [f"many/{i % 3}/{i:05}" for i in range(1050)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda key: storage.put(key, b"x"), keys))
        assert [info.key for info in storage.list("many/")] == sorted(keys)
        storage.delete(keys)
        assert list(storage.list("")) == []

    def test_stat_and_list_tell_the_same(self, storage):
        storage.put(KEY, b"12345")
        info = storage.stat(KEY)
        assert (info.key, info.size) == (KEY, 5)
        assert abs(info.modified_at - time.time()) < 60
        assert info.etag and '"' not in info.etag
        (listed,) = storage.list(KEY)
        assert (listed.key, listed.size, listed.etag) == (info.key, info.size, info.etag)
        assert abs(listed.modified_at - info.modified_at) < 1  # HEAD tells whole seconds

    def test_list_takes_any_beginning_of_keys_in_byte_order(self, storage):
        keys = ["a", "a-b/1", "a.txt", "a0", "b/1", "b/1.x", "b/1/2", "b/10", "b1", "ü/1", "🦟"]
        keys.remove("b/1")  # a folder and a file of the same name: only S3 has that
        keys.remove("a")
        for key in reversed(keys):
            storage.put(key, b"x")
        for prefix in (
            "",
            "a",
            "a-",
            "a-b",
            "a-b/",
            "a-b/1",
            "b",
            "b/",
            "b/1",
            "b/1/",
            "b/2",
            "c/d/e",
            "ü",
            "🦟",
            "..",
        ):
            assert [info.key for info in storage.list(prefix)] == [key for key in keys if key.startswith(prefix)], (
                prefix
            )

    @pytest.mark.parametrize("prefix", ["/", "../", "a//", "a/../b", ".staging/", "\x00"])
    def test_list_refuses_what_no_key_begins_with(self, storage, prefix):
        with pytest.raises(InvalidInput):
            storage.list(prefix)

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_bad_keys_are_refused_by_every_method(self, storage, key):
        for call in (
            lambda: storage.stage(key, b"x"),
            lambda: storage.put(key, b"x"),
            lambda: storage.put_file(key, io.BytesIO(b"x")),
            lambda: storage.get(key),
            lambda: storage.open(key),
            lambda: storage.stat(key),
            lambda: storage.delete([key]),
            lambda: storage.signer("", NOW)(key),
            lambda: storage.upload_form("", key, 10, NOW),
        ):
            with pytest.raises(InvalidInput):
                call()
        assert list(storage.list("")) == []

    def test_odd_keys_are_kept_as_they_are(self, storage):
        for key in ODD_KEYS:
            storage.put(key, key.encode())
            assert storage.get(key) == key.encode()
        assert [info.key for info in storage.list("")] == sorted(ODD_KEYS, key=str.encode)
        storage.delete(ODD_KEYS)
        assert list(storage.list("")) == []

    def test_links_are_the_same_twice(self, storage):
        links = [storage.signer("https://api.lab.org", NOW)(KEY) for _ in range(2)]
        assert links[0] == links[1]
        assert links[0].partition("?")[0].endswith("/" + KEY)

    def test_upload_forms(self, storage):
        url, fields = storage.upload_form("https://api.lab.org", "ml/b/x.txt", 10, NOW)
        assert url == "https://api.lab.org/files/upload"
        assert storage.verify_upload(fields, NOW).key == "ml/b/x.txt"
        with pytest.raises(Forbidden):
            storage.verify_upload(fields | {"key": "ml/b/y.txt"}, NOW)

    def test_a_good_storage_passes_its_check(self, storage):
        storage.check()
        assert list(storage.list("")) == []

    def test_writers_of_one_key_leave_one_whole_file(self, storage, threads):
        contents = [bytes([i]) * 20_000 for i in range(8)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda data: storage.put(KEY, data), contents))
        assert storage.get(KEY) in contents
        assert [info.key for info in storage.list("")] == [KEY]

    def test_a_folder_that_is_deleted_and_filled_at_once_loses_nothing(self, storage, threads):
        def put_and_delete(number: int) -> None:
            for turn in range(10):
                storage.put(f"deep/er/{number}", bytes([turn]))
                assert storage.get(f"deep/er/{number}") == bytes([turn])
                storage.delete([f"deep/er/{number}"])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(put_and_delete, range(6)))
        assert list(storage.list("")) == []


@pytest.fixture(params=["disk", "memory", "s3"])
def storage(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def threads(storage) -> int:
    return 1 if isinstance(storage, S3Storage) else 8  # moto loses files when used by several at once


@pytest.fixture
def disk(tmp_path) -> DiskStorage:
    return DiskStorage(tmp_path / "files", b"secret")


@pytest.fixture
def memory() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def s3():
    with mock_aws():
        storage = S3Storage("s3.amazonaws.com", "spi-test", "AKTEST", "SKTEST", b"secret")
        storage._client.create_bucket(Bucket="spi-test")
        yield storage
        storage.close()


class TestEveryStorage(StorageContract):
    """Disk, memory, and S3 as moto plays it; tests/stack/test_s3.py runs the same against a real server."""


# Disk


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_disk_links_are_verified(disk):
    disk.put(KEY, b"x")
    query = dict(pair.split("=") for pair in disk.signer("", NOW)(KEY).partition("?")[2].split("&"))
    disk.verify_link(KEY, query["e"], query["s"], NOW)
    with pytest.raises(Forbidden):
        disk.verify_link(KEY + ".thumbnail", query["e"], query["s"], NOW)


def test_disk_files_can_seek_and_tell_their_size(disk):
    disk.put(KEY, b"0123456789")
    with disk.open(KEY) as file:
        file.seek(5)
        assert file.read(2) == b"56"
        assert os.fstat(file.fileno()).st_size == 10


def test_disk_shows_files_to_owner_and_group_only(disk):
    disk.put(KEY, b"x")
    assert stat.S_IMODE((disk.root / KEY).stat().st_mode) == 0o640
    for folder in (disk.root / KEY).parents[:2]:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_disk_removes_empty_folders_but_never_its_root(disk):
    disk.put("a/b/c", b"x")
    disk.put("a/d", b"x")
    disk.delete(["a/b/c"])
    assert not (disk.root / "a/b").exists()
    disk.delete(["a/d"])
    assert [path.name for path in disk.root.iterdir()] == [".staging"]


def test_disk_syncs_the_file_before_and_its_folders_after_the_rename(disk, monkeypatch):
    steps = []

    def fsync(descriptor):
        steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def rename(source, target, real=os.rename):
        steps.append("rename")
        real(source, target)

    monkeypatch.setattr(disk_module.os, "fsync", fsync)
    monkeypatch.setattr(disk_module.os, "rename", rename)
    staged = [disk.stage(KEY, b"image"), disk.stage(KEY + ".thumbnail", b"small")]
    assert steps == [str(each.content) for each in staged]
    steps.clear()
    disk.publish(staged)
    folder = (disk.root / KEY).parent
    assert steps == ["rename", "rename", "rename", str(folder), str(folder.parent), str(disk.root)]  # one had no folder


@pytest.mark.parametrize("step", ["stage", "publish"])
def test_disk_killed_before_publishing_shows_nothing(disk, step):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from spi_dash.storage import DiskStorage, disk\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "storage = DiskStorage(Path(sys.argv[1]), b'secret')\n"
        "if sys.argv[3] == 'stage': disk.os.fsync = die\n"
        "staged = storage.stage(sys.argv[2], b'image')\n"
        "disk.os.rename = die\n"
        "storage.publish([staged])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(disk.root), KEY, step], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert list(disk.list("")) == []
    with pytest.raises(NotFound):
        disk.get(KEY)
    (leftover,) = files_below(disk.root)
    assert leftover.startswith(".staging/")


def test_disk_sweeps_what_crashes_left_a_day_ago(disk):
    old, young = disk.stage(KEY, b"old"), disk.stage(KEY, b"young")
    yesterday = time.time() - 86400 - 1
    os.utime(old.content, (yesterday, yesterday))
    again = DiskStorage(disk.root, b"secret")
    assert files_below(disk.root) == [str(young.content.relative_to(disk.root))]
    with pytest.raises(Unavailable, match="gone"):
        again.publish([old])
    again.publish([young])
    assert again.get(KEY) == b"young"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_disk_failures_are_unavailable_and_leave_nothing(disk, monkeypatch, code, call):
    disk.put(KEY, b"first")

    def fail(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(disk_module.os, call, fail)
        for put in (disk.put, lambda key, data: disk.put_file(key, io.BytesIO(data))):
            with pytest.raises(Unavailable, match=os.strerror(code)):
                put(KEY, b"second")
    assert files_below(disk.root) == [KEY]
    assert disk.get(KEY) == b"first"


def test_disk_writes_the_rest_after_a_short_write(disk, monkeypatch):
    real = os.write
    monkeypatch.setattr(disk_module.os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    disk.put(KEY, b"0123456789" * 3)
    assert disk.get(KEY) == b"0123456789" * 3


def test_disk_that_is_really_full(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no right to mount a small file system; the same errors are played in another test")
    try:
        disk = DiskStorage(tmp_path, b"secret")
        disk.put("small", b"x" * 1000)
        with pytest.raises(Unavailable, match="space"):
            disk.put(KEY, bytes(2 << 20))
        with pytest.raises(Unavailable, match="space"):
            disk.put_file(KEY, io.BytesIO(bytes(2 << 20)))
        assert files_below(tmp_path) == ["small"]
        disk.check()
        (tmp_path / "filler").write_bytes(bytes(os.statvfs(tmp_path).f_bavail * 4096))
        with pytest.raises(Unavailable, match="space"):
            disk.check()
        assert disk.get("small") == b"x" * 1000
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path)], check=True)
        with pytest.raises(Unavailable, match="Read-only"):
            disk.delete(["small"])
        with pytest.raises(Unavailable, match="Read-only"):
            disk.check()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_disk_that_has_gone_away(disk):
    disk.root.rename(disk.root.with_name("elsewhere"))
    with pytest.raises(Unavailable):
        disk.check()
    with pytest.raises(Unavailable):
        disk.put(KEY, b"x")
    assert not disk.root.exists()


def test_disk_refuses_a_root_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(ConfigError, match="cannot be used"):
        DiskStorage(tmp_path / "file", b"secret")


def test_disk_never_follows_links_out_of_its_root(disk, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    (disk.root / "linked").symlink_to(outside)
    (disk.root / "link.jpg").symlink_to(outside / "secret.jpg")
    for call in (disk.get, disk.open, disk.stat, lambda key: disk.put(key, b"x"), lambda key: disk.delete([key])):
        with pytest.raises(InvalidInput, match="symbolic link"):
            call("linked/secret.jpg")
    for method in (disk.get, disk.open, disk.stat):
        with pytest.raises(NotFound):
            method("link.jpg")
    assert list(disk.list("")) == []
    disk.put("link.jpg", b"mine")  # replaces the link, not what it points to
    assert files_below(outside) == ["secret.jpg"]
    assert (outside / "secret.jpg").read_bytes() == b"secret"


def test_disk_may_itself_be_reached_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    DiskStorage(tmp_path / "link", b"secret").put(KEY, b"x")
    assert (tmp_path / "real" / KEY).read_bytes() == b"x"


def test_disk_cannot_hold_a_file_and_a_folder_of_one_name(disk):
    disk.put("a/b", b"x")
    for key in ("a", "a/b/c"):
        with pytest.raises(Conflict):
            disk.put(key, b"y")
    assert files_below(disk.root) == ["a/b"]


def test_disk_does_not_wait_for_pipes_nor_list_them(disk):
    os.mkfifo(disk.root / "pipe")
    for method in (disk.get, disk.stat):
        with pytest.raises(NotFound):
            method("pipe")
    assert list(disk.list("")) == []


def test_disk_does_not_list_names_that_are_no_keys(disk):
    disk.put("a/good", b"x")
    for name in (b"back\\slash", b"new\nline", b"not utf-8 \xff"):
        with open(os.fsencode(disk.root / "a") + b"/" + name, "wb"):
            pass
    (disk.root / "a\\b").mkdir()
    assert [info.key for info in disk.list("")] == ["a/good"]


def test_disk_lists_while_others_delete(disk):
    keys = [f"a/{i}" for i in range(9)]
    for key in keys:
        disk.put(key, b"x")
    listed = disk.list("")
    assert next(listed).key == "a/0"
    disk.delete(keys)
    assert list(listed) == []


# S3


def test_s3_sends_content_types(s3):
    expected = {
        "a.jpg": "image/jpeg",
        "a.jpg.thumbnail": "image/jpeg",
        "a.jpg.thumbnail-mini": "image/jpeg",
        "metadata.txt": "text/plain; charset=utf-8",
        "plot.SVG": "image/svg+xml",
        "model_final.pth": "application/octet-stream",
        "jpg": "application/octet-stream",
    }
    for key in expected:
        s3.put(f"x.jpg/{key}", b"x")
    s3.put_file("x.jpg/large.jpg", io.BytesIO(bytes(PART_BYTES + 1)))
    expected["large.jpg"] = "image/jpeg"
    for key, media_type in expected.items():
        head = s3._client.head_object(Bucket="spi-test", Key=f"x.jpg/{key}")
        assert head["ContentType"] == media_type, key
        assert ("CacheControl" in head) == (media_type == "image/jpeg")


def test_s3_says_what_is_wrong_with_its_settings(s3):
    elsewhere = S3Storage("s3.amazonaws.com", "no-such-bucket", "AKTEST", "SKTEST", b"secret")
    with pytest.raises(ConfigError, match=r"'no-such-bucket' at https://s3\.amazonaws\.com does not exist"):
        elsewhere.check()
    for call in (lambda: elsewhere.get(KEY), lambda: elsewhere.put(KEY, b"x"), lambda: list(elsewhere.list(""))):
        with pytest.raises(Unavailable, match="NoSuchBucket"):
            call()
    elsewhere.close()


def test_s3_that_is_not_there_is_unavailable(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the attempts
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: nobody else takes the port
        storage = S3Storage(f"http://127.0.0.1:{unused.getsockname()[1]}", "b", "AKTEST", "SKTEST", b"secret")
        for call in (
            storage.check,
            lambda: storage.get(KEY),
            lambda: storage.put(KEY, b"x"),
            lambda: next(storage.list("")),
        ):
            with pytest.raises(Unavailable, match="does not answer"):
                call()
        storage.close()


def test_s3_that_hangs_does_not_hang_the_probe(monkeypatch):
    monkeypatch.setattr(s3_clients, "CHECK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        storage = S3Storage(f"http://127.0.0.1:{silent.getsockname()[1]}", "b", "AKTEST", "SKTEST", b"secret")
        started = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer"):
            storage.check()
        assert time.monotonic() - started < 4
        storage.close()


class FakeServer:
    """Answers every request with the same bytes and closes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(self.answer)

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()


@pytest.fixture
def fake_s3():
    made = []

    def make(answer: bytes) -> S3Storage:
        server = FakeServer(answer)
        storage = S3Storage(server.host, "b", "AKTEST", "SKTEST", b"secret")
        made.extend((storage, server))
        return storage

    yield make
    for each in made:
        each.close()


def error_answer(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
    return f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_s3_refusals_are_unavailable_and_named(fake_s3):
    storage = fake_s3(error_answer("403 Forbidden", "AccessDenied"))
    for call in (lambda: storage.get(KEY), lambda: storage.put(KEY, b"x"), lambda: storage.delete([KEY])):
        with pytest.raises(Unavailable, match="AccessDenied"):
            call()
    with pytest.raises(ConfigError, match="S3_ACCESS_KEY"):
        storage.check()


def test_s3_server_errors_are_tried_again_and_then_unavailable(fake_s3, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between the attempts
    storage = fake_s3(error_answer("503 Slow Down", "SlowDown"))
    with pytest.raises(Unavailable, match="SlowDown"):
        storage.get(KEY)


def test_s3_answers_that_break_off_are_unavailable(fake_s3):
    head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000\r\n"
    head += 'Last-Modified: Wed, 01 Jul 2026 12:00:00 GMT\r\nETag: "x"\r\n\r\n'
    storage = fake_s3(head.encode() + b"only this")
    with pytest.raises(Unavailable, match="does not answer"):
        storage.get(KEY)


def test_s3_files_that_cannot_be_deleted_are_an_error(fake_s3):
    body = f"<DeleteResult><Error><Key>{KEY}</Key><Code>InternalError</Code></Error></DeleteResult>"
    storage = fake_s3(f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    with pytest.raises(Unavailable, match="1 files could not be deleted: InternalError") as error:
        storage.delete([KEY])
    assert error.value.details["keys"] == [KEY]


def test_s3_does_not_list_names_that_are_no_keys(s3):
    s3.put("raw_images/ab01/x.jpg", b"x")
    for key in ("raw_images/", "raw_images//x", "a/../b", "back\\slash"):
        s3._client.put_object(Bucket="spi-test", Key=key)
    assert [info.key for info in s3.list("")] == ["raw_images/ab01/x.jpg"]


def test_s3_broken_uploads_leave_no_parts(s3):
    with pytest.raises(ConnectionResetError):
        s3.put_file("model", Trickle(bytes(2 * PART_BYTES), breaks=True))
    assert "Uploads" not in s3._client.list_multipart_uploads(Bucket="spi-test")


def test_s3_etags_of_large_files_are_those_the_clients_compute(s3):
    from hashlib import md5

    data = bytes(PART_BYTES) + b"rest"
    s3.put_file("model", io.BytesIO(data))
    digests = md5(data[:PART_BYTES]).digest() + md5(data[PART_BYTES:]).digest()
    assert s3.stat("model").etag == f"{md5(digests).hexdigest()}-2"
    s3.put_file("one part", io.BytesIO(data[:PART_BYTES]))
    assert s3.stat("one part").etag == md5(data[:PART_BYTES]).hexdigest()


def test_s3_links_are_for_the_public_host():
    storage = S3Storage("http://garage:3900", "b", "AKTEST", "SKTEST", b"secret", public_host="s3.lab.org")
    assert storage.signer("https://api.lab.org", NOW)(KEY).startswith(f"https://s3.lab.org/b/{KEY}?X-Amz-Algorithm=")
    with pytest.raises(Forbidden):
        storage.verify_link(KEY, "1", "x", NOW)
    storage.close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("s3.lab.org", "https://s3.lab.org"),
        ("s3.lab.org:9000", "https://s3.lab.org:9000"),
        ("https://S3.Lab.org/", "https://s3.lab.org"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("localhost:9000", "https://localhost:9000"),
    ],
)
def test_s3_host_is_https_unless_it_says_otherwise(host, url):
    assert endpoint_url(host) == url


@pytest.mark.parametrize(
    "host", ["", "https://", "ftp://x", "s3.lab.org/bucket", "http://a:b@c", "x:port", "x:99999", "a b", "x?y"]
)
def test_s3_host_must_be_a_host(host):
    with pytest.raises(ConfigError, match="S3_HOST"):
        endpoint_url(host)


def test_a_server_with_files_on_disk_does_not_load_boto(tmp_path):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from spi_dash.storage import DiskStorage\n"
        "DiskStorage(Path(sys.argv[1]), b'secret').put('a', b'x')\n"
        "sys.exit(any('boto' in name for name in sys.modules))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=True)
