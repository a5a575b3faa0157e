"""Databases of existing servers, of every generation, are taken over in place: nothing that was there is lost."""

from dataclasses import replace

import dash
import pytest
import sqlalchemy as sa
from conftest import NO_PICTURES, NOON, REAL_PICTURES, multipart
from stack.adopting import assert_kept, contents, run_sql, upgrade
from stack.old_databases import GENERATIONS, JSON, NO_FLASH, PASSWORD, load_season

from spi_dash import db
from spi_dash.app import create_app
from spi_dash.demo.pictures import tiny_picture
from spi_dash.errors import ConfigError
from spi_dash.models import TuboidEntry
from spi_dash.services import devices, tuboid_index
from spi_dash.storage import MemoryStorage

pytestmark = pytest.mark.stack
REAL_TABLE = REAL_PICTURES.parent / "tables" / "images.csv"
CASES = [(each, False) for each in GENERATIONS] + [("G3", True)]


@pytest.mark.parametrize(("generation", "compressed"), CASES)
def test_everything_is_kept_and_a_second_run_changes_nothing(make_old, generation, compressed):
    url = make_old(generation, compressed)
    before = contents(url)
    plan = upgrade(url)
    assert plan.generation == generation
    assert_kept(before, url)
    after = contents(url)
    assert upgrade(url) is None
    assert contents(url) == after
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        ids = connection.exec_driver_sql("SELECT api_user_id FROM images ORDER BY id").scalars().all()
        assert ids == [2, 2, 2, 2, None, 2]
        claimed = connection.exec_driver_sql("SELECT parent_image_id FROM uid_intents ORDER BY 1").scalars().all()
        assert claimed == ([1, 2] if generation == "G4" else [])
    engine.dispose()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_dry_run_changes_nothing(make_old, generation):
    url = make_old(generation)
    before = contents(url)
    database = db.connect(url)
    plan = db.plan_adoption(database)
    database.engine.dispose()
    assert plan.generation == generation and plan.steps and plan.counts["images"] == 6
    assert contents(url) == before
    with pytest.raises(ConfigError, match=rf"{generation}.*db adopt --dry-run"):
        upgrade(url, adopt=False)
    assert contents(url) == before


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_server_works_on_it(make_old, config, generation):
    url = make_old(generation, collation="utf8mb4_unicode_ci")
    dash.page_registry.clear()
    server = create_app(replace(config, database_url=url), storage=MemoryStorage())
    client, maria = server.test_client(), ("maria", PASSWORD)

    def post(path, body=None, auth=maria):
        response = client.post(path, json=body, auth=auth)
        assert response.status_code == 200, response.text
        return response.json

    spi = server.extensions["spi_dash"]
    tuboid_index.refresh(spi.begin, spi.read)
    with spi.read() as session:
        assert list(tuboid_index.list_taxa(session).values()) == [("Insecta", "Diptera")]
        assert session.scalars(sa.select(TuboidEntry.label_id)).all() == [1]
    assert post("/get_token")["token"]
    assert {row["username"] for row in post("/get_users")} == {"admin", "maria", "spi_uid"}
    everything = [{"device": "%", "start_datetime": "2019-01-01T00:00:00Z", "end_datetime": "2030-01-01T00:00:00Z"}]
    rows = post("/get_image_series/metadata", everything)
    assert [row["md5"] for row in rows] == [f"{n:032x}" for n in range(6)]
    assert rows[0]["datetime"] == "2020-06-20T20:00:24Z" and rows[0]["lat"] == -121.7552
    for name in NO_FLASH.get(generation, ()):
        assert [row[name] for row in rows] == [0.5 + n for n in range(6)]
    assert (rows[5]["temp"], rows[5]["hum"], rows[5]["lum"], rows[5]["bat"]) == (None,) * 4
    assert rows[0]["api_user_id"] == 2
    key = [{"device": "0a1b2c3d", "datetime": "2020-06-20T20:00:24Z"}]
    assert post("/get_images/metadata", key) == rows[:1]
    assert post("/get_uid_annotations/data", key)[0]["json"] == JSON
    name, data = tiny_picture("0a1b2c3d", NOON)
    form = multipart([(name, (name, data, "image/jpeg"))])
    response = client.post("/_put_new_images", auth=maria, **form)
    assert response.status_code == 200, response.text
    row = response.json[0]
    metadata = {k: row[k] for k in ("device", "datetime", "md5")} | {"algo_name": "uid", "algo_version": "2-a"}
    assert post("/put_uid_annotations", [{"annotations": [], "metadata": metadata}])[0]["n_objects"] == 0
    admin = ("admin", PASSWORD)
    assert len(post("/delete_images", key, admin)) == 1
    assert post("/get_uid_annotations/data", key) == []
    assert len(post("/get_image_series/metadata", everything)) == 6


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("ALTER TABLE images DROP COLUMN md5", "images has no column md5"),
        ("ALTER TABLE users RENAME COLUMN password_hash TO secret", "users has no column password_hash"),
        ("DROP TABLE uid_annotations", "no table uid_annotations"),
    ],
)
def test_unknown_forms_are_refused_as_they_are(make_old, change, difference):
    url = make_old("G3")
    run_sql(url, change)
    before = contents(url)
    with pytest.raises(ConfigError, match=difference):
        upgrade(url)
    assert contents(url) == before


def test_without_the_privilege_it_says_what_torun_sql(make_old):
    url = make_old("G2")
    if url.startswith("sqlite"):  # it has no accounts
        return
    parsed = sa.make_url(url)
    user = "CREATE OR REPLACE USER lab@'127.0.0.1' IDENTIFIED BY 'lab'"
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON {parsed.database}.*"
    run_sql(parsed, user, f"{grant} TO lab@'127.0.0.1'")
    before = contents(url)
    with pytest.raises(ConfigError, match=rf"GRANT .*TRIGGER.* ON `{parsed.database}`.* TO 'lab'@'127.0.0.1'"):
        upgrade(parsed.set(username="lab", password="lab").render_as_string(hide_password=False))
    assert contents(url) == before


@pytest.mark.skipif(not REAL_TABLE.exists(), reason=f"the rows of a season are not there: {NO_PICTURES}")
def test_a_real_season(config):
    """19,631 rows of 2020, as a server of May 2021 kept them."""
    url = f"sqlite:///{config.data_dir / 'real.db'}"
    load_season(url, REAL_TABLE)
    dash.page_registry.clear()
    server = create_app(replace(config, database_url=url), storage=MemoryStorage())
    with server.extensions["spi_dash"].read() as session:
        traps = devices.list_devices(session)
    assert (len(traps), sum(trap.n_images for trap in traps)) == (10, 19_631)
    assert all(49 < trap.lat < 50 and -122 < trap.lng < -121 for trap in traps)
