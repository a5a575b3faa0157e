"""Searching by SQL's LIKE patterns, the same for every database: for lists that are short."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from ..contract import parse_moment
from ..errors import InvalidInput

Item = TypeVar("Item")
Test = Callable[[str | None], bool]
MAX_PATTERN_CHARS = 256


def select(
    items: Sequence[Item], filters: Sequence[Mapping[str, Any]] | None, names: Sequence[str], noun: str
) -> list[Item]:
    """Those that match, in their order; those of each filter in turn, so one may come twice.

    Args:
        filters: LIKE patterns by attribute, letter case ignored; all keys of one must match. None is everything.
        names: the attributes that may be searched for.
        noun: what the items are, in the plural, for the words of an error.

    Raises:
        InvalidInput: names the key that is not there, or has no usable value.
    """
    tests = [_matcher(each, names, noun) for each in ([{}] if filters is None else filters)]
    return [item for test in tests for item in items if all(test[key](_text(getattr(item, key))) for key in test)]


def _matcher(filters: Mapping[str, Any], names: Sequence[str], noun: str) -> dict[str, Test]:
    tests: dict[str, Test] = {}
    for key, value in filters.items():
        if key not in names:
            raise InvalidInput(f"{noun} have no {key!r} to search for: there are {', '.join(names)}", field=key)
        if value is not None and not isinstance(value, str | int | float | datetime):
            raise InvalidInput(f"{key}: must be text or a number", field=key)
        pattern = _text(value)
        if key == "datetime_created" and pattern is not None:
            pattern = _as_stored(pattern)
        tests[key] = like(pattern)
    return tests


def like(pattern: str | None) -> Test:
    """SQL's LIKE, letter case ignored, the same for every database: a test for a text; null never matches.

    % is any run of characters, _ is one, a backslash takes the next one literally. Work is linear in the text per
    part of the pattern: a part once found is not looked for again, as the first place is as good as any later one.
    """
    if pattern is None:
        return lambda text: False
    if len(pattern) > MAX_PATTERN_CHARS:
        raise InvalidInput(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
    parts = [""]
    for token in re.findall(r"\\.|.", pattern, re.DOTALL):
        if token == "%":
            parts.append("")
        else:
            parts[-1] += "." if token == "_" else re.escape(token[-1])
    first, *rest = parts
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    last = f".*{rest[-1]}" if rest else ""
    expression = re.compile(first + middle + last, re.DOTALL | re.IGNORECASE)
    return lambda text: text is not None and expression.fullmatch(text) is not None


def _text(value: Any) -> str | None:
    """A value as LIKE sees it in both databases: true is 1, times are 2020-06-20 21:33:24."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return str(value.replace(microsecond=0))
    return str(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def _as_stored(pattern: str) -> str:
    """A complete time in either dialect of the wire, as _text() writes it; anything else is a pattern already."""
    if re.fullmatch(r"\d{4}-\d\d-\d\d[T_]\d\d[:-]\d\d[:-]\d\dZ?", pattern, re.ASCII) is None:
        return pattern
    try:
        return str(parse_moment(pattern))
    except ValueError:
        return pattern
