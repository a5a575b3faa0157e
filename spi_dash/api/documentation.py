"""The OpenAPI document, made from the endpoints and their types, and a page to read it without the internet."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import flask
from pydantic.json_schema import models_json_schema

from .. import __version__
from ..contract import BUNDLE_NAME, TuboidSeriesInfo
from ..policy import nonce
from .endpoint import Endpoint
from .schemas import COMPONENTS, TEXT, Schema

COMMON_REFUSALS = {
    400: "the request cannot be read",
    401: "no or wrong credentials",
    403: "the role does not allow it",
    404: "something named does not exist",
    405: "only POST is taken",
    409: "it exists already, or does not fit what is stored",
    413: "the body or a file is too large",
    415: "the body is not JSON, or the file is not a JPEG",
    422: "a value is wrong; the message names the field",
    429: "too many failed sign-ins; see Retry-After",
    503: "database or storage do not answer; see Retry-After",
}
ROLE_NAMES = {"any": "any account", "rw": "read-write accounts and admins", "admin": "admins"}
REF = "#/components/schemas/{model}"
UPLOAD_BODY: Schema = {
    "type": "object",
    "description": "one part per picture, named `<device>.<YYYY-MM-DD_HH-MM-SS>.jpg`; optionally a part `<name>.md5`",
    "additionalProperties": {"type": "string", "format": "binary"},
    "minProperties": 1,
}


def add_routes(api: flask.Blueprint, endpoints: Sequence[Endpoint]) -> None:
    """/openapi.json and /api-docs; neither needs a sign-in. The document is made when it is asked for first."""
    document = cache(lambda: make_document(endpoints))
    api.add_url_rule("/openapi.json", "openapi", lambda: flask.jsonify(document()), methods=["GET"])
    api.add_url_rule(
        "/api-docs",
        "docs",
        lambda: flask.render_template("api_docs.html", document=document(), nonce=nonce()),
        methods=["GET"],
    )


def make_document(endpoints: Sequence[Endpoint]) -> Schema:
    """OpenAPI 3.1 of these endpoints."""
    kinds = list({TuboidSeriesInfo, *(endpoint.info for endpoint in endpoints if endpoint.info is not None)})
    _, definitions = models_json_schema([(kind, "validation") for kind in kinds], ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Spi Dash",
            "version": __version__,
            "description": "The calls of Sticky Pi devices, phones and scripts. Times are UTC.",
        },
        "servers": [{"url": "/"}],
        "security": [{"basic": []}],
        "paths": {endpoint.path.replace("<what>", "{what}"): {"post": _operation(endpoint)} for endpoint in endpoints},
        "components": {
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "user name and password, or a token as user name and no password",
                }
            },
            "schemas": {**COMPONENTS, **definitions["$defs"]},
        },
    }


def _operation(endpoint: Endpoint) -> Schema:
    operation: Schema = {
        "operationId": endpoint.name,
        "summary": (endpoint.handler.__doc__ or "").split("\n")[0],
        "description": f"For {ROLE_NAMES[endpoint.role]}.",
        "responses": {"200": _response("done", endpoint.answer), **_refusals(endpoint)},
    }
    if "<what>" in endpoint.path:
        any_text = {**TEXT, "minLength": 1, "description": "metadata: without the outlines; anything else: with them"}
        schema = {**TEXT, "enum": list(endpoint.whats)} if endpoint.whats else any_text
        operation["parameters"] = [{"name": "what", "in": "path", "required": True, "schema": schema}]
    if (body := _request_body(endpoint)) is not None:
        operation["requestBody"] = body
    return operation


def _request_body(endpoint: Endpoint) -> Schema | None:
    if endpoint.body == "none":
        return None
    if endpoint.body == "files":
        return {"required": True, "content": {"multipart/form-data": {"schema": endpoint.form or UPLOAD_BODY}}}
    schema: Schema = {**TEXT, "pattern": BUNDLE_NAME}
    if endpoint.info is not None:
        schema = {"type": "array", "items": {"$ref": REF.format(model=endpoint.info.__name__)}}
    elif endpoint.body == "filters":
        schema = {"type": ["array", "null"], "items": _filter_schema(endpoint.filters)}
    return {"required": endpoint.body != "filters", "content": {"application/json": {"schema": schema}}}


def _filter_schema(names: Sequence[str]) -> Schema:
    value = {"type": ["string", "number", "boolean", "null"], "description": "a LIKE pattern: % is anything"}
    return {"type": "object", "properties": dict.fromkeys(names, value), "additionalProperties": False}


def _refusals(endpoint: Endpoint) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    return {str(status): _response(reason, error) for status, reason in COMMON_REFUSALS.items()}


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
