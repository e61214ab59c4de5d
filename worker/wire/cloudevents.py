"""CloudEvents 1.0 around inputs: structured (one JSON object) or binary (attributes in ce_ headers).

A value is structured when its content type says so, or when it has the key `specversion`. A record is binary when it
has any ce_ header and is not structured. In both modes the four attributes that CloudEvents requires must be present.
"""

import base64
import binascii
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from worker.domain.rejections import DeadLettered
from worker.wire.strict_json import Oversized, read_object, undecodable, unframed

Headers = Sequence[tuple[str, bytes | None]]

_STRUCTURED = b"application/cloudevents"


class _Data(msgspec.Struct):
    data: msgspec.Raw


_read_data = msgspec.json.Decoder(_Data).decode
_REQUIRED = ("specversion", "id", "source", "type")


class Unwrapped(msgspec.Struct, frozen=True):
    """An input without its envelope.

    Attributes:
        data: the flat object; None when the envelope has none.
        raw: the JSON text of `data`.
        type: the CloudEvents type; None for plain JSON.
        id: the CloudEvents id; None for plain JSON.
        correlation_id: the CloudEvents extension correlationid, unchecked. A number is text already.
        problem: what is wrong with the envelope, as (attribute, problem).
    """

    data: dict[str, Any] | None
    raw: bytes
    type: str | None = None
    id: str | None = None
    correlation_id: Any = None
    problem: tuple[str, str] | None = None


def is_binary(headers: Headers) -> bool:
    """Whether the headers have attributes of a CloudEvent in binary mode."""
    return any(name.lower().startswith("ce_") for name, _ in headers) and not says_structured(headers)


def says_structured(headers: Headers) -> bool:
    """Whether the content type says that the value is a CloudEvent in structured mode."""
    return any(
        name.lower() == "content-type" and (text or b"").strip().lower().startswith(_STRUCTURED)
        for name, text in headers
    )


def binary_type(headers: Headers) -> str | None:
    """The type attribute of a CloudEvent in binary mode; None when it is missing or not UTF-8."""
    kind = _binary_attributes(headers).get("type")
    return kind if isinstance(kind, str) else None


def unwrap(value: bytes, headers: Headers) -> Unwrapped:
    """The flat object in a value, with its CloudEvents attributes if it has any.

    A broken envelope is reported in `problem` and is no error, because a command in it may still be answered.

    Raises:
        DeadLettered: TOO_LARGE or UNDECODABLE.
    """
    if is_binary(headers):
        return _unwrapped(_binary_attributes(headers), read_object(value), unframed(value))
    envelope = read_object(value)
    value = unframed(value)
    if "specversion" in envelope or says_structured(headers):
        return _structured(envelope, value)
    return Unwrapped(data=envelope, raw=value)


def _binary_attributes(headers: Headers) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, raw in headers:
        if name.lower().startswith("ce_"):
            try:
                attributes[name[3:].lower()] = (raw or b"").decode()
            except UnicodeDecodeError:
                attributes[name[3:].lower()] = None  # is then reported as not a string
    return attributes


def _structured(envelope: dict[str, Any], value: bytes) -> Unwrapped:
    encoded = envelope.get("data_base64")
    data = envelope.get("data")
    if data is None and isinstance(encoded, str):
        try:
            raw = base64.b64decode(encoded, validate=True)
            return _unwrapped(envelope, read_object(raw), raw)
        except (binascii.Error, ValueError, DeadLettered):
            return _unwrapped(envelope, None, b"", ("data_base64", "not a JSON object in base64"))
    if not isinstance(data, dict):
        return _unwrapped(envelope, None, b"", ("data", "missing" if data is None else "not an object"))
    try:
        return _unwrapped(envelope, data, bytes(_read_data(value).data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise undecodable("text that is not Unicode") from None


def _unwrapped(
    attributes: dict[str, Any],
    data: dict[str, Any] | None,
    raw: bytes,
    problem: tuple[str, str] | None = None,
) -> Unwrapped:
    kind, event_id = attributes.get("type"), attributes.get("id")
    return Unwrapped(
        data=data,
        raw=raw,
        type=kind if isinstance(kind, str) else None,
        id=event_id if isinstance(event_id, str) else None,
        correlation_id=_text_of(attributes.get("correlationid")),
        problem=_envelope_problem(attributes) or problem,
    )


def _text_of(attribute: Any) -> Any:
    """The attribute, with text in place of a number, because some senders count."""
    if isinstance(attribute, Oversized):
        return attribute.text
    number = isinstance(attribute, int | Decimal) and not isinstance(attribute, bool)
    return str(attribute) if number else attribute


def _envelope_problem(attributes: dict[str, Any]) -> tuple[str, str] | None:
    for name in _REQUIRED:
        if name not in attributes:
            return name, "missing"
        if not isinstance(attributes[name], str) or not attributes[name]:
            return name, "not a text"
    if attributes["specversion"] != "1.0":
        return "specversion", "not 1.0"
    return None
