"""Databases that are not quite as the existing server makes them: taken over rightly, or refused as they are."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import sqlalchemy as sa
from conftest import NOON, multipart
from stack.adopting import assert_kept, contents, upgrade
from stack.old_databases import PASSWORD

from spi_dash.app import create_app
from spi_dash.demo.pictures import tiny_picture
from spi_dash.errors import ConfigError
from spi_dash.services import devices, rollups
from spi_dash.storage import MemoryStorage

pytestmark = pytest.mark.stack
MARIA = ("maria", PASSWORD)
EVERYTHING = [{"device": "%", "start_datetime": "2019-01-01", "end_datetime": "2030-01-01"}]
ORPHAN = "DELETE FROM images WHERE id = 3"
INTENTS = """CREATE TABLE uid_intents (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, datetime_created DATETIME NOT NULL,
api_version VARCHAR(8), api_user VARCHAR(32), parent_image_id INT NOT NULL, FOREIGN KEY (parent_image_id)
REFERENCES images (id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_general_ci"""
CLAIMS = "INSERT INTO uid_intents (datetime_created, parent_image_id) VALUES ('2022-05-01', 1), ('2022-05-01', 1)"
ADOPTED = {  # what is odd: generation, collation, and what was done to it
    "three bytes": ("G2", "utf8mb3_general_ci", ()),
    "latin": ("G1", "latin1_swedish_ci", ()),
    "another collation": ("G3", "utf8mb4_unicode_ci", ()),
    "a table of the lab": (
        "G2",
        "utf8mb4_general_ci",
        (
            "CREATE TABLE `lab's notes 100%` (a INT, `b c` TEXT) ENGINE=MyISAM",
            "INSERT INTO `lab's notes 100%` VALUES (1, 'x')",
            "CREATE VIEW warm AS SELECT * FROM images WHERE temp > 20",
            "ALTER TABLE images ADD COLUMN `lab note` VARCHAR(20) NULL DEFAULT 'none'",
            "CREATE INDEX lab_md5 ON images (md5)",
            "CREATE TRIGGER lab AFTER INSERT ON images FOR EACH ROW BEGIN END",
        ),
    ),
    "fractions": (
        "G3",
        "utf8mb4_general_ci",
        (
            "ALTER TABLE images MODIFY datetime DATETIME(6) NOT NULL, MODIFY datetime_created DATETIME(6) NOT NULL",
            "UPDATE images SET datetime_created = '2021-02-03 04:05:06.123456'",
        ),
    ),
    "no optional keys": (
        "G2",
        "utf8mb4_general_ci",
        ("DROP INDEX image_uid ON images", "DROP INDEX ix_users_username ON users"),
    ),
    "one e-mail": ("G4", "utf8mb4_general_ci", ("UPDATE users SET email = ''",)),
    "orphans": ("G2", "utf8mb4_general_ci", ("SET FOREIGN_KEY_CHECKS = 0", ORPHAN)),
    "between two": ("G3", "utf8mb4_general_ci", (INTENTS, CLAIMS)),
    "packed": ("G2", "utf8mb4_general_ci", ("ALTER TABLE images ROW_FORMAT=COMPRESSED",)),
}
DROP_KEY = "ALTER TABLE uid_annotations DROP FOREIGN KEY uid_annotations_ibfk_1"
UNICODE = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci"
REFUSED = {  # what was done to a database of G2, and what is said of it
    "another engine": (
        (DROP_KEY, "ALTER TABLE uid_annotations ENGINE=MyISAM"),
        "run ALTER TABLE `uid_annotations` ENGINE=InnoDB",
    ),
    "no foreign key": (
        (DROP_KEY, ORPHAN),
        r"run ALTER TABLE `uid_annotations` ADD FOREIGN KEY \(`parent_image_id`\) REFERENCES `images`",
    ),
    "two collations": ((f"ALTER TABLE users {UNICODE}",), "run ALTER TABLE `users` CONVERT TO"),
    "no real date": (
        ("UPDATE images SET datetime = '0000-00-00 00:00:00' WHERE id = 1",),
        "images.datetime is 0000-00-00.* 1 rows",
    ),
    "half a date": (("UPDATE users SET datetime_created = '2021-00-00' WHERE id = 1",), "users.datetime_created"),
    "a table of that name": (("CREATE TABLE projects (id INT PRIMARY KEY, lab TEXT)",), "projects has no column name"),
    "wide ids": (("ALTER TABLE users MODIFY id BIGINT NOT NULL AUTO_INCREMENT",), "users.id is bigint"),
    "a column to fill": (("ALTER TABLE images ADD COLUMN lab INT NOT NULL",), "images has a column lab"),
}
ODD_NAMES = ("a.b", "c d", "e'f\"g", "order", "h`i", "100% j", "k:l(m)", "SELECT", "é")


@pytest.fixture
def ours(config):
    """A server on an adopted database, as somebody who posts to it; without pages, it starts in half the time."""
    servers = []

    def start(url):
        server = create_app(replace(config, database_url=url), storage=MemoryStorage(), pages=False)
        servers.append(server)

        spi = server.extensions["spi_dash"]

        def post(path, body=None, auth=MARIA, **form):
            answer = server.test_client().post(path, auth=auth, **form or {"json": body})
            assert answer.status_code == 200, answer.text
            return answer.json

        return post, spi

    yield start
    for server in servers:
        server.extensions["spi_dash"].close_database()


@contextmanager
def by_hand(url):
    """What somebody types into a client of MariaDB, which lets pass what the server would not write itself."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION sql_mode = ''")
        yield lambda statement: connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()


@pytest.mark.parametrize("make_old", ["mariadb"], indirect=True)
@pytest.mark.parametrize("case", ADOPTED)
def test_adopted(make_old, ours, case):
    generation, collation, statements = ADOPTED[case]
    url = make_old(generation, collation=collation)
    with by_hand(url) as run:
        for statement in statements:
            run(statement)
    before = contents(url)
    assert upgrade(url).generation == generation
    assert_kept(before, url)
    after = contents(url)
    assert upgrade(url) is None and contents(url) == after
    post, spi = ours(url)
    n_rows = 5 if ORPHAN in statements else 6
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        assert [trap.n_images for trap in devices.list_devices(session)] == [n_rows]
        assert session.scalar(sa.text("SELECT SUM(sum_objects) FROM rollup_annotations WHERE span_s = 3600")) == n_rows
    rows = post("/get_image_series/metadata", EVERYTHING)
    assert len(rows) == len(post("/get_uid_annotations_series/data", EVERYTHING)) == n_rows
    assert len(post("/get_images/metadata", rows)) == n_rows  # each by its exact time
    assert post("/get_image_series/metadata", [EVERYTHING[0] | {"device": "0A1b_c3%"}]) == rows
    name, data = tiny_picture("0a1b2c3d", NOON)
    (new,) = post("/_put_new_images", **multipart([(name, (name, data, "image/jpeg"))]))
    metadata = {key: new[key] for key in ("device", "datetime", "md5")} | {"algo_name": "uid", "algo_version": "2-ä"}
    post("/put_uid_annotations", [{"annotations": [], "metadata": metadata}])
    assert post("/get_uid_annotations/data", [new])[0]["algo_version"] == "2-ä"
    wanted = [{**EVERYTHING[0], "algo_name": "uid", "algo_version": "1-a"}]
    assert post("/get_images_to_annotate/metadata", wanted) == []
    assert len(post("/get_images_to_annotate/metadata", [wanted[0] | {"algo_version": "3"}])) > 0
    assert post("/put_projects", [{"name": "Wiese"}])[0]["name"] == "Wiese"
    assert (
        len(post("/get_tiled_tuboid_series/metadata", EVERYTHING))
        == len(post("/_get_itc_labels", [{"tuboid_id": "a.b.c.d.0000"}]))
        == 1
    )
    assert {row["username"] for row in post("/get_users", [{"username": "MAR%"}])} == {"maria"}


@pytest.mark.parametrize("make_old", ["mariadb"], indirect=True)
@pytest.mark.parametrize("case", REFUSED)
def test_refused(make_old, case):
    statements, reason = REFUSED[case]
    url = make_old("G2")
    with by_hand(url) as run:
        for statement in statements:
            run(statement)
    before = contents(url)
    with pytest.raises(ConfigError, match=reason) as refused:
        upgrade(url)
    assert "othing was changed" in refused.value.message
    assert contents(url) == before


def test_names_with_wildcards_are_names(make_old, ours):
    """An account `ma_ia` is not `maria`, neither when uploaders are looked up nor when somebody signs in."""
    url = make_old("G2")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO users SELECT 9, datetime_created, api_version, api_user, 'ma_ia', "
                                   "'x', password_hash, 1, 1 FROM users WHERE id = 2")  # fmt: skip
        connection.exec_driver_sql("UPDATE images SET api_user = 'ma_ia' WHERE id = 1")
        connection.exec_driver_sql("UPDATE images SET api_user = 'm%%' WHERE id = 2")
    engine.dispose()
    post, _ = ours(url)
    assert [row["api_user_id"] for row in post("/get_image_series/metadata", EVERYTHING)] == [9, None, 2, 2, None, 2]
    assert post("/get_token", auth=("ma_ia", PASSWORD))["token"]


