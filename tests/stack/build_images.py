"""Build both images and run what is made of them, where there is no container engine: `make images-test`.

Debian, root, ten minutes; needs buildah, debootstrap and MariaDB. The base image is a stand-in made of Debian packages,
unless BASE_ROOTFS names a folder with another. BUILD_OPTIONS are further options of `buildah bud`, for machines whose
package index needs a certificate. The services are started as the compose files say, on a root file system that is
really read-only, without the capabilities that they drop.
"""

import contextlib
import gzip
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from dotenv import dotenv_values

from spi_dash.client import SpiClient
from spi_dash.demo import tiny_picture

from .compose import DEVEL, DOCKER, PROD, ROOT, services
from .containers import Engine, Store, step
from .mariadb import MariaDb, mariadb_server
from .ports import free_port

PYTHON_IMAGE = "docker.io/library/python:3.11.14-slim-bookworm"
PACKAGES = ["python3", "python3-venv", "python3-pip", "ca-certificates"]
IMAGES = {"spi-dash-app": "app.Dockerfile", "spi-dash-detector": "detector.Dockerfile"}
START_S, DETECT_S, BACKUP_S = 60, 180, 60


def main() -> None:
    missing = [name for name in ("buildah", "debootstrap", "unshare") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        sys.exit(
            f"this needs root and {', '.join(missing) or 'nothing else'}: apt-get install buildah crun debootstrap"
        )
    folder = Path(os.environ.get("IMAGES_DIR", tempfile.gettempdir())) / "spi-images"
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(folder)
    if not store.has(PYTHON_IMAGE):
        make_base(store)
    with planted_secrets() as values:
        for name, dockerfile in IMAGES.items():
            build(store, name, dockerfile)
    for name in IMAGES:
        look_for_secrets(store, name, values)
    with tempfile.TemporaryDirectory(prefix="spi-lab-") as lab, mariadb_server(Path(lab)) as mariadb:
        try_out(store, Path(lab), mariadb)
    print("both images work, and all services that are made of them")


def make_base(store: Store) -> None:
    """Debian with Python under the name of the base image, so that the Dockerfiles are built as they are."""
    rootfs = Path(os.environ.get("BASE_ROOTFS") or store.folder / "rootfs")
    if not rootfs.exists():
        step(f"debootstrap {rootfs}")
        include = f"--include={','.join(PACKAGES)}"
        subprocess.run(["debootstrap", "--variant=minbase", include, "bookworm", str(rootfs)], check=True)
    container = store.run("from", "scratch")
    store.run("add", "--quiet", container, str(rootfs), "/")
    store.run("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
    store.run("commit", "--quiet", "--rm", container, PYTHON_IMAGE)


def build(store: Store, name: str, dockerfile: str) -> None:
    began = time.monotonic()
    step(f"build {name}")
    options = ["--pull-never", "--layers", "--isolation", "chroot", "--format", "docker"]
    options += [*shlex.split(os.environ.get("BUILD_OPTIONS", "")), "-f", str(ROOT / "docker" / dockerfile), "-t", name]
    store.run("bud", *options, str(ROOT))
    size = store.run("images", "--format", "{{.Size}}", name)
    step(f"{name}: {size} with its base, built in {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def planted_secrets() -> Iterator[list[bytes]]:
    """Secrets where they lie on a host while its images are made, and in the environment of whoever makes them."""
    values = {name: secrets.token_hex(32) for name in ("SECRET_API_KEY", "MYSQL_PASSWORD", "UID_PASSWORD")}
    real = ROOT / "docker" / ".secret.env"
    planted = real.with_name("images-test.secret.env") if real.exists() else real
    planted.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    os.environ.update(values)
    known = [value.encode() for value in values.values()]
    if planted != real:
        known += [line.partition(b"=")[2] for line in real.read_bytes().splitlines() if len(line) > 30]
    try:
        yield known
    finally:
        planted.unlink()
        for name in values:
            del os.environ[name]


def look_for_secrets(store: Store, image: str, values: list[bytes]) -> None:
    """In every layer of an image, and in its history and configuration, as they would be pushed to others."""
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        store.run("push", "--quiet", image, f"dir:{folder}")
        blobs = [path for path in Path(folder).iterdir() if path.name != "version"]
        assert len(blobs) > 3, blobs
        for path in blobs:
            found = [value for value in values if holds(path, value)]
            assert not found, f"{path.name} of {image} holds a secret"
    step(f"{image}: none of {len(values)} secrets in {len(blobs)} layers and descriptions")


def holds(path: Path, value: bytes) -> bool:
    """Whether a file, packed or not, has these bytes."""
    with path.open("rb") as raw:
        is_packed = raw.read(2) == b"\x1f\x8b"
    tail = b""
    with gzip.open(path) if is_packed else path.open("rb") as file:
        while piece := file.read(1 << 20):
            if value in tail + piece:
                return True
            tail = piece[-len(value) :]
    return False


def try_out(store: Store, lab: Path, mariadb: MariaDb) -> None:
    """A lab from its empty folders on: tables, a picture, its annotation, the nightly backup, and the way back."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    passwords = {name: secrets.token_urlsafe(24) for name in ("SECRET_API_KEY", "API_ADMIN_PASSWORD", "UID_PASSWORD")}
    settings = {**dotenv_values(DOCKER / ".env"), "LOCAL_VOLUME_ROOT": str(lab), "BACKUP_DIR": f"{lab}/backups"}
    settings |= {"MYSQL_DATABASE": "spi", "MYSQL_USER": "spi", "MYSQL_PASSWORD": "spi", **passwords}
    here = {"MYSQL_HOST": f"127.0.0.1:{mariadb.port}", "SPI_HOST": "127.0.0.1", "SPI_PORT": str(port)}
    engine, found = Engine(store, settings, here | {"SPI_API_URL": url}), services(PROD)
    engine.run("spi_volumes", found["spi_volumes"], START_S)
    engine.run("spi_migrate", found["spi_migrate"], START_S)
    assert len(list_tables(mariadb)) > 10
    engine.run("spi_certificate", services(DEVEL)["spi_certificate"], START_S)
    assert (lab / "certbot/conf/devel/fullchain.pem").exists()
    client = SpiClient(url, settings["API_ADMIN_NAME"], passwords["API_ADMIN_PASSWORD"])
    season = ("%", datetime(2022, 1, 1), datetime(2023, 1, 1))
    name, picture = tiny_picture("5c173ff2", datetime(2022, 5, 1))
    with engine.running("spi_dash", found["spi_dash"]) as app:
        wait(f"{url}/healthz answers", lambda: answers(f"{url}/healthz"), START_S, app)
        client.upload_image(name, picture)
        with engine.running("spi_uid", found["spi_uid"]) as worker:

            def is_annotated() -> bool:
                return len(client.get_uid_annotations_series(*season, what="metadata")) == 1

            wait("the picture is annotated", is_annotated, DETECT_S, worker)
        before = client.get_uid_annotations_series(*season)
        soon = datetime.now(UTC) + timedelta(seconds=BACKUP_S / 3)
        night = {"BACKUP_AT": f"{soon:%H:%M:%S}", "BACKUP_FILES": "true"}
        at_night = replace(engine, here={**engine.here, **night})
        with at_night.running("spi_backup", found["spi_backup"]) as nightly:
            made = lab / "backups"
            wait("the backup is made", lambda: list(made.glob("*/manifest.json")), BACKUP_S, nightly)
    wipe(mariadb)
    shutil.rmtree(lab / "spi_dash" / "files")
    restore = found["spi_migrate"] | {"command": ["restore", "/backups"]}
    restore["volumes"] = [*restore["volumes"], "${BACKUP_DIR}:/backups:ro"]
    engine.run("restore", restore, START_S)
    with engine.running("spi_dash", found["spi_dash"]) as app:
        wait(f"{url}/healthz answers", lambda: answers(f"{url}/healthz"), START_S, app)
        assert client.get_uid_annotations_series(*season) == before
        [row] = client.get_image_series(*season, what="image")
        with build_opener(ProxyHandler({})).open(row["url"], timeout=30) as answer:
            assert answer.read() == picture
        step("what was wiped is back")
    client.close()


def list_tables(mariadb: MariaDb) -> list[str]:
    with mariadb.connect() as cursor:
        cursor.execute("SHOW TABLES FROM spi")
        return [name for (name,) in cursor.fetchall()]


def wipe(mariadb: MariaDb) -> None:
    with mariadb.connect() as cursor:
        cursor.execute("DROP DATABASE spi")
        cursor.execute("CREATE DATABASE spi")


def answers(url: str) -> bool:
    try:
        build_opener(ProxyHandler({})).open(url, timeout=5).close()
    except (URLError, ConnectionError, TimeoutError):
        return False
    return True


def wait(what: str, happened, within_s: float, process: subprocess.Popen) -> None:
    began = time.monotonic()
    while not happened():
        assert process.poll() is None, f"the container ended before {what}"
        assert time.monotonic() - began < within_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.2)
    step(f"{what}, after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
