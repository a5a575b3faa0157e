"""What surrounds every page: header, scope bar, toast. The URL is the scope; assets/scope.js keeps the two together."""

import json
from typing import Any
from zlib import crc32

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html

from ..context import current
from ..errors import InvalidInput
from ..services import projects, rollups, scope, zones
from ..services.devices import label
from .components import icon, number, plural
from .failures import TOAST, describe
from .project_scope import describe_project, project_choices, series_note
from .session import answer, current_user, find_scope, is_signed_in, query, sign_out_token

INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{%title%}</title>
<link rel="icon" type="image/svg+xml" href="/assets/icons/spi.svg">
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>
"""
QUICK = (("-24h", "24 h"), ("-7d", "7 d"), ("-28d", "28 d"), ("season", "Season"), ("all", "All"))
ZONE_NAMES = {"utc": "UTC", "reader": "my time"}
THEME = {
    "primaryColor": "card",
    "primaryShade": {"light": 7, "dark": 4},
    "colors": {
        "card": ["#f6f9e3", "#e9f0c0", "#dbe695", "#cbdb67", "#b9cd3c", "#93ad1e", "#748c10", "#566b07", "#465704",
                 "#374402"],
    },
    "fontFamily": 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif',
    "defaultRadius": 4,
}  # fmt: skip


class ids:
    SCOPE = "shell-scope"
    RESOLVED = "shell-resolved"
    OFFER = "shell-offer"
    PROJECT = "shell-project"
    PROJECT_NOTE = "shell-project-note"
    DATES = "shell-dates"
    TYPED = "shell-typed"
    TYPED_PROBLEM = "shell-typed-problem"
    DEVICES = "shell-devices"
    DEVICES_BUTTON = "shell-devices-button"
    DETECTOR = "shell-detector"
    ZONE = "shell-zone"
    ZONE_NOTE = "shell-zone-note"
    TOAST = TOAST
    TOAST_SHOWN = "shell-toast-shown"
    LIVE = "shell-live"
    TITLE = "shell-title"
    PROVIDER = "shell-provider"


def layout() -> dmc.MantineProvider:
    """Cheap, and without a request: Dash calls it to know the ids."""
    stores = [
        dcc.Store(id=ids.SCOPE),
        dcc.Store(id=ids.RESOLVED),
        dcc.Store(id=ids.OFFER),
        dcc.Store(id=ids.TOAST),
        dcc.Store(id=ids.TOAST_SHOWN),
    ]
    skip = html.A("Skip to the content", href="#page", className="skip")
    main = html.Main(dash.page_container, id="page", tabIndex=-1)
    toast = html.Div(className="toast", role="alert")
    title = html.Div(id=ids.TITLE, className="only-read", role="status")
    return dmc.MantineProvider(
        [*stores, skip, _header(), _scope_bar(), main, toast, title],
        id=ids.PROVIDER,
        theme=THEME,
        defaultColorScheme="auto",
    )


def register(app: dash.Dash) -> None:
    """The callbacks of the scope bar."""
    app.clientside_callback(
        ClientsideFunction("scope", "read"), Output(ids.SCOPE, "data"), Input("_pages_location", "search")
    )
    app.callback(Output(ids.RESOLVED, "data"), Input(ids.SCOPE, "data"), prevent_initial_call=True)(show_scope)
    app.callback(
        Output(ids.DEVICES, "children"),
        Output(ids.DETECTOR, "data"),
        Output(ids.ZONE, "data"),
        Output(ids.PROJECT, "data"),
        Input(ids.OFFER, "data"),
        prevent_initial_call=True,
    )(offer_choices)
    app.clientside_callback(ClientsideFunction("scope", "show"), Input(ids.RESOLVED, "data"), prevent_initial_call=True)
    for control in (ids.DATES, ids.DEVICES, ids.DETECTOR, ids.ZONE, ids.PROJECT):
        app.clientside_callback(
            ClientsideFunction("scope", control.removeprefix("shell-")),
            Input(control, "value"),
            State(ids.RESOLVED, "data"),
            prevent_initial_call=True,
        )
    app.clientside_callback(ClientsideFunction("links", "mark"), Input("_pages_location", "pathname"))
    app.clientside_callback(
        ClientsideFunction("shell", "toast"), Output(ids.TOAST_SHOWN, "data"), Input(ids.TOAST, "data"),
        prevent_initial_call=True,
    )  # fmt: skip
    app.server.add_url_rule("/scope/dates.json", "scope_dates", check_dates)


def check_dates() -> Any:
    """What is wrong with the dates of an address, for who has not asked for anything in them yet."""
    problem = ""
    try:
        with current().read() as session:
            find_scope(session, query())
    except InvalidInput as error:
        problem = describe(error)["text"]
    return answer(json.dumps({"problem": problem}), "application/json", 0)


def show_scope(data: dict) -> dict:
    """What the URL means now. Controls are no outputs of it: all would be drawn anew with each question and answer."""
    found, mine = _find(data["search"])
    notes = {"zone_note": _zone_note(found), "project_note": series_note(found.project)}
    return describe_scope(found) | {"projects": project_choices(mine, found.project)} | notes


def offer_choices(data: dict) -> tuple:
    """What the controls of the scope bar offer; asked for when that is not as before."""
    found, mine = _find(data["search"])
    offered = project_choices(mine, found.project)
    return _device_choices(found), _detector_choices(found), _zone_choices(found), offered


def _find(search: str) -> tuple[scope.Scope, list[projects.ProjectInfo]]:
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        return find_scope(session, search), projects.list_projects(session, current_user())


def describe_scope(found: scope.Scope) -> dict:
    """What the scripts need to know of a scope."""
    return {
        "start": found.start_s,
        "end": found.end_s,
        "zone": found.zone,
        "site": found.site.name,
        "clock": _clock(found),
        "detector": found.detector.key if found.detector else "",
        "devices": [info.device for info in found.devices],
        "total": len(found.all_devices),
        "project": describe_project(found.project),
        "choices": _fingerprint(found),
    }


def _fingerprint(found: scope.Scope) -> int:
    """Another number where other choices are offered."""
    traps = [(info.device, info.name, info.n_images) for info in found.all_devices]
    return crc32(repr((traps, found.detectors)).encode())


def _clock(found: scope.Scope) -> str:
    """`UTC-8/-7`: what the sites' clocks are ahead of UTC in these dates."""
    first_s = min((info.first_s for info in found.devices), default=found.start_s)
    spans = zones.list_offsets(found.site.info, max(found.start_s, first_s), found.end_s)
    return zones.offset_text(offset for _, offset in spans)


