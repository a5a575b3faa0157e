"""Explore: one row per trap, weather and insects over time; assets/explore-*.js draw it."""

import json
from zlib import crc32

import dash
from dash import ClientsideFunction, Input, Output, State, dcc, html

from ..clock import utcnow
from ..context import current
from ..figures import rows as figure
from ..services import devices, explore, rollups, scope
from ..services.span_counts import count_days
from ..services.users import require_role
from .components import day_in_zone, empty_card, icon, number, plural, short_version
from .project_scope import explain_project, name_project
from .session import current_user, find_scope
from .shell import describe_scope
from .shell import ids as shell_ids

PATH = "/"
NAME = "Explore"
SERIES = (("temp", "temperature"), ("hum", "humidity"), ("insects", "insects"), ("lum", "light"))


class ids:
    DATA = "explore-data"
    DRAWN = "explore-drawn"
    SUMMARY = "explore-summary"
    EMPTY = "explore-empty"
    NAMING = "explore-naming"
    NAMED = "explore-named"


def layout(**_) -> html.Div:
    """The frame; scripts draw into it."""
    series = [
        html.Button(
            [html.Span(className=f"key key-{key}"), text],
            className="series",
            **{"data-series": key, "aria-pressed": "true"},
        )
        for key, text in SERIES
    ]
    scale = html.Button("same scale", className="series", title="One y scale for all traps, or one each",
                        **{"data-scale": "shared", "aria-pressed": "true"})  # fmt: skip
    keys = [html.Span(className="key key-also"), "compare with"]
    other = html.Select(className="compare", **{"aria-label": "Compare with another detector"})
    compare = html.Label([*keys, other], className="compare-with", hidden=True)
    out = html.Button(icon("zoom-out"), className="outline zoom-out", title="Zoom out", **{"aria-label": "Zoom out"})
    legend = html.Div([*series, compare, scale, out], className="legend", role="group", **{"aria-label": "Series"})
    return html.Div(
        [
            dcc.Store(id=ids.DATA),
            dcc.Store(id=ids.DRAWN),
            dcc.Store(id=ids.NAMING),
            dcc.Store(id=ids.NAMED),
            html.H1("Explore", className="only-read"),
            html.Div([html.Div(id=ids.SUMMARY, className="summary", role="status"), legend], className="summary-bar"),
            html.Div(id=ids.EMPTY),
            html.Div(className="rows"),
            html.Div([html.Div(className="ticks"), html.Div(className="slider")], className="time-axis"),
        ],
        className="explore",
    )


def register(app: dash.Dash) -> None:
    """One answer per scope, drawn by spi.explore."""
    app.callback(
        Output(ids.DATA, "data"), Output(ids.SUMMARY, "children"), Output(ids.EMPTY, "children"),
        Input(shell_ids.SCOPE, "data"), State(ids.DRAWN, "data"),
    )(show_rows)  # fmt: skip
    app.clientside_callback(
        ClientsideFunction("explore", "draw"), Output(ids.DRAWN, "data"), Input(ids.DATA, "data"),
        State(shell_ids.SCOPE, "data"),
    )  # fmt: skip
    app.callback(Output(ids.NAMED, "data"), Input(ids.NAMING, "data"), prevent_initial_call=True)(name_trap)
    app.clientside_callback(ClientsideFunction("explore", "named"), Input(ids.NAMED, "data"), prevent_initial_call=True)


def name_trap(change: dict) -> dict:
    """Give a trap a name and a site; writers only."""
    user = current_user()
    require_role(user, "read_write_user")
    with current().begin() as session:
        devices.name_device(session, change["device"], change["name"], change["site"], user.id, utcnow())
    return change


def show_rows(data: dict | None, held_days: int | None = None) -> tuple:
    """The rows of the scope, packed as text; what they are made of; what to do when there are none.

    `held_days` names the days of all pictures that the browser has: they are not counted and sent again.
    """
    if data is None:
        raise dash.exceptions.PreventUpdate
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        found = find_scope(session, data["search"])
        compared = explore.find_compared(data["search"], found)
        rows = explore.list_rows(session, found, compared)
        change = rollups.counted_number(session)
        days_key = crc32(repr((change, found.whole)).encode())
        days = None if held_days == days_key else count_days(session, found.whole)
    packed = pack_answer(found, compared, rows, days, data.get("since"))
    packed |= {"search": data["search"], "change": change, "days_key": days_key, "writer": current_user().can_write}
    summary = summarise(found, compared, rows)
    return json.dumps(packed, separators=(",", ":")), summary, explain_nothing(found, rows)


def pack_answer(
    found: scope.Scope,
    compared: scope.Detector | None,
    rows: list[explore.DeviceRow],
    days: tuple | None,
    since: int | None,
) -> dict:
    """What the scripts draw. With `since`, only rows that changed after that change number; no days they hold."""
    changed = [row for row in rows if since is None or row.info.last_mark_id > since]
    return {
        **describe_scope(found),
        "compare": compared.key if compared else "",
        "detectors": [[each.key, each.name, short_version(each.version)] for each in found.detectors],
        "partial": since is not None,
        "series": crc32(repr(found.whole).encode()),  # of another number: what the browser holds is not it
        "bucket": rows[0].bucket_s if rows else 0,
        "spans": None if found.project is None else found.spans,
        "rows": figure.draw_rows(changed),
        "nights": figure.draw_nights(found.devices, found.start_s, found.end_s),
        "days": None if days is None else [figure.pack(days[0], 1, 86_400), figure.pack(days[1], 1)],
    }


def summarise(found: scope.Scope, compared: scope.Detector | None, rows: list[explore.DeviceRow]) -> list:
    """Every count with what it is made of."""
    images, traps = sum(row.n_images for row in rows), sum(row.n_images > 0 for row in rows)
    if images == 0:
        return []
    parts = [html.B(number(images)), f" {'picture' if images == 1 else 'pictures'} of {plural(traps, 'trap')}"]
    parts += name_project(found)
    if found.detector is None:
        parts.append(" · no detector has looked at them yet")
    else:
        counts = sum(row.n_objects for row in rows), sum(row.n_annotated for row in rows)
        parts += _found(found.detector, *counts, images)
    if compared is not None:
        counts = sum(row.n_objects_2 for row in rows), sum(row.n_annotated_2 for row in rows)
        parts += _found(compared, *counts, images)
    if found.moved:
        parts.append(html.Span("the newest there are", className="note", title="Nothing came in lately."))
    return parts


def _found(detector: scope.Detector, objects: int, annotated: int, images: int) -> list:
    rest = f" ({number(images - annotated)} awaiting detection)" if images > annotated else ""
    noun = "outline" if objects == 1 else "outlines"
    which = f" {noun} in {number(annotated)} of them{rest}, detector {short_version(detector.version)}"
    return [" · ", html.B(number(objects)), which]


def explain_nothing(found: scope.Scope, rows: list[explore.DeviceRow]) -> list | html.Div:
    """An empty state that says the next step."""
    if any(row.n_images for row in rows):
        return []
    if (lost := explain_project(found)) is not None:
        return lost
    if found.newest_s is None:
        if found.all_devices:
            return empty_card("No pictures of these traps", "Choose other traps above.")
        return empty_card("No pictures yet", "They appear here as soon as a trap or a phone uploads one. "
                      "To bring some from an SD card, run: spi-dash push FOLDER --url ADDRESS --user NAME")  # fmt: skip
    there = html.Button("Go there", className="filled go-newest", **{"data-newest": str(found.newest_s)})
    return empty_card("No pictures in these dates", ["The newest are from ", day_in_zone(found.newest_s), ". "], there)
