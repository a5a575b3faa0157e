"""Settings of whoever is signed in: password, sign-ins, preferences."""

from dash import html

from ..clock import utcnow
from ..context import current
from ..errors import InvalidInput, NotFound, Unauthorized
from ..services import audit, preferences, sign_ins, users
from ..services.credentials import check_password
from ..services.sign_ins import SignInInfo
from ..services.users import UserInfo
from .components import plural
from .settings_forms import (
    ROLE_NAMES,
    Answer,
    Cell,
    Values,
    act_button,
    address,
    client_text,
    current_sign_in_id,
    dialog_button,
    done,
    facts,
    field,
    moment,
    require_user,
    section,
    table,
    text,
)

MIN_PASSWORD_CHARS = 11  # as for the passwords of the configuration
SHOWN_SIGN_INS = 50
CHOICES = {
    "zone": ("Times", {"site": "Site time", "utc": "UTC", "reader": "My time"}),
    "theme": ("Theme", {"auto": "System", "light": "Light", "dark": "Dark"}),
}
NEW_PASSWORD = [
    field("password", "New password", "password", autocomplete="new-password", required=True,
          hint=f"At least {MIN_PASSWORD_CHARS} characters. A few words in a row are easy to remember."),
    field("repeated", "New password again", "password", autocomplete="new-password", required=True),
]  # fmt: skip


def show_mine() -> list[Cell]:
    """The part that everybody has."""
    user = require_user()
    with current().read() as session:
        chosen = preferences.get(session, user.id)
        found = sign_ins.list_sign_ins(session, user.id, utcnow())
    return [_account(user), _preferences(chosen), _sign_ins(found)]


def change_password(values: Values) -> Answer:
    """Set one's own password; every other sign-in ends."""
    user, spi, now = require_user(), current(), utcnow()
    password = new_password(values)
    given = (spi.config.secret_key, user.username, text(values, "current"), address())
    try:
        check_password(spi.begin, spi.read, *given, now, spi.passwords)
    except Unauthorized:
        raise InvalidInput("this is not your current password", field="current") from None
    with spi.begin() as session:
        users.set_password(session, user.id, password, now, keep_sign_in_id=current_sign_in_id())
        audit.record(session, user, "password changed", user.username, now)
    return done("Your password is changed. You are signed out everywhere else.", "mine", "log")


def new_password(values: Values) -> str:
    """The password of a form; InvalidInput where it is too short, or typed differently the second time."""
    password = text(values, "password")
    if len(password) < MIN_PASSWORD_CHARS:
        raise InvalidInput(f"the password needs at least {MIN_PASSWORD_CHARS} characters", field="password")
    if "repeated" in values and text(values, "repeated") != password:
        raise InvalidInput("the two passwords are not the same", field="repeated")
    return password


def end_sign_in(values: Values) -> Answer:
    """End one of one's own sign-ins."""
    user = require_user()
    with current().begin() as session:
        sign_ins.revoke_sign_in(session, user.id, text(values, "sign_in_id"), utcnow())
    return done("Signed out there.", "mine")


def end_other_sign_ins(values: Values) -> Answer:
    """End all of one's own sign-ins but this one."""
    user = require_user()
    with current().begin() as session:
        sign_ins.revoke_all(session, user.id, utcnow(), keep_sign_in_id=current_sign_in_id())
    return done("You are signed out everywhere else.", "mine")


def choose_preference(values: Values) -> Answer:
    """Keep a zone or a theme as one's default."""
    user = require_user()
    if text(values, "name") not in CHOICES:
        raise NotFound("there is no such preference")
    with current().begin() as session:
        preferences.choose(session, user.id, text(values, "name"), text(values, "value"))
    return done("", "mine")


ACTIONS = {
    "change_password": change_password,
    "end_sign_in": end_sign_in,
    "end_other_sign_ins": end_other_sign_ins,
    "choose_preference": choose_preference,
}


def _account(user: UserInfo) -> html.Section:
    old = field("current", "Current password", "password", autocomplete="current-password", required=True)
    change = dialog_button(
        "Change password",
        "change_password",
        "Change your password",
        "Change password",
        fields=[old, *NEW_PASSWORD],
        values={"username": user.username},
        says="All your other sign-ins end: other browsers, phones and scripts sign in again.",
    )
    rows = (("Name", user.username), ("Role", ROLE_NAMES[user.role]), ("E-mail", user.email or "none"))
    return section("mine", "Your account", facts(*rows), html.Div(change, className="section-tools"))


def _preferences(chosen: preferences.Preferences) -> html.Section:
    groups = []
    for name, (title, choices) in CHOICES.items():
        buttons = [
            html.Button(
                words,
                type="button",
                className="choice",
                **{
                    "data-preference": name,
                    "data-value": value,
                    "aria-pressed": str(getattr(chosen, name) == value).lower(),
                },
            )
            for value, words in choices.items()
        ]
        group = html.Div(buttons, className="choices", role="group", **{"aria-label": title})
        groups.append((title, group))
    note = "How pages look when you open them. The time zone of a link that somebody sends you comes first."
    return section("preferences", "Preferences", facts(*groups), note=note)


def _sign_ins(found: list[SignInInfo]) -> html.Section:
    mine = current_sign_in_id()
    rows = [_sign_in_row(each, each.id == mine) for each in found[:SHOWN_SIGN_INS]]
    others = any(each.id != mine for each in found)
    end = dialog_button(
        "Sign out everywhere else",
        "end_other_sign_ins",
        "Sign out everywhere else?",
        "Sign out everywhere else",
        says="Other browsers have to sign in again. Phones and scripts that know the password do so by themselves: "
        "to lock one out, change the password.",
    )
    rest = (
        [html.P(f"and {plural(len(found) - SHOWN_SIGN_INS, 'older sign-in')}")] if len(found) > SHOWN_SIGN_INS else []
    )
    headers = ("Program", "Address", "Last used (UTC)", "Ends (UTC)", "")
    listed = table("Your sign-ins", headers, rows, "sign-ins")
    return section("sign-ins", "Where you are signed in", listed, *rest, tools=[end] if others else ())


def _sign_in_row(each: SignInInfo, is_this: bool) -> list[Cell]:
    client = html.Span(client_text(each), title=each.client, className="client")
    if is_this:
        tag: Cell = html.Span("this browser", className="tag good")
        end: Cell = ""
    else:
        tag = html.Span("token", className="tag") if each.kind == "token" else ""
        label = f"Sign out {client_text(each)} at {each.address}"
        end = act_button("Sign out", "end_sign_in", {"sign_in_id": each.id}, "plain", label)
    return [[client, " ", tag], each.address, moment(each.seen_at), moment(each.expires_at), end]
