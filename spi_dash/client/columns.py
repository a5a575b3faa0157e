"""Answers as DataFrames: the same columns in the same order, with the same types, whether there are rows or not."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame, Series

UTC_TIME, TEXT, WHOLE, NUMBER, FLAG = "datetime64[us, UTC]", "str", "Int64", "float64", "boolean"

AUDIT = {"datetime_created": UTC_TIME, "api_version": TEXT, "api_user_id": WHOLE}
USERS = {"id": WHOLE, "username": TEXT, "email": TEXT, "is_admin": FLAG, "can_write": FLAG, **AUDIT}
IMAGES = {
    "id": WHOLE,
    "device": TEXT,
    "datetime": UTC_TIME,
    "temp": NUMBER,
    "hum": NUMBER,
    "lum": NUMBER,
    "bat": WHOLE,
    "but": FLAG,
    "lat": NUMBER,
    "lng": NUMBER,
    "alt": NUMBER,
    "gps_corrected": FLAG,
    "width": WHOLE,
    "height": WHOLE,
    "device_version": TEXT,
    "md5": TEXT,
    **AUDIT,
    "url": TEXT,
}
COUNTS = {"n_objects": WHOLE, "algo_name": TEXT, "algo_version": TEXT, "annotated_at": UTC_TIME}
ANNOTATIONS = {
    "id": WHOLE,
    "image_id": WHOLE,
    "device": TEXT,
    "datetime": UTC_TIME,
    "algo_name": TEXT,
    "algo_version": TEXT,
    "n_objects": WHOLE,
    **AUDIT,
}
INSECTS = {
    "annotation_id": WHOLE,
    "image_id": WHOLE,
    "device": TEXT,
    "datetime": UTC_TIME,
    "algo_name": TEXT,
    "algo_version": TEXT,
    "number": WHOLE,
    "name": TEXT,
    "value": WHOLE,
    "score": NUMBER,
    "area": NUMBER,
    "x": NUMBER,
    "y": NUMBER,
    "width": NUMBER,
    "height": NUMBER,
    "centroid_x": NUMBER,
    "centroid_y": NUMBER,
    "n_points": WHOLE,
}
TUBOIDS = {
    "id": WHOLE,
    "tuboid_id": TEXT,
    "device": TEXT,
    "start_datetime": UTC_TIME,
    "end_datetime": UTC_TIME,
    "n_shots": WHOLE,
    "id_in_series": WHOLE,
    "parent_series_id": WHOLE,
    "start_datetime_series": UTC_TIME,
    "end_datetime_series": UTC_TIME,
    "n_tuboids_series": WHOLE,
    "algo_name_series": TEXT,
    "algo_version_series": TEXT,
    **AUDIT,
}
LABELS = {
    "label": WHOLE,
    "type": TEXT,
    "order": TEXT,
    "family": TEXT,
    "genus": TEXT,
    "species": TEXT,
    "pattern": TEXT,
    "algo_name": TEXT,
    "algo_version": TEXT,
    "labelled_at": UTC_TIME,
}
PROJECTS = {"id": WHOLE, "name": TEXT, "description": TEXT, "notes": TEXT, **AUDIT}
PROJECT_SERIES = {"id": WHOLE, "device": TEXT, "start_datetime": UTC_TIME, "end_datetime": UTC_TIME}


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> "DataFrame":
    """Rows, times still as the wire writes them, as a DataFrame of these columns; other keys are left out."""
    import pandas as pd

    return pd.DataFrame({name: column_of([row.get(name) for row in rows], kind) for name, kind in columns.items()})


def column_of(values: Sequence[Any], kind: str) -> "Series":
    """Values of the wire as one column."""
    import pandas as pd

    if kind == UTC_TIME:
        return times_of(values)
    if kind == FLAG:  # 0 and 1 in some answers
        values = [None if value is None else bool(value) for value in values]
    return pd.Series(values, dtype=kind)


def times_of(values: Sequence[Any]) -> "Series":
    """Times as servers write them, `2020-06-20T21:33:24Z` or `2020-06-20_21-33-24`, or datetimes; all UTC."""
    import pandas as pd

    style = "%Y-%m-%d_%H-%M-%S" if any(isinstance(each, str) and "_" in each for each in values[:1]) else "ISO8601"
    times = pd.Series(pd.to_datetime(pd.Series(values, dtype=object), format=style, utc=True))
    return times.astype(UTC_TIME)


def guessed(values: Sequence[Any]) -> "Series":
    """A column whose type the wire does not tell: times if all are, else what pandas makes of them, or text."""
    import pandas as pd

    from .wire import time_or_text

    known = [value for value in values if value is not None]
    if known and all(isinstance(each, str) and not isinstance(time_or_text(each), str) for each in known):
        return times_of([None if value is None else time_or_text(value) for value in values])
    column = pd.Series(values, dtype=object)
    return column.convert_dtypes() if known else column.astype(TEXT)
