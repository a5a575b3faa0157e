"""Settings for admins: the bundles of the detector, sizes, and the audit log."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from dash import html

from .. import __version__
from ..clock import unix_s, utcnow
from ..context import current
from ..errors import InvalidInput
from ..services import audit, rollups, system
from ..services.scope import moment as moment_of
from .components import number as counted
from .components import plural
from .settings_forms import (
    Answer,
    Cell,
    Values,
    act_button,
    dialog_button,
    done,
    facts,
    field,
    is_admin,
    moment,
    require_admin,
    section,
    size_text,
    table,
    text,
)

REFERENCE = "reference model"
SHOWN_FILES = 200
UPLOAD = [
    field("folder", "Folder of the bundle", "folder", required=True,
          hint="The folder that holds config, data and output, as the command detector train writes it."),
    field("bundle", "Name on the server", required=True, autocomplete="off", maxlength=100,
          hint="Letters, digits, dots and hyphens. Files of the same name are replaced."),
]  # fmt: skip


def show_bundles(_changed: int | None = None) -> list[Cell]:
    """The bundles on the server and which is active; nothing for who is no admin."""
    if not is_admin():
        return []
    with current().read() as session:
        active = system.active_bundle(session)
    return [_bundles(system.list_bundles(current().storage), active)]


def show_server(_changed: int | None = None) -> list[Cell]:
    """Sizes and version; nothing for who is no admin."""
    if not is_admin():
        return []
    spi = current()
    rollups.refresh(spi.begin, spi.read)
    with spi.read() as session:
        size, stored = system.database_size(session), system.find_storage_size(session)
        images = system.count_images(session)
    return [_server(size, stored, images)]


def show_log(before_id: int | None = None, _changed: int | None = None) -> list[Cell]:
    """A page of the audit log; nothing for who is no admin."""
    if not is_admin():
        return []
    with current().read() as session:
        entries, has_older = audit.list_entries(session, before_id)
    return [_log(entries, before_id, has_older)]


def activate_bundle(values: Values) -> Answer:
    """Choose what detectors use; "" is the reference model."""
    admin, now, name = require_admin(), utcnow(), text(values, "bundle") or None
    with current().begin() as session:
        before = system.active_bundle(session)
        system.activate_bundle(session, current().storage, name, admin.id, now)
        was = f"was {before or REFERENCE}"
        audit.record(session, admin, "active bundle changed", name or REFERENCE, now, was)
    return done(f"Detectors now use {name or 'the reference model'}.", "bundles", "detector", "log")


def start_upload(values: Values) -> Answer:
    """Signed forms for the files of a bundle that the browser is about to send."""
    admin, spi, now, name = require_admin(), current(), utcnow(), text(values, "bundle").strip()
    paths = values.get("paths")
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InvalidInput("choose a folder", field="folder")
    forms = system.upload_forms(spi.storage, name, paths, spi.config.max_bundle_file_mb * 2**20, now)
    with spi.begin() as session:
        audit.record_upload(session, admin, [f"ml/{name}/{path}" for path in paths], now)
    return done("", forms=forms)


def measure_storage(values: Values) -> Answer:
    """Count the stored files, and remember the result."""
    admin, now = require_admin(), utcnow()
    measured = system.measure_storage(current().storage, unix_s(now))
    with current().begin() as session:
        system.keep_storage_size(session, measured, admin.id, now)
    return done("The stored files are counted.", "server")


ACTIONS: dict[str, Callable[[Values], Answer]] = {
    "activate_bundle": activate_bundle,
    "start_upload": start_upload,
    "measure_storage": measure_storage,
}


def _bundles(found: Sequence[system.Bundle], active: str | None) -> html.Section:
    upload = dialog_button("Upload a bundle", "upload_bundle", "Upload a bundle", "Upload", fields=UPLOAD)
    note = "What a detector is made of: its weights, settings, and the cards it was trained on."
    reference = [REFERENCE, "comes with the program", "", "", _use("", active is None)]
    rows = [reference, *(_bundle_row(each, active == each.name) for each in found)]
    if active is not None and active not in [each.name for each in found]:
        rows.append([active, "its files are gone", "", "", _use(active, True)])
    headers = ("Name", "Version", "Files", "Changed (UTC)", "")
    return section("bundles", "Bundles of the detector", table("Bundles", headers, rows, "bundles"), tools=[upload],
                   note=note)  # fmt: skip


def _bundle_row(each: system.Bundle, is_active: bool) -> list[Cell]:
    version = each.version or ("weights without a version" if each.has_weights else "no trained weights")
    prefix = f"ml/{each.name}/"
    names = [html.Li([info.key.removeprefix(prefix), html.Span(size_text(info.size))]) for info in each.files]
    if len(names) > SHOWN_FILES:
        names = [*names[:SHOWN_FILES], html.Li(f"and {plural(len(names) - SHOWN_FILES, 'more file')}")]
    summary = html.Summary(f"{plural(len(each.files), 'file')}, {size_text(each.size)}")
    files = html.Details([summary, html.Ul(names, className="files")], className="more")
    changed = moment(datetime.fromtimestamp(each.modified_at, UTC).replace(tzinfo=None))
    usable = bool(each.version and each.has_weights)
    use = _use(each.name, is_active) if usable or is_active else ""
    return [html.B(each.name), html.Span(version, className="client", title=version), files, changed, use]


def _use(name: str, is_active: bool) -> Cell:
    if is_active:
        return html.Span("active", className="tag good")
    called = name or "the reference model"
    says = "Detectors look at all pictures again with it, the newest first. What was found before stays."
    return dialog_button("Use", "activate_bundle", f"Use {called}?", f"Use {called}", values={"bundle": name},
                         says=says, className="plain", label=f"Use {called}")  # fmt: skip


def _server(size: int, stored: system.StorageSize | None, images: int) -> html.Section:
    verb = "Count now" if stored is None else "Count again"
    count = act_button(verb, "measure_storage", {}, "outline slow", slow=True)
    if stored is None:
        files: Cell = ["not counted yet ", count]
    else:
        words = f"{size_text(stored.size)} in {plural(stored.n_files, 'file')}, counted "
        files = [words, moment(moment_of(stored.measured_at)), " UTC ", count]
    rows = (("Pictures", counted(images)), ("Stored files", files), ("Database", size_text(size)),
            ("Software", f"Spi Dash {__version__}"))  # fmt: skip
    return section("server", "Server", facts(*rows))


def _log(entries: Sequence[audit.Entry], before_id: int | None, has_older: bool) -> html.Section:
    rows = [[moment(each.at), each.username or "command line", each.action, each.target, each.details]
            for each in entries]  # fmt: skip
    pages = [_page("Newest", None)] if before_id is not None else []
    pages += [_page("Older", entries[-1].id)] if has_older else []
    if not rows:
        return section("log", "Who did what", html.P("Nothing yet.", className="nothing"))
    headers = ("When (UTC)", "Who", "What", "Which", "Details")
    return section("log", "Who did what", table("Audit log", headers, rows, "log"),
                   html.Div(pages, className="section-tools"))  # fmt: skip


def _page(words: str, before_id: int | None) -> html.Button:
    return html.Button(words, type="button", className="outline", **{"data-log-before": str(before_id or "")})
