"""An adoption that is killed, at every single step, in every generation; and several that are started at once.

On SQLite all of it is one transaction: what a killed process would leave on disk is looked at after every step.
MariaDB commits as it goes: there a process is killed after every step, each time one step later than the last time.
"""

import os
import signal
import subprocess
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from stack.adopting import ask, assert_kept, contents, upgrade
from stack.old_databases import GENERATIONS
from stack.servers import SECRETS, database_variables, servers

pytestmark = pytest.mark.stack
CHANGES = ("ALTER", "CREATE", "UPDATE", "DELETE", "INSERT", "DROP")
KEPT_BY_COMMIT = ("UPDATE", "DELETE", "INSERT")  # all else is committed at once
WHOLE_EVERY = 20  # steps, between those that one more run goes on from to the end


@contextmanager
def watched(tell):
    """Calls back after every statement that changes something, and after commits of such."""
    last = [""]

    def executed(real):
        def run(self, cursor, statement, *more):
            real(self, cursor, statement, *more)
            if statement.lstrip().startswith(CHANGES) and "spi_dash_may_create_triggers" not in statement:
                last[0] = statement
                tell(statement)

        return run

    def committed(self, connection):
        commit(self, connection)
        if last[0].startswith(KEPT_BY_COMMIT):
            tell(f"COMMIT after {last[0]}")
            last[0] = ""

    commit = DefaultDialect.do_commit
    with pytest.MonkeyPatch.context() as patch:
        for name in ("do_execute", "do_execute_no_params"):
            patch.setattr(DefaultDialect, name, executed(getattr(DefaultDialect, name)))
        patch.setattr(DefaultDialect, "do_commit", committed)
        yield


@pytest.mark.parametrize("make_old", ["sqlite"], indirect=True)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_sqlite_is_adopted_in_one_step_or_not_at_all(make_old, tmp_path, generation):
    url = make_old(generation)
    before, path = contents(url), sa.make_url(url).database
    assert _run(url, until="CREATE TRIGGER") == -signal.SIGKILL
    assert contents(url) == before
    left = []
    with watched(lambda step: left.append((step, [Path(path + end).read_bytes() for end in ("", "-wal")]))):
        upgrade(url)
    after = contents(url)
    assert len(left) > 40
    whole = []
    for n, (step, files) in enumerate(left):
        copy = tmp_path / f"left_{n}.db"
        for end, data in zip(("", "-wal"), files, strict=True):
            copy.with_name(copy.name + end).write_bytes(data)
        found = contents(f"sqlite:///{copy}")
        assert found in (before, after), step
        whole += [step] if found == after else []
        if n % WHOLE_EVERY == 0:
            upgrade(f"sqlite:///{copy}")
            assert contents(f"sqlite:///{copy}") == after
    assert len(whole) == 1 and whole[0].startswith("COMMIT")


@pytest.mark.parametrize("make_old", ["mariadb"], indirect=True)
@pytest.mark.parametrize("generation", GENERATIONS)
def test_mariadb_goes_on_where_it_was_killed(make_old, generation):
    wanted, steps = _adopt_in_one_go(make_old(generation))
    assert len(steps) == len(set(steps)) > 40
    if generation != "G1":  # what follows is what the migrations do to G1, too
        first = next(n for n, step in enumerate(steps) if "alembic_version" in step)
        _, steps_of_g1 = _adopt_in_one_go(make_old("G1"))
        assert set(steps[first:]) <= set(steps_of_g1)
        steps = steps[: first + 1]
    url = make_old(generation)
    before = contents(url)
    for step in steps:
        assert _run(url, until=step) == -signal.SIGKILL, f"this was not done again: {step}"
        assert_kept(before, url)
    assert _run(url) == 0
    assert _without_ids(contents(url)) == wanted
    assert upgrade(url) is None


@pytest.mark.parametrize("make_old", ["mariadb"], indirect=True)
@pytest.mark.parametrize("generation", ["G1", "G4"])
def test_one_more_run_is_enough(make_old, generation):
    wanted, steps = _adopt_in_one_go(make_old(generation))
    for step in steps[WHOLE_EVERY // 2 :: WHOLE_EVERY]:
        url = make_old(generation)
        assert _run(url, until=step) == -signal.SIGKILL
        upgrade(url)
        assert _without_ids(contents(url)) == wanted, step


@pytest.mark.parametrize("generation", ["G2", "G4"])
def test_of_several_that_adopt_at_once_one_does_it(make_old, generation):
    wanted, _ = _adopt_in_one_go(make_old(generation))
    url = make_old(generation)
    children = [_start(url) for _ in range(3)]
    assert [_end(child) for child in children] == [0, 0, 0]
    assert _without_ids(contents(url)) == wanted


def test_a_server_that_starts_meanwhile_waits(make_old, tmp_path):
    wanted, _ = _adopt_in_one_go(make_old("G1"))
    url = make_old("G1")
    before, data = contents(url), tmp_path / "data"
    variables = dict(SECRETS)
    if url.startswith("sqlite"):
        data.mkdir()
        Path(sa.make_url(url).database).rename(data / "spi.db")
        url = f"sqlite:///{data / 'spi.db'}"
    else:
        variables = database_variables(url)
    command = [sys.executable, "-m", "spi_dash", "db", "adopt", "--data", str(data)]
    with servers(data, variables, n=1) as (server,):
        adopt = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
        assert adopt.returncode == 0 and "dopt" in adopt.stdout, adopt.stderr
        assert server.url
    assert_kept((before[0], {name: columns for name, columns in before[1].items() if name != "users"}), url)
    assert contents(url)[0]["definitions"] == wanted[0]["definitions"]
    names = [row[0] for row in ask(url, "SELECT username FROM users ORDER BY id")]
    assert names == ["admin", "maria", "spi_uid"]


def _adopt_in_one_go(url):
    """What is to come out of it, and the steps on the way."""
    reading, writing = os.pipe()
    assert _run(url, note=writing) == 0
    os.close(writing)
    with os.fdopen(reading) as lines:
        return _without_ids(contents(url)), lines.read().split("\0")[:-1]


def _without_ids(found):
    """The ids of marks count those that were taken back, too."""
    rows, names = found
    return rows | {name: [mark[1:] for mark in rows[name]] for name in ("rollup_marks", "tuboid_marks")}, names


def _run(url, until="", note=None):
    """Adopt in a process of its own, which dies after a step; or tells what its steps are. Gives its exit code."""
    return _end(_start(url, until, note))


def _start(url, until="", note=None):
    child = os.fork()
    if child == 0:
        try:
            with watched(lambda step: _note(step, until, note)):
                upgrade(url)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def _end(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _note(step, until, note):
    if until and step.startswith(until):
        os.kill(os.getpid(), signal.SIGKILL)
    if note is not None:
        os.write(note, f"{step}\0".encode())
