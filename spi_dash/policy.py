"""What browsers may do with our answers: the one place where a Content-Security-Policy is written.

The proxy adds none to answers of ours. It serves as well without a proxy.
"""

import secrets
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import flask

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PICTURE = f"{NOTHING}; style-src 'unsafe-inline'"  # the browser's own, around a picture that is opened by itself
HEADERS = {"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}


def register_policy(
    server: flask.Flask, picture_urls: Iterable[str] = (), script_hashes: Callable[[], Iterable[str]] = tuple
) -> None:
    """Send a policy with every answer that does not carry its own.

    Args:
        picture_urls: of the other servers that pictures come from.
        script_hashes: of the inline scripts of the pages; Dash adds some when the first request comes.
    """
    origins = [_origin(url) for url in picture_urls]

    @server.after_request
    def add_policy(response: flask.Response) -> flask.Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", _policy_of(response, script_hashes, origins))
        return response


def nonce() -> str:
    """What the inline styles and scripts of an answer carry that stands alone: sign-in, errors, the API's page."""
    if "nonce" not in flask.g:
        flask.g.nonce = secrets.token_urlsafe(16)
    return flask.g.nonce


def page_policy(script_hashes: Iterable[str] = (), origins: Iterable[str] = ()) -> str:
    """Of the pages that Dash draws.

    Styles may be inline, scripts may not: Mantine and AG Grid add theirs while they run, and neither can be given a
    nonce through Dash. A style can fetch nothing but what img-src and font-src allow.
    """
    rules = {
        "default-src": ["'none'"],
        "script-src": ["'self'", *script_hashes],
        "style-src": ["'self'", "'unsafe-inline'"],
        "img-src": ["'self'", "data:", "blob:", *origins],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items())


def _alone_policy(value: str) -> str:
    """Of an answer with all it needs in it."""
    return (
        f"default-src 'none'; script-src 'nonce-{value}'; style-src 'nonce-{value}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def _policy_of(response: flask.Response, script_hashes: Callable[[], Iterable[str]], origins: Iterable[str]) -> str:
    if (response.mimetype or "").startswith("image/"):
        return PICTURE
    if response.mimetype != "text/html" or response.location is not None:
        return NOTHING
    if "nonce" in flask.g:
        return _alone_policy(flask.g.nonce)
    return page_policy(script_hashes(), origins)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
