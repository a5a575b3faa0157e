"""Upload the pictures in folders and on SD cards; those the server has are skipped, so a second run resumes the first.

Memory does not grow with the number of files: they are walked, asked for and sent in small chunks.
"""

import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import file_digest, md5
from pathlib import Path
from typing import Literal

from .client import SpiClient
from .errors import Forbidden, InvalidInput, SpiError, Unauthorized, Unavailable
from .trap_image import parse_name

KEYS_PER_REQUEST = 128
UNANSWERED = 3  # so many failures in a row because the server does not answer, and the rest is not tried

Kind = Literal["uploaded", "there", "failed", "ignored"]
Key = tuple[str, datetime]


@dataclass(frozen=True)
class Found:
    """A file on the way: its key if it is a trap's picture, or why it is none."""

    path: Path
    key: Key | None
    problem: str = ""
    kind: Kind = "ignored"


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `reason` where it was not uploaded."""

    path: Path
    kind: Kind
    reason: str = ""
    size: int = 0  # bytes sent


@dataclass
class Summary:
    """Counts by kind, and why the run ended early if it did."""

    uploaded: int = 0
    there: int = 0
    failed: int = 0
    ignored: int = 0
    bytes_sent: int = 0
    stopped: str = ""
    interrupted: bool = False
    failures: list[Outcome] = field(default_factory=list, repr=False)
    unanswered: int = field(default=0, repr=False)

    def add(self, outcome: Outcome) -> None:
        setattr(self, outcome.kind, getattr(self, outcome.kind) + 1)
        self.bytes_sent += outcome.size
        if outcome.kind == "failed":
            self.failures.append(outcome)

    @property
    def complete(self) -> bool:
        return not (self.failed or self.stopped or self.interrupted)


def push(
    client: SpiClient,
    paths: Iterable[Path],
    *,
    jobs: int,
    stop: threading.Event,
    report: Callable[[Outcome], None],
) -> Summary:
    """Upload what is in files and folders and not on the server; nothing on either side is ever replaced.

    Args:
        jobs: uploads at a time.
        stop: set by anybody, ends the run after the uploads under way.
        report: told of every file once, from one thread at a time.
    """
    run = _Run(client, jobs, stop, report)
    try:
        for chunk in _chunks(find_pictures(paths)):
            if stop.is_set():
                break
            run.send(chunk)
        run.finish()
    except KeyboardInterrupt:
        run.summary.interrupted = True
        stop.set()
        run.finish()  # a second Ctrl-C ends this, too
    finally:
        stop.set()
    return run.summary


def find_pictures(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file below the paths, in order; a file that was named itself must be a picture."""
    for path in paths:
        if path.is_dir():
            yield from _walk(path)
        else:
            found = _look_at(path)
            yield found if found.key is not None else Found(path, None, found.problem, "failed")


def _walk(top: Path) -> Iterator[Found]:
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                listed = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry.is_file()) for entry in entries)
        except OSError as error:
            yield Found(folder, None, f"the folder cannot be read: {error.strerror}", "failed")
            continue
        folders += [folder / name for name, is_folder, _ in reversed(listed) if is_folder]
        for name, is_folder, is_file in listed:
            if is_file:
                yield _look_at(folder / name)
            elif not is_folder:
                yield Found(folder / name, None, "neither a file nor a folder")


def _look_at(path: Path) -> Found:
    try:
        return Found(path, parse_name(path.name))
    except InvalidInput as error:
        return Found(path, None, error.message)


