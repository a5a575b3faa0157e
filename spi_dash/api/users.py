"""Tokens and accounts."""

from dataclasses import asdict
from typing import Any

from ..contract import NewUser
from ..errors import Forbidden
from ..services import audit, sign_ins, users
from ..services.users import UserInfo
from . import schemas
from .auth import client_address, client_name
from .endpoint import Call, Endpoint

HIDDEN = "***********"  # what the clients know in place of a password hash


def get_token(call: Call) -> dict[str, Any]:
    """A token to use in place of the user name, for a day."""
    spi = call.spi
    token = sign_ins.issue_token(
        spi.begin, spi.read, spi.config.secret_key, call.caller, client_name(), client_address(), call.now
    )
    return {"token": token.token, "expiration": token.expires_at}


def get_users(call: Call) -> list[dict[str, Any]]:
    """Accounts, by LIKE patterns on their columns; addresses are shown to admins only."""
    is_admin = call.user.role == "admin"
    if not is_admin and any("email" in filters for filters in call.infos):
        raise Forbidden("only admins may search by e-mail address", field="email")
    with call.spi.read() as session:
        found = users.list_users(session, call.infos)
    return [_row(user, with_email=is_admin) for user in found]


def put_users(call: Call) -> list[dict[str, Any]]:
    """Create accounts; those before a refused one stay."""
    created = []
    for info in call.infos:
        with call.spi.begin() as session:
            created.append(users.add_user(session, **info.model_dump(), created_by=call.user.id, now=call.now))
            audit.record_users(session, call.user, "user added", created[-1:], call.now)
    return [_row(user) for user in created]


def delete_users(call: Call) -> list[dict[str, Any]]:
    """Delete the accounts that match; what they uploaded stays."""
    with call.spi.begin() as session:
        deleted = users.delete_users(session, call.infos, acting_user_id=call.user.id)
        audit.record_users(session, call.user, "user deleted", deleted, call.now)
    return [_row(user) for user in deleted]


def _row(user: UserInfo, with_email: bool = True) -> dict[str, Any]:
    row = {name: value for name, value in asdict(user).items() if name not in ("disabled_at", "preferences")}
    return row | {"password_hash": HIDDEN, "email": user.email if with_email else None}


ENDPOINTS = (
    Endpoint(path="/get_token", role="any", handler=get_token, body="none", answer=schemas.object_("Token")),
    Endpoint(
        path="/get_users",
        role="any",
        handler=get_users,
        body="filters",
        filters=users.FILTERS,
        answer=schemas.rows("UserRow"),
    ),
    Endpoint(
        path="/put_users",
        role="admin",
        handler=put_users,
        info=NewUser,
        answer=schemas.rows("UserRow"),
        refusals=(409,),
    ),
    Endpoint(
        path="/delete_users",
        role="admin",
        handler=delete_users,
        body="filters",
        filters=users.FILTERS,
        answer=schemas.rows("UserRow"),
        refusals=(409,),
    ),
)
