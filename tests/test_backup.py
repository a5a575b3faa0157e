"""Backups: made while others write, restored on an empty server, compared row by row and file by file."""

import dataclasses
import os
import shutil
import threading
from datetime import datetime, timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from conftest import make_config

from spi_dash import db
from spi_dash.backup import (
    BackupOptions,
    RestoreOptions,
    check_backup,
    find_backup,
    make_backup,
    open_target,
    restore_backup,
)
from spi_dash.backup.rows import line, shortest_single, unpack
from spi_dash.backup.target import Target
from spi_dash.cli import main
from spi_dash.errors import ConfigError, Conflict, InvalidInput, NotFound, Unavailable
from spi_dash.models import Image, UidAnnotation
from spi_dash.storage import DiskStorage, MemoryStorage

NOW = datetime(2026, 7, 1, 12)
IMAGE = {"device": "0a1b2c3d", "md5": "0" * 32, "width": 4, "height": 3, "datetime_created": NOW}


def fill(database):
    with database.begin() as session:
        for minute in range(50):
            image = IMAGE | {"datetime": NOW + timedelta(minutes=minute), "temp": 20.1 + minute / 7, "lat": 49.261423}
            session.execute(sa.insert(Image).values(image))
        ids = session.scalars(sa.select(Image.id)).all()
        text = '{"name": "\u00e9\u4e2d\U0001f41d \\" \\n"}'
        values = {"algo_name": "uid", "algo_version": "1", "n_objects": 0, "json": text, "datetime_created": NOW}
        session.execute(sa.insert(UidAnnotation).values([values | {"parent_image_id": each} for each in ids[:9]]))
        session.execute(sa.text("DROP TABLE IF EXISTS project_series_7"))
        create = (
            "CREATE TABLE project_series_7 (id INTEGER PRIMARY KEY, `50%%` FLOAT, note TEXT, raw BLOB, p DECIMAL(9,6))"
        )
        session.connection().exec_driver_sql(create if database.kind == "mariadb" else create.replace("%%", "%"))
        row = {"id": 3, "f": 0.123456789, "note": None, "raw": b"\x00\xff", "p": "1.250000"}
        session.execute(sa.text("INSERT INTO project_series_7 VALUES (:id, :f, :note, :raw, :p)"), row)


def everything(database):
    """Every row of every table, floats in full."""
    found = {}
    with database.engine.connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            columns = sa.inspect(connection).get_columns(table)
            quoted = connection.dialect.identifier_preparer.quote_identifier
            names = [
                f"CAST({quoted(c['name'])} AS DOUBLE)" if database.kind == "mariadb" and isinstance(c["type"], sa.Float)
                else quoted(c["name"]) for c in columns
            ]  # fmt: skip
            rows = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {quoted(table)}")
            found[table] = sorted(map(repr, rows))
    return found


@pytest.fixture
def target():
    return Target(MemoryStorage(), "lab/", "memory")


@pytest.fixture
def options():
    seconds = count()
    return lambda **more: BackupOptions(utcnow=lambda: NOW + timedelta(seconds=next(seconds)), **more)


@pytest.fixture
def there(database, tmp_path):
    """The configuration of a server on this database."""
    config = make_config(tmp_path / "server")
    yield dataclasses.replace(config, database_url=database.engine.url.render_as_string(hide_password=False))
    if database.kind == "mariadb":
        with database.begin() as session:
            session.execute(sa.text("DROP TABLE IF EXISTS project_series_7"))


def test_every_row_and_file_comes_back(database, there, target, options):
    fill(database)
    storage = MemoryStorage()
    for number in range(20):
        storage.put(f"raw_images/a/{number}", bytes([number % 3]) * 100)
    storage.put("ml/large", b"x" * (9 << 20))
    before, files = everything(database), {info.key: storage.get(info.key) for info in storage.list("")}
    made = make_backup(database, target, options(files=storage))
    assert made.manifest.files.rows == 21
    assert len([info for info in target.storage.list("lab/objects/")]) == 4
    with database.begin() as session:
        session.execute(sa.delete(Image))
    database.engine.dispose()
    again, found = MemoryStorage(), find_name(target)
    with pytest.raises(Conflict, match="--replace"):
        restore_backup(there, again, target, found, RestoreOptions(now=NOW))
    restore_backup(there, again, target, found, RestoreOptions(now=NOW, replace=True))
    assert everything(database) == before
    assert {info.key: again.get(info.key) for info in again.list("")} == files
    with database.begin() as session:  # triggers are back, and ids go on
        newest = session.scalar(sa.text("SELECT MAX(id) FROM rollup_marks"))
        session.execute(sa.insert(Image).values(IMAGE | {"datetime": NOW - timedelta(days=1)}))
        assert session.scalar(sa.text("SELECT MAX(id) FROM rollup_marks")) == newest + 1


