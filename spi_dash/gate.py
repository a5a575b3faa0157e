"""The gate before the pages: nothing is shown to, or done for, who is not signed in.

Hiding pages protects nothing: Dash answers `/_dash-update-component` for everybody. So each request needs a page
session, unless its route authenticates by itself or is named here as public.
"""

import hashlib
import hmac
import re
import secrets
from urllib.parse import quote

from flask import Blueprint, Flask, Response, g, jsonify, make_response, redirect, render_template, request, url_for
from itsdangerous import BadSignature, Signer

from .clock import utcnow
from .context import current
from .errors import Forbidden, SpiError, Unauthorized
from .policy import nonce
from .services import sign_ins
from .services.credentials import check_password

OPEN_BLUEPRINTS = frozenset(
    {"api", "files", "gate", "operations"}
)  # these ask for credentials, or check links, by themselves
OPEN_ENDPOINTS = frozenset({"unknown"})  # answers 404 to calls of endpoints that do not exist
OPEN_RULES = ("/_dash-component-suites/", "/assets/")  # public code, styles and icons
SAFE_METHODS = ("GET", "HEAD")
MAX_FORM_BYTES = 16_384
SESSION_COOKIE, FORM_COOKIE = "spi_session", "spi_form"

_NEXT = re.compile(r"/(?![/_]|sign-(?:in|out)\b)[!-\[\]-~]*")  # printable ASCII but the backslash
_TOO_OLD = "This form was open for too long, or your browser takes no cookies. Please try again."


def register_gate(server: Flask) -> None:
    """Put the gate before every route of `server`, and add `/sign-in` and `/sign-out`.

    Page requests get `flask.g.user`, `g.sign_in_id`, and `g.csrf_token`, which a form that posts to `/sign-out` sends
    as `csrf`.
    """
    gate = Blueprint("gate", __name__, template_folder="templates")
    gate.add_url_rule("/sign-in", "show_form", show_form, methods=["GET"])
    gate.add_url_rule("/sign-in", "sign_in", sign_in, methods=["POST"])
    gate.add_url_rule("/sign-out", "sign_out", sign_out, methods=["POST"])
    server.register_blueprint(gate)
    server.before_request(guard)


def guard() -> Response | None:
    """Let a request through, or answer it: pages with a redirect to the form, everything else with 401."""
    if _is_open():
        return None
    caller = _find_caller()
    if caller is None:
        return _refuse()
    if request.method not in SAFE_METHODS and _is_cross_site():
        return _error(Forbidden("this request came from another site"))
    g.user, g.sign_in_id, g.csrf_token = caller.user, caller.sign_in.id, _sign("sign-out", caller.sign_in.id)
    return None


def show_form() -> Response:
    """The sign-in form; who is signed in goes on."""
    if _find_caller() is not None:
        return _unkept(redirect(safe_next(request.args.get("next", "")), 303))
    message = None
    if "expired" in request.args:
        message = "Your session has expired. Sign in to go on where you were."
    elif "signed_out" in request.args:
        message = "You are signed out."
    return _form(safe_next(request.args.get("next", "")), note=message)


def sign_in() -> Response:
    """Check the form; a right password opens a new session and leads to where the person wanted to go."""
    request.max_content_length = MAX_FORM_BYTES
    target, username = safe_next(request.form.get("next", "")), request.form.get("username", "").strip()
    if _is_cross_site() or not _is_signed("form", request.cookies.get(_cookie_name(FORM_COOKIE), "")):
        return _form(target, 400, error=_TOO_OLD, username=username)
    spi, now, address = current(), utcnow(), request.remote_addr or ""
    key, password = spi.config.secret_key, request.form.get("password", "")
    try:
        user = check_password(spi.begin, spi.read, key, username, password, address, now, spi.passwords)
        old = _find_caller()
        with spi.begin() as session:
            if old is not None:
                sign_ins.revoke_sign_in(session, old.user.id, old.sign_in.id, now)
            client = request.headers.get("User-Agent", "")
            cookie = sign_ins.open_page_session(session, key, user.id, client, address, now)
    except SpiError as error:
        return _refused_form(error, target, username)
    response = _unkept(redirect(target, 303))
    _set_cookie(response, SESSION_COOKIE, cookie, int(sign_ins.PAGE_LONGEST.total_seconds()))
    return response


