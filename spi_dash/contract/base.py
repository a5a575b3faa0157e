"""How times, scalars and lists are written on the wire, and how a request's list is read."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic import ValidationError as PydanticError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ..clock import ISO, LEGACY
from ..errors import InvalidInput, NotFound

API_VERSION = "1.0.0"  # what our rows say of the server that wrote them
Style = Literal["iso", "legacy"]
STYLES: dict[Style, str] = {"iso": ISO, "legacy": LEGACY}

MAX_DEVICE_CHARS = 64
_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d)(?P<sign>[:-])(?P<minute>\d\d)(?:(?P=sign)(?P<second>\d\d)(?:\.\d+)?)?"
_OFFSET = r"(?P<direction>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)$"
_MOMENT = re.compile(rf"{_DAY}(?:[T_ ]{_TIME}(?:\s*{_OFFSET})?)?", re.ASCII)
_HALF = re.compile(r"[T_ :-]\d", re.ASCII)  # after a day or a minute: a time that cannot be read
_LEGACY_STRING = re.compile(rb'"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d"')
_MOMENT_SCHEMA = {
    "type": "string",
    "pattern": r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    r"([T_ ]([01][0-9]|2[0-3])(:[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?|-[0-5][0-9]-[0-5][0-9])Z?)?$",
    "examples": ["2020-06-20T21:33:24Z", "2020-06-20_21-33-24", "2020-06-20 21:33:24", "2020-06-20"],
}


def parse_moment(value: Any) -> datetime:
    """A time as any known client writes it, to naive UTC; what follows a complete time is ignored.

    Seconds may be missing, as spreadsheets and R leave them out, and so may the time: midnight.
    """
    match = _MOMENT.match(value) if isinstance(value, str) else None
    if match is None or (match["second"] is None and _HALF.match(value, match.end())):
        raise ValueError("is not a time: write 2020-06-20T21:33:24Z (UTC)")
    moment = datetime(*(int(match[part] or 0) for part in ("year", "month", "day", "hour", "minute", "second")))
    if match["direction"]:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
        try:
            moment += offset if match["direction"] == "-" else -offset
        except OverflowError:
            raise ValueError("is beyond the calendar") from None
    return moment


def parse_flag(value: Any) -> bool:
    """Clients write true and false, or 1 and 0."""
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise ValueError("must be true, false, 1 or 0")
    return bool(value)


def whole(value: Any) -> Any:
    """R and pandas write whole numbers as 3 or as 3.0, and what somebody chose in a form as "3"."""
    if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def style_of(body: bytes) -> Style:
    """The way to write times in the answer: as the request wrote them, clients of 2021 read no other."""
    return "legacy" if _LEGACY_STRING.search(body) else "iso"


def unwrap(value: Any) -> Any:
    """R writes a scalar as an array of one, and nothing as an empty array."""
    if isinstance(value, list) and len(value) <= 1:
        return value[0] if value else None
    return value


LETTERS = "¡-¬®-ɏ"  # printable letters and signs of Latin scripts, beside ASCII

Moment = Annotated[datetime, BeforeValidator(parse_moment), WithJsonSchema(_MOMENT_SCHEMA)]
Flag = Annotated[bool, BeforeValidator(parse_flag), WithJsonSchema({"enum": [True, False, 0, 1]})]
PRINTABLE = f"^[ -~{LETTERS}]*$"
DevicePattern = Annotated[str, Field(max_length=MAX_DEVICE_CHARS, description="device, or a LIKE pattern: % is all")]


class Part(BaseModel):
    """A part of an element of a request's list. Unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Info(Part):
    """One element of a request's list. Unknown keys are ignored, arrays of one are scalars."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, field in schema.get("properties", {}).items():
            if name not in ("annotations", "metadata"):
                nothing = {"minItems": 0 if "null" in str(field.get("anyOf")) else 1}
                one = {"type": "array", "items": field, "maxItems": 1, **nothing}
                schema["properties"][name] = {"anyOf": [field, one]}
        return schema


def parse_infos(kind: type[BaseModel], body: Any) -> list[Any]:
    """The request's list as typed values.

    Raises:
        InvalidInput: names the element and the field.
    """
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise InvalidInput("the body must be a JSON list of objects", field="body")
    keep = {"annotations", "metadata"} & kind.model_fields.keys()
    infos = [{key: value if key in keep else unwrap(value) for key, value in item.items()} for item in body]
    return [parse(kind, info, f"[{index}].") for index, info in enumerate(infos)]


def parse(kind: type[BaseModel], value: Any, where: str = "") -> Any:
    """One typed value; InvalidInput names the field."""
    try:
        return kind.model_validate(value)
    except PydanticError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = where + ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{field}: {reason}", field=field, problems=error.error_count()) from None


def parse_filters(body: Any) -> list[dict[str, str | None]]:
    """LIKE patterns by column, one dict per alternative; null is everything."""
    if body is None:
        return [{}]
    if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
        raise InvalidInput("the body must be a JSON list of objects, or null", field="body")
    return [{name: _pattern(name, unwrap(value)) for name, value in item.items()} for item in body]


def unknown_what(what: str | None, known: tuple[str, ...]) -> NotFound:
    return NotFound(f"{what!r} is not known here: it is one of {', '.join(known)}", field="what")


def _pattern(name: str, value: Any) -> str | None:
    if value is None:
        return None  # matches nothing, as LIKE NULL does
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float | str):
        return str(value)
    raise InvalidInput(f"{name}: must be text or a number", field=name)
