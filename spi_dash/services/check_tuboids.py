"""Do the tuboids in the database and in the storage belong together? The part of `check` that is about them.

Repairing never deletes: files without a row are moved aside, below `lost+found/`. They are what an upload left that was
never confirmed, and of the tuboid's series they say too little to make a row of it.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import groupby

import sqlalchemy as sa

from ..contract import parse_shots
from ..errors import InvalidInput, NotFound
from ..models import TiledTuboid
from ..storage import FileInfo, Storage
from .check import OpenSession
from .check_report import ASIDE, Kind, Options, Problem, Report
from .tuboids import FILES, METADATA, ROOT, folder

MAX_METADATA_BYTES = 1 << 20


def check_tuboids(
    begin: OpenSession,
    read: OpenSession,
    storage: Storage,
    options: Options,
    report: Report,
    note: Callable[[Problem], None],
) -> None:
    """Compare every tuboid's row and files; what is found is added to the report.

    Raises:
        Unavailable: database or storage do not answer.
    """
    with read() as session:
        found = session.execute(sa.select(TiledTuboid.tuboid_id, TiledTuboid.n_shots))
        rows: dict[str, int] = {tuboid_id: n_shots for tuboid_id, n_shots in found}
    report.tuboids = len(rows)
    checker = _Checker(begin, storage, options)
    for place, files in _folders(storage):
        tuboid_id = place.rstrip("/").rpartition("/")[2]
        n_shots = rows.pop(tuboid_id, None) if folder(tuboid_id) == place else None
        known = {name: files.pop(name) for name in FILES if name in files and n_shots is not None}
        for problem in (*checker.with_row(tuboid_id, n_shots, known), *checker.without_row(tuboid_id, files)):
            report.add(problem)
            note(problem)
    for tuboid_id, n_shots in sorted(rows.items()):
        for problem in checker.with_row(tuboid_id, n_shots, {}):
            report.add(problem)
            note(problem)


def _folders(storage: Storage) -> Iterator[tuple[str, dict[str, FileInfo]]]:
    """Every folder that holds files, with what is in it by name."""
    for place, infos in groupby(storage.list(ROOT), key=lambda info: info.key.rpartition("/")[0] + "/"):
        yield place, {info.key[len(place) :]: info for info in infos}


class _Checker:
    def __init__(self, begin: OpenSession, storage: Storage, options: Options) -> None:
        self._begin, self._storage, self._options = begin, storage, options

    def with_row(self, tuboid_id: str, n_shots: int | None, files: dict[str, FileInfo]) -> list[Problem]:
        """What is wrong with the files of a tuboid that is in the database."""
        if n_shots is None:
            return []
        missing = [name for name in FILES if name not in files or not files[name].size]
        bad: list[tuple[Kind, str]] = [("tuboid", name) for name in missing if not self._is_there(tuboid_id, name)]
        if METADATA not in missing and not self._options.quick and self._count_shots(tuboid_id) != n_shots:
            bad.append(("tuboid-shots", METADATA))
        if not bad or not self._has_row(tuboid_id):  # deleted since
            return []
        return [Problem(kind, folder(tuboid_id) + name) for kind, name in bad]

    def without_row(self, tuboid_id: str, files: dict[str, FileInfo]) -> list[Problem]:
        """Files that belong to no tuboid; those of one that was uploaded since are left alone."""
        if not files or (set(files) <= set(FILES) and self._has_row(tuboid_id)):
            return []
        keys = [info.key for info in files.values() if self._exists(info.key)]
        return [Problem("tuboid-stray", key, self._put_aside(key)) for key in keys]

    def _is_there(self, tuboid_id: str, name: str) -> bool:
        try:
            return self._storage.stat(folder(tuboid_id) + name).size > 0
        except NotFound:
            return False

    def _exists(self, key: str) -> bool:
        try:
            self._storage.stat(key)
        except NotFound:
            return False
        return True

    def _count_shots(self, tuboid_id: str) -> int | None:
        try:
            with closing(self._storage.open(folder(tuboid_id) + METADATA)) as file:
                return len(parse_shots(file.read(MAX_METADATA_BYTES)))
        except (InvalidInput, NotFound):
            return None

    def _has_row(self, tuboid_id: str) -> bool:
        """Whether it is in the database, once any upload of it that is under way has ended."""
        query = sa.select(TiledTuboid.tuboid_id).where(TiledTuboid.tuboid_id == tuboid_id).with_for_update()
        with self._begin() as session:
            return tuboid_id in session.scalars(query).all()

    def _put_aside(self, key: str) -> str:
        if not self._options.repair:
            return ""
        place = f"{ASIDE}/{self._options.now:%Y-%m-%d_%H-%M-%S}"
        with suppress(NotFound), closing(self._storage.open(key)) as file:
            self._storage.put_file(f"{place}/{key}", file)
        self._storage.delete([key])
        return f"moved to {place}/"
