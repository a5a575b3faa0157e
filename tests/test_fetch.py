"""spi-dash fetch: pictures and their table on disk."""

import csv

import pytest
from click.testing import CliRunner
from live import ADMIN, PASSWORD, live_server, pictures

from spi_dash.cli import main
from spi_dash.client import SpiClient
from spi_dash.client.downloads import DownloadCalls

DEVICE, OTHER = "5c173ff2", "5c173ff3"
SENT = {**pictures(3), **pictures(2, OTHER)}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Five pictures of two traps; two insects were found on the first, none on the second."""
    with live_server(tmp_path_factory.mktemp("server")) as server:
        with server.client() as client:
            rows = client.put_images(SENT)
            contour = {"contour": [[[1, 2]], [[3, 4]], [[5, 1]]], "name": "insect"}
            for row, n in zip(rows, (2, 0), strict=False):
                keys = {key: row[key] for key in ("device", "datetime", "md5")}
                metadata = {"algo_name": "d", "algo_version": "1", **keys}
                client.put_uid_annotations([{"annotations": [contour] * n, "metadata": metadata}])
        yield server


@pytest.fixture
def fetch(live, tmp_path):
    def run(*options, password=PASSWORD):
        arguments = ["fetch", str(tmp_path / "out"), "--url", live.url, "--user", ADMIN, *options]
        return CliRunner().invoke(main, arguments, env={"SPI_PASSWORD": password})

    return run


def table_of(folder):
    with (folder / "out" / "images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "out").rglob("*.jpg")}


def test_pictures_and_table_come_and_resume(fetch, tmp_path):
    result = fetch()
    assert result.exit_code == 0, result.output
    assert "5 downloaded, 0 there already, 0 failed; 5 rows" in result.stdout
    assert files_of(tmp_path) == SENT
    rows = table_of(tmp_path)
    assert [row["n_objects"] for row in rows] == ["2", "0", "", "", ""]
    assert [row["file"] for row in rows] == [f"{name.split('.')[0]}/{name}" for name in SENT]
    assert rows[1]["datetime"] == "2022-05-01T00:20:00Z" and rows[0]["algo_version"] == "1"
    (tmp_path / "out" / rows[0]["file"]).write_bytes(b"damaged")
    (tmp_path / "out" / rows[4]["file"]).unlink()
    assert "2 downloaded, 3 there already" in fetch().stdout
    assert files_of(tmp_path) == SENT
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_part_is_chosen(fetch, tmp_path):
    assert (
        "1 downloaded"
        in fetch("--device", DEVICE, "--from", "2022-05-01T00:20:00", "--to", "2022-05-01T00:40:00Z").stdout
    )
    assert [row["datetime"] for row in table_of(tmp_path)] == ["2022-05-01T00:20:00Z"]
    assert "2 downloaded" in fetch("--device", OTHER, "--device", "none", "--what", "thumbnail").stdout
    assert [row["file"][-14:] for row in table_of(tmp_path)] == [".thumbnail.jpg"] * 2


def test_the_table_alone(fetch, tmp_path):
    assert "0 downloaded, 0 there already, 0 failed; 5 rows" in fetch("--what", "nothing").stdout
    assert {row["file"] for row in table_of(tmp_path)} == {""} and files_of(tmp_path) == {}
    assert fetch("--what", "nothing", "--device", "none").exit_code == 0
    assert table_of(tmp_path) == []


def test_what_failed_is_named_and_missing_in_the_table(fetch, live, tmp_path):
    gone = live.data_dir / "files" / "raw_images" / DEVICE / next(iter(SENT))
    data = gone.read_bytes()
    gone.unlink()
    try:
        result = fetch()
    finally:
        gone.write_bytes(data)
    assert (
        result.exit_code == 1
        and gone.name in result.stderr
        and "4 downloaded, 0 there already, 1 failed" in result.stdout
    )
    assert [bool(row["file"]) for row in table_of(tmp_path)] == [False, True, True, True, True]
    assert fetch().exit_code == 0


def test_ctrl_c_leaves_a_true_table(fetch, tmp_path, monkeypatch):
    def interrupted(self, folder, *, images, **options):
        real(self, folder, images=images[:2], **options)
        raise KeyboardInterrupt

    real = DownloadCalls.download_images
    monkeypatch.setattr(SpiClient, "download_images", interrupted)
    result = fetch()
    assert result.exit_code == 130 and "Run the same command again" in result.stderr
    assert [bool(row["file"]) for row in table_of(tmp_path)] == [True, True, False, False, False]


def test_a_wrong_password_writes_nothing(fetch, tmp_path):
    result = fetch(password="wrong")
    assert result.exit_code == 1 and "password" in result.stderr
    assert not (tmp_path / "out").exists()
