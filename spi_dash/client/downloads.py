"""Taking many files home, in parallel: whole or not there, checked, and resumed by running the same again.

Links expire: they are asked for in small groups, shortly before they are used. Memory does not grow with the files.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import Forbidden, InvalidInput, NotFound, SpiError, Unauthorized, Unavailable
from . import files
from .info import IMAGE_KEY, Devices, Moment, Table, chosen, chunks, dicts, pick
from .names import PICTURES, picture_path, safe_name
from .transport import Transport
from .wire import time_or_text

LINKS_PER_REQUEST = 200
UNANSWERED = 3  # so many failures in a row because the server does not answer, and the rest is not tried
TUBOID_KEY = ("tuboid_id", "device_series", "start_datetime_series", "end_datetime_series")
TUBOID_FILES = {"tuboid": "tuboid.jpg", "metadata": "metadata.txt", "context": "context.jpg"}
Picture = Literal["image", "thumbnail", "thumbnail-mini"]


@dataclass
class Downloads:
    """How a download went: counts of files, what failed and why, and what ended it early if something did."""

    downloaded: int = 0
    there: int = 0  # right already
    bytes_received: int = 0
    failures: list[tuple[Path, str]] = field(default_factory=list, repr=False)
    stopped: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file is there."""
        return not (self.failures or self.stopped)


class DownloadCalls(Transport):
    """Pictures and tuboids, with progress."""

    def download_images(
        self,
        folder: str | Path,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        images: Table | None = None,
        series: Table | None = None,
        what: Picture = "image",
        jobs: int = 8,
        progress: bool | None = None,
    ) -> Downloads:
        """Store pictures as `<folder>/<device>/<device>.<time>.jpg`; those that are there are checked by their md5.

        Args:
            images: which ones, as rows or a DataFrame; instead of device, start and end.
            series: those of a project's series; instead of device, start and end.
            what: thumbnails end in `.thumbnail.jpg` or `.thumbnail-mini.jpg`. The server knows no md5 of them.
            jobs: downloads at a time.
            progress: show a bar; None: where there is a terminal.
        """
        if what not in PICTURES:
            raise InvalidInput(f"what: {what!r} is none of {', '.join(PICTURES)}", field="what")
        if images is None:
            rows = self.post_json("get_image_series/metadata", chosen(device, start, end, series), times=False)
        else:
            rows = pick(images, *IMAGE_KEY, *(["md5"] if what == "image" else []))
        keys = {_image_key(row): row["md5"] if what == "image" else None for row in rows}
        del rows
        return _download(self, self._image_jobs(keys, Path(folder), what), len(keys), jobs, progress)

    def download_tuboids(
        self,
        folder: str | Path,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        tuboids: Table | None = None,
        series: Table | None = None,
        jobs: int = 8,
        progress: bool | None = None,
    ) -> Downloads:
        """Store tuboids as `<folder>/<series>/<tuboid>/` with tuboid.jpg, metadata.txt and context.jpg.

        Args:
            tuboids: which ones, as rows or parts of tuboids_frame; instead of device, start and end.
            series: those of a project's series; instead of device, start and end.
        """
        if tuboids is None:
            rows = self.post_json("get_tiled_tuboid_series/metadata", chosen(device, start, end, series))
        else:
            rows = pick(_with_device_series(tuboids), *TUBOID_KEY)
        by_series: dict[tuple[Any, ...], list[str]] = {}
        for row in rows:
            by_series.setdefault(tuple(row[name] for name in TUBOID_KEY[1:]), []).append(row["tuboid_id"])
        total = sum(map(len, by_series.values())) * len(TUBOID_FILES)
        return _download(self, self._tuboid_jobs(by_series, Path(folder)), total, jobs, progress)

    def _image_jobs(self, keys: Mapping[tuple[str, datetime], str | None], folder: Path, what: str) -> "Iterator[_Job]":
        for chunk in chunks(keys, LINKS_PER_REQUEST):
            info = [dict(zip(IMAGE_KEY, key, strict=True)) for key in chunk]
            links = _Links(lambda info=info: self._image_links(info, what))
            for key in chunk:
                yield _Job(key, folder / picture_path(*key, what), keys[key], links)

    def _image_links(self, info: list[dict[str, Any]], what: str) -> dict[Any, str]:
        rows = self.post_json(f"get_images/{what}", info, times=False)
        return {_image_key(row): row["url"] for row in rows}

    def _tuboid_jobs(self, by_series: Mapping[tuple[Any, ...], list[str]], folder: Path) -> "Iterator[_Job]":
        for (device, start, end), tuboid_ids in by_series.items():
            info = [{"device": device, "start_datetime": start, "end_datetime": end}]
            links = _Links(lambda info=info: self._tuboid_links(info))
            for tuboid_id in tuboid_ids:
                below = folder / safe_name(tuboid_id.rpartition(".")[0]) / safe_name(tuboid_id)
                for part, name in TUBOID_FILES.items():
                    yield _Job((tuboid_id, part), below / name, None, links)

    def _tuboid_links(self, info: list[dict[str, Any]]) -> dict[Any, str]:
        rows = self.post_json("get_tiled_tuboid_series/data", info, times=False)
        return {(row["tuboid_id"], part): row[part] for row in rows for part in TUBOID_FILES}


