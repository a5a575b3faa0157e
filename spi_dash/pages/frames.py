"""What the pages' scripts fetch: thumbnails, strips, one frame's outlines, the list of frames. Behind the gate."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from ..clock import utcnow
from ..context import current
from ..errors import NotFound
from ..figures.rows import pack
from ..services import frames, moments, rollups, scope, tuboid_index
from ..services.project_scope import NO_SUCH
from ..services.spans import clip
from . import session as edge

PICTURE_CACHE_S, FRAME_CACHE_S = 86_400, 60


def add_routes(server: Any) -> None:
    """Routes below /frames/; the gate asks for a page session, as for every page."""
    routes: dict[str, Callable] = {
        "/frames/<device>/<int:taken_s>/<size>.jpg": get_picture,
        "/frames/<device>/strip/<moments>.jpg": get_strip,
        "/frames/<device>/<int:taken_s>/frame.json": get_frame,
        "/frames/<device>/list.json": list_moments,
        "/frames/change.json": get_change,
    }
    for rule, view in routes.items():
        server.add_url_rule(rule, f"frames_{view.__name__}", view)
    server.after_request(edge.keep_assets)


def get_picture(device: str, taken_s: int, size: str) -> Any:
    """A thumbnail, or the way to the original."""
    storage = current().storage
    key = frames.picture_key(device, taken_s, size)
    if size == "original":
        return edge.go(storage.signer("", utcnow())(key), cache_s=3600)
    return edge.answer(storage.get(key), "image/jpeg", PICTURE_CACHE_S)


def get_strip(device: str, moments: str) -> Any:
    """Small frames side by side in one picture; `moments` are UNIX seconds in base 36, joined by dots."""
    strip = frames.draw_strip(current().storage, device, frames.parse_moments(moments))
    return edge.answer(strip, "image/jpeg", PICTURE_CACHE_S)


def get_frame(device: str, taken_s: int) -> Any:
    """One frame: its row, outlines, what is new."""
    with current().read() as session:
        found = frames.get_frame(session, device, taken_s, edge.argument("detector"), edge.argument("compare"))
    return edge.answer(json.dumps(found, separators=(",", ":")), "application/json", FRAME_CACHE_S)


def list_moments(device: str) -> Any:
    """The frames of a device in the dates of the page, whose query comes along, or around one beside them."""
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        ranges, beside = _find_ranges(edge.find_scope(session, edge.query()), device)
        listed = moments.list_moments(session, device, ranges, edge.argument("around"), edge.argument("since"), beside)
    packed = None if listed.taken_s is None else pack(listed.taken_s, 1, listed.step_s)
    said = {"moments": packed, "outside": listed.outside, "change": listed.change}
    return edge.answer(json.dumps(said, separators=(",", ":")), "application/json", 5)


def _find_ranges(found: scope.Scope, device: str) -> tuple[Sequence[moments.Range], bool]:
    """When the trap's frames are in scope, and whether those beside are listed around one: not in a project."""
    if found.project is None:
        return [(found.start_s, found.end_s)], True
    if found.project.info is None:
        raise NotFound(NO_SUCH, field="project")
    return clip(found.project.spans, found.start_s, found.end_s).get(device.lower(), ()), False


def get_change() -> Any:
    """Numbers that grow with every change: of pictures and annotations, and of tuboids and labels.

    One would make Explore ask again for every label, and Tuboids for every picture.
    """
    with current().read() as session:
        return {"change": rollups.change_number(session), "tuboids": tuboid_index.change_number(session)}
