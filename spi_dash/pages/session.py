"""Who is looking, and what an answer is made of; with the downloads, what the pages know of Flask."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import flask

from ..clock import utcnow
from ..errors import NotFound
from ..services import scope
from ..services.users import UserInfo


def current_user() -> UserInfo:
    """The person who is signed in; the gate lets nobody else through."""
    return flask.g.user


def find_scope(session: Any, search: str) -> scope.Scope:
    """What an address means to whoever is looking: a project is one that she may see now."""
    return scope.resolve(session, scope.parse(search), utcnow(), current_user())


def sign_out_token() -> str:
    """What a form that posts to /sign-out must carry."""
    return flask.g.get("csrf_token", "")


def request_id() -> str:
    """As the log names this request."""
    return flask.g.get("request_id", "")


def current_path() -> str:
    """Of the page that is asked for."""
    return flask.request.path


def argument(name: str) -> str:
    """One value of the URL's query, empty when absent."""
    return flask.request.args.get(name, "")


def query() -> str:
    """The whole of the URL's query."""
    return flask.request.query_string.decode("ascii", "replace")


def answer(content: bytes | str, mimetype: str, cache_s: int) -> flask.Response:
    """An answer that this browser alone may keep; one that it has already is not sent again."""
    response = flask.Response(content, mimetype=mimetype)
    response.cache_control.private = True
    response.cache_control.max_age = cache_s
    response.add_etag()
    return response.make_conditional(flask.request)


def go(address: str, cache_s: int) -> Any:
    """A redirect that may be kept."""
    response = flask.redirect(address)
    response.cache_control.private = True
    response.cache_control.max_age = cache_s
    return response


def is_signed_in() -> bool:
    """False where Dash builds the layout outside of a request."""
    return flask.has_request_context() and "user" in flask.g


def keep_assets(response: flask.Response) -> flask.Response:
    """Our styles and scripts carry the time of their file in their address: a browser need not ask again."""
    if flask.request.path.startswith("/assets/") and "m" in flask.request.args:
        response.direct_passthrough = False  # so that they can be compressed
        response.cache_control.no_cache = None
        response.cache_control.max_age = 365 * 86_400
        response.cache_control.immutable = True
    if flask.request.path == "/assets/icons/spi.svg":  # browsers ask for it at every step of the viewer
        response.cache_control.no_cache = None
        response.cache_control.max_age = 86_400
    return response


def path_pattern(templates: Iterable[str]) -> re.Pattern[str]:
    """What paths of these templates look like, `/projects/<project_id>` for one; without a slash at their end."""
    return re.compile("|".join(re.sub("<[^>]+>", "[^/]+", template) for template in templates))


def refuse_unknown_pages(templates: Iterable[str]) -> Callable[[], None]:
    """For before_request: Dash would answer every address with its first page, and 200."""
    known = path_pattern(templates)

    def refuse() -> None:
        request = flask.request
        if request.endpoint == "/<path:path>" and not known.fullmatch(request.path.rstrip("/")):
            raise NotFound("there is no page at this address")

    return refuse
