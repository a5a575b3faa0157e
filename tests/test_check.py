"""spi-dash check: what it finds, what it mends, and what it leaves alone."""

from datetime import datetime

import pytest
import sqlalchemy as sa
from live import START, pictures
from moto import mock_aws

from spi_dash.db import connect, upgrade
from spi_dash.errors import Unavailable
from spi_dash.models import Image
from spi_dash.services import check as check_module
from spi_dash.services import images
from spi_dash.services.check import check
from spi_dash.services.check_report import Options, Report
from spi_dash.storage import DiskStorage, MemoryStorage, S3Storage

NOW = datetime(2026, 7, 1, 12)
ASIDE = "lost+found/2026-07-01_12-00-00/"


@pytest.fixture(params=["disk", "memory", "s3"])
def storage(request, tmp_path, monkeypatch):
    if request.param == "disk":
        yield DiskStorage(tmp_path / "files", b"secret")
    elif request.param == "memory":
        yield MemoryStorage()
    else:
        monkeypatch.setattr(check_module, "THREADS", 1)  # moto loses files when used by several at once
        with mock_aws():
            storage = S3Storage("s3.amazonaws.com", "spi-test", "AKTEST", "SKTEST", b"secret")
            storage._client.create_bucket(Bucket="spi-test")
            yield storage
            storage.close()


@pytest.fixture
def database(tmp_path):
    database = connect(f"sqlite:///{tmp_path / 'spi.db'}")
    upgrade(database)
    yield database
    database.engine.dispose()


@pytest.fixture
def add(database, storage):
    """Store pictures as the API does; returns their storage keys."""

    def run(files):
        with database.begin() as session:
            prepared = [images.prepare_image(storage, name, data) for name, data in files.items()]
            images.add_images(session, storage, prepared, None, NOW)
        return [f"raw_images/{name[:8]}/{name}" for name in files]

    return run


@pytest.fixture
def look(database, storage):
    """Check; returns what was found as (kind, key) and the report."""

    def run(**options) -> tuple[list[tuple[str, str]], Report]:
        found = []
        report = check(database.begin, database.read, storage, Options(now=NOW, **options), found.append)
        assert sum(report.found.values()) == len(found)
        return [(problem.kind, problem.key) for problem in found], report

    return run


def count_rows(database):
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(Image))


def test_all_is_well(add, look):
    add(pictures(3))
    add(pictures(2, "00000001"))
    found, report = look()
    assert (found, report.images, not report.left) == ([], 5, True)


def test_an_empty_server_is_well(look):
    assert look(repair=True)[0] == []


def test_a_lost_picture_is_told_and_stays(add, look, storage, database):
    key, *_ = add(pictures(2))
    storage.delete([key])
    for options in ({}, {"quick": True}, {"repair": True}):
        found, report = look(**options)
        assert found == [("lost", key)]
        assert report.left == {"lost": 1}
    assert count_rows(database) == 2
    storage.put(key, pictures(1)[key.rpartition("/")[2]])
    assert look()[0] == []


def test_all_files_of_a_device_are_lost(add, look, storage):
    keys = add(pictures(2, "ffffffff"))
    storage.delete([info.key for info in storage.list("raw_images/ffffffff/")])
    add(pictures(1, "00000001"))
    found, report = look()
    assert (found, report.images) == ([("lost", key) for key in keys], 3)


def test_a_damaged_picture_is_told_and_stays(add, look, storage):
    key, other = add(pictures(2))
    storage.put(key, storage.get(key)[:-1] + b"x")
    assert look(quick=True)[0] == []
    for _ in range(2):
        found, report = look(repair=True)
        assert (found, report.left) == ([("damaged", key)], {"damaged": 1})
    storage.put(other, b"")
    assert look(quick=True)[0] == [("damaged", other)]


@pytest.mark.parametrize("suffix", [".thumbnail", ".thumbnail-mini"])
def test_thumbnails_are_made_again(add, look, storage, suffix):
    missing, empty = add(pictures(2))
    before = storage.get(missing + suffix)
    storage.delete([missing + suffix])
    storage.put(empty + suffix, b"")
    found, report = look(quick=True)
    assert found == [("thumbnail", missing + suffix), ("thumbnail", empty + suffix)]
    assert report.left == {"thumbnail": 2}
    assert not look(repair=True)[1].left
    assert storage.get(missing + suffix) == before
    assert look()[0] == []


