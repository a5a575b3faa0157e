"""docker/deploy.sh dumps and restores a real MariaDB; its docker runs what containers would run."""

import gzip
import re

import pytest
import sqlalchemy as sa
from conftest import NOON
from deploy_host import SCRIPT, Host
from stack.mariadb import TOOLS, _find, mariadb_server

from spi_dash import db
from spi_dash.models import Image

pytestmark = pytest.mark.stack

DOCKER = """#!/bin/sh
case "$*" in
    *mariadb*)
        for line; do :; done
        exec sh -c "$line" ;;
    *"config --services"*) echo spi_dash ;;
    *" ps -a -q spi_uid"*) ;;
    *" ps -a -q"*) echo 1 ;;
    inspect*) echo spi_dash running healthy 0 sha256:app ;;
esac
"""


def documented_rights():
    """What docs/deploy.md says that the account of a managed database needs."""
    text = (SCRIPT.parent.parent / "docs" / "deploy.md").read_text()
    return re.search(r"The account needs\s+`([A-Z, ]+)` on its database", text)[1]


@pytest.fixture
def server(tmp_path):
    if any(_find(name) is None for name in TOOLS):
        pytest.skip("MariaDB is not installed (Debian: mariadb-server)")
    (tmp_path / "db").mkdir()
    with mariadb_server(tmp_path / "db") as server:
        url = server.url
        database = db.connect(url)
        db.upgrade(database)
        with database.engine.connect() as connection:  # an account like that of the image: of one database
            connection.exec_driver_sql("CREATE USER lab@'127.0.0.1' IDENTIFIED BY 'a long one'")
            connection.exec_driver_sql(f"GRANT {documented_rights()} ON spi.* TO lab@'127.0.0.1'")
            connection.exec_driver_sql("SET GLOBAL log_bin_trust_function_creators = 1")
        yield database
        database.engine.dispose()


@pytest.fixture
def host(server, tmp_path):
    (tmp_path / "host").mkdir()
    host, url = Host(tmp_path / "host"), server.engine.url
    (host.fake / "docker").write_text(DOCKER)
    host.write(
        ROOT_DOMAIN_NAME="a.org",
        LOCAL_VOLUME_ROOT=host.data,
        MYSQL_HOST=f"{url.host}:{url.port}",
        MYSQL_USER="lab",
        MYSQL_DATABASE=url.database,
    )
    host.secrets.write_text("MYSQL_PASSWORD='a long one'\n")
    return host


def add_image(database, device):
    with database.begin() as session:
        row = {"device": device, "datetime": NOON, "md5": "0" * 32, "width": 4, "height": 3, "datetime_created": NOON}
        session.execute(sa.insert(Image).values(row))


def list_devices(database):
    with database.begin() as session:
        return session.scalars(sa.select(Image.device).order_by(Image.device)).all()


def names(database, what):
    with database.engine.connect() as connection:
        sql = f"SELECT {what}_name FROM information_schema.{what}s WHERE {what}_schema = DATABASE() ORDER BY 1"
        return connection.scalars(sa.text(sql)).all()


def test_a_dump_brings_rows_tables_and_triggers_back(server, host):
    add_image(server, "0a1b2c3d")
    tables, triggers = names(server, "table"), names(server, "trigger")
    assert triggers
    done = host.run("mysql-backup")
    assert done.returncode == 0, done.stderr
    [dump] = host.cwd.glob("spi_db.dump.*.sql.gz")
    add_image(server, "ffffffff")

    done = host.run("restore", dump.name, "--yes")

    assert done.returncode == 0, done.stderr
    assert list_devices(server) == ["0a1b2c3d"]
    assert (names(server, "table"), names(server, "trigger")) == (tables, triggers)
    assert len(list(host.cwd.glob("spi_db.dump.*.sql.gz"))) == 2  # what was there before
    db.upgrade(server)


def test_a_dump_with_locks_is_restored_without_the_right_to_lock(server, host):
    """Of an older version, or of an existing Sticky Pi server."""
    add_image(server, "0a1b2c3d")
    host.run("mysql-backup")
    [dump] = host.cwd.glob("spi_db.dump.*.sql.gz")
    text = gzip.decompress(dump.read_bytes()).decode()
    assert "LOCK TABLES" not in text
    insert = re.search("^INSERT INTO `images` [^;]*;$", text, re.MULTILINE)[0]
    (host.cwd / "old.sql").write_text(
        text.replace(insert, f"LOCK TABLES `images` WRITE;\n{insert}\nUNLOCK TABLES;"), encoding="utf-8"
    )
    add_image(server, "ffffffff")
    done = host.run("restore", "old.sql", "--yes")
    assert done.returncode == 0, done.stderr
    assert list_devices(server) == ["0a1b2c3d"]


def test_a_restore_that_breaks_off_stops_servers_until_it_is_run_again(server, host):
    host.run("mysql-backup")
    [dump] = host.cwd.glob("spi_db.dump.*.sql.gz")
    broken = host.cwd / "broken.sql"
    broken.write_text("CREATE TABLE images (id INT);\nNONSENSE;\n-- Dump completed on 2026-11-23\n")
    assert "no server starts on half a database" in host.refused("restore", broken.name, "--yes")
    with pytest.raises(db.ConfigError, match="did not finish"):
        db.upgrade(server)
    assert host.run("restore", dump.name, "--yes").returncode == 0
    db.upgrade(server)


def test_a_wrong_password_leaves_no_dump(host):
    host.secrets.write_text("MYSQL_PASSWORD=wrong\n")
    assert "nothing was left behind" in host.refused("mysql-backup")
    assert list(host.cwd.iterdir()) == []
