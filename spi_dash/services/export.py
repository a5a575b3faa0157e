"""What files made of the table of images are called, and what their columns mean."""

import re
from datetime import datetime

from .export_columns import COLUMNS
from .export_csv import header
from .export_query import View
from .project_scope import ProjectScope
from .scope import Scope, moment

TIMES = {
    "time_utc": "When the picture was taken, UTC, as 2020-06-20 21:33:24.",
    "local_minus_utc_h": "Hours by which time_local is ahead of time_utc. It changes where clocks do.",
    "time_zone": "Zone of time_local, as in the IANA database: that of the page when the file was made.",
}
INTRODUCTION = """# What the columns mean

One row is one picture of one trap, in the dates, of the traps and with the filters that the page had when the file was
made. `made-...` at the end of a file's name is that day.

- An empty cell is something that is not known. It is never zero: an empty `insects` is a picture that the detector has
  not looked at yet.
- CSV files are UTF-8 with commas and a decimal point. Text that begins with `=`, `+`, `-` or `@` has an apostrophe
  before it, so that no spreadsheet takes it for a formula.
- `csv.gz` is the same file, packed: R (`read.csv`) and pandas (`read_csv`) read it as it is.

| Column | On the page | Meaning |
|---|---|---|
"""
COCO = """
## Annotations as COCO JSON

One detector version per file; `info.detector` names it.

| Part | Meaning |
|---|---|
| `images` | The pictures that this version has looked at. One without annotations has no insects; one that is not \
listed has not been looked at. `file_name` is the original's name, `date_captured` is UTC, `insects` the number that \
the detector reported. |
| `annotations` | One per outline: `segmentation` is one polygon x, y, x, y in pixels of the original picture, from \
its top left corner; `bbox` is x, y, width, height; `area` is that of the polygon, in square pixels; `score` from 0 to \
1 is there where the detector gave one. Outlines may leave the frame. Those of fewer than three points are left out. |
| `categories` | What the detector calls the outlines, numbered in the order in which they come. |
| `licenses` | Nothing is stated for the pictures: ask the lab that runs the server. |
"""
LABELS = """
## Labels of tuboids as CSV

The tuboids that the page Tuboids shows, all of its pages. One row is one label; a tuboid without labels has one row \
with empty cells for them. To count insects, take the rows in which `newest_label` is not `false`.

| Column | Meaning |
|---|---|
| `tuboid_id` | Name of the tuboid: one insect, followed over several pictures. |
| `trap_name`, `device` | What people call the trap, and its own id. |
| `start_utc`, `end_utc` | Its first and last shot, UTC. |
| `shots` | On how many pictures it is seen. |
| `type`, `order`, `family`, `genus`, `species` | What the classifier says that it is. Empty: not known, or no label. |
| `label`, `pattern` | The classifier's own number and pattern of this class. |
| `classifier`, `classifier_version` | Which classifier says so. |
| `labelled_utc` | When its label arrived on the server, UTC. |
| `newest_label` | true: the tuboid's newest label, which the page shows; false: an older one; empty: it has none. |
"""


def file_name(scope: Scope, view: View, what: str, ending: str, now: datetime) -> str:
    """Plain ASCII: what, which project, which days (UTC), which traps, filtered or not, and the day it was made."""
    devices = [info.device for info in scope.devices]
    traps = devices[0] if len(devices) == 1 else f"{len(devices)}-traps"
    days = f"{moment(scope.start_s):%Y-%m-%d}_to_{moment(scope.end_s - 1):%Y-%m-%d}"
    parts = [
        what,
        *project_part(scope.project),
        days,
        traps,
        *(["filtered"] if view.filters else []),
        f"made-{now:%Y-%m-%d}",
    ]
    return "_".join(re.sub(r"[^0-9A-Za-z.-]+", "-", part) if part != days else part for part in parts) + ending


def project_part(project: ProjectScope | None) -> list[str]:
    """Which project, in plain ASCII, for the name of a file: `project-7-orchard`."""
    if project is None or project.info is None:
        return []
    name = re.sub(r"[^0-9A-Za-z]+", "-", project.name).strip("-")
    return [f"project-{project.info.id}" + (f"-{name}" if name else "")]


def data_dictionary() -> str:
    """As Markdown; docs/data-dictionary.md is this text."""
    by_header = {column.header: column for column in COLUMNS}
    lines = []
    for name in header():
        column = by_header.get(name)
        title, means = (column.title, column.means) if column else ("", TIMES[name])
        lines.append(f"| `{name}` | {title} | {means} |\n")
    return INTRODUCTION + "".join(lines) + COCO + LABELS
