"""Finds the topic and the key of each line of `customer-context send`.

Rules:
- The line is sent byte for byte. Only the fields that address it are read here; the worker validates the rest.
- A CloudEvent is recognised by its type, plain JSON by the one field that only its kind has.
- An error names no value of the line.
"""

import base64
from typing import Any, NamedTuple

import msgspec

from worker.kafka.topics import Catalogue, Topic
from worker.wire.limits import MAX_OTHER_BYTES

_decode = msgspec.json.Decoder().decode

_ARRAY = "`jq -c '.[]' FILE | customer-context send` sends each object of a JSON array."
_SPREAD = "`jq -c . FILE | customer-context send` puts each JSON object on one line, as `send` needs it."
_ENCODED = (
    "`iconv -f UTF-16 -t UTF-8 FILE | customer-context send` makes UTF-8 of UTF-16; `iconv -l` lists others."
)
_CSV = (
    "CSV is not read; `send` takes one JSON object a line. "
    "`mlr --icsv --ojsonl cat FILE` makes such lines; their fields have to be those of docs/contract.md."
)
_JSON = "`send` takes one JSON object a line, in UTF-8."


class UnknownLine(ValueError):
    """The line cannot be addressed; the text says why and holds nothing of it. hint: what to do; may be empty."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


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
        raise UnknownLine("not JSON", _hint(line)) from None
    if not isinstance(message, dict):
        raise UnknownLine("not a JSON object", _hint(line))
    body = _body(message)
    topic = _topic(message, body, catalogue)
    customer_id = _text(body, "customerId")
    key = customer_id
    if key is None and topic is catalogue.payments:
        key = _text(body, "orderId")
    if key is None:
        raise UnknownLine("no customerId to use as its key")
    if len(key.encode()) > MAX_OTHER_BYTES:
        raise UnknownLine("its customerId or orderId is over 64 KiB, and the worker refuses such a key")
    command_id = _text(body, "commandId") if topic is catalogue.commands else None
    return Addressed(topic, key, line, (key, command_id) if command_id else None)


def _hint(line: bytes) -> str:
    """What to do with a line that is no JSON object, by what it looks like."""
    if b"\0" in line or not _is_utf8(line):
        return _ENCODED
    if line.startswith(b"["):
        return _ARRAY
    if line.startswith((b"{", b"}", b'"')):
        return _JSON if line.startswith(b"{") and line.endswith(b"}") else _SPREAD
    return _CSV if any(mark in line for mark in (b",", b";", b"\t")) else _JSON


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _body(message: dict[str, Any]) -> dict[str, Any]:
    if "specversion" not in message:
        return message
    data, encoded = message.get("data"), message.get("data_base64")
    if data is None and isinstance(encoded, str):
        data = _decoded(encoded)
    if not isinstance(data, dict):
        raise UnknownLine("a CloudEvent without a JSON object as its data")
    return data


def _decoded(text: str) -> object:
    """The JSON value in base64. Raises UnknownLine."""
    try:
        return _decode(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError):  # of base64, of Unicode and of JSON
        raise UnknownLine("a CloudEvent whose data_base64 is not JSON in base64") from None


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
    own = catalogue.type_aliases.get(kind, kind) if isinstance(kind, str) else None
    if own not in by_type:
        raise UnknownLine("a CloudEvent of a type that is not consumed")
    return by_type[own]


def _text(body: dict[str, Any], field: str) -> str | None:
    value = body.get(field)
    return value if isinstance(value, str) and value else None
