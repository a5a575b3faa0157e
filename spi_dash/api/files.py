"""Stored files by signed link, and uploads by signed form. No sign-in: the signature is what counts."""

import mimetypes
from collections.abc import Iterator
from typing import BinaryIO

import flask
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header

from ..clock import utcnow
from ..context import current
from ..errors import BadRequest, TooLarge
from ..services import bundles
from ..storage import FileInfo

CHUNK = 256 * 1024
CACHE_S = 7 * 86400  # a stored picture never changes; links change before they expire
FORM_BYTES = 64 * 1024  # what an upload form may add to its file


def make_blueprint() -> flask.Blueprint:
    """Routes below /files/."""
    blueprint = flask.Blueprint("files", __name__, url_prefix="/files")
    blueprint.get("/<path:key>")(get_file)
    blueprint.post("/upload")(upload_file)
    return blueprint


def get_file(key: str) -> flask.Response:
    """One file, whole or in part; 304 where the browser has it."""
    storage, arguments = current().storage, flask.request.args
    storage.verify_link(key, arguments.get("e", ""), arguments.get("s", ""), utcnow())
    info = storage.stat(key)
    response = flask.Response(mimetype=_content_type(key))
    response.set_etag(info.etag)
    response.last_modified = int(info.modified_at)
    response.cache_control.private = True
    response.cache_control.max_age = CACHE_S
    response.cache_control.immutable = True
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Content-Disposition"] = f'{_disposition(key)}; filename="{_file_name(key)}"'
    if flask.request.if_none_match.contains_weak(info.etag):
        response.status_code = 304
        return response
    return _with_content(response, storage.open(key), info)


def upload_file() -> tuple[str, int]:
    """One file of an ML bundle, under the key that its form allows; 204 as S3 answers."""
    spi = current()
    flask.request.max_content_length = spi.config.max_bundle_file_mb * 2**20 + FORM_BYTES
    grant = spi.storage.verify_upload(flask.request.form, utcnow())
    file = flask.request.files.get("file")
    if file is None:
        raise BadRequest("there is no part named 'file' in the form", field="file")
    sums = bundles.checksums(_limited(file.stream, grant.max_bytes))
    file.stream.seek(0)
    spi.storage.put_file(grant.key, file.stream)
    with spi.begin() as session:
        bundles.record_checksums(session, grant.key, sums, utcnow())
    return "", 204


def _limited(stream: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    total = 0
    while chunk := stream.read(CHUNK):
        total += len(chunk)
        if total > max_bytes:
            raise TooLarge(f"the file is larger than {max_bytes} bytes", field="file")
        yield chunk


def _with_content(response: flask.Response, file: BinaryIO, info: FileInfo) -> flask.Response:
    start, end = 0, info.size
    wanted = parse_range_header(flask.request.headers.get("Range"))
    if wanted is not None and flask.request.headers.get("If-Range") in (None, f'"{info.etag}"') and file.seekable():
        found = wanted.range_for_length(info.size)
        if found is None and len(wanted.ranges) == 1:
            file.close()
            raise RequestedRangeNotSatisfiable(length=info.size)
        if found is not None:
            start, end = found
            response.status_code = 206
            response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
            file.seek(start)
    response.content_length = end - start
    response.response = _chunks(file, end - start)
    response.call_on_close(file.close)
    return response


def _chunks(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (chunk := file.read(min(CHUNK, length))):
        length -= len(chunk)
        yield chunk


def _file_name(key: str) -> str:
    name = key.rpartition("/")[2]
    if name.endswith((".thumbnail", ".thumbnail-mini")):
        name = name.replace(".jpg.", ".") + ".jpg"
    return "".join(char if char.isascii() and (char.isalnum() or char in "._-") else "_" for char in name)


def _content_type(key: str) -> str:
    if key.endswith((".thumbnail", ".thumbnail-mini", ".jpg", ".jpeg")):
        return "image/jpeg"
    guessed, encoding = mimetypes.guess_type(key)
    return guessed if guessed in ("text/plain", "image/svg+xml") and encoding is None else "application/octet-stream"


def _disposition(key: str) -> str:
    return "inline" if _content_type(key) == "image/jpeg" else "attachment"
