"""What the pages' scripts fetch: thumbnails, strips, one frame's outlines, the list of frames. Behind the gate."""

import json
from collections.abc import Callable
from typing import Any

from ..clock import utcnow
from ..context import current
from ..errors import SpiError
from ..services import frames, rollups
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
        server.add_url_rule(rule, f"frames_{view.__name__}", _spoken(view))
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
    """The frames of a device around a moment."""
    with current().read() as session:
        found = frames.list_moments(session, device, edge.argument("around"))
    return edge.answer(json.dumps(found, separators=(",", ":")), "application/json", 5)


def get_change() -> Any:
    """One number that grows with every change."""
    with current().read() as session:
        return {"change": rollups.change_number(session)}


def _spoken(view: Callable) -> Callable:
    def answer(**values: Any) -> Any:
        try:
            return view(**values)
        except SpiError as error:
            return {"error": {"code": error.code, "message": error.message}}, error.status

    return answer
