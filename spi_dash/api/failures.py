"""The one error shape: {"error": {"code", "message", "details"}}, for refusals, unknown paths and bugs alike."""

import errno
import logging
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

from ..errors import NotFound, SpiError, Unavailable

logger = logging.getLogger(__name__)

WRITING_METHODS = ["POST", "PUT", "PATCH", "DELETE"]
REALM = 'Basic realm="Authentication Required"'
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # of temporary files
RETRY_AFTER_S = 5  # unless the error knows better


def error_body(code: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": details or {}}}


def error_response(error: SpiError) -> flask.Response:
    response = flask.jsonify(error_body(error.code, error.message, error.details))
    response.status_code = error.status
    if error.status in (401, 403):
        response.headers["WWW-Authenticate"] = REALM
    if error.status in (429, 503):
        response.headers["Retry-After"] = str(error.details.get("retry_after_s", RETRY_AFTER_S))
    return response


def register_failures(server: flask.Flask) -> None:
    """Errors raised anywhere on the server, and POSTs to unknown paths, answer with the error shape."""

    @server.errorhandler(SpiError)
    def spi_error(error: SpiError) -> flask.Response:
        request_id = flask.g.get("request_id", "")
        named = {"request_id": request_id}
        if isinstance(error, Unavailable):  # of an outage one line each is enough
            logger.warning("request %s: %s", request_id, error, extra=named)
        elif error.status >= 500:
            method, path = flask.request.method, flask.request.path
            logger.error("%s %s: %s, request %s", method, path, error, request_id, exc_info=error, extra=named)
        return error_response(error)

    @server.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> flask.Response:
        if error.response is not None or (error.code or 500) < 400:
            return error.get_response()
        code = error.name.lower().replace(" ", "_")
        response = error.get_response()
        response.data = flask.json.dumps(error_body(code, error.description or error.name)) + "\n"
        response.content_type = "application/json"
        return response

    @server.errorhandler(OSError)
    def no_room(error: OSError) -> flask.Response:
        if error.errno in NO_ROOM:
            return spi_error(Unavailable(f"the server cannot write: {error.strerror}"))
        return _bug(error)

    @server.errorhandler(Exception)
    def bug(error: Exception) -> flask.Response:
        return _bug(error)

    @server.route("/<path:path>", methods=WRITING_METHODS)
    def unknown(path: str) -> None:  # a GET of an unknown path is a page's
        raise NotFound(f"there is no endpoint /{path}")


def _bug(error: Exception) -> flask.Response:
    named = {"request_id": flask.g.get("request_id", "")}
    text, (method, path) = "%s %s failed, request %s", (flask.request.method, flask.request.path)
    logger.error(text, method, path, named["request_id"], exc_info=error, extra=named)
    body = error_body("internal", "the server has a bug; its log says more", named)
    response = flask.jsonify(body)
    response.status_code = 500
    return response
