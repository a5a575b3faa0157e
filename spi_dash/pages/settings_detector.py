"""Settings for admins: how detection goes, who detects, and the pictures that were given up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dash import html

from ..clock import LEGACY, utcnow
from ..context import current
from ..errors import Unavailable
from ..services import audit, detection, rollups, system
from ..services.scope import moment as moment_of
from .components import number as counted
from .components import plural, short_version
from .settings_forms import (
    Answer,
    Cell,
    Values,
    act_button,
    done,
    facts,
    is_admin,
    moment,
    number,
    require_admin,
    section,
    table,
    text,
)

SHOWN_FAILURES = 50
HOW_TO_START = "spi-dash serve starts one beside the server; on another machine, run: spi-dash detector run"


@dataclass(frozen=True, kw_only=True)
class Detection:
    """All that the section shows. `problem` says why the active version is not known, which is "" then."""

    state: system.DetectorState
    bundle: str | None
    version: str
    problem: str
    workers: Sequence[detection.WorkerState]
    failures: Sequence[detection.FailureInfo]
    failed: Sequence[tuple[str, str, int]]  # (algorithm, version, pictures given up)

    @property
    def n_waiting(self) -> int:
        """Pictures that the active version has neither done nor given up."""
        done_by = sum(each.n_annotated for each in self.state.versions if each.version == self.version)
        given_up = sum(n for _, version, n in self.failed if version == self.version)
        return max(0, self.state.n_images - done_by - given_up)

    @property
    def images_per_minute(self) -> float:
        """Of all workers that run."""
        return sum(each.images_per_minute for each in self.workers if each.is_alive)


def show_detector(_changed: int | None = None) -> list[Cell]:
    """How detection goes; nothing for who is no admin."""
    if not is_admin():
        return []
    found, now = read_detection(utcnow()), utcnow()
    if not found.state.versions and not found.workers:
        return [_nothing_yet(found)]
    return [section("detector", "Detector", _facts(found, now), *_workers(found, now), *_versions(found),
                    *_failures(found))]  # fmt: skip


def read_detection(now: datetime) -> Detection:
    """What the database and the storage know of detection."""
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        try:
            (bundle, version), problem = detection.active_bundle(session, spi.storage), ""
        except Unavailable as error:
            bundle, version, problem = system.active_bundle(session), "", error.message
        return Detection(
            state=system.detector_state(session),
            bundle=bundle,
            version=version,
            problem=problem,
            workers=detection.list_workers(session, now),
            failures=detection.list_failures(session, SHOWN_FAILURES),
            failed=detection.count_failures(session),
        )


def retry_failure(values: Values) -> Answer:
    """Let detectors try one picture again."""
    admin, now, target = require_admin(), utcnow(), text(values, "picture")
    with current().begin() as session:
        found = detection.retry_failures(session, [number(values, "failure_id")])
        if found:
            audit.record(session, admin, "failures retried", target, now, "1 picture")
    said = "Detectors try this picture again." if found else "This picture is no longer among the failed ones."
    return done(said, "detector", "log")


def retry_version(values: Values) -> Answer:
    """Let detectors try all pictures again that a version has given up."""
    admin, now, version = require_admin(), utcnow(), text(values, "version")
    with current().begin() as session:
        found = detection.retry_failures(session, of=(text(values, "name"), version))
        if found:
            audit.record(session, admin, "failures retried", version, now, plural(found, "picture"))
    return done(f"Detectors try {plural(found, 'picture')} again.", "detector", "log")


ACTIONS: dict[str, Callable[[Values], Answer]] = {"retry_failure": retry_failure, "retry_version": retry_version}


def _nothing_yet(found: Detection) -> html.Section:
    n_images = found.state.n_images
    verb = "is" if n_images == 1 else "are"
    waiting = f"{plural(n_images, 'picture')} {verb} waiting." if n_images else "There are no pictures yet either."
    words = [html.P(f"No detector has reported yet. {waiting}", className="nothing")]
    return section("detector", "Detector", *words, html.P(HOW_TO_START, className="section-note"))


def _facts(found: Detection, now: datetime) -> html.Dl:
    state, rate = found.state, found.images_per_minute
    called = found.bundle or "reference model"
    active = [_version(found.version), f" ({called})"] if found.version else found.problem
    speed = f"{rate:.1f} pictures per minute" if rate else "nothing is being done now"
    last: Cell = "never"
    if state.last_result_at:
        last = [moment(state.last_result_at), f" UTC, version {short_version(state.last_version)}"]
    rows = [
        ("Active version", active),
        ("Queue", _queue(found, rate)),
        ("Speed", speed),
        ("Being worked on", plural(state.n_claimed, "picture")),
        ("Last result", last),
    ]
    alive = [each for each in found.workers if each.is_alive]
    if not alive:
        heard = f"The last was heard of {_ago(now, found.workers[0].seen_at)}. " if found.workers else ""
        rows.insert(0, ("State", html.B(f"No detector is running. {heard}{HOW_TO_START}", className="bad")))
    return facts(*rows)


def _queue(found: Detection, rate: float) -> str:
    if not found.version:
        return "not known"
    waiting = f"{counted(found.n_waiting)} of {plural(found.state.n_images, 'picture')} awaiting detection"
    if not rate or not found.n_waiting:
        return waiting
    return f"{waiting}, {_duration(found.n_waiting / rate * 60)} at this speed"


def _workers(found: Detection, now: datetime) -> list[Cell]:
    if not found.workers:
        return []
    rows = [
        [
            html.Span([html.Span(className=f"dot {'ok' if each.is_alive else 'silent'}"), " ", each.worker]),
            _version(each.algo_version) if each.algo_version else "no model yet",
            _ago(now, each.seen_at) if each.is_alive else html.Span(_ago(now, each.seen_at), className="bad"),
            counted(each.images_done),
            counted(each.images_failed),
            f"{each.images_per_minute:.1f}" if each.is_alive else "\u2013",
            each.last_error,
        ]
        for each in found.workers
    ]
    headers = ("Detector", "Version", "Last heard of", "Done", "Failed", "Pictures per minute", "Last error")
    return [html.H3("Detectors"), table("Detectors", headers, rows, "workers")]


def _versions(found: Detection) -> list[Cell]:
    state, failed = found.state, {(name, version): n for name, version, n in found.failed}
    rows = [
        [
            [_version(each.version), *([" ", _active_tag()] if each.version == found.version else [])],
            each.name,
            f"{counted(each.n_annotated)} of {counted(state.n_images)}",
            counted(failed.get((each.name, each.version), 0)),
            "" if each.newest_day_s is None else f"{moment_of(each.newest_day_s):%Y-%m-%d}",
        ]
        for each in state.versions
    ]
    headers = ("Version", "Algorithm", "Pictures done", "Given up", "Newest picture done")
    title = html.H3("Versions that have found something")
    return [title, table("Versions of the detector", headers, rows, "numbers")] if rows else []


def _failures(found: Detection) -> list[Cell]:
    total = sum(n for _, _, n in found.failed)
    if not total:
        return []
    all_of = [_retry_all(*each) for each in found.failed]
    rows = [_failure_row(each) for each in found.failures]
    more = [html.P(f"and {plural(total - len(rows), 'older one')}", className="nothing")] if total > len(rows) else []
    headers = ("Picture", "Version", "Reason", "Detector", "Given up (UTC)", "")
    note = "Detectors tried these pictures and could not do them. They leave them alone until you let them try again."
    return [html.H3("Failed pictures"), html.P(note, className="section-note"), html.Ul(all_of, className="retry-all"),
            table("Failed pictures", headers, rows, "failures"), *more]  # fmt: skip


def _retry_all(name: str, version: str, n: int) -> html.Li:
    retry = act_button("Retry all", "retry_version", {"name": name, "version": version},
                       label=f"Retry all of version {version}")  # fmt: skip
    return html.Li([html.Span([f"{plural(n, 'picture')} of version ", _version(version)]), " ", retry])


def _failure_row(each: detection.FailureInfo) -> list[Cell]:
    name = f"{each.device} {each.datetime:%Y-%m-%d %H:%M:%S}"
    path = f"/image/{each.device}/{each.datetime.strftime(LEGACY)}?zone=utc"
    retry = act_button("Retry", "retry_failure", {"failure_id": each.id, "picture": name}, "plain", f"Retry {name}")
    link = html.A(name, href=path)
    return [link, _version(each.algo_version), each.reason, each.worker, moment(each.failed_at), retry]


def _version(version: str) -> html.Span:
    return html.Span(short_version(version), className="client", title=version)


def _active_tag() -> html.Span:
    return html.Span("active", className="tag good")


def _ago(now: datetime, then: datetime) -> str:
    seconds = max(0.0, (now - then).total_seconds())
    return "just now" if seconds < 90 else f"{_duration(seconds)} ago"


def _duration(seconds: float) -> str:
    """`12 min`, `5 h`, `3 days`."""
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{round(seconds / 3600)} h" if seconds < 172_800 else plural(round(seconds / 86_400), "day")
