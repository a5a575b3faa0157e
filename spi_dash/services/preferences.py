"""What each person prefers: the zone of times and the theme, where the page's address does not say otherwise."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..errors import InvalidInput
from ..models import User
from .scope import ZONES, Zone
from .users import get_user

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = get_args(Theme)
CHOICES: dict[str, tuple[str, ...]] = {"zone": ZONES, "theme": THEMES}


@dataclass(frozen=True, kw_only=True)
class Preferences:
    zone: Zone = "site"
    theme: Theme = "auto"


def get(session: Session, user_id: int) -> Preferences:
    """The preferences of a user; what was never chosen, or is not known any more, is the default."""
    return Preferences(**{name: value for name, value in _stored(session, user_id).items() if _is_choice(name, value)})


def choose(session: Session, user_id: int, name: str, value: str) -> Preferences:
    """Set one preference; InvalidInput for one that does not exist."""
    get_user(session, user_id)
    if not _is_choice(name, value):
        raise InvalidInput(f"{value!r} cannot be chosen as {name!r}", field=name)
    chosen = Preferences(**asdict(get(session, user_id)) | {name: value})
    text = json.dumps(_stored(session, user_id) | asdict(chosen))
    session.execute(sa.update(User).where(User.id == user_id).values(preferences=text))
    return chosen


def _is_choice(name: str, value: Any) -> bool:
    return isinstance(value, str) and value in CHOICES.get(name, ())


def _stored(session: Session, user_id: int) -> dict[str, Any]:
    """All that is kept, also what a newer version of this program has put there."""
    text = session.scalar(sa.select(User.preferences).where(User.id == user_id))
    try:
        values = json.loads(text or "{}")
    except ValueError:  # somebody edited the database
        return {}
    return values if isinstance(values, dict) else {}
