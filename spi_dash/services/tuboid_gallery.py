"""Tuboids to look at: those that begin in a scope, each with its newest label, by taxon and by trap."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..clock import unix_s
from ..errors import NotFound
from ..models import Device, Image, ItcLabel, TiledTuboid, TuboidEntry
from .export_csv import zone_of
from .labels import RANKS
from .rollups import DAY_S, HOUR_S
from .scope import Query, Scope, moment
from .spans import Spans, in_spans
from .tuboid_index import NO_TAXON, Path, list_taxa, make_path
from .tuboids import CONTEXT, TUBOID, folder
from .zones import list_offsets

PER_PAGE = 60
UNLABELLED = "-"  # as the URL names tuboids that nobody labelled
SEPARATOR = "/"  # between the ranks of a taxon, in the URL
PICTURES = {"tuboid": TUBOID, "context": CONTEXT}


@dataclass(frozen=True, kw_only=True)
class View:
    """Which tuboids are shown. Times are naive UTC, the end is not part of it."""

    start: datetime
    end: datetime
    devices: tuple[str, ...] = ()  # none: all
    trap: str = ""  # one of them
    taxon: str = ""  # `Insecta/Diptera`, UNLABELLED, or all
    page: int = 1
    spans: Spans | None = None  # of a project: those that began in one of its series; None: no project is asked for

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


Groups = Mapping[tuple[str, Path], int]  # how many, by trap and by what the newest label says


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
        spans=None if found.project is None else found.project.spans_in_any_case,
    )


def group_tuboids(session: Session, view: View) -> Groups:
    """All of the view's dates and traps: whatever is filtered, is counted from these."""
    taxa = list_taxa(session)
    query = sa.select(TuboidEntry.device, TuboidEntry.taxon_id, sa.func.count()).where(*_in_scope(view))
    groups: Counter[tuple[str, Path]] = Counter()
    for device, taxon_id, count in session.execute(query.group_by(TuboidEntry.device, TuboidEntry.taxon_id)):
        groups[device, taxa.get(taxon_id, ())] += count
    return groups


def count_tuboids(groups: Groups, view: View) -> Counts:
    """What the view is made of. Each of the two filters counts what the other one leaves."""
    taxa: Counter[Path] = Counter()
    traps: Counter[str] = Counter()
    n = unlabelled = 0
    for (device, path), count in groups.items():
        of_trap, of_taxon = view.trap in ("", device), _is_of(path, view.taxon)
        n += count if of_trap and of_taxon else 0
        traps[device] += count if of_taxon else 0
        if of_trap:
            unlabelled += 0 if path else count
            for depth in range(len(path)):
                taxa[path[: depth + 1]] += count
    return Counts(n=n, n_unlabelled=unlabelled, taxa=dict(taxa), traps={name: n for name, n in traps.items() if n})


def list_cards(session: Session, view: View) -> list[Card]:
    """One page, the newest first."""
    newest = (TuboidEntry.start_s.desc(), TuboidEntry.id.desc())
    ids = sa.select(TuboidEntry.id).where(*_in_view(session, view)).order_by(*newest)
    # Asked for alone: as a part of the other query, MariaDB takes seconds for the last pages of a season.
    page = session.scalars(ids.limit(PER_PAGE).offset((view.page - 1) * PER_PAGE)).all()
    tuboid = (TiledTuboid.tuboid_id, TiledTuboid.start_datetime, TiledTuboid.end_datetime, TiledTuboid.n_shots)
    others = (TuboidEntry.device, Device.name, Image.id, ItcLabel.algo_name, ItcLabel.algo_version)
    query = (
        sa.select(*tuboid, *others, *(getattr(ItcLabel, rank) for rank in RANKS))
        .select_from(TuboidEntry)
        .join(TiledTuboid, TiledTuboid.id == TuboidEntry.id)
        .outerjoin(ItcLabel, ItcLabel.id == TuboidEntry.label_id)
        .outerjoin(Device, Device.device == TuboidEntry.device)
        .outerjoin(Image, sa.and_(Image.device == TuboidEntry.device, Image.datetime == TiledTuboid.start_datetime))
        .where(TuboidEntry.id.in_(page))
        .order_by(*newest)
    )
    return [_card(row) for row in session.execute(query).all()]


