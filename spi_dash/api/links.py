"""Absolute addresses of stored files for the answers of one request."""

import flask

from ..services.rows import MakeLink
from .endpoint import Call


def link_maker(call: Call) -> MakeLink:
    """Storage key -> address that needs no sign-in; the same for a day, so that browsers can cache."""
    return call.spi.storage.signer(base_url(call), call.now)


def base_url(call: Call) -> str:
    """Where this server is reached: as configured, or as this request reached it."""
    return call.spi.config.public_url or flask.request.host_url.rstrip("/")
