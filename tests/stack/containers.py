"""Images made and run without a container engine: buildah in chroot isolation, root, Debian."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .compose import DOCKER, resolved

UNWANTED = (".git", ".env", ".secret.env", "secrets.env", "spi.db", "pytest")
STOP_S = 60


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


@dataclass(frozen=True)
class Engine:
    """Runs services of the compose files as these say: user, capabilities, mounts, environment, read-only root.

    What it does not do: networks (all are on the host's), limits, restarts, health.

    Args:
        variables: of `.env` and `.secret.env`.
        here: what is other than in the compose files, as all services are on this machine.
    """

    store: Store
    variables: Mapping[str, str]
    here: Mapping[str, str]

    @contextlib.contextmanager
    def running(self, name: str, service: Mapping[str, Any]) -> Iterator[subprocess.Popen]:
        """The container of a service until the context ends, in which it may end by itself."""
        service = resolved(dict(service), self.variables)
        container = self.store.run("from", "--pull-never", service["image"].partition(":")[0])
        config = json.loads(self.store.run("inspect", "--type", "container", container))["Docker"]["config"]
        root = self.store.run("mount", container)
        _look_for_leftovers(Path(root), name)
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec"]
        script = " && ".join([*_mounts(root, service), _command(root, service, config)])
        process = subprocess.Popen([*unshare, script], env=self._environment(service, config))
        try:
            yield process
            for child in _children(process.pid):
                os.kill(child, 15)
            step(f"{name}: exit code {process.wait(STOP_S)}")
            assert process.returncode in (0, 143)
        finally:
            if process.poll() is None:  # the container's own process first: --kill-child does not reach another user's
                for child in _children(process.pid):
                    os.kill(child, 9)
                process.kill()
                process.wait()
            self.store.run("umount", container)
            self.store.run("rm", container)

    def run(self, name: str, service: Mapping[str, Any], within_s: float) -> None:
        """A service that ends by itself, and must succeed."""
        with self.running(name, service) as process:
            process.wait(within_s)

    def _environment(self, service: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
        of_image = dict(pair.split("=", 1) for pair in config["Env"])
        of_files = self.variables if service.get("env_file") else {}
        return {
            **of_image,
            **of_files,
            **service.get("environment", {}),
            **self.here,
            "PATH": f"{of_image['PATH']}:/usr/sbin:/sbin",  # for the tools that build the container
        }


def _mounts(root: str, service: Mapping[str, Any]) -> list[str]:
    assert service["read_only"] is True
    made, mounts = [], []
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        source = str((DOCKER / source).resolve()) if source.startswith(".") else source
        is_file = Path(source).is_file()
        made.append(f"mkdir -p {root}{os.path.dirname(target) if is_file else target}")
        made.append(f"touch {root}{target}" if is_file else f"mkdir -p {source}")
        mounts.append(f"mount --bind {source} {root}{target}")
        mounts += [f"mount -o remount,bind,ro {root}{target}"] if mode == ["ro"] else []
    for tmpfs in service.get("tmpfs", ()):
        target, _, options = tmpfs.partition(":")
        made.append(f"mkdir -p {root}{target}")
        mounts.append(f"mount -t tmpfs -o {options} tmpfs {root}{target}")
    whole = [f"mount --bind {root} {root}", f"mount -o remount,bind,ro {root}"]
    return [*made, *whole, *mounts, f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev"]


def _command(root: str, service: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Inside of the container: no new privileges, no capability but those that are named."""
    user = service.get("user", config["User"])
    uid, _, gid = user.partition(":")
    assert uid.isdigit() and gid.isdigit(), f"runs as {user!r}"
    assert uid != "0" or (service["image"].startswith("spi-dash-app") and "entrypoint" in service), service
    assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
    kept = ["-all", *(f"+{name.lower()}" for name in service.get("cap_add", ()))]
    drop = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    drop += [f"--bounding-set={','.join(kept)}", "--inh-caps=-all"]
    program = [*(service.get("entrypoint") or config["Entrypoint"])]
    program += service.get("command") or ([] if "entrypoint" in service else config["Cmd"])
    probe = shlex.join(["chroot", root, *drop, "touch", "/opt/spi/probe"])
    return f"! {probe} 2>/dev/null && {shlex.join(['exec', 'chroot', root, *drop, *program])}"


def _look_for_leftovers(root: Path, name: str) -> None:
    """What must be in no layer."""
    places = [root / "opt", root / "src", root / "data", root / "tmp", root / "root"]
    found = [path for place in places if place.exists() for path in place.rglob("*") if path.name in UNWANTED]
    assert not found, f"{name} holds {found}"
    assert not (root / "src").exists()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:  # it has ended
        return []


def step(text: str) -> None:
    print(f"--- {text}", flush=True)