def _chunks(found: Iterator[Found]) -> Iterator[list[Found]]:
    chunk: list[Found] = []
    for each in found:
        chunk.append(each)
        if len(chunk) == KEYS_PER_REQUEST:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Run:
    """The uploads under way, and what is known of those that ended."""

    def __init__(self, client: SpiClient, jobs: int, stop: threading.Event, report: Callable[[Outcome], None]) -> None:
        self.summary = Summary()
        self._client, self._stop, self._report = client, stop, report
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="push")
        self._room = threading.BoundedSemaphore(2 * jobs)
        self._lock = threading.Lock()
        self._crash: BaseException | None = None

    def send(self, chunk: Sequence[Found]) -> None:
        """Ask which of the pictures are there, and queue the rest; waits while enough are under way."""
        for each in chunk:
            if each.key is None:
                self._note(Outcome(each.path, each.kind, each.problem))
        pictures: dict[Key, list[Path]] = {}  # the same name in two folders is sent by one job
        for each in chunk:
            if each.key is not None:
                pictures.setdefault((each.key[0].lower(), each.key[1]), []).append(each.path)
        stored = self._ask([each.key for each in chunk if each.key is not None]) if pictures else {}
        for key, paths in pictures.items():
            if stored is None or self._stop.is_set():
                return
            self._room.acquire()
            self._pool.submit(self._work, paths, stored.get(key))

    def finish(self) -> None:
        """Wait for the uploads under way; those that only wait for their turn are dropped once `stop` is set."""
        self._pool.shutdown(wait=True, cancel_futures=self._stop.is_set())
        if self._crash is not None:
            raise self._crash

    def _ask(self, keys: Sequence[Key]) -> dict[Key, str] | None:
        info = [{"device": device, "datetime": taken_at} for device, taken_at in keys]
        try:
            rows = self._client.get_images(info)
        except SpiError as error:
            self._end(error)
            return None
        return {(row["device"].lower(), row["datetime"]): row["md5"] for row in rows}

    def _work(self, paths: Sequence[Path], stored_md5: str | None) -> None:
        try:
            for path in paths:
                if self._stop.is_set():
                    return
                outcome, stored_md5 = self._one(path, stored_md5)
                self._note(outcome)
        except BaseException as error:  # a bug, or the report failed: an executor would keep it to itself
            self._crash = error
            self._stop.set()
        finally:
            self._room.release()

    def _one(self, path: Path, stored_md5: str | None) -> tuple[Outcome, str | None]:
        """Upload or compare one file; returns also the md5 that the server has now."""
        try:
            if stored_md5 is not None:
                return _compared(path, stored_md5), stored_md5
            data = _read(path)
            row = self._client.upload_image(path.name, data)
        except OSError as error:
            return Outcome(path, "failed", f"cannot be read: {error.strerror or error}"), stored_md5
        except SpiError as error:
            self._watch(error)
            return Outcome(path, "failed", error.message), stored_md5
        self.summary.unanswered = 0
        if row.get("id") is not None:  # the server has answered with what it had: another client was faster
            return Outcome(path, "there", "the same picture is on the server"), row["md5"]
        return Outcome(path, "uploaded", size=len(data)), row["md5"]

    def _watch(self, error: SpiError) -> None:
        """Give up the run when all that is left would fail in the same way."""
        if isinstance(error, (Unauthorized, Forbidden)):
            self._end(error)
        elif isinstance(error, Unavailable):
            with self._lock:
                self.summary.unanswered += 1
            if self.summary.unanswered >= UNANSWERED:
                self._end(error)
        else:
            self.summary.unanswered = 0

    def _end(self, error: SpiError) -> None:
        with self._lock:
            self.summary.stopped = self.summary.stopped or error.message
        self._stop.set()

    def _note(self, outcome: Outcome) -> None:
        with self._lock:
            self.summary.add(outcome)
            self._report(outcome)


def _compared(path: Path, stored_md5: str) -> Outcome:
    with path.open("rb") as file:
        found_md5 = file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()
    if found_md5 == stored_md5:
        return Outcome(path, "there", "the same picture is on the server")
    return Outcome(path, "failed", "conflict: the server has another picture of this device and time, and keeps it")


def _read(path: Path) -> bytes:
    """The whole file.

    Raises:
        OSError: it cannot be read, or changed meanwhile.
    """
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise OSError("it is not a file")
        data = file.read()
        after = os.fstat(file.fileno())
    if len(data) != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError("it changed while it was read")
    if not data:
        raise OSError("it is empty")
    return data
