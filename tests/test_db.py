"""The database: migrations, transactions, and the two dialects alike."""

import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from spi_dash import db
from spi_dash.errors import ConfigError, Unavailable
from spi_dash.models import Base, Image
from spi_dash.sql import insert_or_ignore, time_text

ROW = {"device": "0a1b2c3d", "datetime": datetime(2022, 7, 1, 12), "md5": "0" * 32, "width": 4, "height": 3}
ROW["datetime_created"] = datetime(2022, 7, 2)


def test_migrations_make_the_models(database):
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert [each for each in differences if not _is_foreign_key_index(each) and not _is_of_a_project(each)] == []


def test_migrating_again_changes_nothing(database):
    db.upgrade(database)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(sa.table("alembic_version"))) == 1


def test_tables_of_another_program_are_left_alone(tmp_path):
    url = f"sqlite:///{tmp_path / 'spi.db'}"
    with contextlib.closing(sqlite3.connect(tmp_path / "spi.db")) as connection:
        connection.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, no_flash_bv FLOAT)")
    database = db.connect(url)
    with pytest.raises(ConfigError, match=r"not what a Sticky Pi server makes.*no table users"):
        db.upgrade(database)
    assert sa.inspect(database.engine).get_table_names() == ["images"]
    database.engine.dispose()


def test_migrations_by_several_at_once(tmp_path):
    url, errors = f"sqlite:///{tmp_path / 'spi.db'}", []

    def migrate():
        database = db.connect(url)
        try:
            db.upgrade(database)
        except Exception as error:
            errors.append(error)
        finally:
            database.engine.dispose()

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_times_as_text(database):
    with database.begin() as session:
        session.execute(sa.insert(Image).values(ROW))
        row = session.execute(sa.select(time_text(Image.datetime, "iso"), time_text(Image.datetime, "legacy"))).one()
    assert tuple(row) == ("2022-07-01T12:00:00Z", "2022-07-01_12-00-00")


def test_insert_or_ignore(database):
    with database.begin() as session:
        assert [session.execute(insert_or_ignore(Image).values(ROW)).rowcount for _ in range(2)] == [1, 0]


def test_a_transaction_that_raises_leaves_nothing(database):
    with pytest.raises(ZeroDivisionError), database.begin() as session:
        session.execute(sa.insert(Image).values(ROW))
        raise ZeroDivisionError
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count(Image.id))) == 0


def test_writers_wait_for_each_other(database):
    """Each reads how many there are and adds one: none may fail or be lost."""

    def add(number):
        with database.begin() as session:
            session.scalar(sa.select(sa.func.count(Image.id)))
            session.execute(sa.insert(Image).values(ROW | {"datetime": datetime(2022, 1, 1, 0, number)}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count(Image.id))) == 40


def test_sqlite_is_set_up_to_lose_nothing(sqlite_database):
    with sqlite_database.read() as session:
        found = [session.scalar(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]


def test_other_databases_are_refused():
    with pytest.raises(ConfigError, match="postgresql"):
        db.connect("postgresql://localhost/x")


def test_a_server_that_is_away():
    database = db.connect("mysql+pymysql://spi:spi@127.0.0.1:9/spi")
    with pytest.raises(Unavailable):
        database.check()


def _is_of_a_project(difference):
    """Other tests on this server make projects, each with a table of its own."""
    return difference[0] == "remove_table" and difference[1].name.startswith("project_series_")


def _is_foreign_key_index(difference):
    """InnoDB makes an index for each foreign key by itself."""
    return difference[0] == "remove_index"


def test_long_texts_of_a_group_are_not_cut(database):
    """MariaDB cuts them at 1 MB unless told otherwise, with no error."""
    piece = "x" * 1000
    with database.begin() as session:
        moments = [datetime(2022, 7, 1, i // 60, i % 60) for i in range(1200)]
        session.execute(sa.insert(Image), [{**ROW, "datetime": moment} for moment in moments])
    with database.read() as session:
        whole = session.scalar(sa.select(sa.func.length(sa.func.group_concat(sa.literal(piece) + Image.md5))))
    assert whole == 1200 * (1000 + 32) + 1199
