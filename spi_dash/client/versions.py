"""Which of several versions' results are meant."""

from collections.abc import Sequence
from typing import Any


def choose(rows: Sequence[dict[str, Any]], version: str, by: str) -> list[dict[str, Any]]:
    """The rows of a version of an algorithm, in their order; [] if it has none here.

    Args:
        version: "newest" of all of them, the newest of "each" picture or tuboid, "all", or one, as "1.2" or "name 1.2".
        by: the key that tells whose result a row is.
    """
    from ..contract import version_order  # with pydantic: scripts that choose nothing need none of it

    if version == "all" or not rows:
        return list(rows)
    order = {text: version_order(text) for text in {row["algo_version"] for row in rows}}

    def newness(row: dict[str, Any]) -> tuple[Any, ...]:
        return order[row["algo_version"]], row["algo_name"]

    if version == "newest":
        newest = newness(max(rows, key=newness))
        return [row for row in rows if newness(row) == newest]
    if version == "each":
        best: dict[Any, dict[str, Any]] = {}
        for row in rows:
            if row[by] not in best or newness(row) > newness(best[row[by]]):
                best[row[by]] = row
        return [row for row in rows if best[row[by]] is row]
    return [row for row in rows if version in (row["algo_version"], f"{row['algo_name']} {row['algo_version']}")]
