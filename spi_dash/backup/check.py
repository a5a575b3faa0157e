"""Is a backup whole? Every part and every content is read and compared with its checksum."""

from collections.abc import Callable, Iterator
from contextlib import closing

from ..db import is_known
from ..errors import ConfigError, InvalidInput, NotFound
from .files import Entry, Objects, ahead, checksum, read_index
from .manifest import Manifest
from .target import Target, object_path


def check_backup(target: Target, name: str, tick: Callable[[int], None] = lambda _: None) -> Manifest:
    """Read a whole backup.

    Raises:
        InvalidInput: a part is missing or damaged; says which.
        ConfigError: a newer version of the program made it.
    """
    manifest = target.read_manifest(name)
    if not is_known(manifest.revision):
        raise ConfigError("this backup was made by a newer version of Spi Dash: update the program first")
    for part in manifest.parts:
        _compare(target, f"{name}/{part.path}", part.sha256, part.size)
    n_files = 0

    def contents() -> Iterator[Entry]:
        nonlocal n_files
        with closing(Objects()) as seen:
            for entry in read_index(target, name, manifest):
                n_files += 1
                tick(1)
                if seen.add(entry.sha256, entry.size):
                    yield entry

    for _ in ahead(lambda entry: _compare(target, object_path(entry.sha256), entry.sha256, entry.size), contents()):
        pass
    if manifest.files is not None and n_files != manifest.files.rows:
        raise InvalidInput(f"the backup is damaged: it names {n_files} files instead of {manifest.files.rows}")
    return manifest


def _compare(target: Target, path: str, sha256: str, size: int) -> None:
    try:
        with closing(target.open(path)) as file:
            found = checksum(file)
    except NotFound:
        raise InvalidInput(f"the backup is damaged: {path} is missing") from None
    if found != (sha256, size):
        raise InvalidInput(f"the backup is damaged: {path} has another checksum")
