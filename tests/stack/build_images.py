"""Build both images and run them, where there is no container engine: `make images-test`. Debian, root, ten minutes.

Needs buildah and debootstrap. The base image is a stand-in made of Debian packages, unless BASE_ROOTFS names a folder
with another. BUILD_OPTIONS are further options of `buildah bud`, for machines whose package index needs a certificate.
The containers run as the images say, user, entry point and environment, on a root file system that is really read-only.
"""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from spi_dash.client import SpiClient
from spi_dash.demo import tiny_picture

ROOT = Path(__file__).parents[2]
PYTHON_IMAGE = "docker.io/library/python:3.11.14-slim-bookworm"
PACKAGES = ["python3", "python3-venv", "python3-pip", "ca-certificates"]
IMAGES = {"spi-dash-app": "app.Dockerfile", "spi-dash-detector": "detector.Dockerfile"}
WRITABLE = {"spi-dash-app": ["/tmp", "/data"], "spi-dash-detector": ["/tmp", "/cache"]}
UNWANTED = (".git", ".env", ".secret.env", "secrets.env", "spi.db", "pytest")
PASSWORD = "only for this test 1"
START_S, DETECT_S = 60, 180


@dataclass(frozen=True)
class Store:
    """Where buildah keeps images: a folder of its own, nothing of the machine's."""

    folder: Path

    def run(self, *arguments: str) -> str:
        store = ["--storage-driver=overlay", "--root", str(self.folder / "root"), "--runroot", str(self.folder / "run")]
        command = ["buildah", *store, *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "BUILDAH_ISOLATION": "chroot"}
        )
        if done.returncode:
            sys.exit(f"{shlex.join(command)}: exit code {done.returncode}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        return image in self.run("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()


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
    for name, dockerfile in IMAGES.items():
        build(store, name, dockerfile)
    try_out(store)
    print("both images work")


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


def try_out(store: Store) -> None:
    """A picture goes into the server of one image, and the other one finds out what is on it."""
    name, picture = tiny_picture("5c173ff2", datetime(2022, 5, 1))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    secrets = {"API_ADMIN_PASSWORD": PASSWORD, "UID_PASSWORD": PASSWORD, "SECRET_API_KEY": PASSWORD}
    server = {**secrets, "SPI_PORT": url.rpartition(":")[2], "SPI_HOST": "127.0.0.1"}
    detector = {"UID_USER": "spi_uid", "UID_PASSWORD": PASSWORD, "SPI_API_URL": url}
    with running(store, "spi-dash-app", server) as app:
        wait(f"{url}/healthz answers", lambda: answers(f"{url}/healthz"), START_S, app)
        client = SpiClient(url, "admin", PASSWORD)
        client.upload_image(name, picture)
        with running(store, "spi-dash-detector", detector) as worker:
            season = ("%", datetime(2022, 1, 1), datetime(2023, 1, 1))

            def is_annotated() -> bool:
                return len(client.get_uid_annotations_series(*season, what="metadata")) == 1

            wait("the picture is annotated", is_annotated, DETECT_S, worker)
        client.close()


@contextlib.contextmanager
def running(store: Store, image: str, environ: dict[str, str]) -> Iterator[subprocess.Popen]:
    """The container of an image, on the host's network, until the context ends."""
    container = store.run("from", "--pull-never", image)
    config = json.loads(store.run("inspect", "--type", "container", container))["Docker"]["config"]
    root = store.run("mount", container)
    look_for_leftovers(Path(root), image)
    command = [*config["Entrypoint"], *config["Cmd"]]
    user = config["User"]
    assert user.partition(":")[0] not in ("", "0", "root"), f"{image} runs as {user!r}"
    variables = dict(pair.split("=", 1) for pair in config["Env"]) | environ
    mounts = [f"mount -t tmpfs -o size=256m,mode=1777 tmpfs {root}{path}" for path in WRITABLE[image]]
    script = [
        f"mount --bind {root} {root} && mount -o remount,bind,ro {root}",
        *mounts,
        f"mount -t proc proc {root}/proc && mount --rbind /dev {root}/dev",
        f"! chroot --userspec={user} {root} /usr/bin/touch /opt/spi/probe 2>/dev/null",
        shlex.join(["exec", "chroot", f"--userspec={user}", "--groups=", root, *command]),
    ]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", " && ".join(script)]
    process = subprocess.Popen(unshare, env=variables | {"PATH": f"{variables['PATH']}:/usr/sbin:/sbin"})
    try:
        yield process
        for child in children(process.pid):
            os.kill(child, 15)
        step(f"{image}: exit code {process.wait(60)} after SIGTERM")
        assert process.returncode in (0, 143)
    finally:
        if process.poll() is None:  # the container's own process first: --kill-child does not reach another user's
            for child in children(process.pid):
                os.kill(child, 9)
            process.kill()
            process.wait()
        store.run("umount", container)
        store.run("rm", container)


def look_for_leftovers(root: Path, image: str) -> None:
    """What must be in no layer."""
    places = [root / "opt", root / "src", root / "data", root / "tmp", root / "root"]
    found = [path for place in places if place.exists() for path in place.rglob("*") if path.name in UNWANTED]
    assert not found, f"{image} holds {found}"
    assert not (root / "src").exists()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


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


def step(text: str) -> None:
    print(f"--- {text}", flush=True)


if __name__ == "__main__":
    main()
