"""A whole lab is taken over as docs/adopt.md says: old settings, dump, restore, adopt, check, with the commands."""

import shutil
import subprocess
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import md5
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from stack.adopting import MAY_GO, assert_kept, contents, run_sql

from spi_dash.cli import main
from spi_dash.demo.pictures import tiny_picture
from spi_dash.storage import DiskStorage, S3Storage
from spi_dash.trap_image import thumbnails

pytestmark = pytest.mark.stack
DEVICE, BUCKET = "0a1b2c3d", "old-lab"
FIRST = datetime(2020, 6, 20, 20, 0, 24)
THUMBNAIL, MINI = ".thumbnail", ".thumbnail-mini"
STRAY = datetime(2020, 7, 1, 12)
FOLDER = f"raw_images/{DEVICE}/"
STRAY_TUBOID = "tiled_tuboids/e.f.g.h/i/tuboid.jpg"
TUBOID = "tiled_tuboids/a.b.c.d/a.b.c.d.0000/"
FOREIGN = (f"{FOLDER}notes_of 100%.txt", f"{FOLDER}{DEVICE}.2020-06-20_20-00-24.jpg_old%20")
OF_OTHERS = ("ml/universal-insect-detector/output/model_final.pth", "ml/a_b%/config/config.yaml", "lab/photos_%.zip")
OLD_SETTINGS = """
MYSQL_HOST={mysql_host}
MYSQL_DATABASE={mysql_database}
MYSQL_USER={mysql_user}
MYSQL_RANDOM_ROOT_PASSWORD=yes
MYSQL_BUFFER_POOL_SIZE=1G
API_PORT=8080
WEBAPP_PORT=8081
S3_PORT=8055
API_ADMIN_NAME=admin
API_PROFILE=0
LOCAL_VOLUME_ROOT={volume}
ROOT_DOMAIN_NAME=lab.example.org
UID_USER=spi_uid
RSHINY_UPSTREAM_ROOT_URL=api.lab.example.org
RSHINY_UPSTREAM_PORT=443
RSHINY_UPSTREAM_PROTOCOL=https
"""
OLD_SECRETS = """
SECRET_API_KEY="a secret key of a lab"
MYSQL_PASSWORD={mysql_password}
API_ADMIN_PASSWORD=some long password
UID_PASSWORD="another long password"
S3_HOST={s3_host}
S3_ACCESS_KEY={access_key}
S3_PRIVATE_KEY={secret_key}
S3_BUCKET_NAME={bucket}
ADMIN_EMAIL=admin@example.org
"""


class Lab:
    """What is left of the old server: its database, its bucket, its settings; and our commands on them."""

    def __init__(self, url, storage, options):
        self.url, self.storage, self._options = url, storage, options

    def run(self, *arguments, code=0):
        result = CliRunner().invoke(main, [*arguments, *self._options])
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
def on_disk(make_old, tmp_path):
    """A SQLite file and a folder, as the old local client kept them."""
    url, data = make_old("G2"), tmp_path / "data"
    data.mkdir()
    Path(sa.make_url(url).database).rename(data / "spi.db")
    storage = DiskStorage(data / "files", b"")
    return Lab(f"sqlite:///{data / 'spi.db'}", storage, ["--data", str(data)])


@pytest.fixture
def in_bucket(make_old, rgw, tmp_path):
    """A database that was dumped and restored, a bucket, and the files in which the old server was told of them."""
    if shutil.which("mariadb-dump") is None:
        pytest.skip("mariadb-dump is not installed")
    url = sa.make_url(_restored(make_old("G4", compressed=True)))
    with closing(rgw.client()) as client:
        client.create_bucket(Bucket=BUCKET)
    storage = S3Storage(rgw.host, BUCKET, rgw.access_key, rgw.secret_key, b"")
    values = {"mysql_host": f"{url.host}:{url.port}", "mysql_database": url.database, "mysql_user": url.username}
    values |= {"mysql_password": url.password, "volume": tmp_path / "volume", "bucket": BUCKET}
    values |= {"s3_host": rgw.host, "access_key": rgw.access_key, "secret_key": rgw.secret_key}
    (tmp_path / ".env").write_text(OLD_SETTINGS.format(**values))
    (tmp_path / ".secret.env").write_text(OLD_SECRETS.format(**values))
    options = ["--env-file", str(tmp_path / ".env"), "--env-file", str(tmp_path / ".secret.env")]
    yield Lab(url.render_as_string(hide_password=False), storage, options)
    storage.delete([info.key for info in storage.list("")])
    storage.close()


def _restored(url):
    """The same database once more, by the dump that docs/adopt.md asks for."""
    parsed = sa.make_url(url)
    login = [f"--host={parsed.host}", f"--port={parsed.port}", f"--user={parsed.username}"]
    login += [f"--password={parsed.password}", "--protocol=tcp", "--skip-ssl"]
    options = ["--single-transaction", "--routines", "--triggers"]
    dump = subprocess.run(["mariadb-dump", *login, *options, parsed.database], capture_output=True, check=True)
    again = f"{parsed.database}_restored"
    run_sql(parsed, f"DROP DATABASE IF EXISTS {again}", f"CREATE DATABASE {again}")
    subprocess.run(["mariadb", *login, again], input=dump.stdout, check=True)
    restored = parsed.set(database=again).render_as_string(hide_password=False)
    assert contents(restored) == contents(url)
    return restored


