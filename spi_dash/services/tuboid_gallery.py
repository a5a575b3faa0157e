"""Tuboids to look at: those that begin in a scope, each with its newest label, by taxon and by trap."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from ..clock import unix_s
from ..errors import NotFound
from ..models import Device, Image, ItcLabel, TiledTuboid, TuboidSeries
from .labels import RANKS
from .rollups import unix_time
from .scope import Query, Scope, moment
from .tuboids import CONTEXT, TUBOID, folder

PER_PAGE = 60
SLOT_S = 900
UNLABELLED = "-"  # as the URL names tuboids that nobody labelled
SEPARATOR = "/"  # between the ranks of a taxon, in the URL
PICTURES = {"tuboid": TUBOID, "context": CONTEXT}
TAXON = [getattr(ItcLabel, rank) for rank in RANKS]
Path = tuple[str, ...]  # a taxon by its ranks from the top; a rank that is not known is empty


@dataclass(frozen=True, kw_only=True)
class View:
    """Which tuboids are shown. Times are naive UTC, the end is not part of it."""

    start: datetime
    end: datetime
    devices: tuple[str, ...] = ()  # none: all
    trap: str = ""  # one of them
    taxon: str = ""  # `Insecta/Diptera`, UNLABELLED, or all
    page: int = 1

    @property
    def filtered(self) -> bool:
        """Not all of the scope."""
        return bool(self.taxon or self.trap)


@dataclass(frozen=True, kw_only=True)
class Card:
    """One tuboid and its newest label. Times in UNIX seconds; `shot` tells whether its first picture is here."""

    id: str
    device: str
    name: str
    start: int
    end: int
    shots: int
    shot: bool
    taxon: Path
    by: str  # which classifier says so; empty: nobody does


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many tuboids: by path, each with all that is below it; by trap; without a label."""

    n: int
    n_unlabelled: int
    taxa: dict[Path, int]
    traps: dict[str, int]


def make_view(search: str, query: Query, found: Scope) -> View:
    """What the page's address asks for; what makes no sense is as if it were not there."""
    values = {name: texts[-1].strip() for name, texts in parse_qs(search.removeprefix("?"), max_num_fields=100).items()}
    page = values.get("page", "")
    return View(
        start=moment(found.start_s),
        end=moment(found.end_s),
        # Not those of the scope, which knows only traps that sent pictures.
        devices=query.devices,
        trap=values.get("trap", ""),
        taxon=values.get("taxon", ""),
        page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
    )


def count_tuboids(session: Session, view: View) -> Counts:
    """What the view is made of. Each of the two filters counts what the other one leaves."""
    rows = session.execute(
        select_tuboids(replace(view, taxon=""), *TAXON, sa.func.count(TiledTuboid.id)).group_by(*TAXON)
    ).all()
    taxa: Counter[Path] = Counter()
    unlabelled = 0
    for *ranks, count in rows:
        path = _path(ranks)
        unlabelled += 0 if path else count
        for depth in range(len(path)):
            taxa[path[: depth + 1]] += count
    by_trap = select_tuboids(replace(view, trap=""), TuboidSeries.device, sa.func.count(TiledTuboid.id))
    traps = {device: count for device, count in session.execute(by_trap.group_by(TuboidSeries.device))}
    n = session.scalar(select_tuboids(view, sa.func.count(TiledTuboid.id))) or 0
    return Counts(n=n, n_unlabelled=unlabelled, taxa=dict(taxa), traps=traps)


def list_cards(session: Session, view: View) -> list[Card]:
    """One page, the newest first."""
    tuboid = (TiledTuboid.tuboid_id, TiledTuboid.start_datetime, TiledTuboid.end_datetime, TiledTuboid.n_shots)
    others = (TuboidSeries.device, Device.name, Image.id, ItcLabel.algo_name, ItcLabel.algo_version)
    query = (
        select_tuboids(view, *tuboid, *others, *TAXON)
        .outerjoin(Device, Device.device == TuboidSeries.device)
        .outerjoin(Image, sa.and_(Image.device == TuboidSeries.device, Image.datetime == TiledTuboid.start_datetime))
        .order_by(TiledTuboid.start_datetime.desc(), TiledTuboid.id.desc())
        .limit(PER_PAGE)
        .offset((view.page - 1) * PER_PAGE)
    )
    return [_card(row) for row in session.execute(query).all()]


