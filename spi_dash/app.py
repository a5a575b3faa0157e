"""The composition root: everything is built and wired here, in the order it is read."""

from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import flask
from werkzeug.wrappers import Response

from . import db
from .api import register_api
from .api.failures import error_response
from .clock import utcnow
from .compression import register_compression
from .config import Config
from .context import Spi
from .errors import NotFound
from .gate import register_gate
from .observe import register_observation
from .probes import Probe
from .services import rollups, users
from .services.passwords import PasswordCache
from .storage import Storage, make_storage

if TYPE_CHECKING:
    import dash

IN_MEMORY_MB = 40  # of one request; larger ones are files of ML bundles
FIRST_COUNT_S = 600  # a season that another server wrote is counted before anybody looks at it
JSON_BODY_MB = 100  # what nginx lets through, and clients were built against


class Request(flask.Request):
    """Uploaded pictures stay in memory: a temporary file on their way costs more than storing them."""

    def _get_file_stream(self, total_content_length: int | None, *args: object, **kwargs: object) -> IO[bytes]:
        small = total_content_length is not None and total_content_length <= IN_MEMORY_MB * 2**20
        return BytesIO() if small else TemporaryFile("rb+")


def create_app(config: Config, storage: Storage | None = None, pages: bool = True) -> flask.Flask:
    """The Flask server with the REST API and the Dash pages on it; the database's tables are brought up to date.

    Args:
        pages: False: only the API, which starts in half the time; see local.py.
    """
    server = flask.Flask("spi_dash")
    server.request_class = Request
    server.secret_key = config.secret_key
    server.config["MAX_CONTENT_LENGTH"] = JSON_BODY_MB * 2**20
    database = db.connect(config.database_url)
    db.upgrade(database)
    if pages:
        rollups.refresh(database.begin, database.read, for_s=FIRST_COUNT_S)
    accounts = [(config.admin_name, config.admin_password), (config.uid_user, config.uid_password)]
    with database.begin() as session:
        users.ensure_start_users(session, accounts, utcnow())
    files = make_storage(config) if storage is None else storage
    server.extensions["spi_dash"] = Spi(
        config=config,
        begin=database.begin,
        read=database.read,
        storage=files,
        passwords=PasswordCache(),
        probes={"database": Probe(database.check), "storage": Probe(lambda: files.check())},
        close_database=database.engine.dispose,
    )
    register_observation(server)
    register_compression(server)
    register_gate(server)
    register_api(server)
    if pages:
        _add_pages(server)
    return server


def _add_pages(server: flask.Flask) -> None:
    from dash.exceptions import DependencyException  # importing Dash takes longer than all the rest

    from .pages import register_pages

    register_pages(make_dash(server))
    server.register_error_handler(DependencyException, _no_such_script)


def make_dash(server: flask.Flask) -> "dash.Dash":
    """The pages' app; everything it serves comes from this machine."""
    import dash

    from .pages.failures import report_failure

    return dash.Dash(
        "spi_dash",
        server=server,
        use_pages=True,
        pages_folder="",
        title="Spi Dash",
        update_title="",
        serve_locally=True,
        suppress_callback_exceptions=False,
        on_error=report_failure,
    )


def _no_such_script(_error: Exception) -> Response:
    return error_response(NotFound("the pages have no such script or style"))