class _Links:
    """The links of a group of files, asked for when the first is needed, and again when they have expired."""

    def __init__(self, ask: Callable[[], dict[Any, str]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._links: dict[Any, str] | None = None
        self._failure: SpiError | None = None  # of the whole group: the others need not wait for the same

    def get(self, key: Any) -> str:
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._links is None:
                try:
                    self._links = self._ask()
                except SpiError as error:
                    self._failure = error
                    raise
            if not self._links.get(key):
                raise NotFound("the server does not have it any more")
            return self._links[key]

    def renew(self, key: Any, old: str) -> str:
        """The link that replaces an old one; the old one where the server still says so."""
        with self._lock:
            if self._links is not None and self._links.get(key) == old:
                self._links = None
        return self.get(key)


@dataclass(frozen=True)
class _Job:
    key: Any
    path: Path
    md5: str | None
    links: _Links


def _download(client: Transport, jobs: Iterable[_Job], total: int, n_jobs: int, progress: bool | None) -> Downloads:
    from tqdm import tqdm

    with tqdm(total=total, unit="file", disable=None if progress is None else not progress) as bar:
        run = _Run(client, n_jobs, bar.update)
        try:
            run.queue(jobs)
        finally:
            run.finish()
    return run.result


class _Run:
    """The downloads under way, and what is known of those that ended."""

    def __init__(self, client: Transport, jobs: int, report: Callable[[], Any]) -> None:
        self.result = Downloads()
        self._client, self._report = client, report
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="download")
        self._room = threading.BoundedSemaphore(4 * jobs)
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._crash: BaseException | None = None
        self._unanswered = 0

    def queue(self, jobs: Iterable[_Job]) -> None:
        """Hand out the work, and wait for its end. Ctrl-C stops what is under way: no file stays behind in part."""
        swept: Path | None = None
        try:
            for job in jobs:
                if self._stop.is_set():
                    break
                if job.path.parent != swept:
                    swept = job.path.parent
                    files.sweep(swept)
                self._room.acquire()
                self._pool.submit(self._work, job)
            self._pool.shutdown(wait=True, cancel_futures=False)
        except BaseException:
            self._stop.set()
            raise

    def finish(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=self._stop.is_set())
        if self._crash is not None:
            raise self._crash

    def _work(self, job: _Job) -> None:
        try:
            if not self._stop.is_set():
                self._one(job)
        except InterruptedError:
            pass  # the run has been stopped, and says why
        except BaseException as error:  # a bug, or the report failed: an executor would keep it to itself
            self._crash = error
            self._stop.set()
        finally:
            self._room.release()

    def _one(self, job: _Job) -> None:
        try:
            size = None if files.is_same(job.path, job.md5) else self._get(job)
        except InterruptedError:
            raise
        except OSError as error:
            self._note(job, f"cannot be written: {error.strerror or error}")
            self._end(f"{job.path} cannot be written: {error.strerror or error}")
        except SpiError as error:
            self._note(job, error.message)
            self._watch(error)
        else:
            self._unanswered = 0
            self._note(job, "", size)

    def _get(self, job: _Job) -> int:
        link = job.links.get(job.key)
        try:
            return files.download(self._client, link, job.path, job.md5, self._stop)
        except Forbidden:  # it has expired meanwhile
            return files.download(self._client, job.links.renew(job.key, link), job.path, job.md5, self._stop)

    def _note(self, job: _Job, problem: str, size: int | None = None) -> None:
        with self._lock:
            if problem:
                self.result.failures.append((job.path, problem))
            elif size is None:
                self.result.there += 1
            else:
                self.result.downloaded += 1
                self.result.bytes_received += size
            self._report()

    def _watch(self, error: SpiError) -> None:
        """Give up the run when all that is left would fail in the same way."""
        with self._lock:
            self._unanswered = self._unanswered + 1 if isinstance(error, Unavailable) else 0
        if isinstance(error, Unauthorized) or self._unanswered >= UNANSWERED:
            self._end(error.message)

    def _end(self, reason: str) -> None:
        with self._lock:
            self.result.stopped = self.result.stopped or reason
        self._stop.set()


def _image_key(row: Mapping[str, Any]) -> tuple[str, datetime]:
    """Device and naive UTC time of a row, however its time is given."""
    taken_at = row["datetime"]
    if isinstance(taken_at, str):
        taken_at = time_or_text(taken_at)
    if not isinstance(taken_at, datetime):
        raise InvalidInput(f"datetime: {taken_at!r} is not a time", field="datetime")
    if hasattr(taken_at, "to_pydatetime"):  # a Timestamp of pandas
        taken_at = taken_at.to_pydatetime()
    if taken_at.tzinfo is not None:
        taken_at = taken_at.astimezone(UTC).replace(tzinfo=None)
    return row["device"], taken_at


def _with_device_series(tuboids: Table) -> list[dict[str, Any]]:
    """Rows as the wire has them; in tuboids_frame the device is called as it is in all other frames."""
    return [{"device_series": row["device"], **row} if "device" in row else row for row in dicts(tuboids)]
