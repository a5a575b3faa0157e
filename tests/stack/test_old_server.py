"""The existing server on an adopted database: it writes and reads on as it did, and both see what the other wrote."""

import re
from dataclasses import replace

import dash
import pytest
import sqlalchemy as sa
from conftest import NOON, multipart
from passlib.hash import sha256_crypt, sha512_crypt
from stack.adopting import SHA512, contents, upgrade
from stack.old_databases import GENERATIONS, JSON, NO_FLASH, PASSWORD

from spi_dash.app import create_app
from spi_dash.demo.pictures import tiny_picture
from spi_dash.services import devices, rollups
from spi_dash.storage import MemoryStorage

pytestmark = pytest.mark.stack
SPAN = {"start_datetime": "2020-06-21 20:00:24", "end_datetime": "2020-06-21 21:40:24"}
MARIA = ("maria", PASSWORD)


class OldServer:
    """Statements as its models send them: every column of its generation named, in INSERT and in SELECT."""

    def __init__(self, url, generation):
        self.generation = generation
        self.columns = contents(url)[1]  # of a database that is still as the old server made it
        self.engine = sa.create_engine(url)
        self._quote = self.engine.dialect.identifier_preparer.quote

    def insert(self, table, **values):
        who = {"api_user_id": 2} if self.generation == "G4" else {"api_user": "maria"}
        row = {"datetime_created": "2022-03-04 05:06:07", "api_version": "0.1.1", **who, **values}
        names = [name for name in self.columns[table] if name != "id"]
        missing = {"order", "family", "genus", "species", "notes"}  # which it leaves empty
        bound = {name: row.get(name) if name in missing else row[name] for name in names}
        listed = ", ".join(map(self._quote, names))
        query = f"INSERT INTO {table} ({listed}) VALUES ({', '.join(f':{name}' for name in names)})"
        with self.engine.begin() as connection:
            return connection.execute(sa.text(query), bound).lastrowid

    def image(self, at, n):
        flash = {name: 0.25 for name in NO_FLASH.get(self.generation, ())}
        cached = {"cached_repr": "", "cached_expire_datetime": "2021-02-03 04:05:06"}
        new = {"lum": 1.5, "bat": 70, "but": 1}
        return self.insert("images", device="0a1b2c3d", datetime=at, md5=f"{n:032x}", device_version="1.0.0",
                           width=2592, height=1944, lat=49.2, lng=-121.7, alt=22, temp=20.5, hum=60.0,
                           **flash, **cached, **new)  # fmt: skip

    def select(self, table, where):
        names = ", ".join(f"{table}.{self._quote(name)} AS {table}_{name}" for name in self.columns[table])
        with self.engine.connect() as connection:
            found = connection.execute(sa.text(f"SELECT {names} FROM {table} WHERE {where}")).mappings().all()
        return [{name.removeprefix(f"{table}_"): value for name, value in row.items()} for row in found]


@pytest.fixture
def old(make_old, request):
    url = make_old(request.param)
    old = OldServer(url, request.param)
    upgrade(url)
    yield old
    old.engine.dispose()


@pytest.fixture
def ours(old, config):
    url = old.engine.url.render_as_string(hide_password=False)
    server = create_app(replace(config, database_url=url), storage=MemoryStorage(), pages=False)
    yield server
    server.extensions["spi_dash"].close_database()


@pytest.mark.parametrize("old", GENERATIONS, indirect=True)
def test_we_see_what_it_writes(old, ours):
    image = old.image("2020-06-21 20:00:24", 77)
    note = {"parent_image_id": image, "algo_name": "uid", "algo_version": "2-b", "n_objects": 5, "json": JSON}
    old.insert("uid_annotations", **note)
    (trap,) = _count(ours)
    assert trap.n_images == 7
    rows = _post(ours, "/get_images/metadata", [{"device": "0a1b2c3d", "datetime": "2020-06-21T20:00:24Z"}])
    assert [(row["md5"], row["temp"], row["api_user_id"]) for row in rows] == [
        (f"{77:032x}", 20.5, 2 if old.generation == "G4" else None)
    ]
    (found,) = _post(ours, "/get_uid_annotations/data", [{"device": "0a1b2c3d", "datetime": "2020-06-21T20:00:24Z"}])
    assert (found["n_objects"], found["json"], found["algo_version"]) == (5, JSON, "2-b")
    with ours.extensions["spi_dash"].read() as session:
        query = "SELECT SUM(sum_objects) FROM rollup_annotations WHERE span_s = 3600"
        assert session.scalar(sa.text(query)) == 6 + 5
    with old.engine.begin() as connection:
        connection.execute(sa.text(f"DELETE FROM images WHERE id = {image}"))
    assert [trap.n_images for trap in _count(ours)] == [6]


