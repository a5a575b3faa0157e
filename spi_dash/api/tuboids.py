"""Tiled tuboids and their labels: upload, list, delete."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import orjson

from ..contract import NewLabel, NewTuboidId, SeriesKey, TuboidKey, TuboidSeriesInfo, parse, unwrap
from ..errors import BadRequest, InvalidInput, TooLarge
from ..services import audit, labels, tuboids
from . import schemas
from .endpoint import Call, Endpoint, read_part, stream_rows
from .links import link_maker

MAX_TEXT_BYTES = 1 << 20
FORM: dict[str, Any] = {
    "type": "object",
    "description": "five parts, each with a file name; tuboid_id is a JSON string, series_info a JSON object",
    "properties": {
        **{name: {"type": "string", "format": "binary"} for name in ("metadata", "tuboid", "context")},
        "tuboid_id": {"type": "string", "contentMediaType": "application/json"},
        "series_info": {"$ref": "#/components/schemas/TuboidSeriesInfo"},
    },
    "required": ["metadata", "tuboid", "context", "tuboid_id", "series_info"],
}


def put_tiled_tuboids(call: Call) -> list[list[dict[str, Any]]]:
    """Store one tuboid: its tiles, the picture it begins on, and where it is on each picture."""
    spi, max_bytes = call.spi, call.spi.config.max_image_mb * 2**20
    tuboid_id = parse(NewTuboidId, {"tuboid_id": _json("tuboid_id")}).tuboid_id
    series = _series(_json("series_info"))
    files = {"metadata": _read("metadata", MAX_TEXT_BYTES)}
    files |= {name: _read(name, max_bytes) for name in ("tuboid", "context")}
    with ExitStack() as stack:
        new = tuboids.prepare_tuboid(spi.storage, tuboid_id, series, **files)
        stack.callback(spi.storage.discard, new.files)
        with spi.begin() as session:
            return [[tuboids.add_tuboid(session, spi.storage, new, call.user.id, call.now)]]


def get_tiled_tuboid_series(call: Call) -> Iterator[bytes]:
    """The tuboids of the series of devices that lie inside ranges of time, both ends included."""
    link = link_maker(call) if call.what == "data" else None
    return stream_rows(call.spi.read, lambda session: tuboids.list_tuboids(session, call.infos, call.style, link))


def delete_tiled_tuboids(call: Call) -> list[dict[str, Any]]:
    """Delete whole series of tuboids, with their labels and files."""
    with call.spi.begin() as session:
        rows, files = tuboids.delete_series(session, call.infos)
        audit.record_deleted_series(session, call.user, rows, call.now)
    call.spi.storage.delete(files)
    return rows


def put_itc_labels(call: Call) -> list[dict[str, Any]]:
    """Store what a classifier says that tuboids are; the labels before one that is refused stay."""
    with call.spi.begin() as session:
        rows, refused = labels.add_labels(session, call.infos, call.user.id, call.now)
    if refused is not None:
        raise refused
    return rows


def get_itc_labels(call: Call) -> Iterator[bytes]:
    """The labels of the named tuboids, every version of every algorithm."""
    return stream_rows(call.spi.read, lambda session: labels.list_labels(session, call.infos, call.style))


def _series(value: Any) -> TuboidSeriesInfo:
    if not isinstance(value, dict):
        raise InvalidInput("series_info must be a JSON object", field="series_info")
    return parse(TuboidSeriesInfo, {name: unwrap(each) for name, each in value.items()}, "series_info.")


def _json(name: str) -> Any:
    try:
        return orjson.loads(_read(name, MAX_TEXT_BYTES))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"{name}: is not valid JSON: {error}", field=name) from None


def _read(name: str, max_bytes: int) -> bytes:
    data = read_part(name, max_bytes + 1)
    if data is None:
        raise BadRequest(f"there is no part named {name!r} in the form", field=name)
    if len(data) > max_bytes:
        raise TooLarge(f"{name}: more than {max_bytes >> 20} MB are not taken", field=name)
    return data


ENDPOINTS = (
    Endpoint(
        path="/_put_tiled_tuboids",
        role="rw",
        handler=put_tiled_tuboids,
        body="files",
        form=FORM,
        style_field="series_info",
        answer={"type": "array", "items": schemas.rows("TuboidRow")},
        refusals=(409, 413),
    ),
    Endpoint(
        path="/get_tiled_tuboid_series/<what>",
        role="any",
        handler=get_tiled_tuboid_series,
        info=SeriesKey,
        whats=tuboids.WHATS,
        answer=schemas.rows("TuboidRow"),
    ),
    Endpoint(
        path="/delete_tiled_tuboids",
        role="admin",
        handler=delete_tiled_tuboids,
        info=SeriesKey,
        answer=schemas.rows("TuboidSeriesRow"),
    ),
    Endpoint(
        path="/put_itc_labels",
        role="rw",
        handler=put_itc_labels,
        info=NewLabel,
        answer=schemas.rows("NewLabelRow"),
        refusals=(409,),
    ),
    Endpoint(
        path="/_get_itc_labels", role="any", handler=get_itc_labels, info=TuboidKey, answer=schemas.rows("LabelRow")
    ),
)
