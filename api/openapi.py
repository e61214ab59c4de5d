"""The OpenAPI 3.1 document. Paths come from the list of operations, schemas from the models of bodies and answers."""

import re
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from pydantic.json_schema import models_json_schema

from api.auth import Access
from api.endpoints import Operation
from api.problems import PROBLEM_JSON, STATUS_OF_CODE
from api.request import CORRELATION_ID, IDEMPOTENCY_KEY, MAX_CORRELATION_CHARS, MAX_KEY_CHARS
from api.views import ProblemView, RewardPointsView
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.ids import ID_PATTERN, MAX_ID_CHARS
from worker.wire.json_schema import tidied

_JSON = "application/json"
_CUSTOMERS, _OPERATIONS = "Customers", "Operations"
_TAGS = {
    _CUSTOMERS: "Customers, their points, and why they have them.",
    _OPERATIONS: "Health, metrics and documents.",
}
_REF = "#/components/schemas/{name}"
_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS, "pattern": ID_PATTERN}
_SUFFIXES = {"View": "", "Data": "Request"}  # suffix of a model's name → suffix of its schema's name
_ALWAYS = (400, 417, 500)
_STRING = {"type": "string"}
_KEY = {"type": "string", "maxLength": MAX_KEY_CHARS, "pattern": "^[!-~]+$"}
_CORRELATION = {"type": "string", "maxLength": MAX_CORRELATION_CHARS, "pattern": "^[!-~]([ -~]*[!-~])?$"}
_OBJECT = {"type": "object"}
_NUMBER = {"type": "integer", "minimum": 0}
_BEARER: dict[str, list[str]] = {"bearer": []}
_ANSWER_HEADERS = {
    "ETag": "The version, in quotes.",
    "Location": "The path of the new resource, or of the command's result.",
    "Retry-After": "Seconds to wait before the next try.",
    "Warning": "110 when the answer is a copy, because the owner of the customer is away.",
    "Age": "Seconds since the copy was written.",
    "WWW-Authenticate": "The kind of token that is needed.",
    CORRELATION_ID: "The request's own, or a new one.",
}


_SECONDS = ("Retry-After", "Age")
_SECURITY_SCHEMES = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}


