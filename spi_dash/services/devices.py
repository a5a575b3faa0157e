"""Devices: what they are called, where they stand, what they ever sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import InvalidInput, NotFound
from ..models import Device, DeviceSummary
from ..trap_image import corrected

MAX_NAME_CHARS, MAX_SITE_CHARS = 64, 128


@dataclass(frozen=True, kw_only=True)
class DeviceInfo:
    """One trap. Times in UNIX seconds; `lat` and `lng` in degrees, exchanged back where the device swapped them."""

    device: str
    name: str
    site: str
    n_images: int
    first_s: int
    last_s: int
    lat: float | None
    lng: float | None
    last_mark_id: int  # of its newest counted change


def list_devices(session: Session) -> list[DeviceInfo]:
    """Every device that has images, by name; those without a name come last, by id."""
    query = sa.select(DeviceSummary, Device.name, Device.site).outerjoin(Device, Device.device == DeviceSummary.device)
    return sorted(
        (_info(*row) for row in session.execute(query)),
        key=lambda each: (not each.name, each.name.lower(), each.device),
    )


def name_device(session: Session, device: str, name: str | None, site: str | None, user_id: int, now: datetime) -> None:
    """Give a device a name and a site; empty ones are taken away.

    Raises:
        NotFound: it never sent an image.
        InvalidInput: too long.
    """
    if session.get(DeviceSummary, device) is None:
        raise NotFound(f"no pictures of {device} are known", device=device)
    values = {"name": _tidy(name, "name", MAX_NAME_CHARS), "site": _tidy(site, "site", MAX_SITE_CHARS)}
    values |= {"changed_at": now, "changed_by": user_id}
    row = session.get(Device, device)
    if row is None:
        session.add(Device(device=device, **values))
        return
    for key, value in values.items():
        setattr(row, key, value)


def label(info: DeviceInfo) -> str:
    """What a person reads: the name, else the id."""
    return info.name or info.device


def _info(row: DeviceSummary, name: str | None, site: str | None) -> DeviceInfo:
    lat, lng = corrected(row.lat, row.lng)
    return DeviceInfo(
        device=row.device,
        name=name or "",
        site=site or "",
        n_images=row.n_images,
        first_s=row.first_s,
        last_s=row.last_s,
        lat=lat,
        lng=lng,
        last_mark_id=row.last_mark_id,
    )


def _tidy(text: str | None, field: str, max_chars: int) -> str | None:
    tidy = " ".join((text or "").split())
    if len(tidy) > max_chars or not tidy.isprintable():
        raise InvalidInput(f"the {field} has at most {max_chars} printable characters", field=field)
    return tidy or None


def only(infos: Sequence[DeviceInfo], wanted: Sequence[str]) -> list[DeviceInfo]:
    """Those that are wanted; all of them when none is."""
    return [info for info in infos if not wanted or info.device in wanted]
