"""Spans of time per device: what a scope is made of, and how they become SQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from .rollups import DAY_S, HOUR_S

Span = tuple[int, int]  # from start (included) to end (excluded), UNIX seconds
Spans = Mapping[str, tuple[Span, ...]]  # by device, in order; no two of one device touch
FOREVER: tuple[Span, ...] = ((0, 90_000 * DAY_S),)  # whole days, so that counts by the day suffice
TERMS_PER_GROUP = 30  # SQLite refuses expressions that are a thousand deep


def join_spans(periods: Iterable[tuple[str, int, int]]) -> dict[str, tuple[Span, ...]]:
    """The union of (device, start, end): overlapping and touching ones become one."""
    found: dict[str, list[Span]] = {}
    for device, start_s, end_s in sorted(periods):
        mine = found.setdefault(device, [])
        if mine and start_s <= mine[-1][1]:
            mine[-1] = (mine[-1][0], max(mine[-1][1], end_s))
        elif start_s < end_s:
            mine.append((start_s, end_s))
    return {device: tuple(spans) for device, spans in found.items() if spans}


def clip(spans: Spans, start_s: int, end_s: int) -> dict[str, tuple[Span, ...]]:
    """What of them lies in a range; devices of which nothing does are left out."""
    cut = {
        device: tuple((max(a, start_s), min(b, end_s)) for a, b in mine if a < end_s and b > start_s)
        for device, mine in spans.items()
    }
    return {device: mine for device, mine in cut.items() if mine}


def split(spans: Spans, length_s: int) -> tuple[Spans, Spans]:
    """Those parts that are made of whole days or hours (of UTC), and what is left over at their ends."""
    whole: dict[str, tuple[Span, ...]] = {}
    rest: dict[str, tuple[Span, ...]] = {}
    for device, mine in spans.items():
        parts = [(start_s, end_s, -(-start_s // length_s) * length_s, end_s // length_s * length_s)
                 for start_s, end_s in mine]  # fmt: skip
        inner = tuple((a, b) for _, _, a, b in parts if a < b)
        outer = tuple(
            span
            for start_s, end_s, a, b in parts
            for span in (((start_s, a), (b, end_s)) if a < b else ((start_s, end_s),))
            if span[0] < span[1]
        )
        whole |= {device: inner} if inner else {}
        rest |= {device: outer} if outer else {}
    return whole, rest


def split_by_rollup(spans: Spans, bucket_s: int = DAY_S) -> list[tuple[int, Spans]]:
    """What is counted by day, by hour, and (0) picture by picture, so that all of it is counted exactly once.

    Args:
        bucket_s: how long the points are; days are of use only where these are made of whole ones.
    """
    found, rest = [], spans
    for span_s in (DAY_S, HOUR_S):
        if bucket_s % span_s == 0:
            whole, rest = split(rest, span_s)
            found.append((span_s, whole))
    return [(span_s, part) for span_s, part in (*found, (0, rest)) if part]


def select_in_spans(session: Session, columns: Sequence[Any], table: Any, at: Any, spans: Spans) -> sa.Select:
    """Columns of the rows of `table` whose device and time lie in spans, in no order; both databases use its key.

    SQLite takes the spans one by one, and looks each up: among its tables without row numbers, it would look through
    all devices for the same as a condition. MariaDB looks up what conditions name, but not what another table does.
    """
    if session.get_bind().dialect.name != "sqlite":
        return sa.select(*columns).select_from(table).where(in_spans(table.device, at, spans))
    is_time = isinstance(at.type, sa.DateTime)
    write, kind = (_text, sa.String()) if is_time else (int, sa.Integer())
    rows = [(device, write(start), write(end)) for device, mine in spans.items() for start, end in mine]
    each = sa.func.json_each(orjson.dumps(rows).decode()).table_valued("value", name="spans")
    device, start, end = (
        sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{k}]'"), type_=type_)
        for k, type_ in enumerate((sa.String(), kind, kind))
    )
    here = sa.and_(table.device == device, at >= start, at < end)
    return sa.select(*columns).select_from(_OneByOne(each, table.__table__, here))


class _OneByOne(sa.sql.selectable.Join):
    """A join whose left rows come first: SQLite, which knows nothing of their number, would take the right ones."""

    inherit_cache = True


@compiles(_OneByOne)
def _cross_join(element: _OneByOne, compiler: Any, **kw: Any) -> str:
    condition = compiler.process(element.onclause, from_linter=kw.get("from_linter"))
    kw["asfrom"] = True
    left, right = (compiler.process(each, **kw) for each in (element.left, element.right))
    return f"{left} CROSS JOIN {right} ON {condition}"


class in_spans(FunctionElement[bool]):
    """Whether a device and a time lie in spans. The time is a DATETIME, or UNIX seconds.

    The spans are literals: bound one by one, hundreds of them cost SQLAlchemy a tenth of a second per statement.

    Args:
        by_index: False: SQLite takes another index, and asks this of each row that it finds there.
    """

    type = sa.Boolean()
    name = "in_spans"
    inherit_cache = False

    def __init__(self, device: Any, at: Any, spans: Spans, by_index: bool = True) -> None:
        super().__init__(device, at)
        self.by_index = by_index
        self.is_time = isinstance(at.type, sa.DateTime)
        self.devices_by_spans: dict[tuple[Span, ...], list[str]] = {}
        for name, mine in spans.items():
            self.devices_by_spans.setdefault(mine, []).append(name)

    def self_group(self, against: Any = None) -> Any:
        """As it is: in SQLite's dialect a function becomes `... = 1`, for which no index helps."""
        return self


@compiles(in_spans, "sqlite")
def _sqlite(element: in_spans, compiler: Any, **kw: Any) -> str:
    """One term per span: SQLite looks each of them up. A plus before a column keeps it from doing so."""
    if not element.by_index:
        return _by_device(element, compiler, "+", **kw)
    device, at = (compiler.process(clause, **kw) for clause in element.clauses)
    found = _tests(element, compiler, at)
    return _any([f"({device} IN ({names}) AND {test})" for names, tests in found for test in tests])


@compiles(in_spans, "mysql", "mariadb")
def _mariadb(element: in_spans, compiler: Any, **kw: Any) -> str:
    """One term per device: MariaDB tries the terms one after the other on each row that it has looked up."""
    return _by_device(element, compiler, "", **kw)


def _by_device(element: in_spans, compiler: Any, sign: str, **kw: Any) -> str:
    device, at = (sign + compiler.process(clause, **kw) for clause in element.clauses)
    return _any([f"({device} IN ({names}) AND {_any(tests)})" for names, tests in _tests(element, compiler, at)])


def _tests(element: in_spans, compiler: Any, at: str) -> Iterable[tuple[str, list[str]]]:
    for spans, devices in element.devices_by_spans.items():
        names = ", ".join(compiler.render_literal_value(name, sa.String()) for name in devices)
        moments = ([f"'{_text(each)}'" if element.is_time else str(each) for each in span] for span in spans)
        yield names, [f"{at} >= {start} AND {at} < {end}" for start, end in moments]


def _text(unix_s: int) -> str:
    return str(datetime(1970, 1, 1) + timedelta(seconds=unix_s))


def _any(terms: list[str]) -> str:
    if not terms:
        return "(0 = 1)"
    while len(terms) > TERMS_PER_GROUP:
        groups = (terms[k : k + TERMS_PER_GROUP] for k in range(0, len(terms), TERMS_PER_GROUP))
        terms = [f"({' OR '.join(group)})" for group in groups]
    return f"({' OR '.join(terms)})"
