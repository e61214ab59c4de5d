"""The OpenAPI 3.1 document, generated from the list of operations and the models; nothing in it is written twice."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from api.auth import Access
from api.contracts import ProblemView
from api.headers import CORRELATION_ID, IDEMPOTENCY_KEY
from api.operations import Operation
from api.problems import PROBLEM_JSON
from worker.wire.command_models import COMMAND_MODELS

_REF = "#/components/schemas/{name}"
_ID = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]+$"}
_SUFFIXES = {"View": "", "Data": "Request"}  # of our models' names → of the document's
_ALWAYS = (400, 500)
_STRING = {"type": "string"}
_KEY = {"type": "string", "maxLength": 255, "pattern": "^[!-~]+$"}
_CORRELATION = {"type": "string", "maxLength": 100, "pattern": "^[!-~]([ -~]*[!-~])?$"}
_ANSWER_HEADERS = {
    "ETag": "The version, in quotes.",
    "Location": "Where the new thing, or the command's result, can be asked for.",
    "Retry-After": "Seconds.",
    "Warning": "110 when the answer is a copy, because the owner of the customer is away.",
    "Age": "Seconds since the copy was written.",
    "WWW-Authenticate": "What kind of token is needed.",
    CORRELATION_ID: "The request's own, or one made for it.",
}


def document(operations: Sequence[Operation], *, authenticated: bool) -> dict[str, Any]:
    """The document for these operations. authenticated: whether this worker asks for tokens."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, authenticated)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Customer Context",
            "version": version("customer-context"),
            "description": "Customers, reward points and membership levels. A write is answered from its committed "
            "result, or with 202 and a Location when there is none within 5 seconds.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _schemas(operations), **(_security_schemes() if authenticated else {})},
    }


def _operation(operation: Operation, authenticated: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": ["Customers" if operation.path.startswith("/api/") else "Operations"],
        "parameters": _parameters(operation),
        "responses": _responses(operation, authenticated),
    }
    if operation.takes_body and operation.command_type is not None:
        schema = _reference(COMMAND_MODELS[operation.command_type])
        content = {"application/json": {"schema": schema}}
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    if operation.access is not Access.OPEN:
        described["description"] = f"Needs the scope `{operation.access.value}`."
        if authenticated:
            described["security"] = [{"bearer": []}]
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    parameters = [_parameter(name, "path", _ID, required=True) for name in names]
    for name, description in operation.query.items():
        parameters.append(_parameter(name, "query", _STRING, description, required=True))
    if operation.access is Access.OPEN:
        return parameters
    parameters.append(_parameter(CORRELATION_ID, "header", _CORRELATION, "Goes into events and comes back."))
    if not operation.is_write:
        if 304 in operation.answers:
            parameters.append(
                _parameter("If-None-Match", "header", _STRING, "Entity tags that the client has.")
            )
        return parameters
    text = "The same key, path and token make the same command; repeated, it changes nothing."
    parameters.append(_parameter(IDEMPOTENCY_KEY, "header", _KEY, text))
    if 412 in operation.errors:
        text = "`*`, or the version in quotes that the customer must have."
        schema = {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,17}")$'}
        parameters.append(_parameter("If-Match", "header", schema, text))
    return parameters


def _parameter(
    name: str, place: str, schema: Mapping[str, Any], description: str = "", *, required: bool = False
) -> dict[str, Any]:
    parameter = {"name": name, "in": place, "required": required, "schema": dict(schema)}
    return {**parameter, "description": description} if description else parameter


def _responses(operation: Operation, authenticated: bool) -> dict[str, Any]:
    responses = {str(status): _answer(status, body) for status, body in operation.answers.items()}
    for status in sorted({*operation.errors, *_usual_errors(operation, authenticated)}):
        responses[str(status)] = _answer(status, ProblemView)
    return responses


def _usual_errors(operation: Operation, authenticated: bool) -> set[int]:
    if operation.access is Access.OPEN:
        return {503} if operation.name == "getReadiness" else set()
    errors = {*_ALWAYS, 503}
    if operation.takes_body:
        errors |= {408, 413, 415}
    return errors | {401, 403} if authenticated else errors


def _answer(status: int, body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(body, str):
        answer["content"] = {body: {}}
    elif body is not None:
        media_type = PROBLEM_JSON if body is ProblemView else "application/json"
        answer["content"] = {media_type: {"schema": _reference(body)}}
    answer["headers"] = {
        name: {"description": _ANSWER_HEADERS[name], "schema": _STRING} for name in _headers_of(status)
    }
    return answer


def _headers_of(status: int) -> list[str]:
    by_status = {
        200: ["ETag", "Warning", "Age"],
        201: ["ETag", "Location"],
        202: ["Location", "Retry-After"],
        204: ["ETag"],
        304: ["ETag"],
        401: ["WWW-Authenticate"],
        403: ["WWW-Authenticate"],
        503: ["Retry-After"],
    }
    return [*by_status.get(status, []), CORRELATION_ID]


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    answers = {
        body for operation in operations for body in operation.answers.values() if isinstance(body, type)
    }
    ordered = sorted({*answers, ProblemView}, key=lambda body: body.__name__)
    _, shown = msgspec.json.schema_components(ordered, ref_template=_REF)
    types = [operation.command_type for operation in operations if operation.takes_body]
    models = [COMMAND_MODELS[name] for name in types if name is not None]
    _, sent = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF.replace("{name}", "{model}")
    )
    requests = {name: _closed(schema) for name, schema in sent["$defs"].items()}
    return _renamed({**shown, **requests})


def _reference(model: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=_public(model.__name__))}


def _renamed(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The names without what tells our own modules apart: CustomerView is Customer, AddressData AddressRequest."""
    text = msgspec.json.encode(schemas).decode()
    text = re.sub(
        r'("#/components/schemas/\w+?)(View|Data)"', lambda ref: f'{ref[1]}{_SUFFIXES[ref[2]]}"', text
    )
    renamed = msgspec.json.decode(text)
    for name in list(renamed):
        schema = renamed.pop(name)
        schema["title"] = _public(name)
        renamed[_public(name)] = schema
    return dict(renamed)


def _public(name: str) -> str:
    for suffix, public in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + public
    return name


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """A request's object takes no other fields. An absent phone clears it, so HTTP asks for none."""
    if schema.get("type") != "object":
        return schema
    required = [field for field in schema.get("required", []) if field != "phone"]
    return {**schema, **({"required": required} if required else {}), "additionalProperties": False}


def _security_schemes() -> dict[str, Any]:
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    return {"securitySchemes": {"bearer": scheme}}