def count_slots(session: Session, view: View) -> list[tuple[int, Path, int]]:
    """How many began in each quarter of an hour (in UNIX seconds), by the taxa one rank below the view's, or by order.

    Days and hours are those of the reader's zone, whose clocks differ from UTC by whole quarters.
    """
    at = unix_time(TiledTuboid.start_datetime)
    slot = (at - at % SLOT_S).label("slot")
    depth = min(len(RANKS), 1 + (view.taxon.count(SEPARATOR) + 1 if view.taxon else 1))
    ranks = [column.label(f"rank_{k}") for k, column in enumerate(TAXON[:depth])]
    query = select_tuboids(view, slot, sa.func.count(TiledTuboid.id), *ranks).group_by(slot, *ranks).order_by(slot)
    return [(slot_s, _path(path), count) for slot_s, count, *path in session.execute(query)]


def find_newest_s(session: Session, devices: Sequence[str]) -> int | None:
    """When the newest tuboid of these devices began; of all when none is named."""
    newest = sa.select(sa.func.max(TiledTuboid.start_datetime)).join(TuboidSeries)
    at = session.scalar(newest.where(TuboidSeries.device.in_(devices)) if devices else newest)
    return None if at is None else unix_s(at)


def get_picture_key(session: Session, tuboid_id: str, what: str) -> str:
    """Where a picture of a tuboid is stored."""
    names = session.scalars(sa.select(TiledTuboid.tuboid_id).where(TiledTuboid.tuboid_id == tuboid_id))
    if what not in PICTURES or tuboid_id not in names:
        raise NotFound(f"there is no picture {what[:20]!r} of a tuboid {tuboid_id[:120]!r}")
    return folder(tuboid_id) + PICTURES[what]


def pack_card(card: Card) -> dict[str, Any]:
    """As the page's script reads it."""
    return asdict(card)


def select_tuboids(view: View, *columns: Any) -> sa.Select:
    """Tuboids that begin in the view, each beside the newest of its labels."""
    newer = aliased(ItcLabel)
    newest = sa.select(sa.func.max(newer.id)).where(newer.parent_tuboid_id == TiledTuboid.id)
    newest_id = newest.correlate(TiledTuboid).scalar_subquery()
    conditions = [TiledTuboid.start_datetime >= view.start, TiledTuboid.start_datetime < view.end]
    if view.devices:
        conditions.append(TuboidSeries.device.in_(view.devices))
    if view.trap:
        conditions.append(TuboidSeries.device == view.trap)
    return (
        sa.select(*columns)
        .select_from(TiledTuboid)
        .join(TuboidSeries, TuboidSeries.id == TiledTuboid.parent_series_id)
        .outerjoin(ItcLabel, sa.and_(ItcLabel.parent_tuboid_id == TiledTuboid.id, ItcLabel.id == newest_id))
        .where(*conditions, *_of_taxon(view.taxon))
    )


def _of_taxon(taxon: str) -> list[sa.ColumnElement[bool]]:
    if not taxon:
        return []
    if taxon == UNLABELLED:
        return [ItcLabel.id.is_(None)]
    parts = taxon.split(SEPARATOR)
    if len(parts) > len(RANKS):
        return [sa.false()]
    return [sa.func.coalesce(column, "") == part for column, part in zip(TAXON, parts, strict=False)]


def _card(row: Sequence[Any]) -> Card:
    tuboid_id, start, end, n_shots, device, name, image_id, algo_name, algo_version, *ranks = row
    return Card(
        id=tuboid_id,
        device=device,
        name=name or "",
        start=unix_s(start),
        end=unix_s(end),
        shots=n_shots,
        shot=image_id is not None,
        taxon=_path(ranks),
        by=f"{algo_name} {algo_version}" if algo_name else "",
    )


def _path(ranks: Sequence[str | None]) -> Path:
    """Without the unknown ranks at its end."""
    path = [rank or "" for rank in ranks]
    while path and not path[-1]:
        path.pop()
    return tuple(path)
