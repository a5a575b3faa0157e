"""Tiled tuboids: one insect followed over several pictures. A series is one run of an algorithm over one device."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from PIL import Image as Picture
from sqlalchemy.orm import Session

from ..contract import API_VERSION, SeriesKey, Style, TuboidSeriesInfo, parse_shots
from ..errors import Conflict, InvalidInput, TooLarge, UnsupportedMedia
from ..models import TiledTuboid, TuboidSeries
from ..sql import insert_or_lock, time_text
from ..storage import Staged, Storage
from .filters import like

ROOT = "tiled_tuboids/"
TUBOID, METADATA, CONTEXT = FILES = ("tuboid.jpg", "metadata.txt", "context.jpg")
WHATS = ("metadata", "data")
MAX_PIXELS = 80_000_000
ROWS_PER_BATCH = 1000
IDS_PER_QUERY = 500
AUDIT = ("id", "datetime_created", "api_version", "api_user_id")
COLUMNS = (*AUDIT, "parent_series_id", "tuboid_id", "id_in_series", "start_datetime", "end_datetime", "n_shots")
OF_SERIES = ("algo_name", "algo_version", "n_tuboids", "device", "start_datetime", "end_datetime")
SERIES_COLUMNS = (*AUDIT, *OF_SERIES, "n_images")
ORDER = (TuboidSeries.device, TiledTuboid.start_datetime, TiledTuboid.id)


@dataclass(frozen=True, kw_only=True)
class NewTuboid:
    """A tuboid that was read and checked, its files ready to be made visible."""

    tuboid_id: str
    series: TuboidSeriesInfo
    start_datetime: datetime
    end_datetime: datetime
    n_shots: int
    files: Sequence[Staged]


def prepare_tuboid(
    storage: Storage, tuboid_id: str, series: TuboidSeriesInfo, metadata: bytes, tuboid: bytes, context: bytes
) -> NewTuboid:
    """Check the parts of one tuboid and stage its files; nothing is visible yet. Discard what is not published.

    Raises:
        InvalidInput, TooLarge, UnsupportedMedia: names the part that is wrong, and the line in metadata.txt.
    """
    shots, is_of_series = parse_shots(metadata), like(series.device)
    for number, shot in enumerate(shots, 1):
        where = {"field": "metadata", "line": number}
        if not is_of_series(shot.device):
            raise InvalidInput(
                f"metadata.txt, line {number}: {shot.device} is not the series' {series.device}", **where
            )
        if not series.start_datetime <= shot.taken_at <= series.end_datetime:
            raise InvalidInput(f"metadata.txt, line {number}: the shot is outside of the series", **where)
    for name, data in (("tuboid", tuboid), ("context", context)):
        _check_jpeg(name, data)
    contents = zip(FILES, (tuboid, metadata, context), strict=True)
    return NewTuboid(
        tuboid_id=tuboid_id,
        series=series,
        start_datetime=shots[0].taken_at,
        end_datetime=shots[-1].taken_at,
        n_shots=len(shots),
        files=[storage.stage(folder(tuboid_id) + name, content) for name, content in contents],
    )


def add_tuboid(
    session: Session, storage: Storage, new: NewTuboid, user_id: int | None, now: datetime
) -> dict[str, Any]:
    """Insert a tuboid, and its series where it is the first of it, then make the files visible; the caller commits.

    A crash before the commit leaves files without a row, which the next upload of the same tuboid replaces.

    Returns:
        A row as `_put_tiled_tuboids` answers it.

    Raises:
        Conflict: it is there already, or its series is complete; nothing that is stored was touched.
    """
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    series = _lock_series(session, new.series, audit)
    taken = sa.select(TiledTuboid.id).where(TiledTuboid.tuboid_id == new.tuboid_id)
    if session.scalar(taken) is not None:
        raise _already_there(new.tuboid_id)
    count = sa.select(sa.func.count()).where(TiledTuboid.parent_series_id == series.id)
    if (session.scalar(count) or 0) >= series.n_tuboids:
        raise Conflict(
            f"the series has all of its {series.n_tuboids} tuboids already", tuboid_id=new.tuboid_id, field="n_tuboids"
        )
    row = {
        "parent_series_id": series.id,
        "tuboid_id": new.tuboid_id,
        "id_in_series": int(new.tuboid_id.rpartition(".")[2]),
        "start_datetime": new.start_datetime,
        "end_datetime": new.end_datetime,
        "n_shots": new.n_shots,
    }
    try:
        (new_id,) = session.execute(sa.insert(TiledTuboid).values(**audit, **row)).inserted_primary_key
    except sa.exc.IntegrityError:  # sent twice at once, for two series: the other one was first
        raise _already_there(new.tuboid_id) from None
    storage.publish(new.files)
    return {"id": new_id, **audit, **row} | {f"{name}_series": getattr(series, name) for name in OF_SERIES}


def list_tuboids(
    session: Session, ranges: Iterable[SeriesKey], style: Style, link: Callable[[str], str] | None
) -> Iterator[str]:
    """The tuboids of the series inside each range in turn, as JSON rows.

    Args:
        link: storage key -> absolute URL; None leaves the three addresses out.
    """
    columns = [*_as_sent(TiledTuboid, COLUMNS, style), *_as_sent(TuboidSeries, OF_SERIES, style, "_series")]
    query = sa.select(*columns).join(TuboidSeries, TuboidSeries.id == TiledTuboid.parent_series_id).order_by(*ORDER)
    for condition in _inside(session, ranges):
        found = session.execute(query.where(condition).execution_options(yield_per=ROWS_PER_BATCH))
        for row in found.mappings():
            links = {} if link is None else _links(row["tuboid_id"], link)
            yield orjson.dumps({**row, **links}).decode()


def delete_series(session: Session, ranges: Iterable[SeriesKey]) -> tuple[list[dict[str, Any]], list[str]]:
    """Delete the series inside the ranges with their tuboids and labels.

    Returns:
        The deleted series' rows, and the storage keys to delete once the transaction is committed.
    """
    found: dict[int, dict[str, Any]] = {}
    columns = [getattr(TuboidSeries, name) for name in SERIES_COLUMNS]
    order = (TuboidSeries.device, TuboidSeries.start_datetime, TuboidSeries.id)
    for condition in list(_inside(session, ranges)):
        # Locked, so that no tuboid is added to them meanwhile, whose files would be forgotten.
        query = sa.select(*columns).where(condition).order_by(*order).with_for_update()
        found |= {row["id"]: dict(row) for row in session.execute(query).mappings()}
    keys: list[str] = []
    ids = list(found)
    for start in range(0, len(ids), IDS_PER_QUERY):
        some = ids[start : start + IDS_PER_QUERY]
        names = session.scalars(sa.select(TiledTuboid.tuboid_id).where(TiledTuboid.parent_series_id.in_(some)))
        keys += [folder(tuboid_id) + name for tuboid_id in names for name in FILES]
        session.execute(sa.delete(TuboidSeries).where(TuboidSeries.id.in_(some)))
    return list(found.values()), keys


def folder(tuboid_id: str) -> str:
    """Where the files of a tuboid are stored, below the name of its series: the first four parts of its own."""
    return f"{ROOT}{tuboid_id.rpartition('.')[0]}/{tuboid_id}/"


def _lock_series(session: Session, series: TuboidSeriesInfo, audit: dict[str, Any]) -> Any:
    """The row of a series, added if it is the first time, and nobody else's until the transaction ends."""
    key = series.model_dump(exclude={"n_images", "n_tuboids"})
    by_key = sa.select(TuboidSeries.id).filter_by(**key)
    series_id = session.scalar(by_key)
    if series_id is None:
        insert = insert_or_lock(TuboidSeries, session.get_bind().dialect)
        session.execute(insert.values(**audit, **series.model_dump()))
        series_id = session.scalar(by_key)
    # By its id: in a small table MariaDB looks a longer key up by reading all rows, and waits for those of others.
    columns = [getattr(TuboidSeries, name) for name in SERIES_COLUMNS]
    locked = session.execute(sa.select(*columns).filter_by(id=series_id).with_for_update()).first()
    if locked is None:
        raise Conflict("the series was deleted while this tuboid came: send it again")
    return locked


