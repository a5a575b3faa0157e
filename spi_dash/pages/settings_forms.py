"""Pieces of the settings page: dialogs, tables, who may act, and how an action reads what it is given.

A button carries its dialog as JSON; assets/70-settings.js draws it, and calls the action with what was filled in.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dash
import flask
from dash import ClientsideFunction, Input, Output, dcc, html

from ..errors import InvalidInput, Unauthorized
from ..services.sign_ins import SignInInfo
from ..services.users import UserInfo, require_role
from .session import current_user, is_signed_in

Values = Mapping[str, Any]
Answer = dict[str, Any]
Cell = Any  # what Dash takes as children
ROLE_NAMES = {"read_only_user": "read-only", "read_write_user": "read-write", "admin": "admin"}


def require_user() -> UserInfo:
    """Who is signed in, for an action; Unauthorized for nobody."""
    if not is_signed_in():
        raise Unauthorized("you are not signed in, or your session has expired")
    return current_user()


def require_admin() -> UserInfo:
    """Who is signed in, if she is an admin."""
    user = require_user()
    require_role(user, "admin")
    return user


def is_admin() -> bool:
    """Whether to show what only admins may do; what others ask for all the same is refused by require_admin()."""
    return require_user().role == "admin"


def address() -> str:
    """Where this request came from."""
    return flask.request.remote_addr or ""


def current_sign_in_id() -> str | None:
    """The page session that asks."""
    return flask.g.get("sign_in_id")


def text(values: Values, name: str) -> str:
    """One value of a form; InvalidInput where it is none."""
    value = values.get(name, "")
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text", field=name)
    return value


def number(values: Values, name: str) -> int:
    """One number of a form; InvalidInput where it is none."""
    value = values.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(f"{name} must be a number", field=name)
    return value


def done(said: str, *changes: str, **more: Any) -> Answer:
    """The answer of an action: a sentence for the toast, and the sections that have changed."""
    return {"said": said, "changes": list(changes), **more}


def changed(section_id: str) -> str:
    """The store that says when a section is to be drawn again; assets/70-settings.js writes it."""
    return f"{section_id}-changed"


def register_actions(app: dash.Dash, act: Callable[[Values | None], Answer], *channels: str) -> None:
    """One callback for all actions; each channel has a store for the question and one for the answer."""
    for channel in channels:
        request, answer = f"{channel}-request", f"{channel}-answer"
        app.callback(Output(answer, "data"), Input(request, "data"), prevent_initial_call=True)(act)
        app.clientside_callback(
            ClientsideFunction("settings", "answered"), Input(answer, "data"), prevent_initial_call=True
        )


def stores(channels: Sequence[str], sections: Sequence[str]) -> list[dcc.Store]:
    """What register_actions() and changed() name."""
    questions = [f"{channel}-{part}" for channel in channels for part in ("request", "answer")]
    return [dcc.Store(id=each) for each in (*questions, *map(changed, sections))]


def field(name: str, label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    """One field of a dialog. `kind`: text, email, password, choice or folder."""
    return {"name": name, "label": label, "kind": kind, **more}


def dialog_button(
    content: Cell,
    action: str,
    title: str,
    verb: str,
    *,
    fields: Sequence[dict[str, Any]] = (),
    values: Values | None = None,
    says: str = "",
    danger: bool = False,
    className: str = "outline",
    label: str = "",
) -> html.Button:
    """A button that opens a dialog; `verb` is on the button that does it, `says` is what it means."""
    dialog = {"action": action, "title": title, "verb": verb, "fields": fields, "values": values or {}}
    dialog |= {"says": says, "danger": danger}
    named = {"aria-label": label} if label else {}
    return html.Button(content, type="button", className=className, **{"data-dialog": json.dumps(dialog)}, **named)


def act_button(
    content: str, action: str, values: Values, className: str = "outline", label: str = "", slow: bool = False
) -> html.Button:
    """A button that does it at once. `slow`: it takes minutes, and other actions do not wait for it."""
    act = json.dumps({"action": action, "values": values, "slow": slow})
    named = {"aria-label": label} if label else {}
    return html.Button(content, type="button", className=className, **{"data-act": act}, **named)


def section(name: str, title: str, *content: Cell, tools: Sequence[Cell] = (), note: Cell = None) -> html.Section:
    """A part of the page that links lead to."""
    head = html.Div([html.H2(title, id=f"settings-h-{name}"), *tools], className="section-head")
    notes = [html.P(note, className="section-note")] if note else []
    return html.Section(
        [head, *notes, *content], className="settings-section", **{"aria-labelledby": f"settings-h-{name}"}
    )


def table(label: str, headers: Sequence[str], rows: Iterable[Sequence[Cell]], className: str = "") -> html.Table:
    """Rows of cells; on a phone each row is a block with the headers beside its cells. "" heads buttons."""
    buttons = html.Span("Actions", className="only-read")
    head = html.Thead(html.Tr([html.Th(each or buttons, scope="col") for each in headers]))
    body = [
        html.Tr([html.Td(cell, **{"data-label": header}) for header, cell in zip(headers, row, strict=True)])
        for row in rows
    ]
    return html.Table([head, html.Tbody(body)], className=f"plain-table {className}".strip(), **{"aria-label": label})


def facts(*pairs: tuple[str, Cell]) -> html.Dl:
    """Names and values."""
    return html.Dl([part for name, value in pairs for part in (html.Dt(name), html.Dd(value))], className="facts")


def moment(at: datetime) -> html.Time:
    """A time in UTC, to the minute; headers and sentences around it say UTC."""
    return html.Time(f"{at:%Y-%m-%d %H:%M}", dateTime=f"{at:%Y-%m-%dT%H:%M:%SZ}")


def size_text(size: int) -> str:
    """`14.2 MB`, in powers of ten as disks are sold."""
    value, units = float(size), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.0f} {unit}" if unit == "bytes" or value >= 99.5 else f"{value:.1f} {unit}"


def client_text(sign_in: SignInInfo) -> str:
    """`Firefox on Windows` for a browser, the program's own words otherwise."""
    agent = sign_in.client
    browsers = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS",
               "CrOS": "ChromeOS", "Linux": "Linux"}  # fmt: skip
    browser = next((name for mark, name in browsers.items() if mark in agent), None)
    system = next((name for mark, name in systems.items() if mark in agent), None)
    if not agent.startswith("Mozilla/") or browser is None or system is None:
        return agent or "unknown program"
    return f"{browser} on {system}"
