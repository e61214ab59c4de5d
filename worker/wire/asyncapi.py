"""The AsyncAPI 3 document: topics from the catalogue, messages from the types that read and write them.

Rules:
- Seen from the worker, as AsyncAPI wants it: it receives commands and events of others, and sends its own.
- Only topics that others may use; what is internal is not told.
- Schemas are shared by name under `components`, and every reference stays inside the document.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from worker.domain.rejections import DeadLetterReason
from worker.topics import Catalogue, Topic
from worker.tracing import TRACEPARENT
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.events import CONTENT_TYPE
from worker.wire.published import DATA_TYPES
from worker.wire.schemas import schemas

_JSON = "application/json"
_SCHEMAS = ("components", "schemas")
_BINDING = "0.5.0"  # of AsyncAPI's Kafka bindings
_RESULT = "CommandResult"
_DEAD_LETTER = "DeadLetter"
_TEXT = {"type": "string"}
_TRACE = {TRACEPARENT: {"type": "string", "description": "W3C Trace Context of the input, if it had one"}}
_DIGITS = {"type": "string", "pattern": "^[0-9]+$"}

Found = dict[str, Any]


def document(catalogue: Catalogue) -> dict[str, Any]:
    """The document of an installation with these topics."""
    known = schemas()
    consumed = [
        topic for topic in (catalogue.orders, catalogue.returns, catalogue.payments) if topic.value in known
    ]
    channels = {
        "commands": _channel(catalogue.commands, COMMAND_MODELS),
        **{topic.value: _channel(topic, [topic.value]) for topic in consumed},
        "events": _channel(catalogue.events, DATA_TYPES),
        "results": _channel(catalogue.results, [_RESULT]),
        "deadLetters": _channel(catalogue.dead_letters, [_DEAD_LETTER]),
    }
    receive = {
        "receiveCommand": {
            **_operation("receive", "commands", "Commands change one customer; each delivery is answered."),
            "reply": {"channel": _ref("channels", "results")},
        },
        **{
            f"receive{topic.value}": _operation("receive", topic.value, "Counted once, in any order.")
            for topic in consumed
        },
    }
    send = {
        "sendEvent": _operation("send", "events", "What happened to a customer, in order, exactly once."),
        "sendDeadLetter": _operation("send", "deadLetters", "Inputs that cannot be processed, and why."),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Customer Context",
            "version": version("customer-context"),
            "description": "Inputs are plain JSON as described here, or CloudEvents 1.0 whose data is that, structured "
            "or binary. Published events are CloudEvents 1.0 in structured mode; read them with "
            "isolation.level=read_committed to see each exactly once. A field may be added at any time.",
        },
        "defaultContentType": _JSON,
        "channels": channels,
        "operations": receive | send,
        "components": {"messages": _messages(known), "schemas": _shared(known)},
    }


def _channel(topic: Topic, messages: Iterable[str]) -> Found:
    configuration = {
        "cleanup.policy": [topic.cleanup.value],
        "retention.ms": int(topic.config["retention.ms"]),
    }
    return {
        "address": topic.name,
        "description": f"Key: {topic.key}. Value: {topic.value}.",
        "messages": {name: _ref("components", "messages", name) for name in messages},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(action: str, channel: str, summary: str) -> Found:
    return {"action": action, "channel": _ref("channels", channel), "summary": summary}


def _messages(known: Mapping[str, Any]) -> Found:
    found = {name: _message(name) for name in known}
    for name in DATA_TYPES:
        found[name] |= {
            "contentType": CONTENT_TYPE.decode(),
            "headers": _headers(
                {"content-type": {"const": CONTENT_TYPE.decode()}, "ce_type": {"const": name}}
            ),
            "correlationId": {"location": "$message.payload#/correlationid"},
        }
    found[_RESULT]["correlationId"] = {"location": "$message.payload#/commandId"}
    found[_DEAD_LETTER] = {
        "name": _DEAD_LETTER,
        "summary": "The original bytes, key and headers; a SHA-256 in hex where they held a full card number",
        "contentType": "application/octet-stream",
        "headers": _headers(
            {
                "dlq-reason": {"type": "string", "enum": [reason.value for reason in DeadLetterReason]},
                "dlq-detail": _TEXT,
                "dlq-topic": _TEXT,
                "dlq-partition": _DIGITS,
                "dlq-offset": _DIGITS,
            }
        ),
    }
    return found


def _message(name: str) -> Found:
    return {
        "name": name,
        "contentType": _JSON,
        "headers": _headers({}),
        "payload": _ref(*_SCHEMAS, name),
        "bindings": {"kafka": {"key": _TEXT, "bindingVersion": _BINDING}},
    }


def _headers(required: Mapping[str, Any]) -> Found:
    return {"type": "object", "properties": {**required, **_TRACE}, "required": list(required)}


def _shared(known: Mapping[str, Mapping[str, Any]]) -> Found:
    """Every schema, the `data` of an envelope, and the definitions inside them, side by side.

    Commands and events are made by two libraries, which may describe the same type in different words: the second
    description of a name is then called after the first message that has it.
    """
    told: dict[
        str, list[tuple[str, Any]]
    ] = {}  # name of a definition -> (name among the shared ones, content)
    found: Found = {}
    for message, schema in known.items():
        definitions = schema.get("$defs", {})
        names = {name: _name_for(told, name, content, message) for name, content in definitions.items()}
        own = {key: value for key, value in schema.items() if key not in ("$schema", "$defs")}
        found |= {names[name]: _renamed(content, names) for name, content in definitions.items()}
        own = _renamed(own, names)
        if "data" in own["properties"]:
            data, own["properties"]["data"] = own["properties"]["data"], _ref(*_SCHEMAS, f"{message}.data")
            found[f"{message}.data"] = data
        found[message] = own
    return found


def _name_for(told: dict[str, list[tuple[str, Any]]], name: str, content: Any, message: str) -> str:
    variants = told.setdefault(name, [])
    for shared, earlier in variants:
        if earlier == content:
            return shared
    variants.append((f"{message}.{name}" if variants else name, content))
    return variants[-1][0]


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """The same schema with its references to `$defs` pointing to the shared ones."""
    if isinstance(schema, Mapping):
        return {
            key: _ref(*_SCHEMAS, names[value.removeprefix("#/$defs/")])["$ref"]
            if key == "$ref"
            else _renamed(value, names)
            for key, value in schema.items()
        }
    return [_renamed(each, names) for each in schema] if isinstance(schema, list) else schema


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
