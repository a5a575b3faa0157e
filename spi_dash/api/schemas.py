"""JSON schemas of the answers, for the OpenAPI document; the rows themselves are made by the database."""

from typing import Any

Schema = dict[str, Any]

INT: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
TIME: Schema = {
    "type": "string",
    "description": "UTC; written as the request wrote its times, else 2020-06-20T21:33:24Z",
    "pattern": r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ|_\d\d-\d\d-\d\d)$",
}


def _or_null(schema: Schema, description: str | None = None) -> Schema:
    found: Schema = {**schema, "type": [schema["type"], "null"]}
    return found | ({"description": description} if description else {})


def _object(properties: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": True,
    }


AUDIT = {"id": INT, "datetime_created": TIME, "api_version": _or_null(TEXT), "api_user_id": _or_null(INT)}
PICTURE = {
    "device": TEXT,
    "datetime": TIME,
    "md5": TEXT,
    "device_version": _or_null(TEXT),
    "width": {**INT, "description": "pixels"},
    "height": {**INT, "description": "pixels"},
    "lat": _or_null(NUMBER, "degrees, as in the picture: older devices exchange latitude and longitude"),
    "lng": _or_null(NUMBER, "degrees"),
    "alt": _or_null(NUMBER, "metres"),
    "temp": _or_null(NUMBER, "degrees C"),
    "hum": _or_null(NUMBER, "% relative humidity"),
    "lum": _or_null(NUMBER, "log10(1e6 / exposure time in microseconds)"),
    "bat": _or_null(NUMBER, "battery, 0 to 100"),
}
NULL_ID = {"id": _or_null(INT, "null: not known yet")}
SERIES = {
    "algo_name_series": TEXT,
    "algo_version_series": TEXT,
    "n_tuboids_series": INT,
    "device_series": TEXT,
    "start_datetime_series": TIME,
    "end_datetime_series": TIME,
}
LABEL = {
    "parent_tuboid_id": INT,
    **{name: TEXT for name in ("algo_name", "algo_version", "pattern", "type")},
    "label": INT,
    **{name: _or_null(TEXT) for name in ("order", "family", "genus", "species")},
}
BUTTON = {"but": {"type": ["integer", "null"], "enum": [0, 1, None], "description": "switched on by button"}}

COMPONENTS: dict[str, Schema] = {
    "Error": _object({"error": _object({"code": TEXT, "message": TEXT, "details": {"type": "object"}})}),
    "Token": _object({"token": TEXT, "expiration": {**INT, "description": "UNIX seconds"}}),
    "UserRow": _object(
        {**AUDIT, "username": TEXT, "email": _or_null(TEXT), "password_hash": TEXT, "is_admin": FLAG, "can_write": FLAG}
    ),
    "ImageRow": _object({**AUDIT, **PICTURE, **BUTTON, "url": {**TEXT, "description": "empty for metadata"}}),
    "NewImageRow": _object({**AUDIT, **PICTURE, **NULL_ID, "but": _or_null(FLAG)}),
    "DeletedImageRow": _object({**AUDIT, **PICTURE, "but": _or_null(FLAG)}),
    "AnnotationRow": _object(
        {
            **AUDIT,
            "parent_image_id": INT,
            "algo_name": TEXT,
            "algo_version": TEXT,
            "n_objects": INT,
            "json": {
                **TEXT,
                "description": "the element as it was posted; absent from metadata, empty when just stored",
            },
        },
        optional=("json",),
    ),
    "TuboidRow": _object(
        {
            **AUDIT,
            "parent_series_id": INT,
            "tuboid_id": TEXT,
            "id_in_series": INT,
            "start_datetime": TIME,
            "end_datetime": TIME,
            "n_shots": INT,
            **SERIES,
            **{name: {**TEXT, "description": "address; only in data"} for name in ("tuboid", "metadata", "context")},
        },
        optional=("tuboid", "metadata", "context"),
    ),
    "TuboidSeriesRow": _object({**AUDIT, **{name.removesuffix("_series"): each for name, each in SERIES.items()}}),
    "LabelRow": _object({**AUDIT, **LABEL}),
    "NewLabelRow": _object({**AUDIT, **NULL_ID, **LABEL}),
    "StoredBundleFile": _object({"key": TEXT, "path": TEXT, "md5": TEXT, "mtime": NUMBER, "url": TEXT}),
    "ReleasedRow": _object({"device": TEXT, "datetime": TIME}),
    "FailureRow": _object({"device": TEXT, "datetime": TIME, "algo_name": TEXT, "algo_version": TEXT, "reason": TEXT}),
    "WorkerOrders": _object(
        {
            "worker": TEXT,
            "active_version": {**TEXT, "description": "the version that detectors are to use"},
            "bundle": _or_null(TEXT, "where to download it; null: it comes with the program"),
            "lease_s": {**INT, "description": "claims end when there is no heartbeat for so long"},
        }
    ),
    "ProjectRow": _object({**AUDIT, "name": TEXT, "description": _or_null(TEXT), "notes": _or_null(TEXT)}),
    "PermissionRow": _object({**AUDIT, **NULL_ID, "parent_project_id": INT, "parent_user_id": INT, "level": INT}),
    "ProjectSeriesRow": {
        **_object({"id": INT, "device": TEXT, "start_datetime": TIME, "end_datetime": TIME}),
        "description": "and the project's own columns",
    },
    "ProjectColumnRow": _object({"column_name": TEXT, "column_SQL_type": _or_null(TEXT, "null: renamed")}),
    "DeletedColumnRow": _object({"column_name": TEXT}),
    "BundleUpload": _object({"url": _object({"url": TEXT, "fields": {"type": "object"}})}),
}


def object_(name: str) -> Schema:
    """The answer is one such object."""
    return {"$ref": f"#/components/schemas/{name}"}


def rows(name: str) -> Schema:
    """The answer is a list of such objects."""
    return {"type": "array", "items": object_(name)}
