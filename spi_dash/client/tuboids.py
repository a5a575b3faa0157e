"""Tuboids: insects that were followed through a series of pictures, and what they are.

A local series is a folder `<device>.<start>.<end>.<algo_version>` with a folder `<series>.<NNNN>` per tuboid, each of
tuboid.jpg, metadata.txt and context.jpg.
"""

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from urllib3.fields import RequestField

from ..clock import LEGACY
from ..errors import Conflict, InvalidInput
from .info import KEYS_PER_REQUEST, Devices, Moment, Table, chosen, chunks, dicts, pick, ranges
from .rows import LabelRow, TuboidRow, TuboidSeriesRow
from .transport import Transport
from .wire import encode

PARTS = {"metadata": "application/text", "tuboid": "application/octet-stream", "context": "application/octet-stream"}
FILES = {"metadata": "metadata.txt", "tuboid": "tuboid.jpg", "context": "context.jpg"}
TIME = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"
_SERIES = re.compile(rf"([0-9a-zA-Z_-]+)\.({TIME})\.({TIME})\.([^.]+)")


@dataclass(frozen=True)
class Series:
    """What the server must know of a series to store a tuboid of it."""

    device: str
    start_datetime: datetime
    end_datetime: datetime
    algo_name: str
    algo_version: str
    n_images: int
    n_tuboids: int


class TuboidCalls(Transport):
    """The calls of tuboids and their labels."""

    def put_tiled_tuboids(
        self,
        folder: str | Path,
        algo_name: str,
        *,
        n_images: int | None = None,
        n_tuboids: int | None = None,
        jobs: int = 4,
        progress: bool | None = None,
    ) -> list[TuboidRow]:
        """Upload the tuboids of a series, a folder as the matcher writes it, that the server does not have.

        Args:
            algo_name: what made them, as in siamese-insect-matcher; the version is in the folder's name.
            n_images: pictures in the series; None: as many as the server has of it.
            n_tuboids: tuboids in the series; None: as many as are in the folder.

        Returns:
            The rows of those that were uploaded.

        Raises:
            InvalidInput: the folder is no series, or one of its tuboids lacks a file; nothing is uploaded.
            Conflict: the series is complete on the server, without one of these.
        """
        from tqdm import tqdm

        found = find_tuboids(Path(folder))
        name = _parse_series(Path(folder).resolve().name)
        if n_images is None:
            n_images = self._count_images(*name[:3])
        series = Series(*name[:3], algo_name, name[3], n_images, len(found) if n_tuboids is None else n_tuboids)
        there = {row["tuboid_id"] for row in self.get_tiled_tuboid_series(*name[:3])}
        wanted = [path for path in found if path.name not in there]
        with tqdm(total=len(wanted), unit="tuboid", disable=None if progress is None else not progress) as bar:

            def send(path: Path) -> TuboidRow:
                row = self.put_tiled_tuboid(path, series)
                bar.update()
                return row

            rows = [send(path) for path in wanted[:1]]  # which makes the series
            pool = ThreadPoolExecutor(jobs, thread_name_prefix="tuboids")
            try:
                return rows + list(pool.map(send, wanted[1:]))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)  # after a failure, or Ctrl-C, the rest is not tried

    def put_tiled_tuboid(self, folder: Path, series: Series) -> TuboidRow:
        """Upload one tuboid; one that is there already is no error: its row is returned."""
        info = {"tuboid_id": encode(folder.name), "series_info": encode(asdict(series))}
        parts = [_file_part(name, FILES[name], (folder / FILES[name]).read_bytes(), PARTS[name]) for name in PARTS]
        parts += [_file_part(name, name, data, "application/json") for name, data in info.items()]
        try:
            answer = self.post_files("_put_tiled_tuboids", parts)
        except Conflict:
            key = (series.device, series.start_datetime, series.end_datetime)
            row = next((row for row in self.get_tiled_tuboid_series(*key) if row["tuboid_id"] == folder.name), None)
            if row is None:
                raise
            return row
        try:
            return answer[0][0]  # a list in a list, as older servers have it
        except (LookupError, TypeError):
            raise InvalidInput(f"the server has not confirmed {folder.name}", answer=answer) from None

    def get_tiled_tuboid_series(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        what: Literal["metadata", "data"] = "metadata",
        *,
        series: Table | None = None,
    ) -> list[TuboidRow]:
        """The tuboids of those series that lie wholly between start and end; `what="data"` adds links to the files."""
        return self.post_json(f"get_tiled_tuboid_series/{what}", chosen(device, start, end, series))

    def delete_tiled_tuboids(self, device: Devices, start: Moment, end: Moment) -> list[TuboidSeriesRow]:
        """Delete the series that lie wholly between start and end, with tuboids, labels and files; their rows."""
        return self.post_json("delete_tiled_tuboids", ranges(device, start, end))

    def put_itc_labels(self, labels: Table) -> list[LabelRow]:
        """Say what tuboids are: `tuboid_id`, `algo_name`, `algo_version`, `label`, `pattern`, `type`, and the taxon.

        Raises:
            NotFound, Conflict: there is no such tuboid, or this version has labelled it already, be it in a first
                attempt whose answer was lost on the way. The labels before it in the list are stored.
        """
        return self.post_json("put_itc_labels", dicts(labels))

    def get_itc_labels(self, tuboids: Table | Iterable[str]) -> list[LabelRow]:
        """The labels of tuboids, given by their ids or rows: every version of every algorithm."""
        rows: list[LabelRow] = []
        for chunk in chunks(_tuboid_ids(tuboids), KEYS_PER_REQUEST):
            rows += self.post_json("_get_itc_labels", [{"tuboid_id": each} for each in chunk])
        return rows

    def _count_images(self, device: str, start: datetime, end: datetime) -> int:
        info = ranges(device, start, end + timedelta(seconds=1))  # here the end belongs to the series
        return len(self.post_json("get_image_series/metadata", info, times=False))