def sign_out() -> Response:
    """End this session for good, not only in this browser."""
    caller = _find_caller()
    if caller is not None:
        if _is_cross_site() or not _is_signed("sign-out", caller.sign_in.id):
            return _error(Forbidden("this did not come from a page of ours: reload the page and sign out there"))
        with current().begin() as session:
            sign_ins.revoke_sign_in(session, caller.user.id, caller.sign_in.id, utcnow())
    response = _unkept(redirect(url_for("gate.show_form", signed_out=1), 303))
    response.delete_cookie(_cookie_name(SESSION_COOKIE), secure=request.is_secure, httponly=True, samesite="Lax")
    return response


def safe_next(target: str) -> str:
    """`target` if it is a page of this server, written as an absolute path in plain ASCII; else the first page."""
    return target if len(target) <= 4096 and _NEXT.fullmatch(target) else "/"


def _is_open() -> bool:
    rule = request.url_rule
    if rule is None or request.endpoint in OPEN_ENDPOINTS:  # no such route: 404 or 405 whoever asks
        return not request.path.startswith("/_dash")
    if OPEN_BLUEPRINTS.intersection(request.blueprints):
        return True
    return request.method in SAFE_METHODS and rule.rule.startswith(OPEN_RULES)


def _find_caller() -> sign_ins.Caller | None:
    cookie = request.cookies.get(_cookie_name(SESSION_COOKIE))
    if cookie is None:
        return None
    spi, now = current(), utcnow()
    with spi.read() as session:
        caller = sign_ins.check_page_session(session, spi.config.secret_key, cookie, now)
    if caller is not None:
        sign_ins.touch(spi.begin, caller, now)
    return caller


def _refuse() -> Response:
    if request.method not in SAFE_METHODS or request.path.startswith("/_"):
        # No WWW-Authenticate here: the browser would ask for the password in a box of its own.
        return _error(Unauthorized("you are not signed in, or your session has expired"))
    query = request.query_string.decode("ascii", "ignore")
    target = quote(request.path) + (f"?{query}" if query else "")
    expired = 1 if _cookie_name(SESSION_COOKIE) in request.cookies else None
    return _unkept(redirect(url_for("gate.show_form", next=target, expired=expired), 303))


def _refused_form(error: SpiError, target: str, username: str) -> Response:
    message = error.message[:1].upper() + error.message[1:] + "."
    response = _form(target, error.status, error=message, username=username)
    if "retry_after_s" in error.details:
        response.headers["Retry-After"] = str(error.details["retry_after_s"])
    return response


def _form(target: str, status: int = 200, **texts: str | None) -> Response:
    """The form. Its hidden field is the signed form cookie: another site can read neither."""
    cookie = request.cookies.get(_cookie_name(FORM_COOKIE), "")  # kept, so that a form in another tab stays valid
    if not re.fullmatch(r"[\w-]{22}", cookie, re.ASCII):
        cookie = secrets.token_urlsafe(16)
    page = render_template("sign_in.html", next=target, csrf=_sign("form", cookie), nonce=nonce(), **texts)
    response = _unkept(make_response(page, status))
    _set_cookie(response, FORM_COOKIE, cookie)
    return response


def _error(error: SpiError) -> Response:
    body = {"error": {"code": error.code, "message": error.message, "details": error.details}}
    return _unkept(make_response(jsonify(body), error.status))


def _unkept(response: Response) -> Response:
    """Answers that depend on who asks are kept by nobody."""
    response.headers["Cache-Control"] = "no-store"
    return response


def _is_cross_site() -> bool:
    """Whether the browser says so; sites on a sister domain count, they can set cookies for us."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")


def _cookie_name(name: str) -> str:
    """Over https a name that browsers let only this very host set."""
    return f"__Host-{name}" if request.is_secure else name


def _set_cookie(response: Response, name: str, value: str, max_age_s: int | None = None) -> None:
    response.set_cookie(
        _cookie_name(name), value, max_age=max_age_s, secure=request.is_secure, httponly=True, samesite="Lax"
    )


def _signer(purpose: str) -> Signer:
    key = current().config.secret_key
    return Signer(key, salt=f"spi-dash {purpose} form", key_derivation="hmac", digest_method=hashlib.sha256)


def _sign(purpose: str, text: str) -> str:
    return _signer(purpose).sign(text).decode()


def _is_signed(purpose: str, text: str) -> bool:
    """Whether the posted form carries our signature of `text`."""
    try:
        signed = _signer(purpose).unsign(request.form.get("csrf", ""))
    except (BadSignature, ValueError):
        return False
    return bool(text) and hmac.compare_digest(signed, text.encode(errors="surrogatepass"))
