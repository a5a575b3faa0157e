"""Images: add, list, delete."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION, ImageKey, SeriesKey, Style
from ..errors import Conflict, InvalidInput
from ..models import Image
from ..sql import decimal_number
from ..storage import Staged, Storage
from ..trap_image import TrapImage, examine, file_name
from . import selection
from .rows import DECIMALS, SUFFIX, MakeLink, image_rows, plausible

OLD_DEVICE_VERSION = "1.0.0"  # pictures from before devices wrote their version
LIMITS = {"alt": 32_767, "bat": 32_767, "lat": 999, "lng": 999}  # what the columns hold


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A picture that was read and checked, its files ready to be made visible."""

    picture: TrapImage
    files: Sequence[Staged]


def prepare_image(storage: Storage, name: str, data: bytes, md5: str | None = None) -> NewImage:
    """Read one uploaded JPEG and stage it with its thumbnails; nothing is visible yet. Discard what is not published.

    Raises:
        InvalidInput: the name, the picture or its EXIF is not a trap's, or `md5` is not that of `data`.
    """
    picture, thumbnail, mini = examine(name, data)
    if md5 is not None and md5.lower() != picture.md5:
        raise InvalidInput(
            f"{name}: the file arrived damaged, its md5 is {picture.md5}", field=f"{name}.md5", md5=picture.md5
        )
    key = image_key(picture.device, picture.datetime)
    contents = zip(SUFFIX.values(), (data, thumbnail, mini), strict=True)
    return NewImage(picture=picture, files=[storage.stage(key + suffix, content) for suffix, content in contents])


def add_images(
    session: Session, storage: Storage, images: Sequence[NewImage], user_id: int | None, now: datetime
) -> list[dict[str, Any]]:
    """Insert rows, then make the files visible; the caller commits: all of them or none.

    A crash before the commit leaves files without a row, which the next upload of the same image replaces.

    Returns:
        Rows as `_put_new_images` answers them: without id, as written in the picture.

    Raises:
        Conflict: one of the images is there already; nothing that is stored was touched.
    """
    audit = {"datetime_created": now, "api_version": API_VERSION, "api_user_id": user_id}
    for image in images:
        _insert(session, image.picture, audit)
    for image in images:
        storage.publish(image.files)
    return [{"id": None, **audit, **asdict(image.picture)} for image in images]


def list_images(
    session: Session, keys: Iterable[ImageKey], style: Style, suffix: str | None, link: MakeLink
) -> Iterator[str]:
    """The named images that exist, as JSON rows."""
    return image_rows(session, selection.by_keys(keys), style, suffix, link)


def list_image_series(
    session: Session, ranges: Iterable[SeriesKey], style: Style, suffix: str | None, link: MakeLink
) -> Iterator[str]:
    """The images of each range in turn, as JSON rows."""
    return image_rows(session, selection.by_ranges(session, ranges), style, suffix, link)


def list_by_ids(
    session: Session, ids: Sequence[int], style: Style, suffix: str | None, link: MakeLink
) -> Iterator[str]:
    """Images by id, as JSON rows."""
    return image_rows(session, [Image.id.in_(ids)] if ids else [], style, suffix, link)


def delete_images(session: Session, keys: Iterable[ImageKey]) -> tuple[list[dict[str, Any]], list[str]]:
    """Delete rows, with their annotations and claims.

    Returns:
        The deleted rows, and the storage keys to delete once the transaction is committed: files that outlive a
        crash in between are found by `spi-dash check`, rows without files would be lost images.
    """
    names = [column.key for column in sa.inspect(Image).column_attrs]
    values = {name: plausible(name) for name in names} | {name: decimal_number(plausible(name)) for name in DECIMALS}
    columns = [values[name].label(name) for name in names]
    found = (session.execute(sa.select(*columns).where(condition)) for condition in selection.by_keys(keys))
    images = [image for rows in found for image in rows]
    for start in range(0, len(images), selection.KEYS_PER_QUERY):
        ids = [image.id for image in images[start : start + selection.KEYS_PER_QUERY]]
        session.execute(sa.delete(Image).where(Image.id.in_(ids)).execution_options(synchronize_session=False))
    files = [image_key(image.device, image.datetime) + suffix for image in images for suffix in SUFFIX.values()]
    return [dict(image._mapping) for image in images], files


def image_key(device: str, taken_at: datetime) -> str:
    """Where the original is stored; its thumbnails stand beside it, see rows.SUFFIX."""
    return f"raw_images/{device}/{file_name(device, taken_at)}"


def _insert(session: Session, picture: TrapImage, audit: dict[str, Any]) -> None:
    key = {"device": picture.device, "datetime": picture.datetime}
    stored = session.scalar(sa.select(Image.md5).filter_by(**key))
    if stored is not None:
        raise _already_there(picture, stored)
    values = asdict(picture) | audit
    values["device_version"] = picture.device_version or OLD_DEVICE_VERSION
    values |= {name: _rounded(values[name]) for name in ("alt", "bat")}
    for name, limit in LIMITS.items():
        if values[name] is not None and abs(values[name]) > limit:
            raise InvalidInput(f"{name} of the picture is out of range: {values[name]}", field=name)
    try:
        session.execute(sa.insert(Image).values(values))
    except sa.exc.IntegrityError:  # sent twice at once: the other one was first
        raise _already_there(picture, None) from None


def _already_there(picture: TrapImage, stored_md5: str | None) -> Conflict:
    name = file_name(picture.device, picture.datetime)
    same = stored_md5 == picture.md5
    message = f"{name} is already stored" + (", with the same content" if same else "")
    if stored_md5 is not None and not same:
        message += ", with other content; the stored picture was kept"
    return Conflict(message, device=picture.device, md5=stored_md5, identical=same)


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
