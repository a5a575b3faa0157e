"""Backups of MariaDB and a bucket in another bucket, with the commands: what was wiped comes back, row by row."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from live import live_server, pictures
from stack.servers import database_variables, s3_variables
from test_backup import everything, fill

from spi_dash import db
from spi_dash.cli import main
from spi_dash.storage import S3Storage

pytestmark = pytest.mark.stack
LARGE = 17 << 20  # two parts of a multipart upload


@pytest.fixture
def database(mariadb_url) -> Iterator[db.Database]:
    server = db.connect(mariadb_url)
    with server.begin() as session:
        session.execute(sa.text("DROP DATABASE IF EXISTS backed_up"))
        session.execute(sa.text("CREATE DATABASE backed_up"))
    database = db.connect(sa.make_url(mariadb_url).set(database="backed_up").render_as_string(hide_password=False))
    yield database
    for each in (database, server):
        each.engine.dispose()


@pytest.fixture
def storage(rgw) -> Iterator[S3Storage]:
    with closing(rgw.client()) as client:
        for bucket in ("lab-files", "lab-backups"):
            client.create_bucket(Bucket=bucket)
    storage = S3Storage(rgw.host, "lab-files", rgw.access_key, rgw.secret_key, b"")
    storage.delete([info.key for info in storage.list("")])
    yield storage
    storage.close()


@pytest.fixture
def variables(rgw, database) -> dict[str, str]:
    url = database.engine.url.render_as_string(hide_password=False)
    return database_variables(url) | s3_variables(rgw, "lab-files")


@pytest.fixture
def run(variables, tmp_path, monkeypatch):
    """One command, which must succeed; returns what it says."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.output

    return call


def contents(storage: S3Storage) -> dict[str, bytes]:
    return {info.key: storage.get(info.key) for info in storage.list("")}


def wipe_all_but(prefix: str, database: db.Database, storage: S3Storage) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE backed_up")
        connection.exec_driver_sql("CREATE DATABASE backed_up")
    database.engine.dispose()  # a restore waits for nobody
    storage.delete([info.key for info in storage.list("") if not info.key.startswith(prefix)])


@pytest.mark.parametrize("where", ["s3://lab-backups/daily", "s3://lab-files/backups"])
def test_what_was_wiped_comes_back(run, database, storage, variables, tmp_path, where):
    """Also where the backups lie in the server's own bucket: they are not backed up themselves."""
    own_prefix = "backups/" if "lab-files" in where else "nothing/"
    files = pictures(3)
    with live_server(tmp_path, **variables) as live, live.client() as client:
        for name, data in files.items():
            client.upload_image(name, data)
    fill(database)
    storage.put("ml/ai/model", os.urandom(LARGE))
    before, stored = everything(database), contents(storage)
    n_rows = sum(map(len, before.values()))
    for _ in range(2):  # the second one finds every file in its place
        said = run("backup", "--to", where, "--files", "--keep", "1")
        assert f"{n_rows} rows, {len(stored)} files" in said
    assert "is whole" in run("backup", "--to", where, "--check")
    wipe_all_but(own_prefix, database, storage)
    assert f"{n_rows} rows" in run("restore", where)
    assert everything(database) == before
    assert {key: data for key, data in contents(storage).items() if not key.startswith(own_prefix)} == stored
    with live_server(tmp_path, **variables) as live, live.client() as client:
        rows = client.get_images([{"device": name[:8], "datetime": name[9:28]} for name in files], "image")
        assert sorted(client.fetch(row["url"], row["md5"]) for row in rows) == sorted(files.values())
