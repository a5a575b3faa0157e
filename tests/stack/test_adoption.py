"""Databases of existing servers, of every generation, are taken over in place: nothing that was there is lost."""

import csv
import os
import re
import subprocess
import sys
from dataclasses import replace

import dash
import pytest
import sqlalchemy as sa
from conftest import NO_PICTURES, NOON, REAL_PICTURES, multipart
from old_databases import GENERATIONS, JSON, NO_FLASH, PASSWORD, definitions, fill
from passlib.hash import sha512_crypt

from spi_dash import db
from spi_dash.app import create_app
from spi_dash.demo.pictures import tiny_picture
from spi_dash.errors import ConfigError
from spi_dash.services import devices
from spi_dash.storage import MemoryStorage

SHA512 = sha512_crypt.using(rounds=5000).hash(PASSWORD)
MAY_GO = {"uid_intents"}  # claims, which last for hours
REAL_TABLE = REAL_PICTURES.parent / "tables" / "images.csv"
KILLED_AT = """
import os, signal, sys
from sqlalchemy.engine import default
from spi_dash import db
steps, CHANGES = [], ("ALTER", "CREATE", "UPDATE", "DELETE", "INSERT", "DROP")
def wrap(name):
    real = getattr(default.DefaultDialect, name)
    def wrapper(*args, **kw):
        changes = name == "do_commit" or args[2].lstrip().split()[0] in CHANGES
        for when in ("before", "after"):
            if changes:
                steps.append(name)
                if len(steps) == int(sys.argv[2]):
                    os.kill(os.getpid(), signal.SIGKILL)
            if when == "before":
                result = real(*args, **kw)
        return result
    setattr(default.DefaultDialect, name, wrapper)
for name in ("do_commit", "do_execute", "do_execute_no_params"):
    wrap(name)
db.upgrade(db.connect(sys.argv[1]))
print("STEPS", len(steps))
"""


@pytest.fixture(params=["sqlite", "mariadb"])
def make_old(request, tmp_path):
    """An old database of a generation; gives its URL."""
    urls = []

    def make(generation, compressed=False, charset="utf8mb4 COLLATE utf8mb4_general_ci"):
        name = f"old_{len(urls)}_{os.getpid()}"
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / name}.db"
        else:
            url = sa.make_url(request.getfixturevalue("mariadb_url")).set(database=name)
            _run(
                url.set(database="spi"),
                f"DROP DATABASE IF EXISTS {name}",
                f"CREATE DATABASE {name} CHARACTER SET {charset}",
            )
            url = url.render_as_string(hide_password=False)
        urls.append(url)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for statement in definitions(generation, request.param == "mariadb", compressed):
                collate = (
                    "" if "COLLATE" not in charset or request.param == "sqlite" else charset.removeprefix("utf8mb4")
                )
                connection.exec_driver_sql(statement.replace("CHARSET=utf8mb4", "CHARSET=utf8mb4" + collate))
            fill(connection, generation, SHA512, ".000000" if request.param == "sqlite" else "")
        engine.dispose()
        return url

    return make


