"""Labels of tuboids: what a classifier, in one of its versions, says that an insect is."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, NewLabel, Style, TuboidKey
from ..errors import Conflict, NotFound, SpiError
from ..models import ItcLabel, TiledTuboid
from ..sql import time_text

IDS_PER_QUERY = 500
RANKS = ("type", "order", "family", "genus", "species")


def add_labels(
    session: Session, labels: Sequence[NewLabel], user_id: int | None, now: datetime
) -> tuple[list[dict[str, Any]], SpiError | None]:
    """Store labels in their order, up to the first that is refused.

    For clients that is one commit per label, as the wire contract has it: those before a refused one stay. In truth the
    caller commits once, before it raises what was refused. So nothing stays where the database fails in between, and
    the same call can be sent again, as clients do; had half of the labels stayed, it would be refused for ever.
    A label that is there already is refused even when it says the same: existing clients count on it.

    Returns:
        Rows as put_itc_labels answers them, without id; and why the rest was not stored, a NotFound for a tuboid that
        does not exist, a Conflict where this version of the algorithm has labelled it already.
    """
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    ids = _find_ids(session, [label.tuboid_id for label in labels])
    rows: list[dict[str, Any]] = []
    for label in labels:
        if label.tuboid_id not in ids:
            break
        row = {**audit, "parent_tuboid_id": ids[label.tuboid_id], **label.model_dump(exclude={"tuboid_id"})}
        if not _insert(session, row):
            break
        rows.append({"id": None, **row})
    return rows, _find_refusal(labels, ids, len(rows))


def list_labels(session: Session, keys: Iterable[TuboidKey], style: Style) -> Iterator[str]:
    """Every label of the named tuboids, as JSON rows; none where no tuboid has such a name."""
    ids = sorted(_find_ids(session, [key.tuboid_id for key in keys]).values())
    names = [column.key for column in sa.inspect(ItcLabel).column_attrs]
    columns = [
        time_text(ItcLabel.datetime_created, style).label(name)
        if name == "datetime_created"
        else getattr(ItcLabel, name).label(name)
        for name in names
    ]
    for start in range(0, len(ids), IDS_PER_QUERY):
        mine = ItcLabel.parent_tuboid_id.in_(ids[start : start + IDS_PER_QUERY])
        found = sa.select(*columns).where(mine).order_by(ItcLabel.parent_tuboid_id, ItcLabel.id)
        for row in session.execute(found).mappings():
            yield orjson.dumps(dict(row)).decode()


def _insert(session: Session, row: dict[str, Any]) -> bool:
    """False where the label, or what it belongs to, does not let it in."""
    try:
        session.execute(sa.insert(ItcLabel).values(row))
    except sa.exc.IntegrityError:  # this statement alone is undone: what was inserted before it stays
        return False
    return True


def _find_refusal(labels: Sequence[NewLabel], ids: dict[str, int], n_stored: int) -> SpiError | None:
    """What to tell of a call of which only the first labels were stored.

    A tuboid that does not exist comes first: when the call is sent again, it is still what must be mended, while the
    labels before it are there already.
    """
    rest = labels[n_stored:]
    if not rest:
        return None
    for index, label in enumerate(rest, n_stored):
        if label.tuboid_id not in ids:
            where = {"tuboid_id": label.tuboid_id, "field": f"[{index}].tuboid_id", "stored": n_stored}
            return NotFound(f"there is no tuboid {label.tuboid_id}", **where)
    return Conflict(
        f"{rest[0].algo_name} {rest[0].algo_version} has labelled {rest[0].tuboid_id} already, or it was just deleted",
        tuboid_id=rest[0].tuboid_id,
        field=f"[{n_stored}].tuboid_id",
        stored=n_stored,
    )


def _find_ids(session: Session, tuboid_ids: Sequence[str]) -> dict[str, int]:
    """Ids by name, of exactly these names: MariaDB ignores case and trailing blanks."""
    wanted = list(dict.fromkeys(tuboid_ids))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        some = TiledTuboid.tuboid_id.in_(wanted[start : start + IDS_PER_QUERY])
        rows = session.execute(sa.select(TiledTuboid.tuboid_id, TiledTuboid.id).where(some))
        found |= {name: row_id for name, row_id in rows}
    return {name: found[name] for name in wanted if name in found}
