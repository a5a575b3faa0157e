"""One call of the wire contract: what it takes, who may make it, and how its answer is written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import flask
import orjson
from pydantic import BaseModel
from werkzeug.exceptions import MethodNotAllowed

from .. import contract
from ..clock import utcnow
from ..context import Spi, current
from ..contract import STYLES, Style
from ..errors import BadRequest, UnsupportedMedia
from ..services.sign_ins import Caller
from ..services.users import UserInfo
from .auth import ROLES, auth

ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS"]
ROWS_PER_CHUNK = 1000
JSON_TYPE = "application/json"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One authenticated request, its body parsed."""

    spi: Spi
    caller: Caller
    now: datetime
    style: Style  # how times are written in the answer
    what: str | None
    infos: list[Any]  # typed elements of the body's list
    body: Any  # the body as it was sent

    @property
    def user(self) -> UserInfo:
        return self.caller.user


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`info` is the type of the elements of the body's list; None: the body is not a list, see `body`."""

    path: str
    role: Literal["any", "rw", "admin"]
    handler: Callable[[Call], Any]
    info: type[BaseModel] | None = None
    body: Literal["infos", "filters", "bundle", "files", "none"] = "infos"
    filters: tuple[str, ...] = ()  # what a body of LIKE patterns may name
    whats: tuple[str, ...] = ()  # values of <what>; with none named, any text is one
    answer: dict[str, Any] = field(default_factory=dict)  # JSON schema of the answer
    refusals: tuple[int, ...] = ()  # statuses beside the common ones
    form: dict[str, Any] = field(default_factory=dict)  # JSON schema of the form, where `body` is files
    style_field: str | None = None  # the part of the form whose times say how those of the answer are written

    @property
    def name(self) -> str:
        return self.path.split("/")[1]


def add_endpoint(api: flask.Blueprint, endpoint: Endpoint) -> None:
    """Route POST to the handler; every other method answers 405, or Dash would answer it with a page."""
    guarded = auth.login_required(role=list(ROLES[endpoint.role]))(lambda what=None: _answer(endpoint, what))

    def view(what: str | None = None) -> Any:
        if flask.request.method == "OPTIONS":
            return "", 204, {"Allow": "OPTIONS, POST"}
        if flask.request.method != "POST":
            raise MethodNotAllowed(valid_methods=["POST"])
        return guarded(what=what)

    api.add_url_rule(endpoint.path, endpoint.name, view, methods=ALL_METHODS, provide_automatic_options=False)


def read_json() -> tuple[Any, Style]:
    """The JSON body and the style of its times; an empty body is null, whatever its type."""
    raw = flask.request.get_data(cache=False)
    if not raw.strip():
        return None, "iso"
    if flask.request.mimetype != JSON_TYPE:
        raise UnsupportedMedia(f"the body must be {JSON_TYPE}", content_type=flask.request.mimetype)
    try:
        return orjson.loads(raw), contract.style_of(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None


def read_part(name: str, max_bytes: int) -> bytes | None:
    """One part of the form, up to so many bytes, whether it came as a file or as text; None if there is none."""
    file = flask.request.files.get(name)
    if file is not None:
        file.stream.seek(0)
        return file.stream.read(max_bytes)
    text = flask.request.form.get(name)
    return None if text is None else text.encode("utf-8", "replace")[:max_bytes]


def dump(value: Any, style: Style) -> bytes:
    """JSON of plain values; times in the style asked for."""

    def write(other: Any) -> str:
        if isinstance(other, datetime):
            return other.strftime(STYLES[style])
        raise TypeError(f"cannot write {type(other).__name__} as JSON")

    return orjson.dumps(value, default=write, option=orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE)


def stream_rows(open_session: Callable, make_rows: Callable[[Any], Iterable[str]]) -> Iterator[bytes]:
    """A JSON list of rows that are JSON already, in pieces; the session is open as long as it is read."""
    with open_session() as session:
        piece: list[str] = []
        before = "["
        for row in make_rows(session):
            piece.append(row)
            if len(piece) == ROWS_PER_CHUNK:
                yield (before + ",".join(piece)).encode()
                before, piece = ",", []
        yield ((before if piece or before == "[" else "") + ",".join(piece) + "]\n").encode()


def _answer(endpoint: Endpoint, what: str | None) -> flask.Response:
    call = _read_call(endpoint, what)
    answer = endpoint.handler(call)
    if isinstance(answer, Iterator):
        return flask.Response(_started(answer), mimetype=JSON_TYPE)
    return flask.Response(dump(answer, call.style), mimetype=JSON_TYPE)


def _read_call(endpoint: Endpoint, what: str | None) -> Call:
    if endpoint.whats and what not in endpoint.whats:
        raise contract.unknown_what(what, endpoint.whats)
    body, style = (None, _form_style(endpoint)) if endpoint.body in ("files", "none") else read_json()
    infos: list[Any] = []
    if endpoint.info is not None:
        infos = contract.parse_infos(endpoint.info, body)
    elif endpoint.body == "filters":
        infos = contract.parse_filters(body)
    return Call(spi=current(), caller=auth.current_user(), now=utcnow(), style=style, what=what, infos=infos, body=body)


def _form_style(endpoint: Endpoint) -> Style:
    part = read_part(endpoint.style_field, 1 << 16) if endpoint.style_field is not None else None
    return "iso" if part is None else contract.style_of(part)


def _started(rows: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first one made before the answer's status is sent: a failure there is still an error."""
    first = next(rows)

    def all_rows() -> Iterator[bytes]:
        yield first
        yield from rows

    return all_rows()
