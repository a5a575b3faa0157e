"""What a person sees when a callback fails: one sentence in one toast; the page stays usable."""

import logging
from typing import Any

from dash import set_props

from ..errors import SpiError
from .session import request_id

TOAST = "shell-toast"
log = logging.getLogger(__name__)


def report_failure(error: Exception) -> None:
    """For Dash(on_error=...)."""
    set_props(TOAST, {"data": describe(error)})


def describe(error: Exception) -> dict[str, Any]:
    """The words of the toast; a bug is logged with the id that the toast shows."""
    if isinstance(error, SpiError):
        return {"text": f"{error.message[:1].upper()}{error.message[1:]}.", "id": request_id()}
    log.error("callback failed, request %s", request_id(), exc_info=error, extra={"request_id": request_id()})
    return {"text": "Something went wrong on the server. Please try again.", "id": request_id()}
