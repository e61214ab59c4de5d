"""The AsyncAPI 3 document: topics from the catalogue, messages from the types that read and write them.

Rules:
- Seen from the worker, as AsyncAPI wants it: it receives commands and events of others, and sends its own.
- It lists only topics that others may use, and no internal ones.
- Schemas are shared by name under `components`, and every reference stays inside the document.
- A name is the title of its schema, and no two are equal, because generators name types after titles.
- Each topic that we read has two more messages: its inputs as CloudEvents, in structured and in binary mode.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from worker.domain.rejections import DeadLetterReason
from worker.kafka.topics import Catalogue, Topic
from worker.observability.tracing import TRACEPARENT
from worker.wire import dead_letters
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.events import CE_TYPE, CONTENT_TYPE, EVENT_TYPE
from worker.wire.published import DATA_TYPES
from worker.wire.schemas import schemas
from worker.wire.type_aliases import TypeAliases, types_of

_JSON = "application/json"
_SCHEMAS = ("components", "schemas")
_BINDING = "0.5.0"  # of AsyncAPI's Kafka bindings
_RESULT = "CommandResult"
_DEAD_LETTER = "DeadLetter"
_ANY_COMMAND = "AnyCommand"
_TEXT = {"type": "string"}
_FILLED = {"type": "string", "minLength": 1}
_KAFKA = {
    "host": "{bootstrap}",
    "protocol": "kafka",
    "description": "Where this installation has its topics. Kafka may ask for one of the security schemes, or for none.",
    "variables": {"bootstrap": {"description": "host:port of a broker", "default": "127.0.0.1:9092"}},
}
_SECURITY = {
    "plain": {"type": "plain", "description": "SASL PLAIN, where Kafka asks for it."},
    "scramSha256": {"type": "scramSha256", "description": "SASL SCRAM-SHA-256, where Kafka asks for it."},
    "scramSha512": {"type": "scramSha512", "description": "SASL SCRAM-SHA-512, where Kafka asks for it."},
    "certificate": {"type": "X509", "description": "A client's certificate, where Kafka asks for it."},
}
_INFO = {
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    "tags": [{"name": "customers", "description": "Customers, reward points and membership levels"}],
}
_TRACE = {TRACEPARENT: {"type": "string", "description": "W3C Trace Context of the input, if it had one"}}
_DIGITS = {"type": "string", "pattern": "^[0-9]+$"}

Found = dict[str, Any]


def document(catalogue: Catalogue, contact: Mapping[str, str]) -> dict[str, Any]:
    """The document of an installation with these topics. contact: name, url and email of those who run it."""
    known, aliases = schemas(), catalogue.type_aliases
    consumed = [
        topic for topic in (catalogue.orders, catalogue.returns, catalogue.payments) if topic.value in known
    ]
    channels = {
        "commands": _channel(catalogue.commands, [*COMMAND_MODELS, *_envelopes("Command")]),
        **{topic.value: _channel(topic, [topic.value, *_envelopes(topic.value)]) for topic in consumed},
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
            **_INFO,
            "contact": dict(contact),
            "description": "Inputs are plain JSON as described here, or CloudEvents 1.0 whose data is that, structured "
            "or binary. Published events are CloudEvents 1.0 in structured mode; read them with "
            "isolation.level=read_committed to see each exactly once. A field may be added at any time.",
        },
        "defaultContentType": _JSON,
        "servers": {"kafka": _KAFKA},
        "channels": channels,
        "operations": receive | send,
        "components": {
            "securitySchemes": _SECURITY,
            "messages": _messages(known) | _as_cloud_events(consumed, aliases),
            "schemas": _shared(known | _event_envelopes(known, consumed, aliases))
            | _command_envelope(aliases),
        },
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


def _operation(action: str, channel: str, description: str) -> Found:
    return {
        "action": action,
        "channel": _ref("channels", channel),
        "description": description,
        "security": [_ref("components", "securitySchemes", name) for name in _SECURITY],
    }


def _messages(known: Mapping[str, Any]) -> Found:
    found = {name: _message(name, name) for name in known}
    for name in DATA_TYPES:
        found[name] |= {
            "contentType": CONTENT_TYPE.decode(),
            "headers": _headers(
                {"content-type": _constant(CONTENT_TYPE.decode()), EVENT_TYPE: _constant(name)},
                {CE_TYPE: _constant(name)},
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
                dead_letters.REASON: _one_of(reason.value for reason in DeadLetterReason),
                dead_letters.DETAIL: _TEXT,
                dead_letters.TOPIC: _TEXT,
                dead_letters.PARTITION: _DIGITS,
                dead_letters.OFFSET: _DIGITS,
            },
            {
                dead_letters.TIMESTAMP: {
                    "type": "string",
                    "description": "Of the first source, ms since 1970 UTC",
                },
                dead_letters.MASKED: {
                    "type": "string",
                    "description": "Why the value is the SHA-256 of the original: card-number or size",
                },
            },
        ),
    }
    return found


def _message(name: str, payload: str) -> Found:
    return {
        "name": name,
        "contentType": _JSON,
        "headers": _headers({}),
        "payload": _ref(*_SCHEMAS, payload),
        "bindings": {"kafka": {"key": _TEXT, "bindingVersion": _BINDING}},
    }


def _as_cloud_events(consumed: Iterable[Topic], aliases: TypeAliases) -> Found:
    """The messages of inputs that are CloudEvents: two for the commands, and two for each event."""
    payloads = {
        "Command": _ANY_COMMAND,
        **{topic.value: f"{topic.value}CloudEventData" for topic in consumed},
    }
    kinds = {
        "Command": _types(COMMAND_MODELS, aliases),
        **{topic.value: _types([topic.value], aliases) for topic in consumed},
    }
    found: Found = {}
    for name, payload in payloads.items():
        structured, binary = _envelopes(name)
        found[structured] = _message(structured, f"{name}CloudEvent") | {
            "summary": "As a CloudEvent in structured mode, also with its data as `data_base64`",
            "contentType": CONTENT_TYPE.decode(),
            "headers": _headers({}, {"content-type": _TEXT}),
        }
        found[binary] = _message(binary, payload) | {
            "summary": "As a CloudEvent in binary mode",
            "headers": _headers(
                {
                    "ce_specversion": _constant("1.0"),
                    "ce_id": _FILLED,
                    "ce_source": _FILLED,
                    "ce_type": kinds[name],
                },
                {"ce_correlationid": _FILLED, "content-type": _TEXT},
            ),
        }
    return found


def _envelopes(name: str) -> tuple[str, str]:
    """The names of the messages that hold an input as a CloudEvent."""
    return f"{name}Structured", f"{name}Binary"


def _event_envelopes(known: Mapping[str, Any], consumed: Iterable[Topic], aliases: TypeAliases) -> Found:
    """The schemas of consumed events in structured mode. Their eventId may be missing, because there is an id."""
    found: Found = {}
    for topic in consumed:
        name, flat = topic.value, known[topic.value]
        required = [field for field in flat["required"] if field != "eventId"]
        data = {key: value for key, value in flat.items() if key not in ("$schema", "$defs")}
        data |= {"title": f"{name}CloudEventData", "required": required}
        found[f"{name}CloudEvent"] = _cloud_event(name, _types([name], aliases), data) | {
            "$defs": flat.get("$defs", {})
        }
    return found


def _command_envelope(aliases: TypeAliases) -> Found:
    """The schema of all commands, and of a command in structured mode."""
    anything = {"title": _ANY_COMMAND, "anyOf": [_ref(*_SCHEMAS, name) for name in COMMAND_MODELS]}
    envelope = _cloud_event("Command", _types(COMMAND_MODELS, aliases), _ref(*_SCHEMAS, _ANY_COMMAND))
    return {_ANY_COMMAND: anything, "CommandCloudEvent": envelope}


def _cloud_event(name: str, kind: Found, data: Mapping[str, Any]) -> Found:
    properties = {
        "specversion": _constant("1.0"),
        "id": _FILLED,
        "source": _FILLED,
        "type": kind,
        "correlationid": {"anyOf": [_FILLED, {"type": "number"}]},
        "data": data,
    }
    return {
        "title": f"{name}CloudEvent",
        "description": "CloudEvents 1.0 in structured mode.",
        "type": "object",
        "properties": properties,
        "required": [field for field in properties if field != "correlationid"],
    }


def _constant(text: str) -> Found:
    return {"type": "string", "const": text}


def _types(kinds: Iterable[str], aliases: TypeAliases) -> Found:
    """The schema of a CloudEvents type that stands for one of these."""
    found = [each for kind in kinds for each in types_of(kind, aliases)]
    return _constant(found[0]) if len(found) == 1 else _one_of(found)


def _one_of(texts: Iterable[str]) -> Found:
    return {"type": "string", "enum": sorted(texts)}


def _headers(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Found:
    properties = {**required, **(optional or {}), **_TRACE}
    return {"type": "object", "properties": properties, "required": list(required)}


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
        found |= {
            names[name]: _renamed(content, names) | {"title": names[name]}
            for name, content in definitions.items()
        }
        own = _renamed(own, names)
        if "data" in own["properties"]:
            data = own["properties"]["data"]
            if "title" in data:
                own["properties"]["data"] = _ref(*_SCHEMAS, data["title"])
                found[data["title"]] = data
        found[message] = own
    return found


def _name_for(told: dict[str, list[tuple[str, Any]]], name: str, content: Any, message: str) -> str:
    variants = told.setdefault(name, [])
    for shared, earlier in variants:
        if earlier == content:
            return shared
    variants.append((f"{message}{name}" if variants else name, content))
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