def _inside(session: Session, ranges: Iterable[SeriesKey]) -> Iterator[sa.ColumnElement[bool]]:
    """One condition per range: the whole series lies inside, both ends included."""
    devices = session.scalars(sa.select(TuboidSeries.device).distinct()).all()
    for key in ranges:
        matches = like(key.device)
        chosen = TuboidSeries.device.in_([device for device in devices if matches(device)])
        begin, end = TuboidSeries.start_datetime, TuboidSeries.end_datetime
        yield sa.and_(chosen, begin >= key.start_datetime, end <= key.end_datetime)


def _as_sent(table: type, names: Iterable[str], style: Style, suffix: str = "") -> list[sa.ColumnElement]:
    columns = {name: getattr(table, name) for name in names}
    return [
        (time_text(column, style) if "datetime" in name else column).label(name + suffix)
        for name, column in columns.items()
    ]


def _links(tuboid_id: str, link: Callable[[str], str]) -> dict[str, str]:
    return {name.partition(".")[0]: link(folder(tuboid_id) + name) for name in FILES}


def _check_jpeg(name: str, data: bytes) -> None:
    """Refuse what is not one whole JPEG of an ordinary size."""
    try:
        with Picture.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise TooLarge(f"{name}: the picture has more than {MAX_PIXELS} pixels", field=name)
            picture.draft(None, (64, 64))
            picture.load()
    except Picture.UnidentifiedImageError:
        raise UnsupportedMedia(f"{name}: the file is not a JPEG", field=name) from None
    except (OSError, ValueError, SyntaxError, Picture.DecompressionBombError):
        raise InvalidInput(f"{name}: the picture is truncated or broken", field=name) from None


def _already_there(tuboid_id: str) -> Conflict:
    return Conflict(f"{tuboid_id} is already stored", tuboid_id=tuboid_id)
