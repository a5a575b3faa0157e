"""Annotations: what detectors found in images."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, Annotation, ImageKey, SeriesKey, Style
from ..errors import Conflict, NotFound
from ..models import Image, UidAnnotation, UidFailure, UidIntent
from . import selection
from .rows import annotation_rows


def add_annotations(
    session: Session, annotations: Sequence[Annotation], bodies: Sequence[Any], user_id: int | None, now: datetime
) -> list[dict[str, Any]]:
    """Store one element per image, as it was posted; the claims on these images end.

    Args:
        bodies: the same elements as posted, with every key that the typed ones leave out.

    Returns:
        Rows as put_uid_annotations answers them.

    Raises:
        NotFound: an image does not exist.
        Conflict: the md5 is not the image's, or this version of the algorithm annotated it already.
    """
    rows = [_add(session, item, body, user_id, now) for item, body in zip(annotations, bodies, strict=True)]
    ids = [row["parent_image_id"] for row in rows]
    session.execute(sa.delete(UidIntent).where(UidIntent.parent_image_id.in_(ids)))
    return rows


def list_annotations(session: Session, keys: Iterable[ImageKey], style: Style, with_json: bool) -> Iterator[str]:
    """Annotations of the named images, as JSON rows."""
    return annotation_rows(session, selection.by_keys(keys), style, with_json)


def list_annotation_series(
    session: Session, ranges: Iterable[SeriesKey], style: Style, with_json: bool
) -> Iterator[str]:
    """Annotations of the images of each range in turn, as JSON rows."""
    return annotation_rows(session, selection.by_ranges(session, ranges), style, with_json)


def _add(session: Session, item: Annotation, body: Any, user_id: int | None, now: datetime) -> dict[str, Any]:
    meta = item.metadata
    row = {
        "parent_image_id": _image_id(session, item),
        "algo_name": meta.algo_name,
        "algo_version": meta.algo_version,
        "n_objects": len(item.annotations),
    }
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    insert = sa.insert(UidAnnotation).values(**audit, **row, json=orjson.dumps(body).decode())
    try:
        (new_id,) = session.execute(insert).inserted_primary_key
    except sa.exc.IntegrityError:
        raise Conflict(
            f"{meta.algo_name} {meta.algo_version} has annotated this image already",
            device=meta.device,
            datetime=meta.datetime.isoformat(),
        ) from None
    algorithm = {"algo_name": meta.algo_name, "algo_version": meta.algo_version}
    session.execute(sa.delete(UidFailure).filter_by(parent_image_id=row["parent_image_id"], **algorithm))
    return {"id": new_id, **audit, **row, "json": ""}


def _image_id(session: Session, item: Annotation) -> int:
    meta = item.metadata
    image = session.execute(
        sa.select(Image.id, Image.md5).where(Image.device == meta.device, Image.datetime == meta.datetime)
    ).first()
    where = {"device": meta.device, "datetime": meta.datetime.isoformat()}
    if image is None:
        raise NotFound(f"there is no image of {meta.device} at {meta.datetime.isoformat()}", **where)
    if image.md5 != meta.md5.lower():
        raise Conflict("the annotation was made for other content of this image", md5=image.md5, **where)
    return image.id
