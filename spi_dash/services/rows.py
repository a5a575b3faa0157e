"""Rows of the wire as JSON text, written by the database itself: a tenth of the CPU time that Python would take.

Yields are one JSON object each, in a stable order; nothing larger than one batch is in memory.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import Style
from ..models import Image, UidAnnotation
from ..sql import as_text, decimal_number, float_text, time_text

ROWS_PER_BATCH = 2000
ORDER = (Image.device, Image.datetime, Image.id)
SUFFIX = {"image": "", "thumbnail": ".thumbnail", "thumbnail-mini": ".thumbnail-mini"}
WHATS = ("metadata", *SUFFIX)
MEASURED = ("lat", "lng", "alt", "temp", "hum", "lum", "bat")
FLOATS, DECIMALS = ("temp", "hum", "lum"), ("lat", "lng")
KEPT = re.compile(r"no_flash_[a-z_]+|api_user")
NOISE = 1e-3  # degrees, % or C: below this a 0 is meant

MakeLink = Callable[[str], str]


def image_rows(
    session: Session, conditions: Iterable[sa.ColumnElement[bool]], style: Style, suffix: str | None, link: MakeLink
) -> Iterator[str]:
    """Images as rows of get_images.

    Args:
        suffix: of the stored file that `url` leads to; None leaves `url` empty.
        link: storage key -> absolute URL.
    """
    if suffix is None:
        yield from _stream(session, conditions, sa.select(_image_json(session, style, with_url=True)), ORDER)
        return
    columns = (_image_json(session, style, with_url=False), Image.device, time_text(Image.datetime, "legacy"))
    for row, device, taken_at in _stream(session, conditions, sa.select(*columns), ORDER):
        url = link(f"raw_images/{device}/{device}.{taken_at}.jpg{suffix}")
        yield f'{row[:-1]},"url":"{url}"}}'


def annotation_rows(
    session: Session, conditions: Iterable[sa.ColumnElement[bool]], style: Style, with_json: bool
) -> Iterator[str]:
    """Annotations of the selected images as rows of get_uid_annotations, every version of every algorithm."""
    query = sa.select(_annotation_json(session, style, with_json)).select_from(UidAnnotation)
    query = query.join(Image, Image.id == UidAnnotation.parent_image_id)
    yield from _stream(session, conditions, query, (*ORDER, UidAnnotation.id))


def plausible(column: str) -> sa.ColumnElement:
    """A column of images without the values by which devices say "not measured"; older servers stored those.

    The same rules by which trap_image/exif.py reads a picture.
    """
    value = getattr(Image, column)
    return sa.case((_measured()[column], value)) if column in MEASURED else value


def located(column: Literal["lat", "lng"]) -> sa.ColumnElement:
    """Latitude or longitude for people: exchanged back where they are swapped for certain, see trap_image.corrected."""
    other = {"lat": "lng", "lng": "lat"}[column]
    return sa.case((is_swapped(), plausible(other)), else_=plausible(column))


def is_swapped() -> sa.ColumnElement[bool]:
    """Whether latitude and longitude of an image are exchanged; null where it has none."""
    lat, lng = plausible("lat"), plausible("lng")
    return sa.and_(sa.func.abs(lat) > 90, sa.func.abs(lng) <= 90)


def _measured() -> dict[str, sa.ColumnElement[bool]]:
    """When a value is one; nulls are not."""
    size, (temp, hum, lat, lng) = sa.func.abs, (Image.temp, Image.hum, Image.lat, Image.lng)
    warm, damp = temp.between(-50, 150), hum.between(0, 100)
    on_earth = sa.and_(size(lat) <= 180, size(lng) <= 180, sa.or_(size(lat) <= 90, size(lng) <= 90))
    fix = sa.and_(on_earth, sa.or_(size(lat) >= NOISE, size(lng) >= NOISE))
    return {
        # A 0 is one only where the other reading vouches for it.
        "temp": sa.and_(warm, sa.or_(size(temp) >= NOISE, sa.and_(damp, hum >= NOISE))),
        "hum": sa.and_(damp, sa.or_(hum >= NOISE, sa.and_(warm, size(temp) >= NOISE))),
        "lum": size(Image.lum).between(0.005, 10),
        "bat": Image.bat.between(0, 100),
        "lat": fix,
        "lng": fix,
        "alt": sa.and_(fix, Image.alt.between(-1_000, 10_000)),
    }


def _image_json(session: Session, style: Style, with_url: bool) -> sa.ColumnElement[str]:
    return _frozen("images", session.get_bind().dialect, style, with_url, _kept_columns(session))


def _annotation_json(session: Session, style: Style, with_json: bool) -> sa.ColumnElement[str]:
    return _frozen("annotations", session.get_bind().dialect, style, with_json)


def _kept_columns(session: Session) -> tuple[str, ...]:
    """Columns that adopted databases have beside ours, and clients of 2021 need. Looked up once per connection."""
    connection = session.connection()
    if "kept_columns" not in connection.info:
        names = sorted(column["name"] for column in sa.inspect(connection).get_columns("images"))
        connection.info["kept_columns"] = tuple(name for name in names if KEPT.fullmatch(name))
    return connection.info["kept_columns"]


@lru_cache
def _frozen(
    table: str, dialect: sa.Dialect, style: Style, with_last: bool, kept: tuple[str, ...] = ()
) -> sa.ColumnElement[str]:
    pairs = _image_pairs(style, with_last) if table == "images" else _annotation_pairs(style, with_last)
    pairs |= {name: sa.literal_column(f"images.{name}") for name in kept}
    return sa.literal_column(as_text(_json(pairs), dialect), sa.String())


def _image_pairs(style: Style, with_url: bool) -> dict[str, sa.ColumnElement]:
    names = ("md5", "device_version", "width", "height", *MEASURED, "but")
    pairs = _audit(Image, style) | {"device": Image.device, "datetime": time_text(Image.datetime, style)}
    pairs |= {name: plausible(name) for name in names}
    pairs |= {name: float_text(pairs[name]) for name in FLOATS}
    pairs |= {name: decimal_number(pairs[name]) for name in DECIMALS}
    return pairs | ({"url": sa.literal_column("''")} if with_url else {})


def _annotation_pairs(style: Style, with_json: bool) -> dict[str, sa.ColumnElement]:
    names = ("parent_image_id", "algo_name", "algo_version", "n_objects", *(["json"] if with_json else []))
    return _audit(UidAnnotation, style) | {name: getattr(UidAnnotation, name) for name in names}


def _audit(table: type, style: Style) -> dict[str, sa.ColumnElement]:
    return {
        "id": table.id,
        "datetime_created": time_text(table.datetime_created, style),
        "api_version": table.api_version,
        "api_user_id": table.api_user_id,
    }


def _json(pairs: dict[str, sa.ColumnElement]) -> sa.ColumnElement[str]:
    named = [part for name, value in pairs.items() for part in (sa.literal_column(f"'{name}'"), value)]
    return sa.func.json_object(*named)


def _stream(
    session: Session, conditions: Iterable[sa.ColumnElement[bool]], query: sa.Select, order: tuple
) -> Iterator[Any]:
    """Rows of the query under each condition in turn; plain values where it has one column."""
    for condition in conditions:
        found = query.where(condition).order_by(*order).execution_options(yield_per=ROWS_PER_BATCH)
        result = session.execute(found)
        for batch in (result if len(query.selected_columns) > 1 else result.scalars()).partitions():
            yield from batch
