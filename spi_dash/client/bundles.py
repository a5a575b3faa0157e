"""ML bundles: a folder of model, configuration and data that server and detectors keep the same."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InvalidInput, SpiError
from .files import checksums_of, download, post_form
from .transport import Transport

SUFFIXES = (".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db")
VERSION_NAME = ".version.txt"


def download_bundle(transport: Transport, files: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Bring a folder to the state of the server's list; local files that are newer, or not listed, stay.

    The version file comes last: a worker that dies in between must not take an old model for the new one.

    Returns:
        What was downloaded.
    """
    fetched = []
    for file in sorted(files, key=lambda file: PurePosixPath(file["key"]).name == VERSION_NAME):
        path = folder / _checked_key(file["key"])
        if _is_wanted(path, file):
            download(transport, file["url"], path, md5=file["md5"])
            os.utime(path, (file["mtime"], file["mtime"]))
            fetched.append(path)
    return fetched


def list_files(folder: Path, name: str) -> list[dict[str, Any]]:
    """The files of a local bundle as the server asks for them, the version file last."""
    files = []
    for path in sorted(_bundle_files(folder), key=lambda path: path.name == VERSION_NAME):
        key = path.relative_to(folder).as_posix()
        md5, mtime = checksums_of(path).etag_15m, path.stat().st_mtime
        files.append({"key": key, "path": str(path), "md5": md5, "mtime": mtime, "bundle_name": name})
    return files


def upload_files(transport: Transport, links: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Send the files that the server has asked for.

    Returns:
        What was uploaded.
    """
    sent = []
    for link in sorted(links, key=lambda link: PurePosixPath(link["key"]).name == VERSION_NAME):
        path, form = folder / _checked_key(link["key"]), link["url"]
        if form is None:
            continue
        try:
            url, fields = str(form["url"]), {str(key): str(value) for key, value in form["fields"].items()}
        except (TypeError, KeyError, AttributeError):
            raise SpiError(f"the server offers no way to upload {link['key']}") from None
        post_form(transport, url, fields, path)
        sent.append(path)
    return sent


def _is_wanted(path: Path, file: dict[str, Any]) -> bool:
    if not path.exists():
        return True
    return not checksums_of(path).match(file["md5"]) and file["mtime"] > path.stat().st_mtime


def _bundle_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each != ".cache")
        for name in sorted(names):
            if name.endswith(SUFFIXES):
                yield Path(root, name)


def _checked_key(key: str) -> Path:
    """A key as a path below the bundle's folder: the server must not write anywhere else on this machine."""
    path = PurePosixPath(key)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in key or "\0" in key:
        raise InvalidInput(f"the server lists a file outside of the bundle: {key!r}", key=key)
    return Path(*path.parts)
