"""Tuboids: insects followed over several pictures, as small films; assets/85-tuboids.js draws them."""

import json
import math
from dataclasses import replace
from typing import Any
from zlib import crc32

import dash
from dash import ClientsideFunction, Input, Output, State, dcc, html

from ..clock import utcnow
from ..context import current
from ..services import rollups, scope, tuboid_gallery, tuboid_index
from ..services.tuboid_gallery import SEPARATOR, UNLABELLED, Counts, View
from ..services.tuboid_index import Path
from . import session as edge
from .components import day_in_zone, icon, number, plural
from .project_scope import explain_no_tuboids, name_project
from .shell import ids as shell_ids

PATH = "/tuboids"
NAME = "Tuboids"
LINK_CACHE_S = 3600
OPEN_DEPTH = 2  # of the tree of taxa, besides what leads to the chosen one


class ids:
    DATA = "tuboids-data"
    CHANGE = "tuboids-change"
    DRAWN = "tuboids-drawn"
    SUMMARY = "tuboids-summary"
    EMPTY = "tuboids-empty"
    FILTERS = "tuboids-filters"


def layout(**_) -> html.Div:
    """The frame; a script draws the films into it."""
    play = html.Button([icon("play"), "Play all visible"], className="outline play-all", **{"aria-pressed": "false"})
    labels = html.A([icon("download"), "Labels (CSV)"], href="/download/tuboids.csv", className="outline labels-csv",
                    title="The tuboids of these filters, all pages, with all of their labels")  # fmt: skip
    summary = html.Div(id=ids.SUMMARY, className="summary", role="status")
    films = html.Div(className="films", role="list", **{"aria-label": "Tuboids"})
    pager = html.Nav(className="pager", **{"aria-label": "Pages of tuboids"})
    return html.Div(
        [
            dcc.Store(id=ids.DATA),
            dcc.Store(id=ids.CHANGE),
            dcc.Store(id=ids.DRAWN),
            html.H1("Tuboids", className="only-read"),
            html.Div([summary, html.Div([play, labels], className="film-tools")], className="summary-bar"),
            html.Div(id=ids.EMPTY),
            _charts(),
            html.Div([html.Aside(id=ids.FILTERS, **{"aria-label": "Filter"}), html.Div([films, pager])],
                     className="gallery"),
        ],
        className="tuboids-page",
    )  # fmt: skip


def register(app: dash.Dash) -> None:
    """One answer per address, the route of the pictures, and that of the counts, which few people open."""
    app.callback(
        Output(ids.CHANGE, "data"), Output(ids.DATA, "data"), Output(ids.SUMMARY, "children"),
        Output(ids.EMPTY, "children"), Output(ids.FILTERS, "children"), Input(shell_ids.SCOPE, "data"),
        State(ids.DRAWN, "data"),
    )(show_tuboids)  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("tuboids", "draw"), Output(ids.DRAWN, "data"), Input(ids.DATA, "data"),
        Input(shell_ids.RESOLVED, "data"), State(ids.DRAWN, "data"),
    )  # fmt: skip
    app.clientside_callback(ClientsideFunction("tuboids", "hold"), Input(ids.CHANGE, "data"))
    app.server.add_url_rule("/tuboids/<tuboid_id>/<what>.jpg", "tuboids_picture", get_picture)
    app.server.add_url_rule("/tuboids/counts.json", "tuboids_counts", get_counts)


def show_tuboids(data: dict | None, drawn: list | None = None) -> tuple:
    """The change that is shown, the films of one page, what they are made of, what to do without any, the filters.

    `drawn` begins with the print of what the browser shows. Where it asks because something changed somewhere, and this
    page is still the same, only the number of the change goes back.
    """
    if data is None:
        raise dash.exceptions.PreventUpdate
    refresh()
    with current().read() as session:
        change = tuboid_index.counted_number(session)  # before the rows: they are no older than it
        found, view = read_view(session, data["search"])
        groups = tuboid_gallery.group_tuboids(session, view)
        counts, pages = _count(groups, view)
        view = replace(view, page=min(view.page, pages))
        cards = [tuboid_gallery.pack_card(card) for card in tuboid_gallery.list_cards(session, view)]
        newest_s = None if groups else tuboid_gallery.find_newest_s(session, view)
    packed = {"cards": cards, "page": view.page, "pages": pages, "search": data["search"]}
    packed["print"] = crc32(repr((packed, view, found.project, sorted(groups.items()), newest_s)).encode())
    if data.get("since") and drawn and drawn[0] == packed["print"]:
        return change, *[dash.no_update] * 4
    if not groups:
        return change, packed, [], explain_nothing(found, newest_s, bool(view.devices)), []
    whole, _ = _count(groups, replace(view, taxon="", trap=""))
    return change, packed, summarise(found, view, counts, whole), [], _filters(view, counts)


def refresh() -> None:
    """What was written until now is in what is read afterwards; of very much, a part."""
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    tuboid_index.refresh(spi.begin, spi.read)


