"""Decodes inputs from bytes to plain facts (contract, sections 1 to 3).

Each read function raises Unreadable, with the reasons that the dead letter may have.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from worker.verify.reading import text
from worker.verify.reading.command_data import READERS
from worker.verify.reading.text import Bad, check, identifier, instant

MAX_BYTES = 1_048_576
MAX_OTHER_BYTES = 65_536  # of key and headers
MAX_DEPTH = 64  # levels of arrays and objects; deeper JSON counts as undecodable
MAX_INTEGER = 2**53 - 1
MOST_DIGITS = 30  # of a whole number
NOBODY = ""

Headers = Sequence[tuple[str, bytes | None]]
Aliases = Mapping[str, str]
"""TYPE_ALIASES: other CloudEvents types of inputs -> the contract's types."""
_NO_ALIASES: Aliases = {}


class Position(NamedTuple):
    """The place of a record. For a forwarded copy, the place of the original."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


class Unreadable(Exception):
    """An input cannot be decoded or is invalid. reasons: the codes that its dead letter may have."""

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = frozenset(reasons)


class HugeNumber(str):
    """A JSON number beyond what a decimal can hold."""

    __slots__ = ()


@dataclass(frozen=True)
class Purchase:
    """An order, a payment or a return.

    Attributes:
        id: orderId, paymentId or returnId.
        customer_id: NOBODY in a payment that names no customer.
        event_id: eventId, or the CloudEvent's id.
        correlation_id: None when the input has none.
        amount: minor units.
        currency: ISO 4217.
        occurred_at: ms since 1970 UTC.
        order_id: the order that was placed, paid or returned.
    """

    id: str
    customer_id: str
    event_id: str
    correlation_id: str | None
    amount: int
    currency: str
    occurred_at: int
    order_id: str

    @property
    def worth(self) -> tuple[int, str]:
        """Amount and currency. A repeat must have the same."""
        return self.amount, self.currency


@dataclass(frozen=True)
class Command:
    """A command whose ids can be read.

    Attributes:
        id: commandId.
        customer_id: customerId.
        kind: the commandType as sent, or the CloudEvent's type without one.
        data: the data as sent, in JSON values.
        correlation_id: None when the command has none.
        expected_version: None when the command has none, or is not valid.
        issued_at: ms since 1970 UTC; None when unreadable.
        fields: the normalised data; None when the command is not valid.
        actor: who gave the command; None when it names nobody.
    """

    id: str
    customer_id: str
    kind: Any
    data: Any
    correlation_id: str | None
    expected_version: int | None
    issued_at: int | None
    fields: Mapping[str, Any] | None
    actor: str | None = None

    @property
    def known_kind(self) -> str | None:
        """The commandType; None when the contract does not define it."""
        return self.kind if isinstance(self.kind, str) and self.kind in READERS else None

    def says_the_same(self, other: "Command") -> bool:
        """Whether both commands have the same type and data, as JSON values."""
        return same_json([self.kind, self.data], [other.kind, other.data])


def read_order(value: bytes, headers: Headers, aliases: Aliases = _NO_ALIASES) -> Purchase:
    """Read a record of order.completed. Raises Unreadable."""
    return _read_purchase(value, headers, aliases, "OrderCompletedEvent", "orderId", "totalAmount")


def read_payment(value: bytes, headers: Headers, aliases: Aliases = _NO_ALIASES) -> Purchase:
    """Read a record of payment.completed when PAYMENT_JOIN is off. Raises Unreadable, also without a customerId."""
    payment = read_payment_to_join(value, headers, aliases)
    if payment.customer_id == NOBODY:
        raise Unreadable("INVALID")
    return payment


def read_payment_to_join(value: bytes, headers: Headers, aliases: Aliases = _NO_ALIASES) -> Purchase:
    """Read a record of payment.completed when PAYMENT_JOIN is on: customerId is optional. Raises Unreadable."""
    return _read_purchase(value, headers, aliases, "PaymentCompletedEvent", "paymentId", "amount")


def read_return(value: bytes, headers: Headers, aliases: Aliases = _NO_ALIASES) -> Purchase:
    """Read a record of order.returned. Raises Unreadable."""
    return _read_purchase(value, headers, aliases, "OrderReturnedEvent", "returnId", "refundAmount")


def read_command(value: bytes, headers: Headers, aliases: Aliases = _NO_ALIASES) -> Command:
    """Read a record of customer.commands, valid or not. Raises Unreadable when its ids cannot be read."""
    event = _open(value, headers)
    body = event.body
    if body is None:
        raise Unreadable("INVALID")
    try:
        command_id, customer_id = identifier(body.get("commandId")), identifier(body.get("customerId"))
    except Bad:
        raise Unreadable("INVALID") from None
    said = _type_of(event.attributes, aliases)
    kind = said if body.get("commandType") is None else body["commandType"]
    correlation, expected, issued_at = body.get("correlationId"), body.get("expectedVersion"), None
    if correlation is None:
        correlation = event.correlation
    fields: Mapping[str, Any] | None = None
    try:
        issued_at = instant(body.get("issuedAt"))
        check(event.sound and said in (None, kind))
        check(correlation is None or identifier(correlation))
        check(body.get("actor") is None or identifier(body["actor"]))
        check(expected is None or (_whole(expected) and 0 <= expected <= MAX_INTEGER))
        check(isinstance(body.get("data"), dict))
        fields = _reader(kind)(body["data"], issued_at)
    except Bad:
        fields = None
    return Command(
        command_id,
        customer_id,
        kind,
        body.get("data"),
        correlation if isinstance(correlation, str) else None,
        int(expected) if fields is not None and expected is not None else None,
        issued_at,
        fields,
        body["actor"] if fields is not None and body.get("actor") is not None else None,
    )


def others(key: bytes | None, headers: Headers) -> int:
    """The bytes of a record's key and headers. A null value counts 0; each header counts at least 2."""
    sizes = (len(name.encode("utf-8", "surrogateescape")) + len(value or b"") for name, value in headers)
    return len(key or b"") + sum(max(size, 2) for size in sizes)


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 equals 1.0, but not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return type(one) is type(other) and bool(one == other)


