"""Annotations: what detectors and people outlined in pictures."""

from collections.abc import Iterator
from typing import Any

from ..contract import Annotation, ImageKey, SeriesKey
from ..services import annotations
from . import schemas
from .endpoint import Call, Endpoint, stream_rows


def put_uid_annotations(call: Call) -> list[dict[str, Any]]:
    """Store annotations, one element per picture: all of them or none."""
    with call.spi.begin() as session:
        return annotations.add_annotations(session, call.infos, call.body, call.user.id, call.now)


def get_uid_annotations(call: Call) -> Iterator[bytes]:
    """The annotations of the named pictures, every version of every algorithm."""
    with_json = call.what != "metadata"
    return stream_rows(
        call.spi.read, lambda session: annotations.list_annotations(session, call.infos, call.style, with_json)
    )


def get_uid_annotations_series(call: Call) -> Iterator[bytes]:
    """The annotations of the pictures of devices in ranges of time."""
    with_json = call.what != "metadata"
    return stream_rows(
        call.spi.read, lambda session: annotations.list_annotation_series(session, call.infos, call.style, with_json)
    )


ENDPOINTS = (
    Endpoint(
        path="/put_uid_annotations",
        role="rw",
        handler=put_uid_annotations,
        info=Annotation,
        answer=schemas.rows("AnnotationRow"),
        refusals=(409,),
    ),
    Endpoint(
        path="/get_uid_annotations/<what>",
        role="any",
        handler=get_uid_annotations,
        info=ImageKey,
        answer=schemas.rows("AnnotationRow"),
    ),
    Endpoint(
        path="/get_uid_annotations_series/<what>",
        role="any",
        handler=get_uid_annotations_series,
        info=SeriesKey,
        answer=schemas.rows("AnnotationRow"),
    ),
)
