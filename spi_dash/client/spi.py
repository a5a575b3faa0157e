"""The calls of the wire contract, one method each."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from urllib3.fields import RequestField

from ..errors import Conflict, InvalidInput
from . import bundles, files
from .downloads import DownloadCalls
from .frames import FrameCalls
from .info import IMAGE_KEY, KEYS_PER_REQUEST, Devices, Moment, Table, chunks, dicts, image_key, pick, ranges
from .projects import ProjectCalls
from .rows import AnnotationRow, BundleFileRow, ImageRow, Rows, UserRow
from .tuboids import TuboidCalls
from .uploads import UploadCalls

What = Literal["metadata", "image", "thumbnail", "thumbnail-mini"]
WHATS: tuple[What, ...] = ("metadata", "image", "thumbnail", "thumbnail-mini")
BUNDLE_KINDS = ("all", "data", "model")


class SpiClient(TuboidCalls, ProjectCalls, FrameCalls, DownloadCalls, UploadCalls):
    """A server and a user. Thread-safe; `with SpiClient(url, user, password) as client:` closes its connections.

    `get_`, `put_` and `delete_` are the calls of the wire: rows come as dicts with its keys, times as naive UTC
    datetimes. `..._frame` gives a DataFrame, its times with the zone UTC. Times go out as naive UTC; those with a zone
    are converted. What fails raises a class of spi_dash.errors; network failures, 5xx and 429 are repeated first.
    """

    def __enter__(self) -> "SpiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Users

    def get_users(self, info: Table | None = None) -> list[UserRow]:
        """Accounts that match any of the filters; without filters, all."""
        return self.post_json("get_users", [{}] if info is None else dicts(info))

    def put_users(self, info: Table) -> list[UserRow]:
        """Create accounts: `username`, `password`, and `email`, `is_admin`, `can_write` where they matter."""
        return self.post_json("put_users", dicts(info))

    def delete_users(self, info: Table) -> list[UserRow]:
        """Delete the accounts that match any of the filters."""
        return self.post_json("delete_users", dicts(info))

    # Images

    def upload_image(self, name: str, data: bytes) -> ImageRow:
        """Upload one picture; `name` says device and time.

        A picture that is there already with the same bytes is no error: its row is returned.

        Raises:
            Conflict: the server has another picture of this device and time.
        """
        md5 = files.md5_of(data)
        picture = RequestField(name, data, filename=name)
        picture.make_multipart(content_type="application/jpeg")
        checksum = RequestField(f"{name}.md5", md5)
        checksum.make_multipart()
        try:
            rows = self.post_files("_put_new_images", [picture, checksum])
        except Conflict:
            row = self._find_same(name, md5)
            if row is None:
                raise
            return row
        if len(rows) != 1 or rows[0].get("md5") != md5:
            raise InvalidInput(f"the server has not confirmed {name}", answer=rows)
        return rows[0]

    def put_images(self, pictures: Iterable[str | Path] | Mapping[str, bytes]) -> list[ImageRow]:
        """Upload pictures, files or bytes by name, that the server does not have; the rows of those it took.

        A picture that is there, with whatever bytes, is skipped. For folders and many pictures, see upload_folder.
        """
        named: Iterable[tuple[str, bytes | Path]]
        named = (
            pictures.items() if isinstance(pictures, Mapping) else ((Path(path).name, Path(path)) for path in pictures)
        )
        rows = []
        for chunk in map(dict, chunks(named, KEYS_PER_REQUEST)):
            keys = {name: image_key(name) for name in chunk}
            there = {(row["device"].lower(), row["datetime"]) for row in self.get_images(keys.values())}
            for name, picture in chunk.items():
                if (keys[name]["device"].lower(), keys[name]["datetime"]) not in there:
                    data = picture if isinstance(picture, bytes) else picture.read_bytes()
                    rows.append(self.upload_image(name, data))
        return rows

    def get_images(self, keys: Table, what: What = "metadata") -> list[ImageRow]:
        """The images with exactly these devices and times; those the server does not have are left out."""
        return self.post_json(f"get_images/{what}", pick(keys, *IMAGE_KEY))

    def get_image_series(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        what: What = "metadata",
    ) -> list[ImageRow]:
        """The images of matching devices (`%` is all) from start to before end."""
        return self.post_json(f"get_image_series/{what}", ranges(device, start, end))

    def get_images_to_annotate(
        self,
        algo_name: str,
        algo_version: str,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        what: What = "image",
        worker: str | None = None,
    ) -> list[ImageRow]:
        """Claim a few images that this version of the algorithm has not seen; [] when there are none left.

        Claims of a `worker` last as long as its heartbeats come, others for hours.
        """
        algorithm = {"algo_name": algo_name, "algo_version": algo_version}
        algorithm |= {} if worker is None else {"worker": worker}
        info = [{**algorithm, **each} for each in ranges(device, start, end)]
        return self.post_json(f"get_images_to_annotate/{what}", info)

    def delete_images(self, keys: Table) -> list[ImageRow]:
        """Delete images with their annotations; returns the rows that were there."""
        return self.post_json("delete_images", pick(keys, *IMAGE_KEY))

    # Annotations

    def put_uid_annotations(self, info: Iterable[Mapping[str, Any]]) -> list[AnnotationRow]:
        """Store what a detector found, all of it or nothing.

        Raises:
            Conflict: this version of the algorithm has an annotation of one of the images; also when the answer to a
                first attempt was lost on the way.
        """
        return self.post_json("put_uid_annotations", dicts(info))

    def get_uid_annotations(self, keys: Table, what: str = "data") -> list[AnnotationRow]:
        """The annotations of these images; `what="metadata"` leaves out the outlines in `json`."""
        return self.post_json(f"get_uid_annotations/{what}", pick(keys, *IMAGE_KEY))

    def get_uid_annotations_series(
        self, device: Devices = "%", start: Moment | None = None, end: Moment | None = None, what: str = "data"
    ) -> list[AnnotationRow]:
        """The annotations of the images of matching devices from start to before end."""
        return self.post_json(f"get_uid_annotations_series/{what}", ranges(device, start, end))

    # Detectors that work for long; servers of other versions know none of this

    def release_uid_claims(self, keys: Table, worker: str) -> Rows:
        """Give claimed images back; the rows of those that this worker had."""
        return self.post_json("release_uid_claims", [{**key, "worker": worker} for key in pick(keys, *IMAGE_KEY)])

    def put_uid_failures(self, info: Iterable[Mapping[str, Any]]) -> Rows:
        """Record images that cannot be done: `device`, `datetime`, `algo_name`, `algo_version`, `reason`, `worker`."""
        return self.post_json("put_uid_failures", dicts(info))

    def put_uid_heartbeats(self, info: Iterable[Mapping[str, Any]]) -> Rows:
        """Say how workers are doing; one row each, with `active_version` and the `bundle` that has it."""
        return self.post_json("put_uid_heartbeats", dicts(info))

    # ML bundles

    def get_ml_bundle_file_list(self, bundle: str, what: str = "all") -> list[BundleFileRow]:
        """The files of a bundle, with links: `what` is all, data or model."""
        if what not in BUNDLE_KINDS:
            raise InvalidInput(f"what: {what!r} is none of {', '.join(BUNDLE_KINDS)}", field="what")
        return self.post_json(f"_get_ml_bundle_file_list/{what}", bundle)

    def get_ml_bundle_upload_links(self, info: Sequence[Mapping[str, Any]]) -> Rows:
        """Which of these local files the server wants, and the form to send each."""
        return self.post_json("_get_ml_bundle_upload_links", dicts(info))

    def download_bundle(self, bundle: str, folder: str | Path, what: str = "all") -> list[Path]:
        """Bring a local copy of a bundle up to date; returns what was downloaded."""
        return bundles.download_bundle(self, self.get_ml_bundle_file_list(bundle, what), Path(folder))

    def upload_bundle(self, bundle: str, folder: str | Path) -> list[Path]:
        """Send what is new in a local bundle; returns what was uploaded."""
        info = bundles.list_files(Path(folder), bundle)
        return bundles.upload_files(self, self.get_ml_bundle_upload_links(info), Path(folder)) if info else []

    # Files

    def download(self, url: str, path: str | Path, md5: str | None = None) -> Path:
        """Store what a link leads to, checked; the file is whole or not there."""
        files.download(self, url, Path(path), md5)
        return Path(path)

    def fetch(self, url: str, md5: str | None = None) -> bytes:
        """What a link leads to, in memory, checked."""
        return files.fetch(self, url, md5)

    def _find_same(self, name: str, md5: str) -> ImageRow | None:
        """The row of this very picture: the first answer may have been lost, or somebody else was faster."""
        rows = self.get_images([image_key(name)])
        return next((row for row in rows if row.get("md5") == md5), None)