@dataclass(frozen=True)
class _Event:
    """An opened input.

    Attributes:
        body: the flat object; None when there is none.
        attributes: the attributes of the CloudEvent around the body; empty without one.
        sound: whether the CloudEvent is complete; true without one.
    """

    body: dict[str, Any] | None
    attributes: Mapping[str, Any]
    sound: bool

    @property
    def correlation(self) -> Any:
        """The extension correlationid. A number is taken as text, a whole one as its digits."""
        said = self.attributes.get("correlationid")
        if isinstance(said, Decimal):
            return str(int(said) if _whole(said) and said.adjusted() < MOST_DIGITS else said)
        return said


def _read_purchase(
    value: bytes, headers: Headers, aliases: Aliases, type_name: str, id_field: str, amount_field: str
) -> Purchase:
    if len(value) > MAX_BYTES:
        raise Unreadable("TOO_LARGE")
    _check_type(_binary_attributes(headers), aliases, type_name)
    event = _open(value, headers)
    _check_type(event.attributes, aliases, type_name)
    if not event.sound or event.body is None:
        raise Unreadable("INVALID")
    if (b"\\u" in value or b"base64" in value) and not _is_unicode(event.body):
        raise Unreadable("UNDECODABLE", "INVALID")
    body = dict(event.body)
    for field, attribute in (("eventId", event.attributes.get("id")), ("correlationId", event.correlation)):
        if body.get(field) is None:
            body[field] = attribute
    try:
        for field in ("orderId", id_field, "eventId"):
            identifier(body.get(field))
        anonymous = id_field == "paymentId" and body.get("customerId") is None
        customer_id = NOBODY if anonymous else identifier(body.get("customerId"))
        for field in ("correlationId", "transactionId") if id_field == "paymentId" else ("correlationId",):
            check(body.get(field) is None or identifier(body[field]))
        amount, currency = text.money(body.get(amount_field))
        return Purchase(
            body[id_field],
            customer_id,
            body["eventId"],
            body["correlationId"],
            amount,
            currency,
            instant(body.get("occurredOn")),
            body["orderId"],
        )
    except Bad:
        raise Unreadable("INVALID") from None


