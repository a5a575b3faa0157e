"""Settings: one's own account for everybody; users, detector, server and audit log for admins.

Every change is one action, called by name with the values of a form; each asks for the role again by itself.
"""

from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, dcc, html

from ..context import current
from ..errors import InvalidInput, NotFound, SpiError
from ..services import preferences
from . import settings_detector as detector
from . import settings_mine as mine
from . import settings_system as system
from . import settings_users as accounts
from .failures import describe
from .session import answer as respond
from .settings_forms import Answer, changed, is_admin, register_actions, require_user, stores

PATH = "/settings"
NAME = "Settings"
ACTIONS = {**mine.ACTIONS, **accounts.ACTIONS, **detector.ACTIONS, **system.ACTIONS}
LINKS = (("mine", "You"), ("users", "Users"), ("detector", "Detector"), ("server", "Server"), ("log", "Log"))


class ids:
    LOG_BEFORE = "settings-log-before"
    DRAWN = "settings-drawn"
    LINKS = "settings-links"
    MINE = "settings-mine"
    USERS = "settings-users"
    DETECTOR = "settings-detector"
    BUNDLES = "settings-bundles"
    SERVER = "settings-server"
    LOG = "settings-log"


CHANNELS = ("settings", "settings-slow")
SECTIONS = (ids.USERS, ids.DETECTOR, ids.BUNDLES, ids.SERVER, ids.LOG)


def layout(**_) -> html.Div:
    """Empty sections; what somebody may see comes from the callbacks."""
    own = [dcc.Store(id=each) for each in (ids.LOG_BEFORE, ids.DRAWN)]
    waiting = html.P("Loading\u2026", className="nothing", role="status")
    sections = [html.Div(id=each) for each in SECTIONS]
    title = html.Div([html.H1("Settings"), html.Nav(id=ids.LINKS, **{"aria-label": "Sections"})], className="title-bar")
    return html.Div(
        [*stores(CHANNELS, (ids.MINE, *SECTIONS)), *own, title, html.Div(waiting, id=ids.MINE), *sections],
        className="settings",
    )


def register(app: dash.Dash) -> None:
    """One callback for all actions, one for each section, and the route of the preferences."""
    register_actions(app, act, *CHANNELS)
    mine_changed, log_changed = (Input(changed(each), "data") for each in (ids.MINE, ids.LOG))
    app.callback(Output(ids.LINKS, "children"), Output(ids.MINE, "children"), mine_changed)(show_mine)
    for section, show in ((ids.USERS, accounts.show_users), (ids.DETECTOR, detector.show_detector),
                          (ids.BUNDLES, system.show_bundles), (ids.SERVER, system.show_server)):  # fmt: skip
        app.callback(Output(section, "children"), Input(changed(section), "data"))(show)
    app.callback(Output(ids.LOG, "children"), Input(ids.LOG_BEFORE, "data"), log_changed)(system.show_log)
    app.clientside_callback(ClientsideFunction("settings", "drawn"), Output(ids.DRAWN, "data"),
                            Input(ids.MINE, "children"))  # fmt: skip
    app.server.add_url_rule("/settings/preferences.json", "settings_preferences", get_preferences)


def act(request: dict[str, Any] | None) -> dict[str, Any]:
    """Do what a dialog or a button asks for; what is refused is said beside the field that it is about."""
    if not request:
        raise dash.exceptions.PreventUpdate
    try:
        answer = find_action(request)(read_values(request))
    except Exception as error:
        answer = refusal(error)
    return {"n": request.get("n"), "channel": request.get("channel")} | answer


def find_action(request: dict[str, Any]) -> Any:
    """The action of this name."""
    action = ACTIONS.get(str(request.get("action")))
    if action is None:
        raise NotFound("there is no such action: reload the page")
    return action


def read_values(request: dict[str, Any]) -> dict[str, Any]:
    """What was filled in."""
    values = request.get("values") or {}
    if not isinstance(values, dict):
        raise InvalidInput("the values of a form are names with values")
    return values


def refusal(error: Exception) -> Answer:
    """Why it was not done, in words; a bug is logged."""
    told = describe(error)
    field = error.details.get("field", "") if isinstance(error, SpiError) else ""
    return {"error": told["text"], "field": field, "id": "" if isinstance(error, SpiError) else told["id"]}


def show_mine(_changed: int | None = None) -> tuple:
    """Links to the sections that there are, and the part that everybody has."""
    links = LINKS if is_admin() else ()
    return [html.A(words, href=f"#settings-h-{name}") for name, words in links], mine.show_mine()


def get_preferences() -> Any:
    """What the signed-in person prefers, for scripts of every page."""
    user = require_user()
    with current().read() as session:
        chosen = preferences.get(session, user.id)
    return respond(f'{{"zone": "{chosen.zone}", "theme": "{chosen.theme}"}}', "application/json", 0)
