"""Tells apart the lines of `customer-context send`: which topic a message goes to, and under which key.

Rules:
- The line goes out byte for byte; only what addresses it is read here. Whether it is valid is for the worker to say.
- A CloudEvent is told by its type, plain JSON by the one field that only its kind has.
- What is wrong is said without a value of the line.
"""

from typing import Any, NamedTuple

import msgspec

from worker.topics import Catalogue, Topic

_decode = msgspec.json.Decoder().decode


class UnknownLine(ValueError):
    """The line cannot be addressed; the text says why and holds nothing of it."""


class Addressed(NamedTuple):
    """A line on its way. awaited: customerId and commandId of the result that it will have; None when it has none."""

    topic: Topic
    key: str
    value: bytes
    awaited: tuple[str, str] | None


def address(line: bytes, catalogue: Catalogue) -> Addressed:
    """Find topic and key of one JSON object. Raises UnknownLine."""
    try:
        message = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnknownLine("not JSON") from None
    if not isinstance(message, dict):
        raise UnknownLine("not a JSON object")
    body = _body(message)
    topic = _topic(message, body, catalogue)
    customer_id = _text(body, "customerId")
    key = customer_id
    if key is None and topic is catalogue.payments:
        key = _text(body, "orderId")
    if key is None:
        raise UnknownLine("no customerId to use as its key")
    command_id = _text(body, "commandId") if topic is catalogue.commands else None
    return Addressed(topic, key, line, (key, command_id) if command_id else None)


def _body(message: dict[str, Any]) -> dict[str, Any]:
    if "specversion" not in message:
        return message
    data = message.get("data")
    if not isinstance(data, dict):
        raise UnknownLine("a CloudEvent without a JSON object as its data")
    return data


def _topic(message: dict[str, Any], body: dict[str, Any], catalogue: Catalogue) -> Topic:
    if "commandType" in body:
        return catalogue.commands
    if body is message:
        by_field = {
            "returnId": catalogue.returns,
            "paymentId": catalogue.payments,
            "totalAmount": catalogue.orders,
        }
        for field, topic in by_field.items():
            if field in body:
                return topic
        raise UnknownLine("no commandType, returnId, paymentId or totalAmount")
    by_type = {
        "OrderReturnedEvent": catalogue.returns,
        "PaymentCompletedEvent": catalogue.payments,
        "OrderCompletedEvent": catalogue.orders,
    }
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in by_type:
        raise UnknownLine("a CloudEvent of a type that is not consumed")
    return by_type[kind]


def _text(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    return value if isinstance(value, str) and value else None
