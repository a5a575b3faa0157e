"""The table of images as somebody filtered and sorted it: named columns and bound values in, rows out."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import InvalidInput
from ..models import Device, Image, UidAnnotation, User
from .export_columns import BY_KEY, COLUMNS, Column
from .rollups import unix_time
from .scope import Scope, moment
from .span_counts import count_devices, count_found
from .spans import in_spans

MAX_BLOCK, MAX_TEXT, MAX_CONDITIONS = 500, 200, 10
SORTED_AT_ONCE = 50_000  # pictures; more are better read in the order of time, and asked whether they are in scope
NEWEST_FIRST = (("time", "desc"),)
TEXT_TESTS: dict[str, Callable[[sa.ColumnElement, str], sa.ColumnElement[bool]]] = {
    "contains": lambda text, value: text.contains(value, autoescape=True),
    "notContains": lambda text, value: sa.not_(text.contains(value, autoescape=True)),
    "equals": lambda text, value: text == value,
    "notEqual": lambda text, value: text != value,
    "startsWith": lambda text, value: text.startswith(value, autoescape=True),
    "endsWith": lambda text, value: text.endswith(value, autoescape=True),
}
NUMBER_TESTS: dict[str, Callable[[sa.ColumnElement, float], sa.ColumnElement[bool]]] = {
    "equals": lambda number, value: number == value,
    "notEqual": lambda number, value: number != value,
    "lessThan": lambda number, value: number < value,
    "lessThanOrEqual": lambda number, value: number <= value,
    "greaterThan": lambda number, value: number > value,
    "greaterThanOrEqual": lambda number, value: number >= value,
}


@dataclass(frozen=True, eq=False)
class View:
    """Filters and order as SQL, and the tables beside images that they need."""

    filters: tuple[sa.ColumnElement[bool], ...]
    order: tuple[sa.ColumnElement, ...]
    joined: frozenset[str]


@dataclass(frozen=True)
class Counts:
    """`n_objects` are in the `n_annotated` pictures that the detector version has looked at."""

    n_images: int
    n_annotated: int
    n_objects: int
    n_devices: int


def parse_view(filters: Any, sort: Iterable[tuple[Any, Any]]) -> View:
    """Read the filter model of AG Grid, and (column, "asc" or "desc") pairs.

    Raises:
        InvalidInput: a column, a test or a value that does not exist.
    """
    if not isinstance(filters, Mapping):
        raise InvalidInput("the filter cannot be read", field="filter")
    named = {_column(key, "filter"): model for key, model in filters.items()}
    wanted = [(_column(key, "sort"), way) for key, way in sort or NEWEST_FIRST]
    if any(way not in ("asc", "desc") for _, way in wanted) or len(wanted) > len(COLUMNS):
        raise InvalidInput("a sort order is asc or desc", field="sort")
    joined = {column.joined for column in (*named, *(column for column, _ in wanted))} - {""}
    conditions = tuple(_condition(column, model) for column, model in named.items())
    return View(conditions, _order(wanted), frozenset(joined))


def list_block(session: Session, scope: Scope, view: View, start: int, end: int) -> list[dict[str, Any]]:
    """Rows start to end of the table, by column key; times in UNIX seconds."""
    if not 0 <= start <= end <= start + MAX_BLOCK:
        raise InvalidInput(f"a block of the table has at most {MAX_BLOCK} rows", field="startRow")
    page = select_images(scope, view, [Image.id]).order_by(*view.order).limit(end - start).offset(start)
    ids = session.scalars(page).all()
    values = [unix_time(each.value) if each.kind == "time" else each.value for each in COLUMNS]
    columns = [value.label(each.key) for value, each in zip(values, COLUMNS, strict=True)]
    query = sa.select(Image.id, *columns).select_from(Image)
    query = join(query, scope, {column.joined for column in COLUMNS}).where(Image.id.in_(ids))
    rows = {row["id"]: dict(row) for row in session.execute(query).mappings()}
    return [rows[each] for each in ids if each in rows]


def count_rows(session: Session, scope: Scope, view: View) -> int:
    """How many rows the table has. Of a whole project, from what Explore reads."""
    if scope.project is not None and not view.filters:
        return sum(each.n_images for each in count_devices(session, scope.spans).values())
    return session.scalar(select_images(scope, view, [sa.func.count()])) or 0


def count_view(session: Session, scope: Scope, view: View) -> Counts:
    """What the rows of the table are made of."""
    if not view.filters:
        return _count_all(session, scope)
    found = UidAnnotation
    numbers = [sa.func.count(), sa.func.count(found.id), sa.func.sum(found.n_objects),
               sa.func.count(sa.distinct(Image.device))]  # fmt: skip
    row = session.execute(select_images(scope, view, numbers, {"detector"})).one()
    return Counts(*(int(number or 0) for number in row))


def select_images(scope: Scope, view: View, columns: Sequence[Any], joined: Iterable[str] = ()) -> sa.Select:
    """Columns of the images in the scope that pass the filters; in no order."""
    query = join(sa.select(*columns).select_from(Image), scope, view.joined.union(joined))
    return query.where(*in_scope(scope), *view.filters)


def join(query: sa.Select, scope: Scope, tables: Iterable[str]) -> sa.Select:
    """The tables beside images, each at most one row per image."""
    conditions = {
        "device": (Device, Device.device == Image.device),
        "detector": (UidAnnotation, by_detector(scope)),
        "uploader": (User, User.id == Image.api_user_id),
    }
    for name, (table, condition) in conditions.items():
        if name in tables:
            query = query.outerjoin(table, condition)
    return query


def by_detector(scope: Scope) -> sa.ColumnElement[bool]:
    """The one version that the scope is about, as on Explore."""
    of_image = UidAnnotation.parent_image_id == Image.id
    if scope.detector is None:
        return sa.and_(of_image, UidAnnotation.id.is_(None))  # none at all
    mine = (UidAnnotation.algo_name == scope.detector.name, UidAnnotation.algo_version == scope.detector.version)
    return sa.and_(of_image, *mine)


def in_scope(scope: Scope) -> list[sa.ColumnElement[bool]]:
    conditions = [Image.datetime >= moment(scope.start_s), Image.datetime < moment(scope.end_s)]
    if scope.project is not None:
        few = sum(info.n_images for info in scope.devices) <= SORTED_AT_ONCE
        conditions.append(in_spans(Image.device, Image.datetime, scope.spans, by_index=few))
    elif len(scope.devices) < len(scope.all_devices):  # of all of them, the index by time is the better one
        conditions.append(Image.device.in_([info.device for info in scope.devices]))
    return conditions


def _count_all(session: Session, scope: Scope) -> Counts:
    """From what Explore reads: a million rows need not be looked at."""
    found, spans = count_devices(session, scope.spans), scope.spans
    detector_id = scope.detector.id if scope.detector else 0
    return Counts(sum(each.n_images for each in found.values()), *count_found(session, spans, detector_id), len(found))


def _column(key: Any, field: str) -> Column:
    column = BY_KEY.get(key) if isinstance(key, str) else None
    if column is None:
        raise InvalidInput(f"the table has no column {str(key)[:40]!r}", field=field)
    return column


def _order(wanted: Sequence[tuple[Column, str]]) -> tuple[sa.ColumnElement, ...]:
    """Empty values last; never a tie, so that no row shows twice."""
    order: list[sa.ColumnElement] = []
    for column, way in wanted:
        if column.key not in ("time", "device"):  # these are never empty, and are in an index
            order.append(column.value.is_(None))
        order.append(column.value.desc() if way == "desc" else column.value.asc())
    down = wanted[-1][1] == "desc"
    return (*order, *(each.desc() if down else each.asc() for each in (Image.datetime, Image.device, Image.id)))


def _condition(column: Column, model: Any) -> sa.ColumnElement[bool]:
    """One test, or several with AND or OR between them."""
    if not isinstance(model, Mapping):
        raise InvalidInput(f"the filter of {column.title} cannot be read", field=column.key)
    parts = model.get("conditions")
    if parts is None:
        return _test(column, model)
    operator = {"AND": sa.and_, "OR": sa.or_}.get(model.get("operator", ""))
    if operator is None or not isinstance(parts, list) or not 0 < len(parts) <= MAX_CONDITIONS:
        raise InvalidInput(f"the filter of {column.title} cannot be read", field=column.key)
    return operator(*(_test(column, part) for part in parts))


def _test(column: Column, model: Any) -> sa.ColumnElement[bool]:
    if not isinstance(model, Mapping) or not isinstance(model.get("type"), str):
        raise InvalidInput(f"the filter of {column.title} cannot be read", field=column.key)
    kind, value = model["type"], column.value
    if kind in ("blank", "notBlank"):
        empty = sa.or_(value.is_(None), value == "") if column.kind == "text" else value.is_(None)
        return empty if kind == "blank" else sa.not_(empty)
    if column.kind == "flag" and kind in ("isTrue", "isFalse"):
        return value.is_(sa.true()) if kind == "isTrue" else value.is_(sa.false())
    if column.kind == "text" and kind in TEXT_TESTS:
        return TEXT_TESTS[kind](sa.func.lower(sa.func.coalesce(value, "")), _text(column, model).lower())
    number = sa.func.round(value, max(column.digits, 4))  # MariaDB's FLOAT keeps 21.7 as 21.7000007
    if column.kind == "number" and kind == "inRange":
        return number.between(_number(column, model, "filter"), _number(column, model, "filterTo"))
    if column.kind == "number" and kind in NUMBER_TESTS:
        return NUMBER_TESTS[kind](number, _number(column, model, "filter"))
    raise InvalidInput(f"{column.title} cannot be filtered by {kind[:40]!r}", field=column.key)


def _text(column: Column, model: Mapping) -> str:
    text = model.get("filter")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise InvalidInput(f"{column.title} is filtered by a text of up to {MAX_TEXT} characters", field=column.key)
    return text


def _number(column: Column, model: Mapping, name: str) -> float:
    number = model.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise InvalidInput(f"{column.title} is filtered by a number", field=column.key)
    return float(number)
