"""Who did what, and what everybody prefers; on both databases."""

import json
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from conftest import ADMIN, NOON

from spi_dash.cli import main
from spi_dash.errors import Conflict, InvalidInput, NotFound
from spi_dash.models import AuditEntry, User
from spi_dash.services import audit, preferences, users
from spi_dash.services.audit import list_entries

NOW = datetime(2026, 7, 1, 12)


@pytest.fixture
def session(database):
    with database.begin() as session:
        yield session


@pytest.fixture
def ada(session, monkeypatch):
    monkeypatch.setattr(users, "hash_password", lambda password: f"hash of {password}")
    return users.add_user(
        session, username="ada", password="R3ad_0nly", email="ada@example.org", is_admin=True, now=NOW
    )


def test_entries_come_newest_first_and_in_pages(session, ada):
    for i in range(5):
        audit.record(session, ada if i % 2 else None, "password reset", f"user {i}", NOW + timedelta(seconds=i))
    newest, has_older = list_entries(session, limit=2)
    assert [each.target for each in newest] == ["user 4", "user 3"] and has_older
    assert [each.username for each in newest] == [None, "ada"]
    assert newest[0].at == NOW + timedelta(seconds=4)
    middle, has_older = list_entries(session, newest[-1].id, limit=2)
    assert [each.target for each in middle] == ["user 2", "user 1"] and has_older
    last, has_older = list_entries(session, middle[-1].id, limit=2)
    assert [each.target for each in last] == ["user 0"] and not has_older


def test_an_entry_outlives_its_user(session, ada):
    audit.record_users(session, ada, "user added", [ada], NOW)
    session.execute(sa.delete(User).where(User.id == ada.id))
    (entry,), _ = list_entries(session)
    assert (entry.username, entry.action, entry.target, entry.details) == ("ada", "user added", "ada", "admin")


def test_no_entry_holds_an_address_or_a_password(session, ada):
    audit.record_users(session, ada, "user added", [ada], NOW)
    for row in session.execute(sa.select(AuditEntry.__table__)):
        assert "example.org" not in str(row) and "R3ad_0nly" not in str(row)


def test_long_texts_are_cut_and_odd_ones_kept(session, ada):
    audit.record(session, ada, "bundle uploaded", "x" * 500, NOW, "Käfer 🪲 " * 100)
    (entry,), _ = list_entries(session)
    assert len(entry.target) == 128 and len(entry.details) == 255 and entry.details.startswith("Käfer 🪲")


def test_deleted_pictures_are_counted_by_trap(session, ada):
    rows = [{"device": device, "datetime": NOON + timedelta(minutes=20 * i)} for device in "ab" for i in range(3)]
    audit.record_deleted_images(session, ada, [*rows, {"device": "c", "datetime": NOON}], NOW)
    entries, _ = list_entries(session)
    assert [each.target for each in entries] == ["c", "b", "a"]
    assert entries[0].details == "1, of 2022-07-01 12:00:00 UTC"
    assert entries[1].details == "3, from 2022-07-01 12:00:00 to 2022-07-01 12:40:00 UTC"


def test_an_entry_goes_with_its_deed(database, ada, session):
    session.commit()
    with pytest.raises(Conflict), database.begin() as other:
        audit.record(other, ada, "user added", "bob", NOW)
        raise Conflict("the deed did not happen")
    with database.read() as other:
        assert list_entries(other) == ([], False)


def test_preferences_are_kept_for_each_user(session, ada):
    bob = users.add_user(session, username="bob", password="x", now=NOW)
    assert preferences.get(session, ada.id) == preferences.Preferences(zone="site", theme="auto")
    preferences.choose(session, ada.id, "zone", "utc")
    assert preferences.choose(session, ada.id, "theme", "dark") == preferences.get(session, ada.id)
    assert preferences.get(session, ada.id) == preferences.Preferences(zone="utc", theme="dark")
    assert preferences.get(session, bob.id) == preferences.Preferences()


@pytest.mark.parametrize(("name", "value"), [("zone", "mars"), ("zone", ""), ("colour", "dark"), ("theme", None)])
def test_what_cannot_be_chosen_is_refused(session, ada, name, value):
    with pytest.raises(InvalidInput) as caught:
        preferences.choose(session, ada.id, name, value)
    assert caught.value.details["field"] == name
    with pytest.raises(NotFound):
        preferences.choose(session, 10_000, "zone", "utc")


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"zone": "mars"}', '{"zone": 7, "other": 1}'])
def test_preferences_that_make_no_sense_are_the_default(session, ada, text):
    session.execute(sa.update(User).where(User.id == ada.id).values(preferences=text))
    assert preferences.get(session, ada.id) == preferences.Preferences()
    preferences.choose(session, ada.id, "theme", "dark")
    kept = json.loads(session.scalar(sa.select(User.preferences).where(User.id == ada.id)))
    assert kept["theme"] == "dark" and ("other" in kept) == ("other" in text)


def entries_of(spi):
    with spi.read() as session:
        return [(each.username, each.action, each.target, each.details) for each in list_entries(session)[0]]


def test_the_api_writes_who_did_what(spi, post, make_image):
    post("/put_users", [{"username": "bob", "password": "R3ad_0nly", "email": "bob@example.org"}])
    post("/delete_users", [{"username": "bob"}])
    make_image()
    post("/delete_images", [{"device": "0a1b2c3d", "datetime": "2022-07-01T12:00:00Z"}])
    offered = {"key": "data/a.svg", "path": "a.svg", "md5": "0" * 32, "mtime": 9e9, "bundle_name": "my-bundle"}
    post("/_get_ml_bundle_upload_links", [offered, {**offered, "key": "data/b.svg", "bundle_name": ["my-bundle"]}])
    admin = ADMIN[0]
    assert entries_of(spi) == [
        (admin, "bundle uploaded", "my-bundle", "2 files"),
        (admin, "pictures deleted", "0a1b2c3d", "1, of 2022-07-01 12:00:00 UTC"),
        (admin, "user deleted", "bob", "read-write"),
        (admin, "user added", "bob", "read-write"),
    ]


def test_commands_write_what_somebody_did_at_the_server(spi, monkeypatch):
    monkeypatch.delenv("SPI_DATA_DIR", raising=False)
    for verb in (
        ["add", "tessa", "--generate"],
        ["reset-password", "tessa", "--generate"],
        ["delete", "tessa", "--yes"],
    ):
        result = CliRunner().invoke(main, ["users", *verb, "--data", str(spi.config.data_dir)])
        assert result.exit_code == 0, result.output
    assert entries_of(spi) == [
        (None, "user deleted", "tessa", "read-write"),
        (None, "password reset", "tessa", ""),
        (None, "user added", "tessa", "read-write"),
    ]


def test_calls_that_change_nothing_leave_no_entry(spi, client, post, accounts):
    before = entries_of(spi)
    post("/delete_images", [{"device": "0a1b2c3d", "datetime": "2022-07-01T12:00:00Z"}])
    post("/delete_users", [{"username": "nobody"}])
    assert client.post("/put_users", json=[{"username": "writer", "password": "again"}], auth=ADMIN).status_code == 409
    assert client.post("/delete_users", json=[{"username": "admin"}], auth=ADMIN).status_code == 409
    assert entries_of(spi) == before
