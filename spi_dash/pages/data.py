"""Data: the pictures in scope as a table, and as files; assets/60-data.js is its part in the browser."""

import dash
import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html

from ..context import current
from ..services import export_columns, export_query, rollups, scope
from . import downloads
from .components import icon, number, plural, short_version
from .explore import explain_nothing
from .project_scope import name_project
from .session import find_scope
from .shell import ids as shell_ids

PATH = "/data"
NAME = "Data"
ROWS_PER_BLOCK = 100
WIDTHS = {
    "time": 140,
    "annotated": 140,
    "uploaded": 140,
    "site": 110,
    "md5": 280,
    "temp": 152,
    "uploader": 118,
    "lat": 110,
    "lng": 114,
}
WIDTH = 100
NOTHING_PASSES = "No picture passes these filters."
FILTERS = {"text": "agTextColumnFilter", "number": "agNumberColumnFilter", "flag": "agTextColumnFilter"}
LISTENERS = {"rowClicked": "spiOpen", "cellKeyDown": "spiOpenByKey", "sortChanged": "spiAsked",
             "filterChanged": "spiAsked", "modelUpdated": "spiAnswered"}  # fmt: skip
FILES = (
    ("images.csv", "CSV", "All columns, all rows of this table"),
    ("images.csv.gz", "CSV.gz", "The same, packed: a tenth of the size"),
    ("annotations.json", "Annotations (COCO JSON)", "The outlines of the chosen detector version"),
    ("data-dictionary.md", "Data dictionary", "What every column means, and its unit"),
)


class ids:
    GRID = "data-grid"
    COLUMNS = "data-columns"
    SUMMARY = "data-summary"
    EMPTY = "data-empty"
    RELOADED = "data-reloaded"
    ZONE = "data-zone"
    CHOSEN = "data-chosen"
    DONE = "data-done"


def layout(**_) -> html.Div:
    """The table asks for its rows by itself."""
    stores = [dcc.Store(id=each) for each in (ids.RELOADED, ids.ZONE, ids.CHOSEN, ids.DONE)]
    summary = html.Div(id=ids.SUMMARY, className="summary", role="status")
    bar = html.Div([summary, html.Div([_column_menu(), _download_menu()], className="data-tools")],
                   className="summary-bar")  # fmt: skip
    table = html.Section(_grid(), className="data-table", **{"aria-label": "Pictures"})
    title = html.H1("Data", className="only-read")
    return html.Div([*stores, title, bar, html.Div(id=ids.EMPTY), table], className="data-page")


def register(app: dash.Dash) -> None:
    """Rows and counts from the server; zone, columns and links in the browser."""
    app.callback(
        Output(ids.GRID, "getRowsResponse"), Input(ids.GRID, "getRowsRequest"), State(shell_ids.SCOPE, "data"),
        prevent_initial_call=True,
    )(show_block)  # fmt: skip
    app.callback(
        Output(ids.SUMMARY, "children"), Output(ids.EMPTY, "children"),
        Input(shell_ids.SCOPE, "data"), Input(ids.GRID, "filterModel"),
    )(show_summary)  # fmt: skip
    for function, output, source in (
        ("reload", ids.RELOADED, (shell_ids.SCOPE, "data")),
        ("zone", ids.ZONE, (shell_ids.RESOLVED, "data")),
        ("columns", ids.CHOSEN, (ids.COLUMNS, "value")),
        ("done", ids.DONE, (ids.SUMMARY, "children")),
    ):
        app.clientside_callback(ClientsideFunction("data", function), Output(output, "data"), Input(*source))
    downloads.add_routes(app.server)


def show_block(request: dict | None, data: dict | None) -> dict:
    """Some rows of the table, and how many it has."""
    if request is None or data is None:
        raise dash.exceptions.PreventUpdate
    view = export_query.parse_view(
        request.get("filterModel") or {}, [(each["colId"], each["sort"]) for each in request.get("sortModel") or []]
    )
    start, end = int(request["startRow"]), int(request["endRow"])
    with current().read() as session:
        found = find_scope(session, data["search"])
        rows = export_query.list_block(session, found, view, start, end)
        return {"rowData": rows, "rowCount": export_query.count_rows(session, found, view)}