def find_tuboids(folder: Path) -> list[Path]:
    """The folders of a series' tuboids, whole ones.

    Raises:
        InvalidInput: it is no series, it has none, or one lacks a file.
    """
    series = folder.resolve().name
    _parse_series(series)
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder", field="folder")
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise InvalidInput(f"there are no tuboids in {folder}", field="folder")
    for path in found:
        if not re.fullmatch(rf"{re.escape(series)}\.\d{{4,}}", path.name):
            raise InvalidInput(f"{path} is not named as a tuboid of this series", field="folder")
        for name in FILES.values():
            if not (path / name).is_file():
                raise InvalidInput(f"{path} has no {name}", field="folder")
    return found


def _parse_series(name: str) -> tuple[str, datetime, datetime, str]:
    match = _SERIES.fullmatch(name)
    try:
        if match is None:
            raise ValueError
        device, start, end, version = match.groups()
        return device, datetime.strptime(start, LEGACY), datetime.strptime(end, LEGACY), version
    except ValueError:
        raise InvalidInput(
            f"{name!r} is not a series: its name must be <device>.<start>.<end>.<algo_version>", field="folder"
        ) from None


def _file_part(name: str, file_name: str, data: bytes, content_type: str) -> RequestField:
    part = RequestField(name, data, filename=file_name)
    part.make_multipart(content_type=content_type)
    return part


def _tuboid_ids(tuboids: Table | Iterable[str]) -> list[str]:
    if hasattr(tuboids, "to_dict") and not hasattr(tuboids, "columns"):  # one column of a DataFrame
        return list(tuboids)
    given = tuboids if hasattr(tuboids, "to_dict") else list(tuboids)
    if not hasattr(given, "to_dict") and not any(isinstance(each, Mapping) for each in given):
        return [str(each) for each in given]
    return list(dict.fromkeys(row["tuboid_id"] for row in pick(given, "tuboid_id")))
