"""Answers as DataFrames: pictures, what was found on them, tuboids with their labels, projects.

Times have the zone UTC; what is not known is missing, never zero. Columns and types are those of columns.py, also
where there are no rows. pandas is imported when the first frame is made.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import columns
from .info import Devices, Moment, Table, chosen, chunks, dicts
from .outlines import Insect, insects_of, measure
from .transport import Transport
from .versions import choose

if TYPE_CHECKING:
    from pandas import DataFrame

ANNOTATIONS_PER_REQUEST = 200  # outlines of one picture may be 100 kB


class FrameCalls(Transport):
    """One method per kind of table. Ranges are like those of get_image_series, or `series` are those of a project."""

    def users_frame(self) -> "DataFrame":
        """The accounts."""
        return columns.frame_of(self._rows("get_users", [{}]), columns.USERS)

    def images_frame(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        series: Table | None = None,
        what: str = "metadata",
    ) -> "DataFrame":
        """One row per picture. Coordinates that a trap had stored the wrong way round are put right, and flagged."""
        rows = self._rows(f"get_image_series/{what}", chosen(device, start, end, series))
        frame = columns.frame_of(rows, columns.IMAGES).drop_duplicates("id", ignore_index=True)
        swapped = (frame["lat"].abs() > 90) & (frame["lng"].abs() <= 90)
        lat, lng = frame["lat"], frame["lng"]
        frame["lat"], frame["lng"] = lat.where(~swapped, lng), lng.where(~swapped, lat)
        frame["gps_corrected"] = swapped.astype("boolean").where(frame["lat"].notna() & frame["lng"].notna())
        return frame

    def annotations_frame(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        series: Table | None = None,
        version: str = "newest",
    ) -> "DataFrame":
        """One row per picture that a detector has looked at: `n_objects` is how many it found, which may be zero.

        Args:
            version: "newest": of the newest version that looked at any of these pictures, as counts of two versions do
                not compare; "each": of the newest that looked at each picture; "all": a row per version; or a version.
        """
        info = chosen(device, start, end, series)
        return self._annotations(self._rows("get_image_series/metadata", info), info, version)

    def counts_frame(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        series: Table | None = None,
        version: str = "newest",
    ) -> "DataFrame":
        """The pictures with what a detector found: `n_objects` is missing where it has not looked at a picture yet.

        Args:
            version: as of annotations_frame. With "all", a picture has one row per version.
        """
        images = self.images_frame(device, start, end, series=series).drop(columns="url")
        found = self._annotations([], chosen(device, start, end, series), version)
        found = found.rename(columns={"datetime_created": "annotated_at"})[["image_id", *columns.COUNTS]]
        joined = images.merge(found, how="left", left_on="id", right_on="image_id").drop(columns="image_id")
        first = ["id", "device", "datetime", *columns.COUNTS]
        return joined[[*first, *(name for name in images.columns if name not in first)]]

    def insects_frame(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        series: Table | None = None,
        version: str = "newest",
        outlines: bool = False,
    ) -> "DataFrame":
        """One row per insect: area in square pixels; box `x`, `y` (left, top), `width`, `height`; centroid.

        Args:
            version: as of annotations_frame.
            outlines: add a column `contour`, lists of [x, y].
        """
        import pandas as pd

        info = chosen(device, start, end, series)
        annotations = self._annotations(self._rows("get_image_series/metadata", info), info, version)
        parts = [_insects_frame(annotations, insects, outlines) for insects in self._insects(annotations)]
        return pd.concat(parts, ignore_index=True) if parts else _insects_frame(annotations, [], outlines)

    def tuboids_frame(
        self,
        device: Devices = "%",
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        series: Table | None = None,
        version: str = "each",
    ) -> "DataFrame":
        """One row per tuboid, with its label; `label` is missing where it has none.

        Args:
            version: "each": the newest label of each tuboid; "newest", "all", or a version as of annotations_frame.
        """
        rows = self._rows("get_tiled_tuboid_series/metadata", chosen(device, start, end, series))
        renamed = [{**row, "device": row["device_series"]} for row in rows]
        tuboids = columns.frame_of(renamed, columns.TUBOIDS).drop_duplicates("id", ignore_index=True)
        found: list[dict[str, Any]] = []
        for chunk in chunks(tuboids["tuboid_id"], 500):
            found += self._rows("_get_itc_labels", [{"tuboid_id": each} for each in chunk])
        chosen_rows = choose(found, version, by="parent_tuboid_id")
        kinds = {"parent_tuboid_id": columns.WHOLE, **columns.LABELS, "datetime_created": columns.UTC_TIME}
        labels = columns.frame_of(chosen_rows, kinds)
        labels["labelled_at"] = labels.pop("datetime_created")
        joined = tuboids.merge(labels, how="left", left_on="id", right_on="parent_tuboid_id")
        names = list(columns.TUBOIDS)
        return joined[[*names[:6], *columns.LABELS, *names[6:]]]

    def projects_frame(self) -> "DataFrame":
        """The projects that this user may see."""
        return columns.frame_of(self._rows("get_projects", [{}]), columns.PROJECTS)

    def project_series_frame(self, project_id: int) -> "DataFrame":
        """A project's series, with its own columns, whose types are guessed; without rows they are not known."""
        rows = self._rows("get_project_series", [{"project_id": int(project_id)}])
        frame = columns.frame_of(rows, columns.PROJECT_SERIES)
        for name in dict.fromkeys(name for row in rows for name in row):
            if name not in frame:
                frame[name] = columns.guessed([row.get(name) for row in rows])
        return frame

    def _rows(self, path: str, info: Any) -> list[dict[str, Any]]:
        return self.post_json(path, info, times=False)

    def _annotations(self, images: list[dict[str, Any]], info: list[dict[str, Any]], version: str) -> "DataFrame":
        """Annotations of ranges; device and time from the pictures' rows where there are any."""
        rows = self._rows("get_uid_annotations_series/metadata", info)
        unique = list({row["id"]: row for row in rows}.values())
        by_id = {row["id"]: row for row in images}
        named = [
            {**row, "image_id": row["parent_image_id"], **_taken(by_id.get(row["parent_image_id"]))}
            for row in choose(unique, version, by="parent_image_id")
            if not images or row["parent_image_id"] in by_id
        ]
        return columns.frame_of(named, columns.ANNOTATIONS)

    def _insects(self, annotations: "DataFrame") -> Iterator[list[Insect]]:
        """The outlines of annotations, a batch of pictures at a time."""
        found = annotations[annotations["n_objects"] > 0]
        wanted = set(found["id"])
        keys = found[["device", "datetime"]].drop_duplicates()
        for chunk in chunks(dicts(keys), ANNOTATIONS_PER_REQUEST):
            rows = self._rows("get_uid_annotations/data", chunk)
            yield insects_of(row for row in rows if row["id"] in wanted)


def _taken(image: dict[str, Any] | None) -> dict[str, Any]:
    return {} if image is None else {"device": image["device"], "datetime": image["datetime"]}


def _insects_frame(annotations: "DataFrame", insects: list[Insect], outlines: bool) -> "DataFrame":
    import pandas as pd

    points = [insect.points for insect in insects]
    rows = [
        {
            "annotation_id": insect.annotation["id"],
            "number": insect.number,
            "name": insect.element.get("name") or "annotation",
            "value": insect.element.get("value"),
            "score": insect.element.get("score"),
            "n_points": len(outline),
        }
        for insect, outline in zip(insects, points, strict=True)
    ]
    frame = columns.frame_of(rows, columns.INSECTS)
    measured = pd.DataFrame(measure(points))
    frame[list(measured.columns)] = measured
    known = annotations.set_index("id").reindex(frame["annotation_id"])
    for name in ("image_id", "device", "datetime", "algo_name", "algo_version"):
        frame[name] = known[name].array
    if outlines:
        frame["contour"] = pd.Series(points, dtype=object)
    return frame
