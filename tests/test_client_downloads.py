"""Many files at once over a real connection: resumed, checked, renewed, and what fails is named."""

import hashlib
import os
import threading
import time
from urllib.parse import urlsplit

import orjson
import pytest
from live import ADMIN, PASSWORD, START, live_server, pictures, plain_session, scripted_server, write_all

from spi_dash.client import SpiClient
from spi_dash.client.downloads import LINKS_PER_REQUEST
from spi_dash.client.files import LEFTOVER_S
from spi_dash.errors import InvalidInput, SpiError

DEVICE, OTHER = "5c173ff2", "5c173ff3"
SENT = {**pictures(4), **pictures(2, OTHER)}
FIRST = next(iter(SENT))


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with six pictures of two traps."""
    with live_server(tmp_path_factory.mktemp("server")) as server:
        with server.client() as client:
            client.put_images(SENT)
        yield server


@pytest.fixture
def client(live):
    with live.client() as connected:
        yield connected


@pytest.fixture
def through(live):
    """The same server behind a proxy of this test: `spoil(path, body)` answers in its place, or None."""
    seen: list[str] = []

    def connect(spoil):
        upstream = plain_session()

        def answer(path, body, headers):
            seen.append(path)
            spoilt = spoil(path, body)
            if spoilt is not None:
                return spoilt
            kept = {key: headers[key] for key in ("Authorization", "Content-Type") if key in headers}
            call = upstream.get if path.startswith("/files/") else upstream.post
            got = call(live.url + path.partition("&asked=")[0], data=body, headers=kept)
            return got.status_code, {"Content-Type": got.headers["Content-Type"]}, got.content

        return scripted_server(answer), seen

    return connect


class Proxied(SpiClient):
    """A client whose links lead through the proxy; those of each answer are others."""

    asked = 0

    def post_json(self, path, info, **options):
        rows = super().post_json(path, info, **options)
        self.asked += path.startswith("get_images/")
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and row.get("url"):
                parts = urlsplit(row["url"])
                row["url"] = f"{self.url}{parts.path}?{parts.query}&asked={self.asked}"
        return rows


def connect_to(url, **options):
    return Proxied(url, ADMIN, PASSWORD, **{"sleep": lambda _: None, "retries": 2, **options})


def refusal(status, code, message):
    body = {"error": {"code": code, "message": message, "details": {}}}
    return status, {"Content-Type": "application/json"}, orjson.dumps(body)


def names_of(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def is_file_of(path, name):
    return path.startswith("/files/") and name in urlsplit(path).path


def test_pictures_come_down_resume_and_are_checked(client, tmp_path):
    result = client.download_images(tmp_path, progress=False)
    assert (result.downloaded, result.there, result.complete) == (6, 0, True)
    assert result.bytes_received == sum(map(len, SENT.values()))
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == SENT
    assert sorted(path.name for path in tmp_path.iterdir()) == [DEVICE, OTHER]
    (tmp_path / DEVICE / FIRST).write_bytes(b"damaged on this disk")
    (tmp_path / OTHER / list(SENT)[5]).unlink()
    again = client.download_images(tmp_path, progress=False)
    assert (again.downloaded, again.there, again.complete) == (2, 4, True)
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*.jpg")} == SENT


def test_only_what_is_asked_for_comes(client, tmp_path):
    frame = client.images_frame(OTHER)
    for number, given in enumerate(
        ({"images": frame}, {"images": client.get_image_series(OTHER)}, {"device": OTHER}, {"device": [OTHER]})
    ):
        assert client.download_images(tmp_path / str(number), **given, progress=False).downloaded == 2
    series = [{"device": DEVICE, "start_datetime": START, "end_datetime": "2022-05-01T00:20:00Z"}]
    assert client.download_images(tmp_path / "s", series=series, progress=False).downloaded == 1
    empty = client.download_images(tmp_path / "none", "ffffffff", progress=False)
    assert empty.complete and empty.downloaded == 0
    with pytest.raises(InvalidInput) as error:
        client.download_images(tmp_path, what="metadata", progress=False)
    assert error.value.details["field"] == "what"


@pytest.mark.parametrize("what", ["thumbnail", "thumbnail-mini"])
def test_thumbnails_have_names_of_their_own(client, tmp_path, what):
    client.download_images(tmp_path, OTHER, progress=False)
    assert client.download_images(tmp_path, OTHER, what=what, progress=False).downloaded == 2
    assert client.download_images(tmp_path, OTHER, what=what, progress=False).there == 2
    assert len(names_of(tmp_path)) == 4
    for path in tmp_path.rglob(f"*.{what}.jpg"):
        assert path.read_bytes()[:2] == b"\xff\xd8"


def test_a_file_that_arrives_damaged_is_tried_again(through, tmp_path):
    damaged = [FIRST, FIRST]

    def spoil(path, _body):
        if damaged and is_file_of(path, damaged[0]):
            damaged.pop()
            return 200, {}, b"damaged on the way"

    server, seen = through(spoil)
    with server as url, connect_to(url) as client:
        assert client.download_images(tmp_path, progress=False).complete
    assert (tmp_path / DEVICE / FIRST).read_bytes() == SENT[FIRST]
    assert sum(is_file_of(path, FIRST) for path in seen) == 3


@pytest.mark.parametrize(
    "answer, words",
    [
        ((200, {}, b"damaged on the way"), "md5"),
        ((404, {}, b""), "404"),
        (refusal(500, "internal", "the disk of the server is broken"), "disk of the server"),
    ],
)
def test_one_file_that_fails_is_named_and_the_others_arrive(through, tmp_path, answer, words):
    server, _ = through(lambda path, _body: answer if is_file_of(path, FIRST) else None)
    with server as url, connect_to(url) as client:
        result = client.download_images(tmp_path, progress=False)
    assert (result.downloaded, result.complete, result.stopped) == (5, False, "")
    ((path, reason),) = result.failures
    assert path == tmp_path / DEVICE / FIRST and words in reason
    assert names_of(tmp_path) == sorted(set(SENT) - {FIRST})


def test_an_expired_link_is_renewed_once_for_its_group(through, tmp_path):
    """As when the computer slept: the links of the first answer are all refused."""

    def spoil(path, _body):
        return refusal(403, "forbidden", "the link has expired") if path.endswith("&asked=1") else None

    server, seen = through(spoil)
    with server as url, connect_to(url) as client:
        result = client.download_images(tmp_path, jobs=3, progress=False)
    assert (result.downloaded, result.complete, client.asked) == (6, True, 2)
    assert 1 <= sum(path.endswith("&asked=1") for path in seen) <= 3


def test_a_link_that_stays_refused_is_a_failure(through, tmp_path):
    server, _ = through(
        lambda path, _body: refusal(403, "forbidden", "not this one") if is_file_of(path, FIRST) else None
    )
    with server as url, connect_to(url) as client:
        result = client.download_images(tmp_path, progress=False)
    assert result.downloaded == 5 and [reason for _, reason in result.failures] == ["not this one"]


def test_a_picture_deleted_meanwhile_is_named(client, tmp_path):
    rows = client.get_image_series(OTHER)
    gone = {**rows[0], "datetime": rows[0]["datetime"].replace(year=2023)}
    result = client.download_images(tmp_path, images=[*rows, gone], progress=False)
    assert result.downloaded == 2
    assert [(path.name, reason) for path, reason in result.failures] == [
        (f"{OTHER}.2023-05-01_00-00-00.jpg", "the server does not have it any more")
    ]


def test_a_server_that_is_gone_ends_the_run(through, tmp_path):
    server, seen = through(lambda path, _body: refusal(503, "unavailable", "closed") if "/files/" in path else None)
    with server as url, connect_to(url, retries=0) as client:
        result = client.download_images(tmp_path, jobs=1, progress=False)
    assert (result.downloaded, result.stopped, len(result.failures)) == (0, "closed", 3)
    assert sum(path.startswith("/files/") for path in seen) == 3
    assert names_of(tmp_path) == []


def test_a_disk_that_refuses_ends_the_run(client, tmp_path):
    (tmp_path / DEVICE).write_text("a file where a folder must be")
    result = client.download_images(tmp_path, DEVICE, jobs=1, progress=False)
    assert "cannot be written" in result.stopped and not result.complete


def test_what_killed_runs_have_left_is_swept(client, tmp_path):
    """Old parts go; young ones may be those of another run; other files are none of its business."""
    folder = tmp_path / DEVICE
    old, young, other = folder / f".{FIRST}.aa.part", folder / f".{FIRST}.bb.part", folder / "notes.part"
    write_all(folder, {path.name: b"half" for path in (old, young, other)})
    for path in (old, other):
        os.utime(path, (time.time() - LEFTOVER_S - 60,) * 2)
    client.download_images(tmp_path, progress=False)
    assert names_of(tmp_path) == sorted([young.name, other.name, *SENT])


def test_ctrl_c_leaves_no_part_of_a_file(through, tmp_path):
    under_way, go_on = threading.Event(), threading.Event()

    def spoil(path, _body):
        if path.startswith("/files/"):
            under_way.set()
            go_on.wait(5)

    server, _ = through(spoil)
    with server as url, connect_to(url) as client:
        rows = client.get_image_series()
        client._image_jobs = lambda *args, jobs=client._image_jobs: stopped_after(jobs(*args), under_way, go_on)
        with pytest.raises(KeyboardInterrupt):
            client.download_images(tmp_path, images=rows, jobs=2, progress=False)
    assert not [name for name in names_of(tmp_path) if not name.endswith(".jpg")]
    assert len(names_of(tmp_path)) < 6


def stopped_after(jobs, under_way, go_on):
    """The first job, and Ctrl-C while it is under way."""
    yield next(jobs)
    under_way.wait(5)
    go_on.set()
    raise KeyboardInterrupt


def test_names_that_lead_elsewhere_are_refused(tmp_path):
    row = {"device": "../../evil", "datetime": "2022-05-01T00:00:00Z", "md5": "0" * 32}

    def answer(_path, _body, _headers):
        return 200, {}, orjson.dumps([row])

    with scripted_server(answer) as url, SpiClient(url, token="x") as client:
        with pytest.raises(InvalidInput, match="name of a file"):
            client.download_images(tmp_path / "down", progress=False)
    assert names_of(tmp_path) == []


def test_links_are_asked_for_in_groups(tmp_path):
    """Thousands of links at once would expire before they are used, and cost memory."""
    n = LINKS_PER_REQUEST + 5
    data = b"picture"
    times = [f"2022-05-01T{i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d}Z" for i in range(n)]
    rows = [{"device": DEVICE, "datetime": at, "md5": hashlib.md5(data).hexdigest()} for at in times]
    groups = []

    def answer(path, body, headers):
        if path.startswith("/files"):
            return 200, {}, data
        if path.startswith("/get_image_series"):
            return 200, {}, orjson.dumps(rows)
        keys = orjson.loads(body)
        groups.append(len(keys))
        return 200, {}, orjson.dumps([{**key, "url": f"http://{headers['Host']}/files/x"} for key in keys])

    with scripted_server(answer) as url, SpiClient(url, token="x") as client:
        assert client.download_images(tmp_path, progress=False).downloaded == n
    assert groups == [LINKS_PER_REQUEST, 5]


def test_a_folder_goes_up_and_resumes(live, tmp_path):
    files = pictures(5, "00000abc")
    write_all(tmp_path / "a", dict(list(files.items())[:3]))
    with live.client() as client:
        assert client.upload_folder(tmp_path, progress=False).uploaded == 3
        write_all(tmp_path / "b", dict(list(files.items())[3:]))
        (tmp_path / "b" / "00000abc.2022-07-01_00-00-00.jpg").write_bytes(b"no picture")
        summary = client.upload_folder([tmp_path / "a", str(tmp_path / "b")], progress=False)
        assert (summary.uploaded, summary.there, summary.failed, summary.complete) == (2, 3, 1, False)
        assert "not a JPEG" in summary.failures[0].reason
        assert client.download_images(tmp_path / "down", "00000abc", progress=False).downloaded == 5
        client.delete_images(client.get_image_series("00000abc"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "down").rglob("*.jpg")} == files


def test_a_wrong_password_is_said_before_anything_is_written(live, tmp_path):
    with SpiClient(live.url, ADMIN, "wrong", sleep=lambda _: None) as client, pytest.raises(SpiError, match="password"):
        client.download_images(tmp_path / "down", progress=False)
    assert not (tmp_path / "down").exists()


def test_two_runs_into_one_folder_do_not_disturb_each_other(live, tmp_path):
    results = []

    def run():
        with live.client() as client:
            results.append(client.download_images(tmp_path, progress=False))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.complete for result in results) and len(results) == 3
    assert names_of(tmp_path) == sorted(SENT)


def test_progress_is_shown_where_it_is_asked_for(client, tmp_path, capsys):
    client.download_images(tmp_path, progress=True)
    assert "6/6" in capsys.readouterr().err
    client.download_images(tmp_path, progress=False)
    assert capsys.readouterr().err == ""