def find_name(target):
    return [name for name in target.list_names() if target.is_backup(name)][-1]


def test_a_backup_sees_one_moment_while_others_write(database, target, options):
    fill(database)
    stop = threading.Event()

    def write():
        for minute in count(1):
            if stop.is_set():
                return
            with database.begin() as session:
                session.execute(sa.insert(Image).values(IMAGE | {"datetime": NOW - timedelta(minutes=minute)}))
                image_id = session.scalar(sa.select(sa.func.max(Image.id)))
                values = {"algo_name": "w", "algo_version": "1", "n_objects": 0, "datetime_created": NOW}
                session.execute(sa.insert(UidAnnotation).values(values | {"parent_image_id": image_id}))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = make_backup(database, target, options())
    finally:
        stop.set()
        thread.join()
    rows = {table.name: table.part.rows for table in made.manifest.tables}
    assert rows["images"] - 50 == rows["uid_annotations"] - 9


def test_unchanged_files_are_not_read_again(sqlite_database, target, options):
    class Counting(MemoryStorage):
        reads = 0

        def get(self, key):
            Counting.reads += 1
            return super().get(key)

    storage = Counting()
    storage.put("a", b"1")
    storage.put("b", b"2")
    make_backup(sqlite_database, target, options(files=storage))
    storage.put("b", b"3")
    made = make_backup(sqlite_database, target, options(files=storage))
    assert (Counting.reads, made.manifest.files.rows) == (3, 2)
    check_backup(target, made.name)


def test_old_backups_go_and_what_they_alone_needed(sqlite_database, target, options):
    storage = MemoryStorage()
    names = []
    for content in (b"1", b"2", b"3"):
        storage.put("a", content)
        names.append(make_backup(sqlite_database, target, options(files=storage, keep=2)).name)
    make_backup(sqlite_database, target, options(keep=1))
    left = make_backup(sqlite_database, target, options(keep=1))
    assert target.list_names() == [*names[1:], left.name]
    assert len(list(target.storage.list("lab/objects/"))) == 2
    for name in target.list_names():
        check_backup(target, name)


def test_damage_is_found_before_anything_is_changed(database, there, target, options):
    storage = MemoryStorage()
    storage.put("a", b"1")
    name = make_backup(database, target, options(files=storage)).name
    database.engine.dispose()
    whole = dict(target.storage.files)
    for key in [key for key in whole if not key.endswith("manifest.json")]:
        target.storage.put(key, whole[key][0][:-1] + b"!")
        with pytest.raises(InvalidInput, match="damaged"):
            restore_backup(there, MemoryStorage(), target, name, RestoreOptions(now=NOW, replace=True))
        target.storage.delete([key])
        with pytest.raises(InvalidInput, match="missing"):
            check_backup(target, name)
        target.storage.files.update(whole)
    manifest = f"lab/{name}/manifest.json"
    target.storage.put(manifest, whole[manifest][0].replace(b'"images"', b'"Images"', 1))
    with pytest.raises(InvalidInput, match="manifest"):
        check_backup(target, name)


def test_others_must_leave_the_database_first(mariadb_database, tmp_path, target, options):
    name, engine = make_backup(mariadb_database, target, options()).name, mariadb_database.engine
    url = engine.url.render_as_string(hide_password=False)
    there, replace = make_config(tmp_path / "server"), RestoreOptions(now=NOW, replace=True, wait_s=0)
    there = dataclasses.replace(there, database_url=url)
    engine.dispose()
    with engine.connect(), pytest.raises(Conflict, match=r"\(spi from [^)]+\): stop the servers first"):
        restore_backup(there, MemoryStorage(), target, name, replace)
    with engine.connect() as connection:
        leaves = threading.Timer(0.5, lambda: (connection.detach(), connection.close()))
        leaves.start()
        restore_backup(there, MemoryStorage(), target, name, dataclasses.replace(replace, wait_s=60))
        leaves.join()


def test_a_full_target_holds_no_backup(sqlite_database, options, tmp_path):
    class Full(DiskStorage):
        def put_file(self, key, file):
            if "images" in key:
                raise Unavailable("the file storage cannot be written: No space left on device")
            super().put_file(key, file)

    target = Target(Full(tmp_path / "backups", b""), "", "full")
    with pytest.raises(Unavailable, match="No space"):
        make_backup(sqlite_database, target, options())
    assert target.list_names() == []


def test_one_at_a_time(sqlite_database, target, options):
    target.storage.put("lab/2026-06-30_00-00-00/running", b"")
    with pytest.raises(Conflict, match="another backup"):
        make_backup(sqlite_database, target, options())
    make_backup(sqlite_database, target, options(clock=lambda: 9e9, keep=1))  # that one has died
    assert len(target.list_names()) == 1


