"""Pictures: upload, list, delete, and claims of detectors."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import flask
from werkzeug.datastructures import FileStorage

from ..contract import ClaimKey, ImageKey, SeriesKey
from ..errors import BadRequest, SpiError, TooLarge
from ..services import audit, claims, images
from ..services.rows import SUFFIX, WHATS
from ..trap_image import parse_name
from . import schemas
from .endpoint import Call, Endpoint, stream_rows
from .links import link_maker


def put_new_images(call: Call) -> list[dict[str, Any]]:
    """Store pictures of traps: one file part per picture, named as the picture; optional text part `<name>.md5`.

    All files of a request are stored, or none.
    """
    files = [file for _, file in flask.request.files.items(multi=True) if not (file.name or "").endswith(".md5")]
    if not files:
        raise BadRequest("there is no file in the request")
    storage = call.spi.storage
    with ExitStack() as stack:
        prepared = []
        for file in files:
            name = _image_name(file)
            image = images.prepare_image(storage, name, _read(file, call.spi.config.max_image_mb), _md5_of(name))
            stack.callback(storage.discard, image.files)
            prepared.append(image)
        with call.spi.begin() as session:
            return images.add_images(session, storage, prepared, call.user.id, call.now)


def get_images(call: Call) -> Iterator[bytes]:
    """The named pictures that exist."""
    suffix, link = SUFFIX.get(call.what), link_maker(call)
    return stream_rows(call.spi.read, lambda session: images.list_images(session, call.infos, call.style, suffix, link))


def get_image_series(call: Call) -> Iterator[bytes]:
    """The pictures of devices in ranges of time."""
    suffix, link = SUFFIX.get(call.what), link_maker(call)
    return stream_rows(
        call.spi.read, lambda session: images.list_image_series(session, call.infos, call.style, suffix, link)
    )


def get_images_to_annotate(call: Call) -> Iterator[bytes]:
    """Claim up to eight pictures that the algorithm has not annotated; the next caller gets others."""
    ids = claims.claim_images(call.spi.read, call.spi.begin, call.infos, call.user.id, call.now)
    suffix, link = SUFFIX.get(call.what), link_maker(call)
    return stream_rows(call.spi.read, lambda session: images.list_by_ids(session, ids, call.style, suffix, link))


def delete_images(call: Call) -> list[dict[str, Any]]:
    """Delete pictures, with their annotations and files."""
    with call.spi.begin() as session:
        rows, files = images.delete_images(session, call.infos)
        audit.record_deleted_images(session, call.user, rows, call.now)
    call.spi.storage.delete(files)
    return rows


def _image_name(file: FileStorage) -> str:
    """Clients name the part and the file alike; the part's name counts, the file's where that is no picture's."""
    names = [name for name in (file.name, file.filename) if name]
    for name in names:
        try:
            parse_name(name)
        except SpiError:
            continue
        return name
    return names[0] if names else ""


def _read(file: FileStorage, max_mb: int) -> bytes:
    data = file.stream.read(max_mb * 2**20 + 1)
    if len(data) > max_mb * 2**20:
        raise TooLarge(f"{file.name}: pictures of more than {max_mb} MB are not taken", field=file.name)
    return data


def _md5_of(name: str) -> str | None:
    """The md5 part of a file: bare hex digits, as text or, from phones, as a part with a JSON type."""
    part = flask.request.form.get(f"{name}.md5")
    if part is None and (file := flask.request.files.get(f"{name}.md5")) is not None:
        part = file.stream.read(100).decode("ascii", "replace")
    return None if part is None else part.strip().strip('"')


ENDPOINTS = (
    Endpoint(
        path="/_put_new_images",
        role="rw",
        handler=put_new_images,
        body="files",
        answer=schemas.rows("NewImageRow"),
        refusals=(409, 413),
    ),
    Endpoint(
        path="/get_images/<what>",
        role="any",
        handler=get_images,
        info=ImageKey,
        whats=WHATS,
        answer=schemas.rows("ImageRow"),
    ),
    Endpoint(
        path="/get_image_series/<what>",
        role="any",
        handler=get_image_series,
        info=SeriesKey,
        whats=WHATS,
        answer=schemas.rows("ImageRow"),
    ),
    Endpoint(
        path="/get_images_to_annotate/<what>",
        role="rw",
        handler=get_images_to_annotate,
        info=ClaimKey,
        whats=WHATS,
        answer=schemas.rows("ImageRow"),
    ),
    Endpoint(
        path="/delete_images",
        role="admin",
        handler=delete_images,
        info=ImageKey,
        answer=schemas.rows("DeletedImageRow"),
    ),
)