def show_summary(data: dict | None, filters: dict | None) -> tuple:
    """What the table is made of, and what to do when it is empty."""
    if data is None:
        raise dash.exceptions.PreventUpdate
    spi, view = current(), export_query.parse_view(filters or {}, [])
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        found = find_scope(session, data["search"])
        counts = export_query.count_view(session, found, export_query.parse_view({}, []))
        matching = export_query.count_view(session, found, view) if view.filters else counts
    if counts.n_images == 0:
        return [], explain_nothing(found, [])
    return summarise(found, matching, counts, bool(view.filters)), []


def summarise(found: scope.Scope, shown: export_query.Counts, of: export_query.Counts, filtered: bool) -> list:
    """Every count with what it is made of."""
    clear = [html.Button("Clear filters", className="plain clear-filters")] if filtered else []
    if shown.n_images == 0:
        return [f"None of {plural(of.n_images, 'picture')} passes these filters", *clear]
    parts: list = [html.B(number(shown.n_images))]
    if filtered:
        parts.append(f" of {number(of.n_images)}")
    parts.append(f" {'picture' if of.n_images == 1 else 'pictures'} of {plural(shown.n_devices, 'trap')}")
    parts += name_project(found)
    if found.detector is None:
        return [*parts, " \u00b7 no detector has looked at them yet", *clear]
    waiting = shown.n_images - shown.n_annotated
    rest = f" ({number(waiting)} awaiting detection)" if waiting else ""
    insects = "insect" if shown.n_objects == 1 else "insects"
    text = f" {insects} in {number(shown.n_annotated)} of them{rest}, detector {short_version(found.detector.version)}"
    return [*parts, " \u00b7 ", html.B(number(shown.n_objects)), text, *clear]


def _grid() -> dag.AgGrid:
    options = {
        "theme": {"function": "spiTheme(themeQuartz)"},
        "rowHeight": 30,
        "headerHeight": 46,
        "cacheBlockSize": ROWS_PER_BLOCK,
        "maxBlocksInCache": 30,
        "maxConcurrentDatasourceRequests": 1,
        "blockLoadDebounceMillis": 80,
        "enableCellTextSelection": True,
        "suppressDragLeaveHidesColumns": True,
        "localeText": {"noRowsToShow": NOTHING_PASSES, "noMatchingRows": NOTHING_PASSES},
    }
    return dag.AgGrid(
        id=ids.GRID,
        rowModelType="infinite",
        columnDefs=[_definition(column) for column in export_columns.COLUMNS],
        defaultColDef={"resizable": True, "sortable": True, "minWidth": 70, "wrapHeaderText": True},
        dashGridOptions=options,
        eventListeners={name: [f"{function}(params)"] for name, function in LISTENERS.items()},
        getRowId="'' + params.data.id",
        style={"height": "100%"},
    )


def _definition(column: export_columns.Column) -> dict:
    definition: dict = {
        "field": column.key,
        "headerName": column.title,
        "headerTooltip": column.means,
        "width": WIDTHS.get(column.key, WIDTH),
        "hide": not column.shown,
        "filter": FILTERS.get(column.kind, False),
        "filterParams": {"function": f"spiFilter('{column.kind}')"},
    }
    if column.kind == "time":
        definition |= {"headerValueGetter": {"function": "spiTimeHeader(params)"}, "cellRenderer": "SpiMoment"}
    else:
        definition |= {"valueFormatter": {"function": f"spiValue(params, {column.digits})"}}
    if column.kind == "number":
        definition["type"] = "rightAligned"
    if column.key == "time":
        definition |= {"sort": "desc", "pinned": "left"}
    return definition


def _column_menu() -> html.Details:
    shown = [column.key for column in export_columns.COLUMNS if column.shown]
    boxes = [dmc.Checkbox(value=column.key, label=column.title, size="xs") for column in export_columns.COLUMNS]
    group = dmc.CheckboxGroup(boxes, id=ids.COLUMNS, value=shown, persistence="1", persistence_type="local",
                              className="column-list", **{"aria-label": "Columns"})  # fmt: skip
    summary = html.Summary(["Columns", icon("down")], className="outline")
    return html.Details([summary, html.Div(group, className="menu right")], className="drop")


def _download_menu() -> html.Details:
    items = [
        html.A([html.B(name), html.Span(text)], href=f"/download/{file}", className="download", **{"data-file": file})
        for file, name, text in FILES
    ]
    summary = html.Summary([icon("download"), "Download", icon("down")], className="filled")
    return html.Details([summary, html.Div(items, className="menu right downloads")], className="drop downloads-menu")
