"""Do the pictures in the database and in the storage belong together? What does not is found, and mended if possible.

Runs beside a working server: what looks wrong is looked at again, in a transaction that waits for uploads under way.
Memory holds the rows of one device. Repairing never deletes a picture or a row:

- a missing or empty thumbnail is made again;
- a whole picture without a row gets one: its upload was never confirmed, or the database is older than the files, or a
  deletion was cut short (then whoever wanted it gone deletes it again);
- other files without a row are moved aside, below `lost+found/`;
- a lost or damaged picture stays reported until its file is put back, or its row deleted through the API.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, replace
from hashlib import file_digest, md5
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import Conflict, InvalidInput, NotFound, TooLarge, Unavailable, UnsupportedMedia
from ..models import Image
from ..storage import FileInfo, Storage
from ..trap_image import file_name, parse_name, thumbnails
from . import images
from .check_report import ASIDE, Kind, Options, Problem, Report
from .rows import SUFFIX
from .selection import list_devices

ROOT = "raw_images/"
THUMBNAIL, MINI = SUFFIX["thumbnail"], SUFFIX["thumbnail-mini"]
NAME_CHARS = 32  # of 5c173ff2.2020-06-20_21-33-24.jpg
MAX_PICTURE_BYTES = 64 << 20  # whatever is larger is no trap's picture
THREADS, AHEAD = 4, 64
REFUSED = (InvalidInput, NotFound, TooLarge, UnsupportedMedia)  # what is no picture, or gone

OpenSession = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True)
class _Group:
    """A picture, as the database and the storage know it: `files` by what follows the picture's name."""

    name: str
    key: str
    md5: str | None
    files: Mapping[str, FileInfo]


def check(
    begin: OpenSession,
    read: OpenSession,
    storage: Storage,
    options: Options,
    note: Callable[[Problem], None],
    tick: Callable[[], None] = lambda: None,
) -> Report:
    """Compare database and storage.

    Args:
        note: told of every problem when it is found.
        tick: called for every picture.

    Raises:
        Unavailable: database or storage do not answer.
    """
    storage.check()
    report, checker = Report(), _Checker(begin, storage, options)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="check") as pool:
        for group, problems in _ahead(pool, checker.look_at, _groups(read, storage)):
            report.images += group.md5 is not None
            tick()
            for problem in problems:
                report.add(problem)
                note(problem)
    return report


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[_Group], list[Problem]], groups: Iterable[_Group]
) -> Iterator[tuple[_Group, list[Problem]]]:
    """Results in order, worked on by all threads, a bounded number at a time."""
    waiting: deque[tuple[_Group, Future[list[Problem]]]] = deque()
    try:
        for group in groups:
            waiting.append((group, pool.submit(work, group)))
            if len(waiting) >= AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _groups(read: OpenSession, storage: Storage) -> Iterator[_Group]:
    """Every picture that the storage or the database knows, device by device as the storage lists them."""
    with read() as session:
        unseen = set(list_devices(session))
    for folder, infos in groupby(storage.list(ROOT), key=lambda info: info.key.split("/")[1]):
        unseen.discard(folder)
        yield from _device_groups(_load_rows(read, folder), folder, infos)
    for device in sorted(unseen):
        yield from _device_groups(_load_rows(read, device), device, [])


def _device_groups(rows: dict[str, str], folder: str, infos: Iterable[FileInfo]) -> Iterator[_Group]:
    start = f"{ROOT}{folder}/"
    for name, group in groupby(infos, key=lambda info: info.key[len(start) :][:NAME_CHARS]):
        files = {info.key[len(start) + NAME_CHARS :]: info for info in group}
        yield _Group(name, start + name, rows.pop(name, None), files)
    for name, checksum in rows.items():
        yield _Group(name, start + name, checksum, {})


def _load_rows(read: OpenSession, device: str) -> dict[str, str]:
    """The md5 of every picture of exactly this device, by file name."""
    query = sa.select(Image.device, Image.datetime, Image.md5).where(Image.device == device)
    with read() as session:
        rows = session.execute(query.execution_options(yield_per=2000))
        # MariaDB takes AB for ab, a storage does not.
        return {file_name(device, taken_at): checksum for found, taken_at, checksum in rows if found == device}


