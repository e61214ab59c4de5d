"""JSON Schemas (2020-12) of every message, generated from the types that read and write the messages."""

from typing import Any

import msgspec

from worker.wire import inputs
from worker.wire.command_models import COMMAND_MODELS, CommandData
from worker.wire.events import SOURCE, CloudEvent
from worker.wire.fields import LARGEST_INTEGER
from worker.wire.ids import MAX_ID_CHARS
from worker.wire.json_schema import tidied
from worker.wire.published import DATA_TYPES
from worker.wire.results import CommandResult
from worker.wire.times import TIME_PATTERN

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS}
_TIME = {"type": "string", "pattern": TIME_PATTERN, "format": "date-time"}


def schemas() -> dict[str, dict[str, Any]]:
    """Message name → its schema. Consumed events and commands in their flat form, published events with envelope."""
    found: dict[str, dict[str, Any]] = {}
    for event in (inputs.OrderCompletedEvent, inputs.OrderReturnedEvent, inputs.PaymentCompletedEvent):
        found[event.__name__] = {"$schema": DIALECT} | _inlined(event)
    for name, model in COMMAND_MODELS.items():
        found[name] = _command(name, model)
    for name, data in DATA_TYPES.items():
        found[name] = _published(name, data)
    found["CommandResult"] = {"$schema": DIALECT} | _inlined(CommandResult)
    return found


def _inlined(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A Struct's schema with itself at the root instead of behind a reference."""
    schema = tidied(msgspec.json.schema(kind))
    definitions: dict[str, Any] = schema.get("$defs", {})
    own = definitions.pop(kind.__name__)
    return own | {"$defs": definitions} if definitions else dict(own)


def _command(name: str, model: type[CommandData]) -> dict[str, Any]:
    data = tidied(model.model_json_schema())
    definitions = data.pop("$defs", {})
    properties = {
        "commandId": _ID,
        "commandType": _constant(name),
        "customerId": _ID,
        "issuedAt": _TIME,
        "correlationId": {"anyOf": [_ID, {"type": "null"}]},
        "expectedVersion": {
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": LARGEST_INTEGER}, {"type": "null"}]
        },
        "actor": {"anyOf": [_ID, {"type": "null"}]},
        "data": data,
    }
    required = ["commandId", "commandType", "customerId", "issuedAt", "data"]
    schema: dict[str, Any] = {"title": name, "description": model.__doc__, "type": "object"}
    schema |= {"properties": properties, "required": required}
    return {"$schema": DIALECT} | schema | ({"$defs": definitions} if definitions else {})


def _published(name: str, data: type[msgspec.Struct]) -> dict[str, Any]:
    envelope = _inlined(CloudEvent)
    inner = _inlined(data)
    definitions = inner.pop("$defs", {})
    properties = envelope["properties"] | {
        "specversion": _constant("1.0"),
        "source": _constant(SOURCE),
        "type": _constant(name),
        "datacontenttype": _constant("application/json"),
        "data": inner | {"title": f"{name}Data"},
    }
    schema = envelope | {"title": name, "description": data.__doc__, "properties": properties}
    return {"$schema": DIALECT} | schema | ({"$defs": definitions} if definitions else {})


def _constant(text: str) -> dict[str, str]:
    return {"type": "string", "const": text}