def _run(url, *statements):
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def contents(url, columns=None):
    """Every row of every table; or of the columns that are named, by table."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        names = columns or {t: [c["name"] for c in inspector.get_columns(t)] for t in inspector.get_table_names()}
        quote = connection.dialect.identifier_preparer.quote
        found = {
            table: [
                tuple(str(value).removesuffix(".000000") for value in row)
                for row in connection.exec_driver_sql(
                    f"SELECT {', '.join(map(quote, wanted))} FROM {quote(table)} ORDER BY 1"
                )
            ]
            for table, wanted in names.items()
        }
        found["definitions"] = _definitions(connection) if columns is None else []
    engine.dispose()
    return (found, names)


def _definitions(connection):
    if connection.dialect.name == "sqlite":
        return connection.exec_driver_sql("SELECT name, sql FROM sqlite_master ORDER BY name").all()
    query = "SELECT table_name, column_name, column_type, is_nullable, column_default FROM information_schema.columns "
    query += "WHERE table_schema = DATABASE() ORDER BY 1, 2"
    keys = "SELECT table_name, index_name, non_unique, column_name FROM information_schema.statistics "
    keys += "WHERE table_schema = DATABASE() ORDER BY 1, 2, seq_in_index"
    return [*connection.exec_driver_sql(query).all(), *connection.exec_driver_sql(keys).all()]


def upgrade(url, **options):
    database = db.connect(url)
    try:
        return db.upgrade(database, **options)
    finally:
        database.engine.dispose()


def assert_kept(before, url):
    old, names = before
    new, _ = contents(url, names)
    for table in names:
        if table not in MAY_GO:
            assert new[table] == old[table], table


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
    url = make_old(generation, charset="utf8mb4 COLLATE utf8mb4_unicode_ci")
    dash.page_registry.clear()
    server = create_app(replace(config, database_url=url), storage=MemoryStorage())
    client, maria = server.test_client(), ("maria", PASSWORD)

    def post(path, body=None, auth=maria):
        response = client.post(path, json=body, auth=auth)
        assert response.status_code == 200, response.text
        return response.json

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


@pytest.mark.parametrize("generation", ["G1", "G4"])
def test_killed_at_any_step_and_run_again(make_old, generation):
    steps = 1
    url = make_old(generation)
    before = contents(url)
    died = 0
    while True:
        command = [sys.executable, "-c", KILLED_AT, url, str(steps)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert_kept(before, url)
        if run.returncode == 0:
            break
        assert run.returncode == -9, run.stderr
        died += 1
        steps += 7  # each run has less to do, or, on SQLite, as much
    assert died > 2 and re.search(r"STEPS \d+", run.stdout)
    assert upgrade(url) is None
    fresh = make_old(generation)
    upgrade(fresh)
    assert contents(url) == contents(fresh)


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
    _run(url, change)
    before = contents(url)
    with pytest.raises(ConfigError, match=difference):
        upgrade(url)
    assert contents(url) == before


def test_without_the_privilege_it_says_what_to_run(make_old):
    url = make_old("G2")
    if url.startswith("sqlite"):  # it has no accounts
        return
    parsed = sa.make_url(url)
    user = "CREATE OR REPLACE USER lab@'127.0.0.1' IDENTIFIED BY 'lab'"
    grant = f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON {parsed.database}.*"
    _run(parsed, user, f"{grant} TO lab@'127.0.0.1'")
    before = contents(url)
    with pytest.raises(ConfigError, match=rf"GRANT .*TRIGGER.* ON `{parsed.database}`.* TO 'lab'@'127.0.0.1'"):
        upgrade(parsed.set(username="lab", password="lab").render_as_string(hide_password=False))
    assert contents(url) == before


@pytest.mark.skipif(not REAL_TABLE.exists(), reason=f"the rows of a season are not there: {NO_PICTURES}")
def test_a_real_season(config):
    """19,631 rows of 2020, as a server of May 2021 kept them."""
    url = f"sqlite:///{config.data_dir / 'real.db'}"
    _run(url, *definitions("G2", False))
    with REAL_TABLE.open() as file:
        rows = [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
    names = [name for name in rows[0] if name not in ("", "id", "url")]
    values = [{n: row[n] or (0 if n.startswith("no_flash") else None) for n in names} for row in rows]
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        bound = ", ".join(f":{name}" for name in names)
        connection.execute(sa.text(f"INSERT INTO images ({', '.join(names)}) VALUES ({bound})"), values)
    engine.dispose()
    dash.page_registry.clear()
    server = create_app(replace(config, database_url=url), storage=MemoryStorage())
    with server.extensions["spi_dash"].read() as session:
        traps = devices.list_devices(session)
    assert (len(traps), sum(trap.n_images for trap in traps)) == (10, 19_631)
    assert all(49 < trap.lat < 50 and -122 < trap.lng < -121 for trap in traps)
