"""What programs get as JSON, people get as a page: errors of the requests that a browser makes for a person."""

import flask

from .policy import nonce

FOR_PROGRAMS = frozenset({"api", "files", "operations"})  # blueprints
SCRIPT_PATHS = ("/_dash", "/assets/")
TITLES = {
    403: "This is not for you",
    404: "There is no such page",
    500: "Something went wrong on the server",
    503: "The server cannot show this now",
}


def register_error_pages(server: flask.Flask) -> None:
    """Rewrite errors of page requests; status and Retry-After stay."""

    @server.after_request
    def write_page(response: flask.Response) -> flask.Response:
        if response.status_code < 400 or not response.is_json or not _is_for_a_person():
            return response
        error = response.get_json().get("error", {})
        response.set_data(_page(response, error.get("message", "")))
        response.content_type = "text/html; charset=utf-8"
        response.cache_control.no_store = True
        response.headers.pop("WWW-Authenticate", None)  # the browser would ask in a box of its own
        return response


def _is_for_a_person() -> bool:
    """Browsers say that they want HTML where a person opened an address; scripts and devices do not."""
    request = flask.request
    return (
        request.method in ("GET", "HEAD")
        and "text/html" in request.headers.get("Accept", "")
        and not FOR_PROGRAMS.intersection(request.blueprints)
        and not request.path.startswith(SCRIPT_PATHS)
    )


def _page(response: flask.Response, message: str) -> str:
    return flask.render_template(
        "error.html",
        title=TITLES.get(response.status_code, "This does not work"),
        message=f"{message[:1].upper()}{message[1:]}." if message else "",
        again_s=response.headers.get("Retry-After", "5") if response.status_code == 503 else "",
        request_id=flask.g.get("request_id", ""),
        nonce=nonce(),
    )