def _open(value: bytes, headers: Headers) -> _Event:
    if len(value) > MAX_BYTES:
        raise Unreadable("TOO_LARGE")
    outer = _object(value)
    binary = _binary_attributes(headers)
    if binary:
        return _Event(outer, binary, _whole_envelope(binary))
    if "specversion" not in outer and not _says_structured(headers):
        return _Event(outer, {}, sound=True)
    if b"\\u" in value and not _is_unicode(outer):
        raise Unreadable("UNDECODABLE", "INVALID", "UNKNOWN_TYPE")
    body, encoded = outer.get("data"), outer.get("data_base64")
    if body is None and isinstance(encoded, str):
        try:
            body = _object(base64.b64decode(encoded, validate=True))
        except (binascii.Error, ValueError, Unreadable):
            body = None
    if not isinstance(body, dict):
        return _Event(None, outer, sound=False)
    return _Event(body, outer, _whole_envelope(outer))


def _object(value: bytes) -> dict[str, Any]:
    try:
        decoded = (value[5:] if framed(value) else value).decode()
        if _deepest(decoded) > MAX_DEPTH:
            raise Unreadable("UNDECODABLE")
        found = _decoder.decode(decoded)
    except (ValueError, RecursionError):
        raise Unreadable("UNDECODABLE") from None
    if not isinstance(found, dict):
        raise Unreadable("UNDECODABLE")
    return found


def framed(value: bytes) -> bool:
    """Whether the value is in Confluent's wire format: a zero byte and a schema id of four bytes before the JSON."""
    return len(value) >= 5 and value[0] == 0


def _deepest(decoded: str) -> int:
    if decoded.count("[") + decoded.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    in_string = escaped = False
    for char in decoded:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    return deepest


def _number(digits: str) -> Decimal | HugeNumber:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return HugeNumber(digits)


def _no_number(name: str) -> None:
    raise ValueError("not JSON")


_decoder = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_no_number)


def _whole(value: Any) -> bool:
    return isinstance(value, Decimal) and value == value.to_integral_value()


def _reader(kind: Any) -> Callable[[Mapping[str, Any], int], Mapping[str, Any]]:
    reader = READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise Bad
    return reader


def _is_unicode(body: Any) -> bool:
    """Whether every text can be encoded as UTF-8. JSON escapes can contain a lone surrogate, which cannot."""
    try:
        json.dumps(body, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_of(attributes: Mapping[str, Any], aliases: Aliases) -> Any:
    said = attributes.get("type")
    return aliases.get(said, said) if isinstance(said, str) else said


def _check_type(attributes: Mapping[str, Any], aliases: Aliases, type_name: str) -> None:
    said = _type_of(attributes, aliases)
    if isinstance(said, str) and said != type_name:
        raise Unreadable("UNKNOWN_TYPE")


def _says_structured(headers: Headers) -> bool:
    return any(
        name.lower() == "content-type" and (raw or b"").strip().lower().startswith(b"application/cloudevents")
        for name, raw in headers
    )


def _binary_attributes(headers: Headers) -> dict[str, Any]:
    if _says_structured(headers):
        return {}
    found: dict[str, Any] = {}
    for name, raw in headers:
        if name.lower().startswith("ce_"):
            try:
                found[name[3:].lower()] = (raw or b"").decode()
            except UnicodeDecodeError:
                found[name[3:].lower()] = None
    return found


def _whole_envelope(attributes: Mapping[str, Any]) -> bool:
    needed = (attributes.get(name) for name in ("specversion", "id", "source", "type"))
    return all(isinstance(value, str) and value for value in needed) and attributes["specversion"] == "1.0"
