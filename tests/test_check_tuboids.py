"""spi-dash check, about tuboids: what it finds, what it moves aside, and what it leaves alone."""

from datetime import datetime

import pytest
from conftest import ADMIN, contents
from tuboid_lab import ALL, encode, name_tuboid, tuboid_form

from spi_dash.services.check_report import Options, Report
from spi_dash.services.check_tuboids import check_tuboids
from spi_dash.services.tuboids import folder
from spi_dash.storage import DiskStorage, MemoryStorage

NOW = datetime(2026, 7, 1, 12)
ASIDE = "lost+found/2026-07-01_12-00-00/"


@pytest.fixture(params=["disk", "memory"])
def storage(request, tmp_path):
    return MemoryStorage() if request.param == "memory" else DiskStorage(tmp_path / "files", b"secret")


@pytest.fixture
def add(client):
    """Upload tuboids; returns their folders in the storage."""

    def run(*numbers):
        for number in numbers:
            assert client.post("/_put_tiled_tuboids", auth=ADMIN, **encode(tuboid_form(number))).status_code == 200
        return [folder(name_tuboid(number)) for number in numbers]

    return run


@pytest.fixture
def look(spi):
    """Check; returns what was found as (kind, key), and the report."""

    def run(**options):
        found, report = [], Report()
        check_tuboids(spi.begin, spi.read, spi.storage, Options(now=NOW, **options), report, found.append)
        assert sum(report.found.values()) == len(found)
        return [(problem.kind, problem.key) for problem in found], report

    return run


def test_all_is_well(add, look):
    add(0, 1)
    found, report = look()
    assert (found, report.tuboids, not report.left) == ([], 2, True)


def test_an_empty_server_is_well(look):
    assert look(repair=True)[0] == []


@pytest.mark.parametrize("name", ["tuboid.jpg", "metadata.txt", "context.jpg"])
def test_missing_and_empty_files_are_told_and_stay(add, look, storage, name):
    first, second = add(0, 1)
    storage.delete([first + name])
    storage.put(second + name, b"")
    for options in ({}, {"quick": True}, {"repair": True}):
        found, report = look(**options)
        assert found == [("tuboid", first + name), ("tuboid", second + name)]
        assert report.left == {"tuboid": 2}


def test_all_files_of_a_tuboid_are_lost(add, look, storage):
    lost, _ = add(0, 1)
    storage.delete([key for key in contents(storage) if key.startswith(lost)])
    assert look()[0] == [("tuboid", f"{lost}{name}") for name in ("tuboid.jpg", "metadata.txt", "context.jpg")]


def test_other_shots_than_in_the_database(add, look, storage):
    (place,) = add(0)
    storage.put(place + "metadata.txt", tuboid_form(n_shots=3)["metadata"])
    assert look()[0] == [("tuboid-shots", place + "metadata.txt")]
    assert look(quick=True)[0] == []
    storage.put(place + "metadata.txt", b"rubbish")
    assert look()[0] == [("tuboid-shots", place + "metadata.txt")]


def test_files_without_a_row_are_moved_aside(add, look, storage):
    (place,) = add(0)
    never_confirmed = folder(name_tuboid(1))
    keys = [never_confirmed + "tuboid.jpg", place + "notes.txt", "tiled_tuboids/elsewhere/x.jpg"]
    for key in keys:
        storage.put(key, b"content")
    found, report = look()
    assert sorted(found) == sorted(("tuboid-stray", key) for key in keys) and report.left == {"tuboid-stray": 3}
    before = contents(storage)
    assert not look(repair=True)[1].left
    after = contents(storage)
    assert {ASIDE + key for key in keys} == set(after) - set(before) and not set(keys) & set(after)
    assert look()[0] == []


def test_a_tuboid_that_is_uploaded_or_deleted_meanwhile_is_no_problem(add, look, storage, post, monkeypatch):
    add(0)
    listed = storage.list("tiled_tuboids/")
    late = list(listed)
    monkeypatch.setattr(storage, "list", lambda prefix: iter(late))
    post("/delete_tiled_tuboids", ALL)
    assert look()[0] == []  # its files were listed, and have gone
    late.clear()
    add(1)
    assert look()[0] == []  # its files were listed before they were there
