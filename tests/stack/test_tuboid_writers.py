"""Tuboids of one new series at the same moment on a real MariaDB: no deadlock, one series, none too many."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from tuboid_lab import name_tuboid, series_info, tuboid_form

from spi_dash.contract import TuboidSeriesInfo
from spi_dash.errors import Conflict
from spi_dash.models import TiledTuboid, TuboidEntry, TuboidSeries
from spi_dash.services import tuboid_index, tuboids
from spi_dash.storage import MemoryStorage

pytestmark = pytest.mark.stack
NOW = datetime(2026, 7, 1, 12)


def test_many_writers_of_new_series(mariadb_database):
    database, storage = mariadb_database, MemoryStorage()
    with database.begin() as session:
        session.execute(sa.delete(TuboidSeries))
    form = tuboid_form()
    parts = {name: form[name] for name in ("metadata", "tuboid", "context")}

    def add(job):
        series, number = job
        info = TuboidSeriesInfo(**series_info(algo_version=f"{series}", n_tuboids=6))
        new = tuboids.prepare_tuboid(storage, name_tuboid(number + 100 * series), info, **parts)
        try:
            with database.begin() as session:
                tuboids.add_tuboid(session, storage, new, None, NOW)
        except Conflict:
            return False
        return True

    jobs = [(series, number) for series in range(5) for number in range(8)]
    with ThreadPoolExecutor(12) as pool:
        taken = list(pool.map(add, jobs))
    assert sum(taken) == 30
    with database.read() as session:
        counts = sa.select(sa.func.count()).select_from(TiledTuboid).group_by(TiledTuboid.parent_series_id)
        assert session.scalars(counts).all() == [6] * 5


def test_who_commits_late_is_seen_too(mariadb_database):
    """The mark of a slow transaction has a lower id than that of a quick one which commits before."""
    database, storage = mariadb_database, MemoryStorage()
    with database.begin() as session:
        session.execute(sa.delete(TuboidSeries))
    form = tuboid_form()
    parts = {name: form[name] for name in ("metadata", "tuboid", "context")}
    slow, quick = (TuboidSeriesInfo(**series_info(algo_version=name)) for name in ("slow", "quick"))

    def add(session, number, info):
        tuboids.add_tuboid(
            session, storage, tuboids.prepare_tuboid(storage, name_tuboid(number), info, **parts), None, NOW
        )

    def numbers():
        with database.read() as session:
            return tuboid_index.change_number(session), tuboid_index.counted_number(session)

    with database.begin() as late:
        # Names that no deleted tuboid had: MariaDB would have them wait for each other until those are cleared away.
        add(late, 4401, slow)
        with database.begin() as session:
            add(session, 4402, quick)
        tuboid_index.refresh(database.begin, database.read)
        change, held = numbers()
        assert change == held
    assert numbers()[0] > held
    tuboid_index.refresh(database.begin, database.read)
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(TuboidEntry)) == 2
