"""What monitors see: one log line per request, and numbers for Prometheus at /metrics.

Counters are of this process; what several server processes share comes from the database each time it is asked for.
Neither holds addresses as they were asked for: only the route, so no token, signature or search.
"""

import hmac
import ipaddress
import logging
import re
import secrets
import time
from collections.abc import Iterator

import flask
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from .clock import utcnow
from .context import Spi, current
from .errors import Forbidden, SpiError, Unauthorized
from .services import detection, rollups, system

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UPLOADS = ("/_put_new_images",)
log = logging.getLogger("spi_dash.access")


def register_observation(server: flask.Flask) -> None:
    """Name, count and log every request, and add /metrics for monitors."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    requests = Counter("spi_requests", "Requests answered.", ["route", "method", "status"], registry=registry)
    seconds = Histogram("spi_request_seconds", "Until the answer began.", ["route"], registry=registry)
    errors = Counter("spi_errors", "Answers that say the server failed.", ["route"], registry=registry)
    received = Counter("spi_received_bytes", "Bodies of requests.", registry=registry)
    uploads = Counter("spi_uploads", "Requests that stored pictures.", registry=registry)
    refused = Counter("spi_sign_in_failures", "Wrong credentials, and those that had to wait.", registry=registry)

    @server.before_request
    def begin() -> None:
        sent = flask.request.headers.get("X-Request-Id", "")
        flask.g.request_id = sent if REQUEST_ID.fullmatch(sent) else secrets.token_hex(6)
        flask.g.began = time.monotonic()

    @server.after_request
    def end(response: flask.Response) -> flask.Response:
        request, status = flask.request, response.status_code
        route = request.url_rule.rule if request.url_rule is not None else "-"
        took_s = time.monotonic() - flask.g.get("began", time.monotonic())
        method = request.method if request.method in METHODS else "other"  # or anybody could make up new series
        requests.labels(route, method, str(status)).inc()
        seconds.labels(route).observe(took_s)
        received.inc(request.content_length or 0)
        if route in UPLOADS and status == 200:
            uploads.inc()
        if status >= 500:
            errors.labels(route).inc()
        if status in (401, 429) and (request.authorization is not None or route == "/sign-in"):
            refused.inc()
        request_id = flask.g.get("request_id", "-")
        response.headers["X-Request-Id"] = request_id
        fields = {
            "request_id": request_id,
            "method": request.method,
            "route": route,
            "status": status,
            "ms": round(took_s * 1000),
            "bytes": response.content_length,
            "user": _user(),
            "address": request.remote_addr or "-",
        }
        log.info(" ".join(f"{name}={value}" for name, value in fields.items()), extra={"fields": fields})
        return response

    operations = flask.Blueprint("operations", __name__)

    @operations.get("/metrics")
    def metrics() -> flask.Response:
        _check_monitor(current().config.metrics_token)
        shared = CollectorRegistry()
        shared.register(_Shared(current()))
        return flask.Response(generate_latest(registry) + generate_latest(shared), content_type=CONTENT_TYPE_LATEST)

    server.register_blueprint(operations)


class _Shared:
    """What the database knows, the same in every server process."""

    def __init__(self, spi: Spi) -> None:
        self._spi = spi

    def describe(self) -> list[Metric]:
        """Nothing is asked of the database before somebody wants the numbers."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            rollups.refresh(self._spi.begin, self._spi.read)  # nobody may have looked at a page for days
            with self._spi.read() as session:
                state, workers = system.detector_state(session), detection.list_workers(session, utcnow())
        except SpiError:
            yield GaugeMetricFamily("spi_database_up", "Whether the database answers.", value=0)
            return
        alive = [worker for worker in workers if worker.is_alive]
        yield GaugeMetricFamily("spi_database_up", "Whether the database answers.", value=1)
        yield GaugeMetricFamily("spi_images", "Pictures stored.", value=state.n_images)
        awaiting = state.versions[0].n_awaiting if state.versions else state.n_images
        yield GaugeMetricFamily(
            "spi_images_awaiting", "Pictures that the newest detector has not done.", value=awaiting
        )
        yield GaugeMetricFamily("spi_images_claimed", "Pictures that detectors work on.", value=state.n_claimed)
        yield GaugeMetricFamily("spi_detectors_alive", "Detectors heard of lately.", value=len(alive))
        rate = sum(worker.images_per_minute for worker in alive)
        yield GaugeMetricFamily("spi_detector_images_per_minute", "Of all living detectors.", value=rate)
        failed = sum(worker.images_failed for worker in workers)
        yield GaugeMetricFamily("spi_detector_failures", "Pictures that detectors could not do.", value=failed)


def _user() -> str:
    caller = flask.g.get("flask_httpauth_user")
    user = flask.g.get("user") if not caller or caller is True else caller.user
    return getattr(user, "username", "-")


def _check_monitor(token: str | None) -> None:
    """With a token, who has it; without one, who is near.

    Raises:
        Unauthorized: the token is wrong or missing.
        Forbidden: there is none, and the caller is far.
    """
    if token is not None:
        sent = flask.request.headers.get("Authorization", "")
        if not hmac.compare_digest(sent.encode(errors="replace"), f"Bearer {token}".encode()):
            raise Unauthorized("/metrics needs the token of SPI_METRICS_TOKEN: Authorization: Bearer TOKEN")
    elif not _is_near(flask.request.remote_addr or ""):
        raise Forbidden("this is for monitors in this machine's own network")


def _is_near(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_loopback or found.is_private
