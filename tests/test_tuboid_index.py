"""The index of tuboids follows every writer: plain SQL stands for programs that know nothing of it."""

from datetime import datetime

import pytest
import sqlalchemy as sa

from spi_dash.models import TuboidEntry, TuboidMark
from spi_dash.services import tuboid_index

AT = "2022-07-01 10:00:00"
AT_S = int((datetime(2022, 7, 1, 10) - datetime(1970, 1, 1)).total_seconds())
FLY, MOTH = ("Insecta", "Diptera"), ("Insecta", "Lepidoptera")


@pytest.fixture
def write(database):
    """Run statements in a transaction of their own, as another program would."""

    def run(*statements):
        with database.begin() as session:
            for statement in statements:
                session.connection().exec_driver_sql(statement)

    def audit(table, row_id, columns, values):
        return f"INSERT INTO {table} (id, datetime_created, {columns}) VALUES ({row_id}, '{AT}', {values})"

    run.series = lambda key, device="0a1b2c3d": audit(
        "tuboid_series", key, "device, start_datetime, end_datetime, n_images, n_tuboids, algo_name, algo_version",
        f"'{device}', '{AT}', '{AT}', 1, 9, 'a', '{key}'")  # fmt: skip
    run.tuboid = lambda key, series=1: audit(
        "tiled_tuboids", key, "parent_series_id, tuboid_id, id_in_series, start_datetime, end_datetime, n_shots",
        f"{series}, 't{key}', {key}, '{AT}', '{AT}', 3")  # fmt: skip
    run.label = lambda key, tuboid, order: audit(
        "itc_labels", key, "parent_tuboid_id, algo_name, algo_version, label, pattern, type, `order`",
        f"{tuboid}, 'itc', '{key}', 1, 'x', 'Insecta', '{order}'")  # fmt: skip
    return run


@pytest.fixture
def seen(database):
    """What the index says once everything was seen to: device, taxon and label by tuboid."""

    def look():
        tuboid_index.refresh(database.begin, database.read)
        with database.read() as session:
            assert tuboid_index.change_number(session) == tuboid_index.counted_number(session)
            assert session.scalar(sa.select(TuboidMark.id)) is None
            taxa = tuboid_index.list_taxa(session)
            rows = session.scalars(sa.select(TuboidEntry)).all()
            assert all(row.start_s == AT_S for row in rows)
            return {row.id: (row.device, taxa.get(row.taxon_id, ()), row.label_id) for row in rows}

    return look


def numbers(database):
    with database.read() as session:
        return tuboid_index.change_number(session), tuboid_index.counted_number(session)


def test_every_writer_moves_the_number_and_is_seen(database, write, seen):
    trap, other = "0a1b2c3d", "1b2c3d4e"
    write(write.series(1), write.series(2, other))
    assert seen() == {}
    steps = [
        ([write.tuboid(1), write.tuboid(2)], {1: (trap, (), None), 2: (trap, (), None)}),
        ([write.label(1, 1, "Diptera")], {1: (trap, FLY, 1), 2: (trap, (), None)}),
        ([write.label(2, 1, "Lepidoptera")], {1: (trap, MOTH, 2), 2: (trap, (), None)}),
        (["UPDATE itc_labels SET `order` = 'Diptera' WHERE id = 2"], {1: (trap, FLY, 2), 2: (trap, (), None)}),
        (["UPDATE itc_labels SET parent_tuboid_id = 2 WHERE id = 2"], {1: (trap, FLY, 1), 2: (trap, FLY, 2)}),
        (["DELETE FROM itc_labels WHERE id = 1"], {1: (trap, (), None), 2: (trap, FLY, 2)}),
        (["UPDATE tiled_tuboids SET parent_series_id = 2 WHERE id = 1"], {1: (other, (), None), 2: (trap, FLY, 2)}),
        (["UPDATE tuboid_series SET device = 'ffffffff' WHERE id = 1"],
         {1: (other, (), None), 2: ("ffffffff", FLY, 2)}),
        (["DELETE FROM tiled_tuboids WHERE id = 1"], {2: ("ffffffff", FLY, 2)}),
        (["DELETE FROM tuboid_series WHERE id = 1"], {}),
    ]  # fmt: skip
    for statements, expected in steps:
        before = numbers(database)
        assert before[0] == before[1]
        write(*statements)
        change, counted = numbers(database)
        assert change > counted == before[1], statements
        assert seen() == expected, statements
        assert numbers(database)[1] > before[1]


def test_tuboids_of_a_series_of_many_traps_are_each_of_its_own(write, seen):
    name = "UPDATE tiled_tuboids SET tuboid_id = '1b2c3d4e.2022-07-01_00-00-00.2022-07-02_00-00-00.a.0001'"
    write(write.series(1, "________"), write.tuboid(1), name)
    assert seen() == {1: ("1b2c3d4e", (), None)}


def test_many_are_seen_to_in_turns(database, write, seen, monkeypatch):
    monkeypatch.setattr(tuboid_index, "MARKS_PER_TURN", 2)
    write(write.series(1), *(write.tuboid(key) for key in range(1, 6)))
    tuboid_index.refresh(database.begin, database.read, for_s=0)
    assert numbers(database) == (1, 0)
    with database.begin() as session:
        tuboid_index.refresh_marked(session)
    assert numbers(database) == (3, 2)
    assert sorted(seen()) == [1, 2, 3, 4, 5]
    assert numbers(database) == (5, 5)


def test_what_is_rolled_back_was_never_there(database, write, seen):
    write(write.series(1), write.tuboid(1))
    assert sorted(seen()) == [1]
    with pytest.raises(ZeroDivisionError), database.begin() as session:
        session.connection().exec_driver_sql(write.tuboid(2))
        raise ZeroDivisionError
    assert numbers(database) == (1, 1)


def test_taxa_that_differ_in_case_stay_apart(database, write, seen):
    write(write.series(1), write.tuboid(1), write.tuboid(2))
    write(write.label(1, 1, "Diptera"), write.label(2, 2, "DIPTERA"))
    assert [path for _, path, _ in seen().values()] == [FLY, ("Insecta", "DIPTERA")]
