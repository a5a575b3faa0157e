"""Settings for admins: who may sign in, and what they may do."""

import secrets
from collections.abc import Callable, Sequence

from dash import html

from ..clock import utcnow
from ..context import current
from ..errors import Conflict, InvalidInput
from ..services import audit, users
from ..services.users import Role, UserInfo
from .components import icon
from .settings_forms import (
    ROLE_NAMES,
    Answer,
    Cell,
    Values,
    dialog_button,
    done,
    field,
    is_admin,
    moment,
    number,
    require_admin,
    section,
    table,
    text,
)
from .settings_mine import new_password

ROLE_HINTS = {
    "read_only_user": "looks at pictures and downloads data",
    "read_write_user": "also uploads pictures and names traps: for people in the field, phones and scripts",
    "admin": "also deletes pictures, manages users and the detector",
}
PASSWORD = field("password", "Password", "password", autocomplete="new-password",
                 hint="Leave it empty to have one made up. It is shown once.")  # fmt: skip


def show_users(_changed: int | None = None) -> list[Cell]:
    """The accounts; nothing for who is no admin."""
    if not is_admin():
        return []
    with current().read() as session:
        found = users.list_users(session)
    return [_users(found, require_admin())]


def add_user(values: Values) -> Answer:
    """Add an account; a password that was made up is shown once."""
    admin, now, role = require_admin(), utcnow(), _role(values)
    password, made_up = _password(values)
    rights = {"is_admin": role == "admin", "can_write": role != "read_only_user", "created_by": admin.id}
    name = text(values, "username").strip()
    with current().begin() as session:
        added = users.add_user(session, username=name, password=password, email=_email(values), now=now, **rights)
        audit.record_users(session, admin, "user added", [added], now)
    return _with_password(done(f"Added {name}.", "users", "log"), name, password if made_up else None)


def edit_user(values: Values) -> Answer:
    """Set role and e-mail address."""
    admin, now, user_id = require_admin(), utcnow(), number(values, "user_id")
    with current().begin() as session:
        before = users.get_user(session, user_id)
        changes = {"role": _role(values), "email": _email(values), "disabled": before.disabled_at is not None}
        after = users.update_user(session, user_id, **changes, acting_user_id=admin.id, now=now)
        if after != before:
            audit.record(session, admin, "user changed", after.username, now, _difference(before, after))
    return done(f"Changed {after.username}.", "users", "log")


def reset_password(values: Values) -> Answer:
    """Set somebody's password; all her sign-ins end."""
    admin, now, user_id = require_admin(), utcnow(), number(values, "user_id")
    if user_id == admin.id:
        raise Conflict("change your own password under Your account")
    password, made_up = _password(values)
    with current().begin() as session:
        name = users.get_user(session, user_id).username
        users.set_password(session, user_id, password, now)
        audit.record(session, admin, "password reset", name, now)
    return _with_password(done(f"{name} has a new password.", "users", "log"), name, password if made_up else None)


def disable_user(values: Values) -> Answer:
    """Let somebody sign in no more; all her sign-ins end."""
    return _set_disabled(values, True)


def enable_user(values: Values) -> Answer:
    """Let somebody sign in again."""
    return _set_disabled(values, False)


def delete_user(values: Values) -> Answer:
    """Delete an account, if it still is the one that the confirmation named."""
    admin, now, user_id = require_admin(), utcnow(), number(values, "user_id")
    with current().begin() as session:
        user = users.get_user(session, user_id)
        if user.username != text(values, "username"):
            raise Conflict(f"this would delete {user.username}: reload the page")
        deleted = users.delete_users(session, [{"id": user_id}], acting_user_id=admin.id)
        audit.record_users(session, admin, "user deleted", deleted, now)
    return done(f"Deleted {user.username}.", "users", "log")


ACTIONS: dict[str, Callable[[Values], Answer]] = {
    "add_user": add_user,
    "edit_user": edit_user,
    "reset_password": reset_password,
    "disable_user": disable_user,
    "enable_user": enable_user,
    "delete_user": delete_user,
}


def _set_disabled(values: Values, disabled: bool) -> Answer:
    admin, now, user_id = require_admin(), utcnow(), number(values, "user_id")
    with current().begin() as session:
        user = users.get_user(session, user_id)
        same = {"role": user.role, "email": user.email}
        users.update_user(session, user_id, **same, disabled=disabled, acting_user_id=admin.id, now=now)
        audit.record(session, admin, "user disabled" if disabled else "user enabled", user.username, now)
    can = "can no longer sign in" if disabled else "can sign in again"
    return done(f"{user.username} {can}.", "users", "log")