def _key(n, suffix=""):
    return f"{FOLDER}{DEVICE}.{_time(n):%Y-%m-%d_%H-%M-%S}.jpg{suffix}"


def _time(n):
    return FIRST + timedelta(hours=n // 3, minutes=20 * (n % 3))


def _fill_bucket(lab):
    """Pictures of all rows, but: 1 is lost, 2 is another one, 3 and 4 lack a thumbnail; and what belongs to nothing."""
    sums = []
    for n in range(6):
        _, data = tiny_picture(DEVICE, _time(n))
        sums.append(f"UPDATE images SET md5 = '{md5(data).hexdigest()}' WHERE id = {n + 1}")
        for suffix, file in zip(("", THUMBNAIL, MINI), (data, *thumbnails(data)), strict=True):
            lab.storage.put(_key(n, suffix), file)
    run_sql(lab.url, *sums, "CREATE TABLE lab_notes (id INT)")
    lab.storage.delete([_key(1), _key(1, THUMBNAIL), _key(1, MINI), _key(3, THUMBNAIL)])
    lab.storage.put(_key(2), tiny_picture(DEVICE, _time(0))[1])
    lab.storage.put(_key(4, MINI), b"")
    name, data = tiny_picture(DEVICE, STRAY)
    for suffix, file in zip(("", THUMBNAIL, MINI), (data, *thumbnails(data)), strict=True):
        lab.storage.put(FOLDER + name + suffix, file)
    for key in (*FOREIGN, *OF_OTHERS, STRAY_TUBOID, f"{TUBOID}tuboid.jpg", f"{TUBOID}context.jpg"):
        lab.storage.put(key, f"content of {key}".encode())
    lab.storage.put(f"{TUBOID}metadata.txt", f"{DEVICE}.2020-06-20_20-00-24,1.0,2.0,1.0\n".encode() * 3)


def _files(lab):
    return {info.key: lab.storage.get(info.key) for info in lab.storage.list("")}


@pytest.mark.parametrize(
    ("make_old", "kind"), [("sqlite", "on_disk"), ("mariadb", "in_bucket")], indirect=["make_old"], ids=["disk", "s3"]
)
def test_a_lab_is_taken_over(make_old, kind, request):
    lab = request.getfixturevalue(kind)
    _fill_bucket(lab)
    before, files = contents(lab.url), _files(lab)
    said = lab.run("db", "adopt", "--dry-run")
    assert "  images: 6 rows\n" in said and "\n  lab_notes: 0 rows, no table of the server: stays as it is\n" in said
    assert said.endswith("Nothing was changed.\n")
    assert contents(lab.url) == before
    assert "db adopt --dry-run" in lab.run("check", code=1)
    assert lab.run("db", "adopt").endswith("Adopted. The server can be started.\n")
    assert "nothing to adopt" in lab.run("db", "adopt")
    assert_kept(before, lab.url)
    assert "maria" in lab.run("users", "list")
    assert _files(lab) == files
    _check(lab, files)
    _repair(lab, files)
    rows, names = before
    now, _ = contents(lab.url, names)
    assert set(now["images"]) > set(rows["images"]) and len(now["images"]) == 7
    assert all(now[name] == rows[name] for name in names if name not in ("images", *MAY_GO))


def _check(lab, files):
    """Everything is found, and nothing is touched."""
    wrong = {
        _key(1): "its file is gone",
        _key(2): "its md5 is another",
        _key(3, THUMBNAIL): "thumbnail",
        _key(4, MINI): "thumbnail",
        f"{FOLDER}{DEVICE}.2020-07-01_12-00-00.jpg": "not in the database",
        STRAY_TUBOID: "no tuboid",
        **dict.fromkeys(FOREIGN, "no picture of a trap"),
    }
    *lines, summary = lab.run("check", code=1).splitlines()
    assert summary == "6 pictures and 1 tuboids checked, 8 problems found, 8 left."
    assert sorted(line.split(": ")[0] for line in lines) == sorted(wrong)
    assert all(wrong[line.split(": ")[0]] in line for line in lines)
    assert "7 problems found, 7 left" in lab.run("check", "--quick", code=1)  # which reads no picture
    assert _files(lab) == files


def _repair(lab, files):
    """What belongs to nothing is moved, whole; what is lost stays told; the rest is as it was."""
    assert lab.run("check", "--repair", code=1).endswith("8 problems found, 2 left.\n")
    after = _files(lab)
    moved = {key.split("/", 2)[2]: data for key, data in after.items() if key.startswith("lost+found/")}
    assert moved == {key: files[key] for key in (*FOREIGN, STRAY_TUBOID)}
    assert all(after.get(key) == data for key, data in files.items() if key not in (*moved, _key(4, MINI)))
    assert len(after[_key(4, MINI)]) > 0 and len(after[_key(3, THUMBNAIL)]) > 0
    summary = "7 pictures and 1 tuboids checked, 2 problems found, 2 left."
    assert lab.run("check", code=1).splitlines()[-1] == summary
