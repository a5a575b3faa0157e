"""The composition root: everything is built and wired here, in the order it is read."""

from contextlib import suppress
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import flask
from werkzeug.wrappers import Response

from . import db
from .api import register_api
from .api.failures import error_response
from .breaker import Breaker
from .clock import utcnow
from .compression import register_compression
from .config import Config
from .context import Spi
from .error_pages import register_error_pages
from .errors import NotFound
from .gate import register_gate
from .observe import register_observation
from .policy import register_policy
from .probes import Probe
from .services import rollups, users
from .services.passwords import PasswordCache
from .storage import Storage, endpoint_url, make_storage

if TYPE_CHECKING:
    from .pages.tables import PagesDash

IN_MEMORY_MB = 40  # of one request; larger ones are files of ML bundles
FIRST_COUNT_S = 600  # a season that another server wrote is counted before anybody looks at it
DATABASE_STILL_S = 5.0  # of many slow questions at once, before more are refused
JSON_BODY_MB = 100  # what nginx lets through, and clients were built against


class Request(flask.Request):
    """Uploaded pictures stay in memory: a temporary file on their way costs more than storing them."""

    def _get_file_stream(self, total_content_length: int | None, *args: object, **kwargs: object) -> IO[bytes]:
        if total_content_length is not None and total_content_length <= IN_MEMORY_MB * 2**20:
            return BytesIO()
        stream = TemporaryFile("rb+")
        self.__dict__.setdefault("_temporary", []).append(stream)
        return stream

    def close(self) -> None:
        """Flask calls it at the end; werkzeug's own knows no file that could not be written to its end."""
        for stream in self.__dict__.pop("_temporary", ()):
            with suppress(OSError):  # what is not written yet finds no room either
                stream.close()
        super().close()


def create_app(config: Config, storage: Storage | None = None, pages: bool = True) -> flask.Flask:
    """The Flask server with the REST API and the Dash pages on it; the database's tables are brought up to date.

    Args:
        pages: False: only the API, which starts in half the time; see local.py.
    """
    server = flask.Flask("spi_dash")
    server.request_class = Request
    server.secret_key = config.secret_key
    server.config["MAX_CONTENT_LENGTH"] = JSON_BODY_MB * 2**20
    of_database = Breaker("the database", config.threads, DATABASE_STILL_S)
    database = db.connect(config.database_url, of_database)
    db.upgrade(database)
    if pages:
        with database.patient() as patient:
            rollups.refresh(patient.begin, patient.read, for_s=FIRST_COUNT_S)
    accounts = [(config.admin_name, config.admin_password), (config.uid_user, config.uid_password)]
    with database.begin() as session:
        users.ensure_start_users(session, accounts, utcnow())
    of_storage = Breaker("the object storage", config.threads, before=of_database)
    files = make_storage(config, of_storage) if storage is None else storage
    server.extensions["spi_dash"] = Spi(
        config=config,
        begin=database.begin,
        read=database.read,
        storage=files,
        passwords=PasswordCache(keep_hashes=config.keep_password_hashes),
        probes={"database": Probe(database.check), "storage": Probe(lambda: files.check())},
        close_database=database.engine.dispose,
    )
    register_observation(server)
    register_compression(server)
    register_gate(server)
    register_api(server)
    app = _add_pages(server) if pages else None
    # Last: they see answers first, as programs get them.
    register_policy(server, _picture_urls(config), app.csp_hashes if app else tuple)
    register_error_pages(server)
    return server


def _picture_urls(config: Config) -> list[str]:
    """Browsers are sent to the S3 server for originals."""
    return [] if config.s3 is None else [endpoint_url(config.s3.public_host or config.s3.host)]


def _add_pages(server: flask.Flask) -> "PagesDash":
    from dash.exceptions import DependencyException  # importing Dash takes longer than all the rest

    from .pages import register_pages

    app = make_dash(server)
    register_pages(app)
    server.register_error_handler(DependencyException, _no_such_script)
    return app


def make_dash(server: flask.Flask) -> "PagesDash":
    """The pages' app; everything it serves comes from this machine."""
    from .pages.failures import report_failure
    from .pages.tables import PagesDash

    return PagesDash(
        "spi_dash",
        server=server,
        use_pages=True,
        pages_folder="",
        title="Spi Dash",
        update_title="",
        serve_locally=True,
        suppress_callback_exceptions=True,  # tests look: browsers would need all pages, and all scripts, to do so
        on_error=report_failure,
    )


def _no_such_script(_error: Exception) -> Response:
    return error_response(NotFound("the pages have no such script or style"))
