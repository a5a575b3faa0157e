"""JSON as the server reads and writes it, and its failures as our errors."""

from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
import requests

from ..clock import ISO, LEGACY
from ..errors import InvalidInput, SpiError, TooManyRequests, Unavailable

_TITLES = {401: "the user name, password or token is wrong", 403: "this user may not do that"}


def encode(info: Any) -> bytes:
    """A request body: times become UTC, `2020-06-20T21:33:24Z`.

    Raises:
        InvalidInput: a value that JSON cannot carry.
    """
    try:
        return orjson.dumps(info, default=_encode_value, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError as error:
        raise InvalidInput(f"the request cannot be written as JSON: {error}") from None


def decode(body: bytes) -> Any:
    """An answer, with every string that is a time as a naive UTC datetime.

    Raises:
        ValueError: not JSON.
    """
    return _with_times(orjson.loads(body))


def error_of(answer: requests.Response) -> SpiError:
    """The failure an answer tells of, as the class of errors.py that has its code, or else its status."""
    try:
        error = orjson.loads(answer.content)["error"]
        code, message, details = str(error["code"]), str(error["message"]), dict(error.get("details") or {})
    except (ValueError, TypeError, KeyError):  # not our server: an older one, a proxy, a login page of a hotel
        code, details = "", {}
        reason = f"{answer.status_code} {answer.reason or ''}".strip()
        message = _TITLES.get(answer.status_code, f"the server answers {reason}")
    details.setdefault("status", answer.status_code)
    kind = _class_of(code, answer.status_code)
    if kind in (TooManyRequests, Unavailable) and (wait_s := retry_after_s(answer)) is not None:
        details.setdefault("retry_after_s", wait_s)
    return kind(message, **details)


def retry_after_s(answer: requests.Response) -> float | None:
    """What the header Retry-After says, in seconds or as a date."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()) if text else None
    except (ValueError, TypeError):
        return None


def _class_of(code: str, status: int) -> type[SpiError]:
    kinds = _subclasses(SpiError)
    for kind in kinds:
        if kind.code == code and code:
            return kind
    for kind in kinds:
        if kind.status == status and "status" in vars(kind):
            return kind
    return Unavailable if status in (502, 504) else SpiError


def _subclasses(kind: type[SpiError]) -> list[type[SpiError]]:
    return [each for child in kind.__subclasses__() for each in (child, *_subclasses(child))]


def _encode_value(value: Any) -> Any:
    if isinstance(value, datetime):
        if value != value:  # NaT of pandas
            return None
        if value.tzinfo is not None:
            value = value.astimezone(UTC)
        return value.strftime(ISO)
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if type(value).__name__ == "NAType":  # of pandas, which need not be there
        return None
    if hasattr(value, "tolist"):  # arrays and numbers of numpy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _with_times(value: Any) -> Any:
    if isinstance(value, str):
        return time_or_text(value)
    if isinstance(value, dict):
        return {key: _with_times(each) if isinstance(each, (str, dict, list)) else each for key, each in value.items()}
    if isinstance(value, list):
        return [_with_times(each) for each in value]
    return value


def time_or_text(text: str) -> datetime | str:
    """Only a string that is a time as a whole is one; the lengths keep all others cheap."""
    if len(text) == 20 and text[10] == "T" and text[19] == "Z":
        try:
            return datetime.fromisoformat(text[:19])
        except ValueError:
            return text
    if len(text) == 19 and text[10] == "_":
        try:
            return datetime.strptime(text, LEGACY)
        except ValueError:
            return text
    return text
