"""Clients of an S3 server, and for how long they wait for it.

botocore is imported when they are made: a server with files on disk must not pay its 30 MB.
"""

import io
from typing import Any

CONNECTIONS = 32
SENT_AT_ONCE = 1 << 18
# How long a server waits for a connection, or for room to send SENT_AT_ONCE bytes more, and then for an answer.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 4, 8
PATIENT_S, PATIENT_ATTEMPTS = 60, 2  # of commands, and of parts of large files
CHECK_TIMEOUT_S = 5
RETRY_AFTER_S = 0.2
RETRIED = (429, 500, 502, 503, 504)  # once; and connections that broke


class Outgoing(io.BytesIO):
    """A body that is sent in pieces: each has the time of a connection, so that a slow line is no hanging server."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size if size is None or size < 0 else max(size, SENT_AT_ONCE))


def make_clients(endpoint: str, hasty: bool, **keys: str) -> tuple[Any, Any, Any]:
    """A patient client, one for the readiness probe, and, where it is asked for, one that gives up soon."""
    import botocore.session
    from botocore.config import Config

    common = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        # The default sends checksums in a trailer over HTTPS, which Ceph and others refuse.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=CONNECTIONS,
    )
    session = botocore.session.Session()  # further clients cost little when they share the session

    def client(connect_s: float, read_s: float, attempts: int) -> Any:
        limits = Config(
            connect_timeout=connect_s,
            read_timeout=read_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
        )
        return session.create_client("s3", endpoint_url=endpoint, config=common.merge(limits), **keys)

    patient = client(PATIENT_S, PATIENT_S, PATIENT_ATTEMPTS)
    probe = client(CHECK_TIMEOUT_S, CHECK_TIMEOUT_S, 1)
    if not hasty:
        return patient, probe, None
    soon = client(CONNECT_TIMEOUT_S, READ_TIMEOUT_S, 1)
    soon.meta.events.register("needs-retry.s3", _retry_what_was_quick)
    return patient, probe, soon


def _retry_what_was_quick(response: Any, attempts: int, caught_exception: Exception | None, **_: Any) -> float | None:
    """Seconds to wait before the second attempt; a server that hangs is not asked twice by the same request."""
    from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

    if attempts > 1:
        return None
    if caught_exception is not None:
        broke = isinstance(caught_exception, ConnectionClosedError | EndpointConnectionError)
        return RETRY_AFTER_S if broke and not _is_timeout(caught_exception) else None
    return RETRY_AFTER_S if response[0].status_code in RETRIED else None


def _is_timeout(error: Exception) -> bool:
    """Also where the time was up while we were sending, which botocore calls a closed connection."""
    return "timed out" in f"{error} {getattr(error, 'kwargs', {}).get('error')}".lower()
