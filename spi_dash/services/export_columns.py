"""The columns of the table of images: what the page shows, what files contain, and what they mean, in one place."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from ..models import Device, Image, UidAnnotation, User
from .rows import is_swapped, located, plausible

Kind = Literal["text", "number", "flag", "time"]
Joined = Literal["", "device", "detector", "uploader"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """`key` is what the page and its addresses call it, `header` what files call it, with the unit."""

    key: str
    header: str
    title: str
    kind: Kind
    value: sa.ColumnElement
    means: str
    joined: Joined = ""  # the table beside images that it comes from
    shown: bool = False  # on the page, until somebody chooses other columns
    digits: int = 0


def _degrees(column: Literal["lat", "lng"]) -> sa.ColumnElement:
    return sa.cast(located(column), sa.Double)


_NUMBER = {"kind": "number"}
_TEXT = {"kind": "text"}

COLUMNS: tuple[Column, ...] = (
    Column(
        key="time", header="time_local", title="Time", kind="time", value=Image.datetime, shown=True,
        means="When the picture was taken, in the zone of the page; time_utc and local_minus_utc_h stand beside it.",
    ),
    Column(
        key="name", header="trap_name", title="Trap", **_TEXT, value=Device.name, joined="device", shown=True,
        means="What people call the trap. Empty: nobody has named it.",
    ),
    Column(
        key="device", header="device", title="Device", **_TEXT, value=Image.device, shown=True,
        means="The trap's own id, eight characters. It never changes, the name may.",
    ),
    Column(
        key="site", header="site", title="Site", **_TEXT, value=Device.site, joined="device", shown=True,
        means="Where people say that the trap stands.",
    ),
    Column(
        key="insects", header="insects", title="Insects", **_NUMBER, value=UidAnnotation.n_objects, joined="detector",
        shown=True, means="Insects that this detector version outlined on the picture. Empty: it has not looked at "
        "the picture yet, which is not zero.",
    ),
    Column(
        key="temp", header="temperature_c", title="Temperature (\u00b0C)", **_NUMBER, value=plausible("temp"),
        shown=True, digits=1, means="Air temperature at the trap, degrees Celsius. Empty: not measured.",
    ),
    Column(
        key="hum", header="humidity_percent", title="Humidity (%)", **_NUMBER, value=plausible("hum"), shown=True,
        digits=1, means="Relative humidity at the trap, percent. Empty: not measured.",
    ),
    Column(
        key="lum", header="light_log10", title="Light (log10)", **_NUMBER, value=plausible("lum"), shown=True, digits=2,
        means="Ambient light: log10(1,000,000 / exposure in microseconds before the flash). No unit; +1 is ten times "
        "brighter.",
    ),
    Column(
        key="bat", header="battery_percent", title="Battery (%)", **_NUMBER, value=plausible("bat"), shown=True,
        means="Charge of the battery, percent.",
    ),
    Column(
        key="button", header="started_by_button", title="Button", kind="flag", value=Image.but,
        means="true: somebody pressed the trap's button for this picture; false: its clock did.",
    ),
    Column(
        key="lat", header="latitude_deg", title="Latitude (\u00b0)", **_NUMBER, value=_degrees("lat"), digits=6,
        shown=True, means="Degrees north (WGS 84), by the trap's GPS.",
    ),
    Column(
        key="lng", header="longitude_deg", title="Longitude (\u00b0)", **_NUMBER, value=_degrees("lng"),
        digits=6, shown=True, means="Degrees east (WGS 84), by the trap's GPS.",
    ),
    Column(
        key="alt", header="altitude_m", title="Altitude (m)", **_NUMBER, value=plausible("alt"),
        means="Metres above sea level, by the trap's GPS.",
    ),
    Column(
        key="swapped", header="gps_corrected", title="GPS corrected", kind="flag",
        value=sa.case((is_swapped(), sa.true()), else_=sa.false()),
        means="true: the trap had stored latitude and longitude the wrong way round; here they are exchanged back.",
    ),
    Column(
        key="width", header="width_px", title="Width (px)", **_NUMBER, value=Image.width,
        means="Width of the picture, pixels.",
    ),
    Column(
        key="height", header="height_px", title="Height (px)", **_NUMBER, value=Image.height,
        means="Height of the picture, pixels.",
    ),
    Column(
        key="version", header="trap_version", title="Trap version", **_TEXT, value=Image.device_version,
        means="Version of the software on the trap, which drives its camera.",
    ),
    Column(
        key="md5", header="md5", title="MD5", **_TEXT, value=Image.md5,
        means="Checksum of the original picture: two equal ones are the same file.",
    ),
    Column(
        key="uploader", header="uploaded_by", title="Uploaded by", **_TEXT, value=User.username, joined="uploader",
        shown=True, means="Account that uploaded the picture. Empty: it is gone, or not known.",
    ),
    Column(
        key="uploaded", header="uploaded_utc", title="Uploaded", kind="time", value=Image.datetime_created, shown=True,
        means="When the picture arrived on the server, UTC.",
    ),
    Column(
        key="detector", header="detector", title="Detector", **_TEXT, value=UidAnnotation.algo_name,
        joined="detector", means="Name of the detector. Empty: it has not looked at the picture yet.",
    ),
    Column(
        key="detector_version", header="detector_version", title="Detector version", **_TEXT,
        value=UidAnnotation.algo_version, joined="detector",
        means="Its version. One file has counts of one version only: counts of two do not compare.",
    ),
    Column(
        key="annotated", header="annotated_utc", title="Annotated", kind="time", value=UidAnnotation.datetime_created,
        joined="detector", means="When the detector handed in its result for this picture, UTC.",
    ),
)  # fmt: skip

BY_KEY = {column.key: column for column in COLUMNS}