def _header() -> html.Header:
    pages = [page for page in dash.page_registry.values() if "<" not in page["path_template"]]
    links = [dcc.Link(page["name"], href=page["relative_path"], className="page-link") for page in pages]
    mark = html.A([html.Span(className="mark", **{"aria-hidden": "true"}), "Spi Dash"], href="/", className="brand")
    live = html.Div(
        [html.Span(className="dot"), html.Span("connecting", className="live-text")], id=ids.LIVE, role="status"
    )
    return html.Header(
        [mark, html.Nav(links, **{"aria-label": "Pages"}), html.Div(className="grow"), live, _user_menu()]
    )


def _user_menu() -> html.Details:
    name, token = ("", "")
    if is_signed_in():
        name, token = current_user().username, sign_out_token()
    themes = [html.Button(text, className="menu-item", **{"data-theme": key}) for key, text in
              (("light", "Light"), ("dark", "Dark"), ("auto", "As the system"))]  # fmt: skip
    leave = html.Button("Sign out", type="submit", className="menu-item")
    form = html.Form([dcc.Input(type="hidden", name="csrf", value=token), leave], action="/sign-out", method="POST")
    who = html.Div(name, className="menu-title user-whole")
    items = [who, html.Div("Theme", className="menu-title"), *themes, html.Hr(), form]
    shown = html.Span(name, className="user-name")  # as much of it as fits
    summary = html.Summary([shown, icon("down")], className="plain", title=f"{name}: theme, sign out")
    return html.Details([summary, html.Div(items, className="menu right")], className="drop user")


