"""The rows of answers: dicts with the keys of the wire, times as naive UTC datetimes.

Servers of other versions may leave keys out, or add some: that is why these are dicts, to be passed back as they came.
"""

from datetime import datetime
from typing import Any, TypedDict

Rows = list[dict[str, Any]]


class Audit(TypedDict):
    """What every row tells of itself; `id` is null in answers that were made before the row was stored."""

    id: int | None
    datetime_created: datetime
    api_version: str | None
    api_user_id: int | None


class UserRow(Audit):
    """An account; addresses are for admins only."""

    username: str
    email: str | None
    password_hash: str
    is_admin: bool
    can_write: bool


class ImageRow(Audit):
    """A picture. °C, % RH, degrees, metres, log10(1e6 / exposure in µs); `but` is 0 or 1: started by its button."""

    device: str
    datetime: datetime
    md5: str
    device_version: str | None
    width: int
    height: int
    lat: float | None
    lng: float | None
    alt: int | None
    temp: float | None
    hum: float | None
    lum: float | None
    bat: int | None
    but: int | None
    url: str  # "" where `what` is metadata


class AnnotationRow(Audit, total=False):
    """What one version of one algorithm found on one picture; `json` only where it was asked for."""

    parent_image_id: int
    algo_name: str
    algo_version: str
    n_objects: int
    json: str


class TuboidRow(Audit, total=False):
    """An insect followed through a series of pictures; the three links only where `what` is data."""

    parent_series_id: int
    tuboid_id: str
    id_in_series: int
    start_datetime: datetime
    end_datetime: datetime
    n_shots: int
    algo_name_series: str
    algo_version_series: str
    n_tuboids_series: int
    device_series: str
    start_datetime_series: datetime
    end_datetime_series: datetime
    tuboid: str
    metadata: str
    context: str


class TuboidSeriesRow(Audit):
    """A series of pictures of one device in which insects were followed."""

    device: str
    start_datetime: datetime
    end_datetime: datetime
    n_images: int
    n_tuboids: int
    algo_name: str
    algo_version: str


class LabelRow(Audit):
    """What an insect is, by one version of one algorithm, or a person."""

    parent_tuboid_id: int
    algo_name: str
    algo_version: str
    label: int
    pattern: str
    type: str
    order: str | None
    family: str | None
    genus: str | None
    species: str | None


class ProjectRow(Audit):
    """A project that this user may see."""

    name: str
    description: str | None
    notes: str | None


class PermissionRow(Audit):
    """What a user may do in a project: 1 look, 2 edit, 3 all."""

    parent_project_id: int
    parent_user_id: int
    level: int


class BundleFileRow(TypedDict):
    """A file of an ML bundle: `key` inside of the bundle, `mtime` in UNIX seconds."""

    key: str
    path: str
    md5: str
    mtime: float
    url: str