def count_times(session: Session, view: View, offset_s: sa.ColumnElement[int]) -> list[dict[str, Any]]:
    """How many began per day and per hour of the day, by the taxa one rank below the view's, or by order.

    Args:
        offset_s: as offset_s() makes it.

    Returns:
        By path: [[days since 1970, how many]], [[hour, how many]].
    """
    taxa = list_taxa(session)
    local_s = TuboidEntry.start_s + offset_s
    depth = min(len(RANKS), 1 + (view.taxon.count(SEPARATOR) + 1 if view.taxon else 1))
    found: dict[str, dict[Path, Counter[int]]] = {}
    for name, unit in (("days", local_s // DAY_S), ("hours", local_s % DAY_S // HOUR_S)):
        found[name] = defaultdict(Counter)
        query = sa.select(TuboidEntry.taxon_id, unit.label("unit"), sa.func.count()).where(*_in_view(session, view))
        for taxon_id, at, count in session.execute(query.group_by(TuboidEntry.taxon_id, "unit")):
            found[name][taxa.get(taxon_id, ())[:depth]][int(at)] += count
    return [
        {"path": path, "days": sorted(days.items()), "hours": sorted(found["hours"][path].items())}
        for path, days in sorted(found["days"].items())
    ]


def offset_s(found: Scope, reader_zone: str) -> sa.ColumnElement[int]:
    """By how much the clocks of the scope's zone are ahead of UTC when a tuboid begins, as SQL."""
    spans = list_offsets(zone_of(found, reader_zone), found.start_s, found.end_s)
    first = sa.literal_column(str(spans[0][1]))
    later = [(TuboidEntry.start_s >= from_s, sa.literal_column(str(offset))) for from_s, offset in spans[:0:-1]]
    return sa.case(*later, else_=first) if later else first


def find_newest_s(session: Session, view: View) -> int | None:
    """When the newest tuboid of the view's traps began, whatever its dates."""
    return session.scalar(sa.select(sa.func.max(TuboidEntry.start_s)).where(*_of_traps(view)))


def get_picture_key(session: Session, tuboid_id: str, what: str) -> str:
    """Where a picture of a tuboid is stored."""
    names = session.scalars(sa.select(TiledTuboid.tuboid_id).where(TiledTuboid.tuboid_id == tuboid_id))
    if what not in PICTURES or tuboid_id not in names:
        raise NotFound(f"there is no picture {what[:20]!r} of a tuboid {tuboid_id[:120]!r}")
    return folder(tuboid_id) + PICTURES[what]


def pack_card(card: Card) -> dict[str, Any]:
    """As the page's script reads it."""
    return asdict(card)


def select_entries(session: Session, view: View, *columns: Any) -> sa.Select:
    """Columns of tuboids of a view, each beside its entry, which names its newest label."""
    return (
        sa.select(*columns)
        .select_from(TuboidEntry)
        .join(TiledTuboid, TiledTuboid.id == TuboidEntry.id)
        .where(*_in_view(session, view))
    )


def _in_scope(view: View) -> list[sa.ColumnElement[bool]]:
    return [TuboidEntry.start_s >= unix_s(view.start), TuboidEntry.start_s < unix_s(view.end), *_of_traps(view)]


def _of_traps(view: View) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [TuboidEntry.device.in_(view.devices)] if view.devices else []
    if view.spans is not None:
        conditions.append(in_spans(TuboidEntry.device, TuboidEntry.start_s, view.spans))
    return conditions


def _in_view(session: Session, view: View) -> list[sa.ColumnElement[bool]]:
    conditions = _in_scope(view)
    if view.trap:
        conditions.append(TuboidEntry.device == view.trap)
    if view.taxon:
        ids = [key for key, path in list_taxa(session).items() if _is_of(path, view.taxon)]
        conditions.append(TuboidEntry.taxon_id.in_([NO_TAXON] if view.taxon == UNLABELLED else ids))
    return conditions


def _is_of(path: Path, taxon: str) -> bool:
    """Whether a taxon is the one that the URL names, or below it."""
    if taxon in ("", UNLABELLED):
        return not (taxon and path)
    parts = tuple(taxon.split(SEPARATOR))
    return bool(path) and (*path, *[""] * len(RANKS))[: len(parts)] == parts


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
        taxon=make_path(ranks),
        by=f"{algo_name} {algo_version}" if algo_name else "",
    )
