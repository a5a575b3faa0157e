"""Users: who may do what."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.orm import Session

from ..contract import API_VERSION
from ..errors import ConfigError, Conflict, Forbidden, InvalidInput, NotFound
from ..models import SignIn, User
from .filters import select
from .passwords import hash_password

Role = Literal["read_only_user", "read_write_user", "admin"]  # each may do what those before it may
ROLES: tuple[Role, ...] = get_args(Role)
FILTERS = ("id", "username", "email", "is_admin", "can_write", "datetime_created", "api_version", "api_user_id")
MAX_NAME_CHARS, MAX_EMAIL_CHARS = 32, 64


@dataclass(frozen=True, kw_only=True)
class UserInfo:
    """A user, without the password hash."""

    id: int
    username: str
    email: str | None
    is_admin: bool
    can_write: bool
    disabled_at: datetime | None
    datetime_created: datetime
    api_version: str | None
    api_user_id: int | None

    @property
    def role(self) -> Role:
        """Who cannot write is no admin either, whatever the column says."""
        if not self.can_write:
            return "read_only_user"
        return "admin" if self.is_admin else "read_write_user"


COLUMNS = tuple(getattr(User, name) for name in UserInfo.__dataclass_fields__)


def user_from_row(values: Sequence[Any]) -> UserInfo:
    """A user from the values of COLUMNS; null roles of adopted databases mean no."""
    info = dict(zip(UserInfo.__dataclass_fields__, values, strict=True))
    return UserInfo(**info | {"is_admin": bool(info["is_admin"]), "can_write": bool(info["can_write"])})


def require_role(user: UserInfo, role: Role) -> None:
    """Raises Forbidden when `user` may not do what `role` may."""
    if ROLES.index(user.role) < ROLES.index(role):
        raise Forbidden(f"this needs the role {role}, {user.username} is {user.role}", role=role)


def ensure_start_users(session: Session, accounts: Iterable[tuple[str, str]], now: datetime) -> None:
    """Create the (name, password) accounts that are absent, as admins; those that are there stay as they are.

    Safe when several processes start at once.

    Raises:
        ConfigError: an account cannot be created under this name.
    """
    for name, password in accounts:
        if find_user_by_name(session, name) is not None:
            continue
        try:
            add_user(session, username=name, password=password, is_admin=True, now=now)
        except (Conflict, InvalidInput) as error:
            if find_user_by_name(session, name) is None:  # it was not another process that was faster
                raise ConfigError(f"the account {name!r} cannot be created: {error.message}") from None


def list_users(session: Session, filters: Sequence[Mapping[str, Any]] | None = None) -> list[UserInfo]:
    """Users that match, by id; those of each filter in turn, so a user may be listed twice.

    Args:
        filters: LIKE patterns by column, letter case ignored; all keys of one must match. None is everybody.

    Raises:
        InvalidInput: names the key that is not a column, or has no usable value.
    """
    users = [user_from_row(row) for row in session.execute(sa.select(*COLUMNS).order_by(User.id))]
    return select(users, filters, FILTERS, "users")


def get_user(session: Session, user_id: int) -> UserInfo:
    """The user with this id; NotFound if there is none."""
    row = session.execute(sa.select(*COLUMNS).where(User.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"user {user_id} does not exist", user_id=user_id)
    return user_from_row(row)


def find_user_by_name(session: Session, username: str) -> UserInfo | None:
    """The user with exactly this name. MariaDB ignores case, accents and trailing blanks, so it is compared again."""
    rows = session.execute(sa.select(*COLUMNS).where(User.username == username))
    return next((user for user in map(user_from_row, rows) if user.username == username), None)


def add_user(
    session: Session,
    *,
    username: str,
    password: str,
    now: datetime,
    email: str | None = None,
    is_admin: bool = False,
    can_write: bool = True,
    created_by: int | None = None,
) -> UserInfo:
    """Create a user. Any password that is not empty will do here: pages and commands advise on better ones.

    Raises:
        InvalidInput: names the field.
        Conflict: the name is taken, letter case ignored as MariaDB does.
    """
    _check_name(username)
    _check_email(email)
    row = User(
        username=username,
        email=email,
        password_hash=hash_password(password),
        is_admin=bool(is_admin),
        can_write=bool(can_write),
        datetime_created=now,
        api_version=API_VERSION,
        api_user_id=created_by,
    )
    taken = {name.casefold() for name in session.scalars(sa.select(User.username))}
    try:
        if username.casefold() in taken:
            raise Conflict(f"there is a user named {username!r} already", username=username)
        with session.begin_nested():
            session.add(row)
    except sa.exc.IntegrityError:  # another process was faster, or MariaDB takes two letters for the same
        raise Conflict(f"there is a user named {username!r} already", username=username) from None
    return get_user(session, row.id)


def delete_users(
    session: Session, filters: Sequence[Mapping[str, Any]] | None, acting_user_id: int | None
) -> list[UserInfo]:
    """Delete every user that matches, and return them. What they uploaded stays.

    Raises:
        Conflict: this would delete the acting user, or the last admin who can sign in; nobody is deleted.
    """
    found = list({user.id: user for user in list_users(session, filters)}.values())
    ids = {user.id for user in found}
    _refuse_oneself(ids, acting_user_id, "delete")
    _refuse_last_admin(session, ids, "delete")
    session.execute(sa.delete(User).where(User.id.in_(ids)).execution_options(synchronize_session=False))
    return found


def set_password(
    session: Session, user_id: int, password: str, now: datetime, keep_sign_in_id: str | None = None
) -> None:
    """Change a password and end all sign-ins of the user, but the one from which it was changed."""
    get_user(session, user_id)
    values = {"password_hash": hash_password(password)}
    session.execute(sa.update(User).where(User.id == user_id).values(values))
    revoke_all(session, user_id, now, keep_sign_in_id)


def update_user(
    session: Session,
    user_id: int,
    *,
    role: Role,
    email: str | None,
    disabled: bool,
    acting_user_id: int | None,
    now: datetime,
) -> UserInfo:
    """Set role, e-mail and whether the user may sign in; disabling ends all sign-ins.

    Raises:
        Conflict: this would take the rights of the acting user, or of the last admin who can sign in.
    """
    user = get_user(session, user_id)
    _check_email(email)
    if role not in ROLES:
        raise InvalidInput(f"{role!r} is no role: it is one of {', '.join(ROLES)}", field="role")
    if disabled or ROLES.index(role) < ROLES.index(user.role):
        verb = "disable" if disabled else "demote"
        _refuse_oneself({user_id}, acting_user_id, verb)
        _refuse_last_admin(session, {user_id}, verb)
    values: dict[str, Any] = {"email": email, "disabled_at": (user.disabled_at or now) if disabled else None}
    if role != user.role:
        values |= {"is_admin": role == "admin", "can_write": role != "read_only_user"}
    session.execute(sa.update(User).where(User.id == user_id).values(values))
    if disabled:
        revoke_all(session, user_id, now)
    return get_user(session, user_id)


def revoke_all(session: Session, user_id: int, now: datetime, keep_sign_in_id: str | None = None) -> None:
    """End every token and page session of a user, except `keep_sign_in_id`."""
    live = sa.update(SignIn).where(SignIn.user_id == user_id, SignIn.revoked_at.is_(None))
    if keep_sign_in_id is not None:
        live = live.where(SignIn.id != keep_sign_in_id)
    session.execute(live.values(revoked_at=now).execution_options(synchronize_session=False))


def _check_name(username: str) -> None:
    if not 1 <= len(username) <= MAX_NAME_CHARS:
        raise InvalidInput(f"a user name has 1 to {MAX_NAME_CHARS} characters", field="username")
    if ":" in username or not username.isprintable() or username != username.strip():
        raise InvalidInput(
            "a user name has neither colons, control characters, nor blanks at its ends", field="username"
        )


def _check_email(email: str | None) -> None:
    if email is not None and not (len(email) <= MAX_EMAIL_CHARS and email.isprintable()):
        raise InvalidInput(f"an e-mail address has at most {MAX_EMAIL_CHARS} printable characters", field="email")


def _refuse_oneself(ids: set[int], acting_user_id: int | None, verb: str) -> None:
    if acting_user_id in ids:
        raise Conflict(f"you cannot {verb} yourself: ask another admin", user_id=acting_user_id)


def _refuse_last_admin(session: Session, ids: set[int], verb: str) -> None:
    """The rows are locked: two admins who delete each other at the same time must not both succeed."""
    able = sa.select(User.id).where(User.is_admin.is_(True), User.can_write.is_(True), User.disabled_at.is_(None))
    admins = set(session.scalars(able.order_by(User.id).with_for_update()))
    if admins and admins <= ids:
        raise Conflict(f"this would {verb} the last admin who can sign in", user_ids=sorted(admins))