class _Checker:
    """Looks at one picture at a time, in any thread."""

    def __init__(self, begin: OpenSession, storage: Storage, options: Options) -> None:
        self._begin, self._storage, self._options = begin, storage, options

    def look_at(self, group: _Group) -> list[Problem]:
        """What is wrong with a picture."""
        try:
            if group.md5 is None:
                return self._without_row(group)
            return [*self._with_row(group, group.md5), *self._foreign(group)]
        except Unavailable:
            self._storage.check()  # raises if it is not this file alone
            return [Problem("unreadable", group.key)]

    def _with_row(self, group: _Group, stored_md5: str) -> list[Problem]:
        kind = self._state_of_original(group, stored_md5)
        if kind is not None:
            # Listed before it was uploaded, or deleted after: another look, with a row that is still the same.
            again = self._state_of_original(group, stored_md5) if self._find_md5(group) == stored_md5 else None
            return [] if again is None else [Problem(again, group.key)]
        bad = [suffix for suffix in (THUMBNAIL, MINI) if not self._is_there(group, suffix)]
        if not bad or self._find_md5(group) != stored_md5:
            return []
        return [Problem("thumbnail", group.key + bad[0], self._make_thumbnails(group))]

    def _state_of_original(self, group: _Group, stored_md5: str) -> Kind | None:
        try:
            if self._storage.stat(group.key).size == 0:
                return "damaged"
            if not self._options.quick and self._md5_of(group.key) != stored_md5:
                return "damaged"
        except NotFound:
            return "lost"
        return None

    def _is_there(self, group: _Group, suffix: str) -> bool:
        listed = group.files.get(suffix)
        if listed is not None and listed.size:
            return True
        try:
            return self._storage.stat(group.key + suffix).size > 0
        except NotFound:
            return False

    def _make_thumbnails(self, group: _Group) -> str:
        if not self._options.repair:
            return ""
        try:
            made = thumbnails(self._storage.get(group.key))
        except REFUSED:  # stored by an older server that did not look: there is nothing to make them of
            return ""
        for suffix, data in zip((THUMBNAIL, MINI), made, strict=True):
            self._storage.put(group.key + suffix, data)
        return "made again"

    def _without_row(self, group: _Group) -> list[Problem]:
        if self._find_md5(group) is not None:  # uploaded since
            return self._foreign(group)
        group = self._without_deleted(group)
        if "" not in group.files or not _is_picture_name(group):
            return [Problem("foreign", info.key, self._put_aside(info.key)) for info in group.files.values()]
        own = [group.files[suffix].key for suffix in SUFFIX.values() if suffix in group.files]
        repair = self._add_row(group) or self._put_aside(*own)
        return [Problem("stray", group.key, repair), *self._foreign(group)]

    def _without_deleted(self, group: _Group) -> _Group:
        """The same, less the files that have gone since they were listed."""
        files = {}
        for suffix, info in group.files.items():
            with suppress(NotFound):
                files[suffix] = self._storage.stat(info.key)
        return replace(group, files=files)

    def _foreign(self, group: _Group) -> list[Problem]:
        others = [info.key for suffix, info in group.files.items() if suffix not in ("", THUMBNAIL, MINI)]
        return [Problem("foreign", key, self._put_aside(key)) for key in others]

    def _add_row(self, group: _Group) -> str:
        """Take up a stored picture as if it were uploaded now; "" if it cannot be."""
        if not self._options.repair or group.files[""].size > MAX_PICTURE_BYTES:
            return ""
        try:
            prepared = images.prepare_image(self._storage, group.name, self._storage.get(group.key))
        except REFUSED:
            return ""
        try:
            with self._begin() as session:
                self._storage.stat(group.key)  # it may have been deleted since
                images.add_images(session, self._storage, [prepared], None, self._options.now)
        except (NotFound, Conflict):
            return "deleted or added meanwhile"
        finally:
            self._storage.discard(prepared.files)
        return "added to the database"

    def _put_aside(self, *keys: str) -> str:
        if not self._options.repair:
            return ""
        folder = f"{ASIDE}/{self._options.now:%Y-%m-%d_%H-%M-%S}"
        for key in keys:
            with suppress(NotFound), closing(self._storage.open(key)) as file:
                self._storage.put_file(f"{folder}/{key}", file)
        self._storage.delete(keys)
        return f"moved to {folder}/"

    def _find_md5(self, group: _Group) -> str | None:
        """The md5 in the database, once any upload of this picture that is under way has ended."""
        if not _is_picture_name(group):
            return None
        device, taken_at = parse_name(group.name)
        query = sa.select(Image.device, Image.md5).where(Image.device == device, Image.datetime == taken_at)
        with self._begin() as session:
            rows: Iterable[Any] = session.execute(query.with_for_update())
            return next((checksum for found, checksum in rows if found == device), None)

    def _md5_of(self, key: str) -> str:
        with closing(self._storage.open(key)) as file:
            return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()


def _is_picture_name(group: _Group) -> bool:
    try:
        return images.image_key(*parse_name(group.name)) == group.key
    except InvalidInput:
        return False
