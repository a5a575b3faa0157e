"""The REST API that devices, phones and scripts speak. One table of endpoints, one error shape."""

import flask

from . import annotations, bundles, detection, documentation, files, health, images, projects, tuboids, users
from .endpoint import Endpoint, add_endpoint
from .failures import register_failures

ENDPOINTS: tuple[Endpoint, ...] = (
    *users.ENDPOINTS,
    *images.ENDPOINTS,
    *annotations.ENDPOINTS,
    *detection.ENDPOINTS,
    *tuboids.ENDPOINTS,
    *bundles.ENDPOINTS,
    *projects.ENDPOINTS,
)


def register_api(server: flask.Flask) -> None:
    """Put the API's routes, the routes of stored files and the error shape on the server."""
    api = flask.Blueprint("api", __name__)
    for endpoint in ENDPOINTS:
        add_endpoint(api, endpoint)
    documentation.add_routes(api, ENDPOINTS)
    health.add_routes(api)
    register_failures(server)
    server.register_blueprint(api)
    server.register_blueprint(files.make_blueprint())
