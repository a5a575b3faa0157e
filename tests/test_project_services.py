"""What the projects page stands on, on both databases: healing, the last admin, rows as CSV, counts."""

from dataclasses import replace
from datetime import datetime

import pytest
import sqlalchemy as sa

from spi_dash.errors import Conflict, Forbidden, InvalidInput
from spi_dash.services import project_csv, project_series, project_tables, projects, users
from spi_dash.services.column_kinds import Kind

NOW = datetime(2026, 7, 1, 12)
ROW = {"device": "0A1B2C3D", "start_datetime": "2022-07-01", "end_datetime": "2022-07-02"}


@pytest.fixture
def session(database):
    with database.engine.begin() as connection:
        for name in sa.inspect(connection).get_table_names():
            if name.startswith("project_series_"):
                connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData())))
    with database.begin() as session:
        yield session


@pytest.fixture
def ada(session, monkeypatch):
    monkeypatch.setattr(users, "hash_password", lambda password: f"hash of {password}")
    return users.add_user(session, username="ada", password="R3ad_0nly", now=NOW)


@pytest.fixture
def project(session, ada):
    return projects.add_project(session, ada, projects.new_project("p", "", ""), NOW).id


def test_a_project_without_its_table_is_an_empty_one_and_gets_it(session, ada, project):
    assert project_series.list_series(session, ada, project) == []
    row = project_series.put_values(session, ada, project, ROW)
    assert project_series.list_series(session, ada, project) == [row] and row["device"] == "0a1b2c3d"


def test_a_table_that_another_project_left_is_not_taken_up(session, ada, project):
    project_tables.create_table(session, project)
    with pytest.raises(Conflict):
        project_tables.create_table(session, project)


def test_the_last_admin_stays(session, ada, project):
    ben = users.add_user(session, username="ben", password="R3ad_0nly", now=NOW)
    projects.change_member(session, ada, project, ben.id, 3, NOW)
    projects.change_member(session, ada, project, ada.id, 0, NOW)
    assert [each.username for each in projects.list_members(session, project)] == ["ben"]
    with pytest.raises(Conflict, match="somebody else"):
        projects.change_member(session, ben, project, ben.id, 2, NOW)


def test_a_read_only_account_never_writes(session, ada, project):
    reader = replace(ada, can_write=False)
    with pytest.raises(Forbidden, match="read-only"):
        project_series.put_values(session, reader, project, ROW)
    with pytest.raises(Forbidden):
        projects.add_project(session, reader, projects.new_project("q", "", ""), NOW)


def test_rows_go_out_and_come_in_as_csv(session, ada, project):
    project_tables.add_column(session, project, "bait.1", Kind("char", length=20))
    text = "device;start_datetime;end_datetime;bait.1\n0a1b2c3d;2022-07-01;2022-07-02;'=1+1\n"
    assert project_csv.import_csv(session, ada, project, text) == 1
    (row,) = project_series.list_series(session, ada, project)
    assert row["bait.1"] == "=1+1"
    out = project_csv.write_csv(session, ada, project)
    assert "'=1+1" in out and project_csv.import_csv(session, ada, project, out) == 1
    assert project_series.list_series(session, ada, project) == [row]
    twice = text.replace("'=1+1", "x" * 21) + "0a1b2c3d;2022-07-03;2022-07-02;\n0a1b2c3d;2022-07-01;2022-07-02;\n"
    _, problems = project_csv.check_csv(session, ada, project, twice)
    assert [(each.line, each.field) for each in problems] == [(2, "bait.1"), (3, "end_datetime"), (4, "device")]
    odd = "device,start_datetime,end_datetime\ntrap_001,2022-07-01 18:30,2022-07-02 09:45\n"
    _, problems = project_csv.check_csv(session, ada, project, odd)
    assert [(each.line, each.field) for each in problems] == [(2, "device")]
    odd = odd.replace("trap_001", "0A1B2C3E")
    assert project_csv.import_csv(session, ada, project, odd) == 1
    assert project_series.list_series(session, ada, project)[-1]["start_datetime"] == datetime(2022, 7, 1, 18, 30)
    for bad in ("", "device\n", "device,start_datetime,end_datetime,x\n", "device,start_datetime,end_datetime\n"):
        with pytest.raises(InvalidInput):
            project_csv.check_csv(session, ada, project, bad)