def test_a_whole_picture_without_a_row_gets_one(add, look, storage, database):
    (name, data), *_ = pictures(1).items()
    key = f"raw_images/5c173ff2/{name}"
    storage.put(key, data)
    found, report = look()
    assert (found, report.left, count_rows(database)) == ([("stray", key)], {"stray": 1}, 0)
    assert not look(repair=True)[1].left
    assert (look()[0], count_rows(database)) == ([], 1)
    with database.read() as session:
        image = session.scalars(sa.select(Image)).one()
        assert (image.device, image.datetime, image.datetime_created) == ("5c173ff2", START, NOW)


def test_what_is_no_picture_is_moved_aside(add, look, storage):
    key, *_ = add(pictures(1))
    odd = {
        "raw_images/5c173ff2/5c173ff2.2022-01-01_00-00-00.jpg": b"not a JPEG",
        "raw_images/5c173ff2/5c173ff2.2022-01-01_00-00-00.jpg.thumbnail": b"?",
        "raw_images/5c173ff2/5c173ff2.2022-01-02_00-00-00.jpg.thumbnail-mini": b"?",
        "raw_images/00000000/5c173ff2.2022-01-03_00-00-00.jpg": b"in the folder of another",
        "raw_images/notes.txt": b"?",
        "raw_images/5c173ff2/a/b": b"?",
        f"{key}.bak": b"?",
    }
    for name, data in odd.items():
        storage.put(name, data)
    found, report = look()
    assert len(found) == sum(report.left.values()) == 6
    assert not look(repair=True)[1].left
    assert {info.key.removeprefix(ASIDE): storage.get(info.key) for info in storage.list(ASIDE)} == odd
    assert look()[0] == []
    assert storage.get(key)


def test_other_folders_of_the_storage_are_not_touched(look, storage):
    storage.put("ml/bundle/config/a.yaml", b"a: 1")
    assert look(repair=True)[0] == []
    assert storage.get("ml/bundle/config/a.yaml") == b"a: 1"


def test_uploads_and_deletions_meanwhile_are_no_problems(add, look, storage, database, monkeypatch):
    """A picture appears and one goes after the storage was listed."""
    (stay,) = add(pictures(1, "00000001"))
    (late, late_data), *_ = pictures(1, "00000002").items()
    gone, *_ = add(pictures(1, "00000003"))
    real_list = type(storage).list

    def list_and_change(self, prefix):
        listed = list(real_list(self, prefix))
        add({late: late_data})
        with database.begin() as session:
            session.execute(sa.delete(Image).where(Image.device == "00000003"))
        self.delete([gone, f"{gone}.thumbnail", f"{gone}.thumbnail-mini"])
        monkeypatch.undo()
        return iter(listed)

    monkeypatch.setattr(type(storage), "list", list_and_change)
    found, _ = look(repair=True)
    assert [key for _, key in found if key != gone] == []
    assert count_rows(database) == 2
    assert look()[0] == []
    assert storage.get(stay)


def test_one_unreadable_file_is_told_and_a_dead_storage_ends_it(add, look, storage, monkeypatch):
    key, *_ = add(pictures(3))
    real_open = type(storage).open

    def broken_open(self, opened):
        if opened == key:
            raise Unavailable("the file storage cannot be read: Input/output error")
        return real_open(self, opened)

    monkeypatch.setattr(type(storage), "open", broken_open)
    assert look()[0] == [("unreadable", key)]

    def dead(self):
        raise Unavailable("the storage does not answer")

    monkeypatch.setattr(type(storage), "check", dead)
    with pytest.raises(Unavailable):
        look()


def test_every_picture_is_ticked(add, database, storage):
    add(pictures(70))
    ticks = []
    check(database.begin, database.read, storage, Options(now=NOW), lambda _: None, lambda: ticks.append(1))
    assert len(ticks) == 70


def test_rows_of_older_servers_with_fractions_of_seconds_are_found(add, look, database):
    add(pictures(1))
    with database.begin() as session:
        session.execute(sa.text("UPDATE images SET datetime = datetime || '.000000'"))
    assert look()[0] == []
