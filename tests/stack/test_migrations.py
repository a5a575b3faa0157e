"""Four programs that bring the same tables up to date at the same moment: one works, the others wait."""

import os
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from stack.servers import SECRETS, database_variables

from spi_dash import db
from spi_dash.models import Image, RollupBlock, UidAnnotation
from spi_dash.services import rollups

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_four_processes_at_once_migrate_once(kind, request, tmp_path):
    variables, url = SECRETS, f"sqlite:///{tmp_path / 'spi.db'}"
    if kind == "mariadb":
        url = request.getfixturevalue("own_mariadb").url
        variables = database_variables(url)
    command = [sys.executable, "-m", "spi_dash", "db", "upgrade", "--data", str(tmp_path)]
    environ = {**os.environ, **variables}
    started = [subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(each.communicate(timeout=120)[1], each.returncode) for each in started] == [("", 0)] * 4
    database = db.connect(url)
    with database.read() as session:
        assert len(session.execute(sa.text("SELECT version_num FROM alembic_version")).all()) == 1
    db.upgrade(database)
    database.engine.dispose()


def test_blocks_of_older_counts_are_those_of_new_ones(database):
    audit = {"datetime_created": datetime(2026, 7, 1), "api_version": "1.0.0", "api_user_id": 1}
    image = {**audit, "md5": "0" * 32, "device_version": "1.0.0", "width": 4, "height": 3, "hum": 50}
    found = {**audit, "algo_name": "uid", "json": "{}"}
    with database.begin() as session:
        for number in range(150):
            taken_at = datetime(2026, 6, 1, 0, 7) + timedelta(hours=number * 1.7)
            row = {
                **image,
                "device": f"0a1b2c3{number % 2}",
                "datetime": taken_at,
                "temp": number / 7 if number % 5 else None,
            }
            (key,) = session.execute(sa.insert(Image).values(row)).inserted_primary_key
            for version in ("1.0", "2.0")[: number % 3]:
                new = {**found, "parent_image_id": key, "algo_version": version, "n_objects": number}
                session.execute(sa.insert(UidAnnotation).values(new))

    def read():
        with database.read() as session:
            columns = [getattr(RollupBlock, name) for name in RollupBlock.__table__.columns.keys()]
            return sorted(tuple(row) for row in session.execute(sa.select(*columns)))

    rollups.refresh(database.begin, database.read)
    counted = read()
    assert len(counted) > 20
    with database.begin() as session:
        session.execute(sa.text("DROP TABLE rollup_blocks"))
        session.execute(sa.text("UPDATE alembic_version SET version_num = '0005'"))
    db.upgrade(database)
    upgraded = read()
    assert [row[:-1] for row in upgraded] == [row[:-1] for row in counted]
    for (*_, one), (*_, other) in zip(upgraded, counted, strict=True):
        numbers = [np.frombuffer(each, "<f4") for each in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1.5, nan_ok=True)  # thousandths, cut or not