def _role(values: Values) -> Role:
    role = text(values, "role")
    found = next((each for each in users.ROLES if each == role), None)
    if found is None:
        raise InvalidInput("choose a role", field="role")
    return found


def _email(values: Values) -> str | None:
    email = text(values, "email").strip()
    if email and "@" not in email:
        raise InvalidInput("this is no e-mail address", field="email")
    return email or None


def _password(values: Values) -> tuple[str, bool]:
    """The password of a form, and whether it was made up."""
    if not text(values, "password"):
        return secrets.token_urlsafe(12), True
    return new_password(values), False


def _with_password(answer: Answer, name: str, password: str | None) -> Answer:
    if password is None:
        return answer
    return answer | {"secret": {"title": f"The password of {name}", "value": password,
                                "says": "It is shown only now. Copy it and hand it over safely."}}  # fmt: skip


def _difference(before: UserInfo, after: UserInfo) -> str:
    """What was changed, without addresses."""
    parts = [] if before.email == after.email else ["e-mail"]
    if before.role != after.role:
        parts.append(f"{ROLE_NAMES[before.role]} to {ROLE_NAMES[after.role]}")
    return ", ".join(parts)


def _users(found: Sequence[UserInfo], admin: UserInfo) -> html.Section:
    fields = [
        field("username", "Name", required=True, autocomplete="off", maxlength=users.MAX_NAME_CHARS,
              hint="What the person signs in with. It cannot be changed later."),
        field("email", "E-mail (optional)", "email", autocomplete="off", maxlength=users.MAX_EMAIL_CHARS),
        _role_field("read_only_user"),
        PASSWORD,
    ]  # fmt: skip
    add = dialog_button("Add user", "add_user", "Add a user", "Add user", fields=fields, className="filled")
    rows = [_row(user, user.id == admin.id) for user in found]
    headers = ("Name", "Role", "E-mail", "Added (UTC)", "")
    return section("users", "Users", table("Users", headers, rows, "users"), tools=[add])


def _role_field(role: str) -> dict:
    options = [{"value": each, "label": ROLE_NAMES[each], "hint": ROLE_HINTS[each]} for each in users.ROLES]
    return field("role", "Role", "choice", options=options, value=role)


def _row(user: UserInfo, is_oneself: bool) -> list[Cell]:
    tags = [html.Span("you", className="tag good")] if is_oneself else []
    if user.disabled_at is not None:
        tags.append(html.Span("disabled", className="tag"))
    name = [html.B(user.username), *(part for tag in tags for part in (" ", tag))]
    tools = html.Div(_tools(user, is_oneself), className="row-tools")
    return [name, ROLE_NAMES[user.role], user.email or "", moment(user.datetime_created), tools]


def _tools(user: UserInfo, is_oneself: bool) -> list[Cell]:
    name, one = user.username, {"user_id": user.id}
    email = field("email", "E-mail (optional)", "email", value=user.email or "", autocomplete="off",
                  maxlength=users.MAX_EMAIL_CHARS)  # fmt: skip
    edit = dialog_button("Edit", "edit_user", f"Edit {name}", "Save", values=one | {"role": user.role},
                         fields=[email] if is_oneself else [email, _role_field(user.role)],
                         className="plain", label=f"Edit {name}")  # fmt: skip
    if is_oneself:
        return [edit]
    summary = html.Summary(icon("down"), className="plain", **{"aria-label": f"More for {name}"})
    menu = html.Div([_reset(name, one), _disable(user, one), _delete(name, one)], className="menu right")
    return [edit, html.Details([summary, menu], className="drop")]


def _reset(name: str, one: Values) -> html.Button:
    says = f"All sign-ins of {name} end: phones and scripts need the new password too."
    return dialog_button("Reset password", "reset_password", f"Reset the password of {name}", "Reset password",
                         fields=[PASSWORD], values=one, says=says, className="menu-item")  # fmt: skip


def _disable(user: UserInfo, one: Values) -> html.Button:
    name = user.username
    if user.disabled_at is not None:
        says = f"{name} can sign in again, with the same password."
        return dialog_button("Enable", "enable_user", f"Enable {name}?", f"Enable {name}", values=one, says=says,
                             className="menu-item")  # fmt: skip
    says = f"{name} can no longer sign in, and is signed out everywhere. Nothing is deleted."
    return dialog_button("Disable", "disable_user", f"Disable {name}?", f"Disable {name}", values=one, says=says,
                         danger=True, className="menu-item")  # fmt: skip


def _delete(name: str, one: Values) -> html.Button:
    says = f"The account {name} is gone for good. Pictures that it uploaded stay."
    return dialog_button("Delete", "delete_user", f"Delete {name}?", f"Delete {name}", values={**one, "username": name},
                         says=says, danger=True, className="menu-item")  # fmt: skip