def test_two_that_begin_in_the_same_second_leave_each_other_alone(sqlite_database, target, options, monkeypatch):
    """One waits with all its tables written when the other begins under the same name."""
    refused = []

    def tick(_number):
        if not refused:
            refused.append(True)
            with monkeypatch.context() as patch, pytest.raises(Conflict, match="another backup"):
                patch.setattr(Target, "list_names", lambda _self: [])  # it was not there yet when the other looked
                make_backup(sqlite_database, target, dataclasses.replace(options(), utcnow=lambda: NOW))

    made = make_backup(sqlite_database, target, dataclasses.replace(options(tick=tick), utcnow=lambda: NOW))
    assert refused == [True]
    check_backup(target, made.name)


def test_old_contents_are_cleared_away_before_another_backup_may_begin(sqlite_database, target, options):
    storage, refused = MemoryStorage(), []
    storage.put("a", b"1")
    make_backup(sqlite_database, target, options(files=storage, keep=1))
    storage.put("a", b"2")
    delete = target.storage.delete

    def watched(keys):
        keys = list(keys)
        if any("/objects/" in key for key in keys):
            with pytest.raises(Conflict, match="another backup"):
                make_backup(sqlite_database, target, options(files=storage))
            refused.append(True)
        delete(keys)

    target.storage.delete = watched
    made = make_backup(sqlite_database, target, options(files=storage, keep=1))
    assert refused == [True]
    assert len(list(target.storage.list("lab/objects/"))) == 1
    check_backup(target, made.name)


def test_a_finished_backup_stays_when_clearing_away_fails(sqlite_database, target, options, monkeypatch):
    first = make_backup(sqlite_database, target, options()).name

    def broken(_self, _name):
        raise Unavailable("the object storage does not answer")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(Target, "remove", broken)
        make_backup(sqlite_database, target, options(keep=1))
    assert len([name for name in target.list_names() if target.is_backup(name)]) == 2
    assert make_backup(sqlite_database, target, options(keep=1)).removed[0] == first


def test_a_backup_on_a_medium_that_cannot_be_written_is_read(sqlite_database, options, tmp_path, config):
    name = make_backup(sqlite_database, Target(DiskStorage(tmp_path / "b", b""), "", "b"), options()).name
    leftover = tmp_path / "b" / ".staging" / "old"
    leftover.write_bytes(b"")
    os.utime(leftover, (0, 0))
    target, found = find_backup(str(tmp_path / "b"), config)
    assert found == name and leftover.exists()
    shutil.rmtree(tmp_path / "b" / ".staging")
    target, found = find_backup(str(tmp_path / "b"), config)
    check_backup(target, found)
    assert not (tmp_path / "b" / ".staging").exists()


def test_a_newer_database_is_refused(sqlite_database):
    with sqlite_database.begin() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer version"):
        db.upgrade(sqlite_database)


def test_the_commands(tmp_path, config, monkeypatch):
    def run(*arguments, **options):
        return CliRunner().invoke(main, [str(each) for each in arguments], **options)

    monkeypatch.setenv("API_ADMIN_PASSWORD", "a long password")
    monkeypatch.setenv("UID_PASSWORD", "another long password")
    data = ("--data", config.data_dir)
    made = run("backup", "--to", tmp_path / "b", "--files", "--keep", 3, *data)
    assert made.exit_code == 0, made.output
    assert run("backup", "--to", tmp_path / "b", "--check", *data).exit_code == 0
    assert "does not exist" in run("restore", tmp_path / "nothing", *data).stderr
    assert "--replace" in run("restore", tmp_path / "b", *data).stderr
    assert run("restore", tmp_path / "b", "--replace", *data, input="no\n").exit_code == 1
    assert run("restore", tmp_path / "b", "--replace", *data, input="replace\n").exit_code == 0
    assert run("restore", tmp_path / "b", "--data", tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "secrets.env").read_bytes() == (config.data_dir / "secrets.env").read_bytes()


def test_a_backup_that_is_not_there(config, tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(NotFound, match="no backup"):
        find_backup(str(tmp_path / "b"), config)
    for text in ("ftp://x/y", "s3://x", "s3://bucket/p"):
        with pytest.raises(ConfigError):
            open_target(text, config)


@pytest.mark.parametrize("row", [[None, 1, -(2**63), 0.1, float("inf"), b"\x00", "\u4e2d\n", 1e-320]])
def test_values_come_back_as_they_were(row):
    import gzip
    import io

    assert list(unpack(io.BytesIO(gzip.compress(line(row))))) == [row]
    assert shortest_single(20.600000381469727) == 20.6