@pytest.mark.parametrize("old", GENERATIONS, indirect=True)
def test_its_other_tables_take_its_rows(old, ours):
    series = old.insert("tuboid_series", device="0a1b2c3d", n_images=6, n_tuboids=2, algo_name="sim",
                        algo_version="1-b", **SPAN)  # fmt: skip
    tuboid = {"tuboid_id": "0a1b2c3d.s.e.1-b.0001", "id_in_series": 1, "n_shots": 3, **SPAN}
    tuboid_id = old.insert("tiled_tuboids", parent_series_id=series, **tuboid)
    label = {"algo_name": "itc", "algo_version": "1-c", "label": 3, "pattern": "a", "type": "Insecta"}
    old.insert("itc_labels", parent_tuboid_id=tuboid_id, **label)
    old.insert("users", username="old_new", email="maria@example.org", password_hash=SHA512, is_admin=0, can_write=1)
    assert _post(ours, "/_get_itc_labels", [{"tuboid_id": tuboid["tuboid_id"]}])[0]["type"] == "Insecta"
    assert {row["username"] for row in _post(ours, "/get_users", None, ("old_new", PASSWORD))} >= {"maria", "old_new"}
    for table, row in (
        ("tiled_tuboids", {"parent_series_id": series, **tuboid}),
        ("itc_labels", {"parent_tuboid_id": tuboid_id, **label}),
        ("users", {"username": "maria", "email": "", "password_hash": "x", "is_admin": 0, "can_write": 1}),
    ):
        with pytest.raises(sa.exc.IntegrityError):
            old.insert(table, **row)
    if old.generation == "G4":
        old.insert("uid_intents", parent_image_id=4)
        project = old.insert("projects", name="Meadow", description="hay")
        old.insert("project_permissions", parent_project_id=project, parent_user_id=2, level=3)
        assert [row["name"] for row in _post(ours, "/get_projects", [{"name": "Mea%"}])] == ["Meadow"]


@pytest.mark.parametrize("old", GENERATIONS, indirect=True)
def test_it_sees_what_we_write_and_neither_takes_a_picture_twice(old, ours):
    name, data = tiny_picture("0a1b2c3d", NOON)
    client = ours.test_client()
    assert client.post("/_put_new_images", auth=MARIA, **multipart([(name, (name, data, "image/jpeg"))])).json
    (row,) = old.select("images", f"datetime = '{NOON}'")
    assert set(row) == set(old.columns["images"]) and row["device"] == "0a1b2c3d" and row["width"] > 0
    assert all(row[each] is None for each in NO_FLASH.get(old.generation, ()))
    with pytest.raises(sa.exc.IntegrityError):
        old.image(str(NOON), 1)
    old.image("2022-07-01 13:00:00", 2)
    name, data = tiny_picture("0a1b2c3d", NOON.replace(hour=13))
    answer = client.post("/_put_new_images", auth=MARIA, **multipart([(name, (name, data, "image/jpeg"))]))
    assert answer.status_code == 409
    metadata = {k: row[k] for k in ("device", "md5")} | {"datetime": "2022-07-01T12:00:00Z"}
    info = {"annotations": [], "metadata": metadata | {"algo_name": "uid", "algo_version": "9-z"}}
    _post(ours, "/put_uid_annotations", [info])
    (found,) = old.select("uid_annotations", "algo_version = '9-z'")
    assert '"annotations"' in found["json"] and found["n_objects"] == 0


@pytest.mark.parametrize("make_old", ["mariadb"], indirect=True)
@pytest.mark.parametrize("old", ["G4"], indirect=True)
def test_it_starts_on_it(old, ours):
    """Every start of the newest one runs this, and creates the tables that it misses: none."""
    with old.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE uid_annotations MODIFY COLUMN json LONGTEXT COMPRESSED"))
        assert set(old.columns) <= set(sa.inspect(connection).get_table_names())
    image = old.image("2020-06-21 20:00:24", 77)
    note = {"parent_image_id": image, "algo_name": "uid", "algo_version": "2-b", "n_objects": 5, "json": JSON}
    old.insert("uid_annotations", **note)
    _count(ours)
    (found,) = _post(ours, "/get_uid_annotations/data", [{"device": "0a1b2c3d", "datetime": "2020-06-21T20:00:24Z"}])
    assert found["json"] == JSON


def _count(server):
    spi = server.extensions["spi_dash"]
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        return devices.list_devices(session)


def _post(server, path, body, auth=MARIA):
    answer = server.test_client().post(path, json=body, auth=auth)
    assert answer.status_code == 200, answer.text
    return answer.json


HASHES = {
    "as the old server makes them, less rounds": sha512_crypt.using(rounds=10_000),
    "sha512, rounds not named": sha512_crypt.using(rounds=5000),
    "sha256, rounds named": sha256_crypt.using(rounds=10_000),
    "sha256, rounds not named": sha256_crypt.using(rounds=5000),
}


@pytest.mark.parametrize("make_old", ["sqlite"], indirect=True)
@pytest.mark.parametrize("old", ["G1"], indirect=True)
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("door", ["api", "page"])
def test_its_passwords_sign_in(old, config, door, kept):
    passwords = {f"user_{n}": f"long password {n}" for n in range(len(HASHES))}
    hashes = {}
    for (name, password), hasher in zip(passwords.items(), HASHES.values(), strict=True):
        hashes[name] = hasher.hash(password)
        old.insert("users", username=name, email=name, password_hash=hashes[name], is_admin=0, can_write=1)
    dash.page_registry.clear()
    url = old.engine.url.render_as_string(hide_password=False)
    server = create_app(
        replace(config, database_url=url, keep_password_hashes=kept), storage=MemoryStorage(), pages=door == "page"
    )
    for name, password in passwords.items():
        sign_in = _sign_in_on_page if door == "page" else _sign_in_over_api
        assert not sign_in(server.test_client(), name, "another password")
        assert sign_in(server.test_client(), name, password)
        (row,) = old.select("users", f"username = '{name}'")
        assert (row["password_hash"] == hashes[name]) is kept
        assert kept or row["password_hash"].startswith("$argon2id$")
        assert sign_in(server.test_client(), name, password)
    server.extensions["spi_dash"].close_database()


def _sign_in_over_api(client, name, password):
    return client.post("/get_token", auth=(name, password)).status_code == 200


def _sign_in_on_page(client, name, password):
    csrf = re.search('name="csrf" value="([^"]+)"', client.get("/sign-in").text)[1]
    form = {"username": name, "password": password, "csrf": csrf, "next": "/"}
    return client.post("/sign-in", data=form).status_code == 303
