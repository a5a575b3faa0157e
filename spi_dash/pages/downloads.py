"""Files of the pictures in scope: CSV, CSV.gz, COCO JSON, what their columns mean. They are made as they are read."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import flask

from ..clock import utcnow
from ..context import current
from ..errors import InvalidInput, NotFound
from ..services import export, export_coco, export_csv, export_query, rollups, scope, tuboid_csv, tuboid_gallery
from ..services.project_scope import NO_SUCH
from . import tuboids
from .session import find_scope, query

CSV, GZIP, JSON, MARKDOWN = "text/csv", "application/gzip", "application/json", "text/markdown"


def add_routes(server: Any) -> None:
    """Routes below /download/; their query is that of the page, with `sort`, `filter` and the reader's `tz`."""
    routes: dict[str, Callable] = {
        "/download/images.csv": get_csv,
        "/download/images.csv.gz": get_csv_gz,
        "/download/annotations.json": get_coco,
        "/download/tuboids.csv": get_tuboids,
        "/download/data-dictionary.md": get_dictionary,
    }
    for rule, view in routes.items():
        server.add_url_rule(rule, f"download_{view.__name__}", view)


def get_csv() -> flask.Response:
    """The table as it is filtered and sorted, all of its columns."""
    wanted, view = _read_request()
    write = partial(export_csv.write_csv, scope=wanted, view=view, zone=_argument("tz"))
    return _file(write, CSV, export.file_name(wanted, view, "images", ".csv", utcnow()))


def get_csv_gz() -> flask.Response:
    """The same, packed."""
    wanted, view = _read_request()

    def write(session: Any) -> Iterator[bytes]:
        return export_csv.gzip(export_csv.write_csv(session, wanted, view, _argument("tz")))

    return _file(write, GZIP, export.file_name(wanted, view, "images", ".csv.gz", utcnow()))


def get_coco() -> flask.Response:
    """The outlines of one detector version on the pictures of the table."""
    wanted, view = _read_request()
    what = f"annotations_{wanted.detector.key}" if wanted.detector else "annotations"
    write = partial(export_coco.write_coco, scope=wanted, view=view, now=utcnow())
    return _file(write, JSON, export.file_name(wanted, view, what, ".coco.json", utcnow()))


def get_tuboids() -> flask.Response:
    """The tuboids of their page, with all of their labels."""
    tuboids.refresh()
    with current().read() as session:
        found = _find_scope(session, query())
        view = tuboid_gallery.make_view(query(), scope.parse(query()), found)
    return _file(partial(tuboid_csv.write_csv, view=view), CSV, tuboid_csv.file_name(view, found.project, utcnow()))


def get_dictionary() -> flask.Response:
    """What the columns mean."""
    return _attached(flask.Response(export.data_dictionary(), mimetype=MARKDOWN), "data-dictionary.md")


def _read_request() -> tuple[scope.Scope, export_query.View]:
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    pairs = [tuple(part.partition(":")[::2]) for part in _argument("sort").split(",") if part]
    try:
        filters = json.loads(_argument("filter") or "{}")
    except ValueError:
        raise InvalidInput("the filter cannot be read", field="filter") from None
    view = export_query.parse_view(filters, pairs)
    with spi.read() as session:
        return _find_scope(session, query()), view


def _find_scope(session: Any, search: str) -> scope.Scope:
    """No file of a project that is not there for the reader: an empty one would say that it holds nothing."""
    found = find_scope(session, search)
    if found.project is not None and found.project.info is None:
        raise NotFound(NO_SUCH, field="project")
    return found


def _file(write: Callable[[Any], Iterator[bytes]], mimetype: str, name: str) -> flask.Response:
    """An answer that is made while it is read. Its first piece is made now: a failure there is still an error."""
    pieces = _in_session(current().read, write)
    first = next(pieces)

    def rest() -> Iterator[bytes]:
        try:
            yield first
            yield from pieces
        finally:
            pieces.close()  # whoever hangs up, ends the session

    return _attached(flask.Response(rest(), mimetype=mimetype), name)


def _in_session(open_session: Callable, write: Callable[[Any], Iterator[bytes]]) -> Iterator[bytes]:
    with open_session() as session:
        yield from write(session)


def _attached(response: flask.Response, name: str) -> flask.Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.private = response.cache_control.no_store = True
    return response


def _argument(name: str) -> str:
    return flask.request.args.get(name, "")
