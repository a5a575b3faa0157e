"""Fixture `database`: every test that asks for it runs on SQLite and on MariaDB, on empty tables."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from spi_dash import db
from spi_dash.models import Base


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied: faster than to migrate for each test."""
    path = tmp_path_factory.mktemp("template") / "spi.db"
    database = db.connect(f"sqlite:///{path}")
    db.upgrade(database)
    database.engine.dispose()
    return path


@pytest.fixture(scope="session")
def mariadb_database(mariadb_url: str) -> Iterator[db.Database]:
    database = db.connect(mariadb_url)
    db.upgrade(database)
    yield database
    database.engine.dispose()


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> Iterator[db.Database]:
    shutil.copy(sqlite_template, tmp_path / "spi.db")
    database = db.connect(f"sqlite:///{tmp_path / 'spi.db'}")
    yield database
    database.engine.dispose()


@pytest.fixture(params=["sqlite", "mariadb"])
def database(request: pytest.FixtureRequest) -> db.Database:
    database = request.getfixturevalue(f"{request.param}_database")
    if request.param == "mariadb":
        with database.begin() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(sa.delete(table))
    return database
