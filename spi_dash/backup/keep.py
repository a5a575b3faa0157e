"""One backup at a time, and not too many of them."""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from ..errors import Conflict, InvalidInput, NotFound, SpiError
from .files import Objects, list_objects, read_index
from .manifest import Manifest
from .target import NAME, RUNNING, Target

SAY_EVERY_S = 300.0  # that this backup is still running
DEAD_AFTER_S = 3600.0  # without another word


class Running:
    """Says in the target that a backup is being made, so that nobody else begins one or tidies up."""

    def __init__(self, target: Target, name: str, clock: Callable[[], float]) -> None:
        # A name of its own: two may begin in the same second.
        self.key = f"{target.prefix}{name}/{RUNNING}-{secrets.token_hex(8)}"
        self._target, self._clock = target, clock
        self._said_at = float("-inf")

    def say(self) -> None:
        """Often enough; costs nothing when it was said just now."""
        if self._clock() - self._said_at >= SAY_EVERY_S:
            self._said_at = self._clock()
            self._target.storage.put(self.key, b"")

    def end(self) -> None:
        self._target.storage.delete([self.key])


@contextmanager
def running(target: Target, name: str, clock: Callable[[], float] = time.time) -> Iterator[Running]:
    """Be the only one, until the block ends; what a failed backup leaves is removed, a finished one stays.

    Raises:
        Conflict: another backup is being made there.
    """
    mark = Running(target, name, clock)
    try:
        mark.say()
        others = [other for key, other in _marks(target, clock()) if key != mark.key]
        if others:
            raise Conflict(f"another backup is being made in {target.text}, since {others[0]} (UTC)")
    except BaseException:
        with suppress(SpiError):
            mark.end()  # nothing else: the folder may be the other's
        raise
    try:
        yield mark
    except BaseException:
        with suppress(SpiError):
            mark.end() if target.is_backup(name) else target.remove(name)
        raise
    mark.end()


def remove_old(target: Target, name: str, manifest: Manifest, keep: int, mark: Running, now_s: float) -> list[str]:
    """Delete all but the newest `keep` backups, this one included, and contents that nobody needs any more.

    While this backup counts as running: another one that began now could lose contents that it has just written.

    Backups with files and those without are counted apart: a daily one of the database must not push out the weekly
    one of everything. A backup whose manifest cannot be read is left for people to look at.

    Returns:
        The names of those that were deleted.
    """
    alike = [other for other in _whole(target) if other[0] != name and _is_alike(other[1], manifest)]
    old = [other for other, _ in alike][: max(0, len(alike) - (keep - 1))]
    broken = [each for each in target.list_names() if each != name and not target.is_backup(each)]
    alive = {other for _, other in _marks(target, now_s)}
    for each in (*old, *(each for each in broken if each not in alive)):
        mark.say()
        target.remove(each)
    if alive <= {name}:
        _remove_unused(target, mark)
    return old


def _remove_unused(target: Target, mark: Running) -> None:
    with closing(Objects()) as used:
        for name in target.list_names():
            if not target.is_backup(name):
                continue
            try:
                manifest = target.read_manifest(name)
                for entry in read_index(target, name, manifest):
                    mark.say()
                    used.add(entry.sha256, entry.size)
            except InvalidInput:  # nobody knows what it needs
                return
        unused = [info.key for info in list_objects(target) if used.size_of(info.key.rpartition("/")[2]) is None]
    target.storage.delete(unused)


def _whole(target: Target) -> Iterator[tuple[str, Manifest]]:
    for name in target.list_names():
        with suppress(NotFound, InvalidInput):
            yield name, target.read_manifest(name)


def _is_alike(one: Manifest, other: Manifest) -> bool:
    return (one.files is None) == (other.files is None)


def _marks(target: Target, now_s: float) -> list[tuple[str, str]]:
    """Keys of the marks of backups that are being made, and the names of these backups."""
    found = []
    for info in target.storage.list(f"{target.prefix}2"):
        name, _, path = info.key[len(target.prefix) :].partition("/")
        if path.startswith(RUNNING) and NAME.fullmatch(name) and now_s - info.modified_at < DEAD_AFTER_S:
            found.append((info.key, name))
    return found
