"""Answers packed where the client takes it. Scripts and styles once, and small; all else at once, with isal's gzip."""

import hashlib
import zlib
from collections.abc import Callable, Iterator

import brotli
import flask
from isal import isal_zlib

MIN_BYTES = 1000
LEVEL = 2  # of isal, which costs a tenth of zlib's CPU time
GZIP_WINDOW = 31  # 15 bits of window, gzip's header
TYPES = ("application/json", "text/", "application/javascript", "image/svg+xml")
STATIC = ("/_dash-component-suites/", "/assets/")
STATIC_PACKERS: dict[str, Callable[[bytes], bytes]] = {  # the best first
    "br": lambda body: brotli.compress(body, quality=9),
    "gzip": lambda body: zlib.compress(body, 9, GZIP_WINDOW),
}


def register_compression(server: flask.Flask) -> None:
    """Pack what is worth it: text of at least MIN_BYTES, streams included."""
    kept: dict[tuple[str, bytes], bytes] = {}

    def pack_static(body: bytes, encoding: str) -> bytes:
        key = encoding, hashlib.sha256(body).digest()
        if key not in kept:
            kept[key] = STATIC_PACKERS[encoding](body)
        return kept[key]

    @server.after_request
    def compress(response: flask.Response) -> flask.Response:
        if response.status_code == 200 and "ETag" in response.headers and flask.request.method in ("GET", "HEAD"):
            response.make_conditional(flask.request)  # Dash compares strong ETags only; packed answers have weak ones
        static = flask.request.path.startswith(STATIC)
        encoding = _choose_encoding(static)
        if encoding is None or not _worth_it(response):
            return response
        response.direct_passthrough = False  # files, too, are read and compressed
        response.headers["Content-Encoding"] = encoding
        response.vary.add("Accept-Encoding")
        if static:
            response.set_data(pack_static(response.get_data(), encoding))
        elif response.is_streamed:
            response.response = _gzip_stream(response.iter_encoded())
            del response.content_length
        else:
            response.set_data(isal_zlib.compress(response.get_data(), LEVEL, GZIP_WINDOW))
        if response.headers.get("ETag", "").startswith('"'):
            response.set_etag(response.get_etag()[0], weak=True)
        return response


def _choose_encoding(static: bool) -> str | None:
    """What the client takes; browsers take Brotli by https only."""
    offered = list(STATIC_PACKERS) if static else ["gzip"]
    return next((each for each in offered if flask.request.accept_encodings[each] > 0), None)


def _worth_it(response: flask.Response) -> bool:
    return (
        response.status_code == 200
        and "Content-Encoding" not in response.headers
        and "Content-Range" not in response.headers
        and (response.mimetype or "").startswith(TYPES)
        and (response.content_length is None or response.content_length >= MIN_BYTES)
        and flask.request.method != "HEAD"
        and not flask.request.path.startswith("/files/")
    )


def _gzip_stream(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()
