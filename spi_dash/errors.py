"""Every error the application raises on purpose. The class decides code and HTTP status; nobody else does."""

from typing import Any


class SpiError(Exception):
    """Something went wrong in a way the caller can be told about."""

    code = "internal"
    status = 500

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ConfigError(SpiError):
    """The process cannot start as configured."""

    code = "config"


class BadRequest(SpiError):
    """The request cannot be read at all: broken JSON, no file part."""

    code = "bad_request"
    status = 400


class Unauthorized(SpiError):
    """No or wrong credentials."""

    code = "unauthorized"
    status = 401


class Forbidden(SpiError):
    """The credentials are good, the role does not allow it."""

    code = "forbidden"
    status = 403


class NotFound(SpiError):
    """The thing named does not exist."""

    code = "not_found"
    status = 404


class Conflict(SpiError):
    """The thing exists already, or changed in between."""

    code = "conflict"
    status = 409


class TooLarge(SpiError):
    """A file or a body is larger than the server takes."""

    code = "too_large"
    status = 413


class UnsupportedMedia(SpiError):
    """A body or file of a kind that is not taken here."""

    code = "unsupported_media_type"
    status = 415


class InvalidInput(SpiError):
    """The request is readable, but a value in it cannot be."""

    code = "invalid_input"
    status = 422


class TooManyRequests(SpiError):
    """Throttled. `retry_after_s` in the details says for how long."""

    code = "too_many_requests"
    status = 429


class Unavailable(SpiError):
    """The database or the storage does not answer now; the same request may succeed later."""

    code = "unavailable"
    status = 503
