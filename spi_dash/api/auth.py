"""HTTP Basic sign-in of API calls: a token in place of the user name, or user name and password."""

import flask
from flask_httpauth import HTTPBasicAuth

from ..clock import utcnow
from ..context import current
from ..errors import Forbidden, Unauthorized
from ..services import credentials
from ..services.sign_ins import Caller
from .failures import error_response

ROLES = {  # what an endpoint asks for -> roles that have it
    "any": ("read_only_user", "read_write_user", "admin"),
    "rw": ("read_write_user", "admin"),
    "admin": ("admin",),
}
auth = HTTPBasicAuth()


@auth.verify_password
def _verify(username: str | None, password: str | None) -> Caller | None:
    spi = current()
    given = (spi.config.secret_key, username, password, client_address())
    try:
        return credentials.authenticate(spi.begin, spi.read, *given, now=utcnow(), cache=spi.passwords)
    except Unauthorized:
        return None


@auth.get_user_roles
def _roles(caller: Caller) -> str:
    return caller.user.role


@auth.error_handler
def _refuse(status: int) -> flask.Response:
    if status == 403:
        return error_response(Forbidden("your account may not do this"))
    return error_response(Unauthorized("sign in with a user name and password, or with a token that has not expired"))


def client_name() -> str:
    """What the calling program says it is."""
    return (flask.request.user_agent.string or "unknown")[:128]


def client_address() -> str:
    """Where the request came from."""
    return flask.request.remote_addr or ""
