"""Who is looking, and what an answer is made of; with the downloads, what the pages know of Flask."""

from typing import Any

import flask

from ..services.users import UserInfo


def current_user() -> UserInfo:
    """The person who is signed in; the gate lets nobody else through."""
    return flask.g.user


def sign_out_token() -> str:
    """What a form that posts to /sign-out must carry."""
    return flask.g.get("csrf_token", "")


def request_id() -> str:
    """As the log names this request."""
    return flask.g.get("request_id", "")


def argument(name: str) -> str:
    """One value of the URL's query, empty when absent."""
    return flask.request.args.get(name, "")


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
    return response