def _scope_bar() -> html.Div:
    dates = dmc.DatePickerInput(
        id=ids.DATES, type="range", valueFormat="D MMM YYYY", allowSingleDateInRange=True, size="xs", numberOfColumns=2,
        className="dates", leftSection=icon("calendar"), placeholder="Dates", labelSeparator="\u2013",
        **{"aria-label": "Dates"},
    )  # fmt: skip
    quick = [html.Button(text, className="quick", **{"data-start": key}) for key, text in QUICK]
    group = html.Div(quick, className="quicks", role="group", **{"aria-label": "Quick ranges"})
    detector = dmc.Select(id=ids.DETECTOR, data=[], size="xs", allowDeselect=False, className="detector",
                          placeholder="no detector yet", comboboxProps={"width": 320, "position": "bottom-start"},
                          **{"aria-label": "Detector"})  # fmt: skip
    zone = dmc.Select(
        id=ids.ZONE, data=[], size="xs", allowDeselect=False, className="zone", **{"aria-label": "Time zone"}
    )
    words = {"aria-label": "Copy link"}  # narrow bars show the sign alone
    link = html.Button([icon("link"), html.Span("Copy link")], className="outline copy-link", **words)
    note = html.Span(
        id=ids.ZONE_NOTE, className="zone-note", title="Times are those of the zone where most traps stand."
    )
    parts = [_project_choice(), dates, group, _typed_range(), _device_menu(), detector, zone, note,
             html.Div(className="grow"), link]  # fmt: skip
    return html.Section(parts, className="scope-bar", **{"aria-label": "Scope"})


def _project_choice() -> html.Div:
    """Not there for who has no project: assets/20-scope.js shows it."""
    choice = dmc.Select(id=ids.PROJECT, data=[], size="xs", allowDeselect=False, searchable=True, className="project",
                        nothingFoundMessage="no such project", leftSection=icon("project"),
                        comboboxProps={"width": 280, "position": "bottom-start"},
                        **{"aria-label": "Project"})  # fmt: skip
    note = html.Span(id=ids.PROJECT_NOTE, className="project-note")
    return html.Div([choice, note], className="project-choice", hidden=True)


def _typed_range() -> html.Div:
    """Enter takes it: assets/22-typed.js reads it."""
    field = dmc.TextInput(
        id=ids.TYPED, value="", size="xs", placeholder="or type dates", **{"aria-label": "Type dates"}
    )
    examples = "2020-06-01 to 2020-06-20, 2020-06-01, 2020-06, last 3 days, 24 h: then Enter"
    problem = html.Div(id=ids.TYPED_PROBLEM, className="typed-problem", role="alert")
    return html.Div([field, problem], className="typed", title=examples)


def _device_menu() -> html.Details:
    summary = html.Summary([html.Span("traps", id=ids.DEVICES_BUTTON), icon("down")], className="outline")
    search = dmc.TextInput(placeholder="Find a trap", size="xs", className="find", **{"aria-label": "Find a trap"})
    picks = [html.Button("All", className="plain pick", **{"data-pick": "all"}),
             html.Button("None", className="plain pick", **{"data-pick": "none"})]  # fmt: skip
    group = dmc.CheckboxGroup([], id=ids.DEVICES, className="device-list")
    menu = html.Div([html.Div([search, *picks], className="device-tools"), group], className="menu")
    return html.Details([summary, menu], className="drop devices")


def _device_choices(found: scope.Scope) -> list:
    return [
        dmc.Checkbox(
            value=info.device,
            size="xs",
            label=html.Span(
                [
                    html.Span(label(info), className="device-name"),
                    html.Span(info.device if info.name else "", className="device-id"),
                    html.Span(number(info.n_images), className="device-count", title=plural(info.n_images, "picture")),
                ],
                className="device-choice",
            ),
        )
        for info in found.all_devices
    ]


def _detector_choices(found: scope.Scope) -> list[dict]:
    names = {each.name for each in found.detectors}
    return [
        {"value": each.key, "label": f"detector {each.version}" + (f" · {each.name}" if len(names) > 1 else "")}
        for each in found.detectors
    ]


def _zone_choices(found: scope.Scope) -> list[dict]:
    site = f"{found.site.city or 'site'} time ({_clock(found)})"
    return [{"value": "site", "label": site}, *({"value": k, "label": v} for k, v in ZONE_NAMES.items())]


def _zone_note(found: scope.Scope) -> str:
    """Traps of several zones share one axis: whose clock it is."""
    if found.zone != "site" or not found.site.n_elsewhere:
        return ""
    return f"{plural(found.site.n_elsewhere, 'trap')} in other zones"