def test_columns_of_projects_may_be_called_anything(make_old, ours):
    url = make_old("G4")
    engine = sa.create_engine(url)
    quote = engine.dialect.identifier_preparer.quote_identifier
    with engine.begin() as connection:
        for name in ODD_NAMES:
            connection.exec_driver_sql(f"ALTER TABLE project_series_1 ADD COLUMN {quote(name)} VARCHAR(20)")
        connection.exec_driver_sql(f"UPDATE project_series_1 SET {quote('c d')} = 'x', {quote('100% j')} = 'y'")
    engine.dispose()
    before = contents(url)
    upgrade(url)
    assert_kept(before, url)
    post, _ = ours(url)
    (row,) = post("/get_project_series", [{"project_id": 1}])
    assert set(ODD_NAMES) < set(row) and (row["c d"], row["100% j"]) == ("x", "y")
    values = {name: f"at {n}" for n, name in enumerate(ODD_NAMES)}
    (changed,) = post("/put_project_series", [{"project_id": 1, "id": row["id"], **values}])
    assert changed == row | values == post("/get_project_series", [{"project_id": 1}])[0]
    new = {"device": "0a1b2c3e", "start_datetime": "2020-06-01", "end_datetime": "2020-07-01"}
    assert post("/put_project_series", [{"project_id": 1, **new, **values}])[0]["h`i"] == values["h`i"]
    for n, name in enumerate(ODD_NAMES):
        post("/put_project_columns", [{"project_id": 1, "column_name": f"plain_{n}", "old_column_name": name}])
    after = post("/get_project_series", [{"project_id": 1, "device": "%"}])
    assert [row[f"plain_{n}"] for row in after for n in range(len(ODD_NAMES))] == list(values.values()) * 2
    assert not set(ODD_NAMES) & set(after[0])
