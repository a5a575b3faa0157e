"""Labels of tuboids: what a classifier, in one of its versions, says that an insect is."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, NewLabel, Style, TuboidKey
from ..errors import Conflict, NotFound
from ..models import ItcLabel, TiledTuboid
from ..sql import time_text

IDS_PER_QUERY = 500
RANKS = ("type", "order", "family", "genus", "species")


def add_labels(
    session: Session, labels: Sequence[NewLabel], user_id: int | None, now: datetime
) -> list[dict[str, Any]]:
    """Store labels: all of them or none.

    Returns:
        Rows as put_itc_labels answers them, without id.

    Raises:
        NotFound: a tuboid does not exist.
        Conflict: this version of the algorithm labelled a tuboid already.
    """
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    ids = _find_ids(session, [label.tuboid_id for label in labels])
    rows = []
    for index, label in enumerate(labels):
        if label.tuboid_id not in ids:
            where = {"tuboid_id": label.tuboid_id, "field": f"[{index}].tuboid_id"}
            raise NotFound(f"there is no tuboid {label.tuboid_id}", **where)
        rows.append({**audit, "parent_tuboid_id": ids[label.tuboid_id], **label.model_dump(exclude={"tuboid_id"})})
        _insert(session, label, rows[-1])
    return [{"id": None, **row} for row in rows]


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


def _insert(session: Session, label: NewLabel, row: dict[str, Any]) -> None:
    try:
        session.execute(sa.insert(ItcLabel).values(row))
    except sa.exc.IntegrityError:
        raise Conflict(
            f"{label.algo_name} {label.algo_version} has labelled {label.tuboid_id} already, or it was just deleted",
            tuboid_id=label.tuboid_id,
        ) from None


def _find_ids(session: Session, tuboid_ids: Sequence[str]) -> dict[str, int]:
    """Ids by name, of exactly these names: MariaDB ignores case and trailing blanks."""
    wanted = list(dict.fromkeys(tuboid_ids))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        some = TiledTuboid.tuboid_id.in_(wanted[start : start + IDS_PER_QUERY])
        rows = session.execute(sa.select(TiledTuboid.tuboid_id, TiledTuboid.id).where(some))
        found |= {name: row_id for name, row_id in rows}
    return {name: found[name] for name in wanted if name in found}