def read_view(session: Any, search: str) -> tuple[scope.Scope, View]:
    """What the page's address asks for."""
    found = edge.find_scope(session, search)
    return found, tuboid_gallery.make_view(search, scope.parse(search), found)


def get_picture(tuboid_id: str, what: str) -> Any:
    """The way to the tiles or to the context of a tuboid."""
    spi = current()
    with spi.read() as session:
        key = tuboid_gallery.get_picture_key(session, tuboid_id, what)
    return edge.go(spi.storage.signer("", utcnow())(key), LINK_CACHE_S)


def get_counts() -> Any:
    """How many began per day and per hour of the day, in the zone of the page; `tz` names the reader's."""
    refresh()
    with current().read() as session:
        found, view = read_view(session, edge.query())
        taxa = tuboid_gallery.count_times(session, view, tuboid_gallery.offset_s(found, edge.argument("tz")))
    counts = {"start": found.start_s, "end": found.end_s, "taxa": taxa}
    return edge.answer(json.dumps(counts, separators=(",", ":")), "application/json", 0)


def _count(groups: tuboid_gallery.Groups, view: View) -> tuple[Counts, int]:
    """With how many pages they fill."""
    counts = tuboid_gallery.count_tuboids(groups, view)
    return counts, max(1, math.ceil(counts.n / tuboid_gallery.PER_PAGE))


def summarise(found: scope.Scope, view: View, counts: Counts, whole: Counts) -> list:
    """Every count with what it is made of."""
    labelled = whole.n - whole.n_unlabelled
    parts: list = [html.B(number(counts.n))]
    if view.filtered:
        parts.append(f" of {number(whole.n)}")
    parts.append(f" {'tuboid' if whole.n == 1 else 'tuboids'} that began in these dates")
    parts += [*name_project(found, " and in project "), f", of {plural(len(whole.traps), 'trap')}"]
    parts.append(f" \u00b7 {number(labelled)} of {number(whole.n)} have a label; the newest of each counts")
    if view.filtered:
        parts.append(html.Button("Clear filters", className="plain clear tuboid-filter",
                                 **{"data-taxon": "", "data-trap": ""}))  # fmt: skip
    return parts


def explain_nothing(found: scope.Scope, newest_s: int | None, some_traps: bool) -> html.Div:
    """An empty state that says the next step."""
    card = html.Div(className="empty-card")
    if newest_s is None and (lost := explain_no_tuboids(found, some_traps)) is not None:
        return lost
    if newest_s is None:
        title = "No tuboids of these traps" if some_traps else "No tuboids yet"
        text = ("Choose other traps above." if some_traps else
                "A tuboid is one insect, followed over several pictures. They appear here as soon as a program "
                "that follows insects uploads them.")  # fmt: skip
        return html.Div([card, html.H2(title), html.P(text)], className="empty")
    text = ["The newest began on ", day_in_zone(newest_s), "."]
    there = html.Button("Go there", className="filled go-newest", **{"data-newest": str(newest_s)})
    return html.Div([card, html.H2("No tuboids in these dates"), html.P(text), there], className="empty")


def _charts() -> html.Details:
    """Closed until somebody asks: the films are what the page is about."""
    summary = html.Summary("Counts per day and per hour of the day")
    return html.Details([summary, html.Div(className="charts")], className="tuboid-counts")


def _filters(view: View, counts: Counts) -> list:
    """Two lists of buttons: what they are, and which trap saw them."""
    total = counts.n_unlabelled + sum(count for path, count in counts.taxa.items() if len(path) == 1)
    chosen: Path = () if view.taxon in ("", UNLABELLED) else tuple(view.taxon.split(SEPARATOR))
    taxa = [_button("All", total, "taxon", "", view.taxon == "", 0)]
    taxa += [
        _button(path[-1] or "not known", count, "taxon", SEPARATOR.join(path), path == chosen, len(path) - 1)
        for path, count in sorted(counts.taxa.items())
        if len(path) <= OPEN_DEPTH or path[:-1] == chosen[: len(path) - 1]
    ]
    if counts.n_unlabelled:
        taxa.append(_button("unlabelled", counts.n_unlabelled, "taxon", UNLABELLED, view.taxon == UNLABELLED, 0))
    traps = [_button("All", sum(counts.traps.values()), "trap", "", view.trap == "", 0)]
    traps += [_button(device, count, "trap", device, device == view.trap, 0)
              for device, count in sorted(counts.traps.items())]  # fmt: skip
    return [
        html.Details([html.Summary("Taxon"), html.Div(taxa)], open=True),
        html.Details([html.Summary("Trap"), html.Div(traps)], open=True),
    ]


def _button(text: str, count: int, name: str, value: str, pressed: bool, depth: int) -> html.Button:
    return html.Button(
        [html.Span(text), html.Span(number(count), className="count", title=plural(count, "tuboid"))],
        className=f"tuboid-filter depth-{depth}",
        **{f"data-{name}": value, "aria-pressed": str(pressed).lower()},
    )
