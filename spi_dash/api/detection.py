"""What running detectors say beside their annotations: that they live, what they give back, what they cannot do."""

from typing import Any

from ..contract import Failure, Heartbeat, ReleasedClaim
from ..services import claims, detection
from . import schemas
from .endpoint import Call, Endpoint


def release_uid_claims(call: Call) -> list[dict[str, Any]]:
    """Give claimed pictures back: the next detector may have them at once. Claims of other workers stay."""
    with call.spi.begin() as session:
        return [
            {"device": info.device, "datetime": info.datetime}
            for info in call.infos
            if detection.release_claim(session, info)
        ]


def put_uid_failures(call: Call) -> list[dict[str, Any]]:
    """Record pictures that a version of a detector cannot do. Pictures that are gone are left out of the answer."""
    with call.spi.begin() as session:
        return [
            info.model_dump(exclude={"worker"})
            for info in call.infos
            if detection.record_failure(session, info, call.now)
        ]


def put_uid_heartbeats(call: Call) -> list[dict[str, Any]]:
    """Say that a worker lives and how it goes; its claims are prolonged. Answers what to work with."""
    spi = call.spi
    with spi.read() as session:
        bundle, version = detection.active_bundle(session, spi.storage)
    with spi.begin() as session:
        for info in call.infos:
            detection.record_heartbeat(session, info, call.now)
    lease_s = int(claims.LEASE.total_seconds())
    return [
        {"worker": info.worker, "active_version": version, "bundle": bundle, "lease_s": lease_s} for info in call.infos
    ]


ENDPOINTS = (
    Endpoint(
        path="/release_uid_claims",
        role="rw",
        handler=release_uid_claims,
        info=ReleasedClaim,
        answer=schemas.rows("ReleasedRow"),
    ),
    Endpoint(
        path="/put_uid_failures",
        role="rw",
        handler=put_uid_failures,
        info=Failure,
        answer=schemas.rows("FailureRow"),
    ),
    Endpoint(
        path="/put_uid_heartbeats",
        role="rw",
        handler=put_uid_heartbeats,
        info=Heartbeat,
        answer=schemas.rows("WorkerOrders"),
    ),
)