def document(
    operations: Sequence[Operation], *, authenticated: bool, contact: Mapping[str, str]
) -> dict[str, Any]:
    """The OpenAPI document.

    Args:
        operations: what it describes.
        authenticated: whether this worker requires tokens.
        contact: name, url and email of those who run the worker.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, authenticated)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Customer Context",
            "version": version("customer-context"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "contact": dict(contact),
            "description": "Customers, reward points and membership levels. A write is answered from its committed "
            "result, or with 202 and a Location when there is none within 5 seconds.",
        },
        "servers": [{"url": "/", "description": "The worker that shows this document"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": _schemas(operations), "securitySchemes": _SECURITY_SCHEMES},
    }


def _operation(operation: Operation, authenticated: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.access.value}`, where the worker asks for tokens.",
        "tags": [_CUSTOMERS if operation.path.startswith("/api/") else _OPERATIONS],
        "parameters": _parameters(operation),
        "responses": _responses(operation, authenticated),
    }
    if operation.takes_body and operation.command_type is not None:
        schema = _reference(COMMAND_MODELS[operation.command_type])
        content = {_JSON: {"schema": schema}}
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    described["security"] = [_BEARER] if authenticated else [_BEARER, {}]
    if operation.access is Access.OPEN:
        described |= {"description": "Needs no token.", "security": []}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters = [_parameter(name, "path", _ID, required=True) for name in _path_parameters(operation)]
    for name, query in operation.query.items():
        parameters.append(_parameter(name, "query", query.schema, query.text, required=query.required))
    if operation.access is Access.OPEN:
        return parameters
    parameters.append(
        _parameter(CORRELATION_ID, "header", _CORRELATION, "Copied to the events and the answer.")
    )
    if not operation.is_write:
        if 304 in operation.answers:
            parameters.append(
                _parameter("If-None-Match", "header", _STRING, "Entity tags that the client has.")
            )
        return parameters
    text = "Requests with the same key, path and token make the same command. A repeat changes nothing."
    parameters.append(_parameter(IDEMPOTENCY_KEY, "header", _KEY, text))
    if 412 in operation.errors:
        text = "`*`, or one or more versions in quotes, of which the customer must have one."
        schema = {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,17}"( *, *"[1-9][0-9]{0,17}")*)$'}
        parameters.append(_parameter("If-Match", "header", schema, text))
    return parameters


def _path_parameters(operation: Operation) -> list[str]:
    return [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]


def _parameter(
    name: str, where: str, schema: Mapping[str, Any], description: str = "", *, required: bool = False
) -> dict[str, Any]:
    parameter = {"name": name, "in": where, "required": required, "schema": dict(schema)}
    return {**parameter, "description": description} if description else parameter


def _responses(operation: Operation, authenticated: bool) -> dict[str, Any]:
    answers = {**operation.answers}
    for status in sorted({*operation.errors, *_usual_errors(operation, authenticated)}):
        answers[status] = ProblemView
    return {str(status): _answer(operation, status, body) for status, body in answers.items()}


def _usual_errors(operation: Operation, authenticated: bool) -> set[int]:
    of_access = {401, 403} if authenticated else {421}  # 421: the request names a foreign host
    if operation.access is Access.OPEN:
        return {*_ALWAYS, *(of_access - {401, 403})} | ({503} if operation.name == "getReadiness" else set())
    errors = {*_ALWAYS, *of_access, 503}
    return errors | {408, 413, 415} if operation.takes_body else errors


def _answer(operation: Operation, status: int, body: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if isinstance(body, str):
        schema = _OBJECT if body == _JSON else _STRING
        answer["content"] = {media_type: {"schema": schema} for media_type in body.split(", ")}
    elif body is not None:
        media_type = PROBLEM_JSON if body is ProblemView else _JSON
        answer["content"] = {media_type: {"schema": _reference(body)}}
    answer["headers"] = {
        name: {"description": _ANSWER_HEADERS[name], "schema": _NUMBER if name in _SECONDS else _STRING}
        for name in _headers_of(operation, status)
    }
    return answer


def _headers_of(operation: Operation, status: int) -> list[str]:
    copied = ["Warning", "Age"] if operation.may_be_copied else []
    of_version = operation.is_write or 304 in operation.answers
    by_status = {
        200: [*(["ETag"] if of_version else []), *copied],
        201: ["ETag", *([] if operation.answers.get(201) is RewardPointsView else ["Location"])],
        202: ["Location", "Retry-After"],
        204: ["ETag"],
        304: ["ETag"],
        401: ["WWW-Authenticate"],
        403: ["WWW-Authenticate"],
        410: copied,
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
    paths = {
        COMMAND_MODELS[operation.command_type].__name__: _path_parameters(operation)
        for operation in operations
        if operation.command_type is not None
    }
    flat = sent["$defs"]["NotificationsData"]["properties"]  # a client may send back what it got
    sent["$defs"]["UpdatePreferencesData"]["properties"] |= flat
    requests = {name: _closed(schema, paths.get(name, ())) for name, schema in sent["$defs"].items()}
    shown["ProblemView"]["properties"]["code"]["enum"] = list(STATUS_OF_CODE)
    return _renamed(tidied({name: _complete(schema) for name, schema in shown.items()} | requests))


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer. A field with a default is always sent, so it is required, too."""
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    sent = [name for name in properties if name in required or "default" in properties[name]]
    return {**schema, "required": sent} if sent else schema


def _reference(model: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=_public(model.__name__))}


def _renamed(schemas: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas under their public names: CustomerView becomes Customer, AddressData becomes AddressRequest."""
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


def _closed(schema: dict[str, Any], in_path: Collection[str]) -> dict[str, Any]:
    """The schema of a request's object without further fields. `phone` is optional, because its absence clears it.

    in_path: fields of the command that the request has in its path.
    """
    if schema.get("type") != "object":
        return schema
    properties = {name: field for name, field in schema["properties"].items() if name not in in_path}
    required = [field for field in schema.get("required", []) if field != "phone" and field in properties]
    closed = {**schema, "properties": properties, "additionalProperties": False}
    return closed | ({"required": required} if required else {})
