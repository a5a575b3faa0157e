"""What a project's own columns hold: kinds named as in SQL, which values they take, how those are written.

Nothing that somebody sends gets into SQL as text: a type is one of these kinds with checked numbers, or is refused.
"""

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from ..contract import parse_moment
from ..errors import InvalidInput
from ..models import Moment

KindName = Literal["integer", "bigint", "double", "decimal", "char", "varchar", "text", "datetime", "date", "boolean"]
SPELLINGS: dict[str, KindName] = {
    **dict.fromkeys(("INTEGER", "INT", "SMALLINT", "MEDIUMINT", "TINYINT"), "integer"),
    "BIGINT": "bigint",
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION", "FLOAT", "REAL"), "double"),
    **dict.fromkeys(("DECIMAL", "DEC", "NUMERIC"), "decimal"),
    **dict.fromkeys(("CHAR", "CHARACTER"), "char"),
    **dict.fromkeys(("VARCHAR", "CHARACTER VARYING", "STRING"), "varchar"),
    "TEXT": "text",
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), "datetime"),
    "DATE": "date",
    **dict.fromkeys(("BOOLEAN", "BOOL"), "boolean"),
}
MAX_ARGUMENTS: dict[KindName, int] = {"integer": 1, "bigint": 1, "double": 2, "decimal": 2, "char": 1, "varchar": 1}
MAX_CHARS: dict[str, int] = {"char": 255, "varchar": 2000, "text": 16_000}
MAX_PRECISION, MAX_SCALE = 65, 30
BITS = {"integer": 31, "bigint": 63}
FLAGS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
EXACT = Context(prec=200, rounding=ROUND_HALF_UP)
_TYPE = re.compile(r"([a-z]+(?: +[a-z]+)?) *(?:\( *(\d{1,5}) *(?:, *(\d{1,5}) *)?\))?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """One kind of column. `length` in characters; a decimal has `precision` digits, `scale` of them fractional."""

    name: KindName
    length: int = 0
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        numbers = f"({self.precision}, {self.scale})" if self.name == "decimal" else f"({self.length})"
        return self.name.upper() + (numbers if self.name in ("decimal", "char", "varchar") else "")

    def sql_type(self) -> sa.types.TypeEngine:
        """As the column is made."""
        if self.name in ("char", "varchar"):
            return sa.CHAR(self.length) if self.name == "char" else sa.String(self.length)
        if self.name == "decimal":
            return sa.Numeric(self.precision, self.scale, asdecimal=False)
        plain = {"integer": sa.Integer, "bigint": sa.BigInteger, "double": sa.Double, "text": sa.Text,
                 "date": sa.Date, "boolean": sa.Boolean}  # fmt: skip
        return Moment if self.name == "datetime" else plain[self.name]()

    def read(self, value: Any) -> Any:
        """A value as it is stored, from JSON or from text that a person wrote; empty text is null where it is no text.

        Raises:
            ValueError: says what the value must be.
        """
        reader = READERS[self.name]
        if isinstance(value, str) and reader != "text":
            value = value.strip() or None
        return None if value is None else getattr(self, f"_read_{reader}")(value)

    def _read_whole(self, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,30}", value, re.ASCII):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        limit = 2 ** BITS[self.name]
        if not -limit <= value < limit:
            raise ValueError(f"must lie between {-limit} and {limit - 1}")
        return value

    def _read_double(self, value: Any) -> float:
        number = float(_number(value))
        if not math.isfinite(number):
            raise ValueError("is too large")
        return number

    def _read_decimal(self, value: Any) -> Decimal:
        number = Decimal(_number(value))
        if number and number.adjusted() >= self.precision - self.scale:
            raise ValueError(f"has too many digits: there are {self.precision - self.scale} before the point")
        if number.adjusted() < -MAX_PRECISION:
            return Decimal(0)
        rounded = number.quantize(Decimal(1).scaleb(-self.scale), context=EXACT)
        if rounded and rounded.adjusted() >= self.precision - self.scale:  # 99.99 may have become 100.0
            raise ValueError(f"has too many digits: there are {self.precision - self.scale} before the point")
        return rounded

    def _read_text(self, value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("must be text")
        text = str(value)
        limit = self.length or MAX_CHARS["text"]
        if len(text) > limit:
            raise ValueError(f"is too long: there is room for {limit} characters")
        if "\x00" in text:
            raise ValueError("holds a character that is no text")
        return text

    def _read_datetime(self, value: Any) -> datetime:
        moment = parse_moment(value)
        if moment.year < 1000:
            raise ValueError("is before the year 1000")
        return moment

    def _read_date(self, value: Any) -> date:
        return self._read_datetime(value).date()

    def _read_flag(self, value: Any) -> bool:
        flag = FLAGS.get(value.lower()) if isinstance(value, str) else value
        if not isinstance(flag, bool | int) or flag not in (0, 1):
            raise ValueError("must be true or false")
        return bool(flag)


READERS: dict[KindName, str] = {
    "integer": "whole",
    "bigint": "whole",
    "double": "double",
    "decimal": "decimal",
    "char": "text",
    "varchar": "text",
    "text": "text",
    "datetime": "datetime",
    "date": "date",
    "boolean": "flag",
}


def parse_kind(text: str) -> Kind:
    """The kind that an SQL type names, letter case ignored: `Integer`, `DECIMAL(11, 8)`, `CHAR(64)`.

    Raises:
        InvalidInput: it is none of them, or its numbers are out of range.
    """
    match = _TYPE.fullmatch(text.strip())
    spelling = " ".join(match[1].upper().split()) if match else ""
    name = SPELLINGS.get(spelling)
    if match is None or name is None:
        known = "INTEGER, DOUBLE, DECIMAL(11, 8), CHAR(64), VARCHAR(64), TEXT, DATETIME, DATE or BOOLEAN"
        raise InvalidInput(f"{text[:40]!r} is no type of a column: write {known}", field="column_SQL_type")
    numbers = [int(each) for each in match.groups()[1:] if each is not None]
    if len(numbers) > MAX_ARGUMENTS.get(name, 0):
        raise InvalidInput(f"{spelling} takes no such numbers", field="column_SQL_type")
    return _with_numbers(name, numbers, spelling)


def kind_of(found: sa.types.TypeEngine) -> Kind | None:
    """The kind of a column that is there; None for one that another program made of a type that we do not."""
    if isinstance(found, sa.Boolean) or (isinstance(found, mysql.TINYINT) and found.display_width == 1):
        return Kind("boolean")
    if isinstance(found, sa.Integer):
        return Kind("bigint" if isinstance(found, sa.BigInteger) else "integer")
    if isinstance(found, sa.Float):
        return Kind("double")
    if isinstance(found, sa.Numeric):
        return Kind("decimal", precision=found.precision or 10, scale=found.scale or 0)
    for kind, name in ((sa.DateTime, "datetime"), (sa.Date, "date"), (sa.Text, "text")):
        if isinstance(found, kind):
            return Kind(name)
    if isinstance(found, sa.String) and not isinstance(found, mysql.ENUM):
        return Kind("char" if isinstance(found, sa.CHAR) else "varchar", length=found.length or 1)
    return None


def _with_numbers(name: KindName, numbers: list[int], spelling: str) -> Kind:
    if name == "decimal":
        precision, scale = [*numbers, *[10, 0][len(numbers) :]]
        if not 1 <= precision <= MAX_PRECISION or scale > min(precision, MAX_SCALE):
            reason = f"DECIMAL has 1 to {MAX_PRECISION} digits, at most {MAX_SCALE} of them after the point"
            raise InvalidInput(reason, field="column_SQL_type")
        return Kind(name, precision=precision, scale=scale)
    if name in ("char", "varchar"):
        if name == "varchar" and not numbers and spelling != "STRING":
            raise InvalidInput(f"{spelling} needs a length, as in {spelling}(64)", field="column_SQL_type")
        length = numbers[0] if numbers else {"char": 1, "varchar": 255}[name]
        if not 1 <= length <= MAX_CHARS[name]:
            raise InvalidInput(f"{spelling} has 1 to {MAX_CHARS[name]} characters", field="column_SQL_type")
        return Kind(name, length=length)
    return Kind(name)


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a number")
    text = str(value)
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("must be a number")
    return text
