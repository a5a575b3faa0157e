"""Two server processes on one database: what one knows, the other knows."""

import pytest
from conftest import ADMIN, NOON, WRITER

from spi_dash.services import rollups

pytestmark = pytest.mark.usefixtures("accounts")


@pytest.fixture
def other(restart):
    return restart().test_client()


def test_tokens_hold_and_end_on_both(client, other):
    token = client.post("/get_token", auth=WRITER).json["token"]
    assert other.post("/get_users", auth=(token, "")).status_code == 200
    assert client.post("/delete_users", json=[{"username": WRITER[0]}], auth=ADMIN).status_code == 200
    assert other.post("/get_users", auth=(token, "")).status_code == 401
    assert other.post("/get_users", auth=WRITER).status_code == 401


def test_wrong_passwords_count_on_both(client, other, monkeypatch):
    monkeypatch.setattr("spi_dash.api.auth.utcnow", lambda: NOON)  # or the wait might be over

    def statuses(caller, numbers):
        return [caller.post("/get_users", auth=(WRITER[0], f"wrong {n}")).status_code for n in numbers]

    assert statuses(client, range(3)) + statuses(other, range(3, 5)) == [401] * 5
    assert statuses(client, [6]) + statuses(other, [7]) == [429, 429]


def test_changes_are_seen_by_both(make_image, other, spi):
    with spi.read() as session:
        before = rollups.change_number(session)
    row = make_image()
    found = other.post(
        "/get_images/metadata", json=[{"device": row["device"], "datetime": row["datetime"]}], auth=ADMIN
    )
    assert [each["md5"] for each in found.json] == [row["md5"]]
    with other.application.extensions["spi_dash"].read() as session:
        assert rollups.change_number(session) > before
