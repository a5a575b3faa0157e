"""One backup at a time, and not too many of them."""

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
        self._target, self._key, self._clock = target, f"{target.prefix}{name}/{RUNNING}", clock
        self._said_at = float("-inf")

    def say(self) -> None:
        """Often enough; costs nothing when it was said just now."""
        if self._clock() - self._said_at >= SAY_EVERY_S:
            self._said_at = self._clock()
            self._target.storage.put(self._key, b"")

    def end(self) -> None:
        self._target.storage.delete([self._key])


@contextmanager
def running(target: Target, name: str, clock: Callable[[], float] = time.time) -> Iterator[Running]:
    """Be the only one; what a failed backup leaves is removed.

    Raises:
        Conflict: another backup is being made there.
    """
    mark = Running(target, name, clock)
    mark.say()
    try:
        others = [other for other in _running_names(target, clock()) if other != name]
        if others:
            raise Conflict(f"another backup is being made in {target.text}, since {others[0]} (UTC)")
        yield mark
    except BaseException:
        with suppress(SpiError):
            target.remove(name)
        raise
    mark.end()


def remove_old(target: Target, name: str, manifest: Manifest, keep: int, now_s: float) -> list[str]:
    """Delete all but the newest `keep` backups, this one included, and contents that nobody needs any more.

    Backups with files and those without are counted apart: a daily one of the database must not push out the weekly
    one of everything. A backup whose manifest cannot be read is left for people to look at.

    Returns:
        The names of those that were deleted.
    """
    alike = [other for other in _whole(target) if other[0] != name and _is_alike(other[1], manifest)]
    old = [other for other, _ in alike][: max(0, len(alike) - (keep - 1))]
    broken = [each for each in target.list_names() if each != name and not target.is_backup(each)]
    alive = _running_names(target, now_s)
    for each in (*old, *(each for each in broken if each not in alive)):
        target.remove(each)
    if not [each for each in alive if each != name]:
        _remove_unused(target)
    return old


def _remove_unused(target: Target) -> None:
    with closing(Objects()) as used:
        for name in target.list_names():
            if not target.is_backup(name):
                continue
            try:
                manifest = target.read_manifest(name)
                for entry in read_index(target, name, manifest):
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


def _running_names(target: Target, now_s: float) -> list[str]:
    found = []
    for info in target.storage.list(f"{target.prefix}2"):
        name, _, path = info.key[len(target.prefix) :].partition("/")
        if path == RUNNING and NAME.fullmatch(name) and now_s - info.modified_at < DEAD_AFTER_S:
            found.append(name)
    return found
