"""Events of other contexts, from bytes to the domain. One that cannot be read is a dead letter, never an error.

The usual input, plain JSON without headers, is read in one pass into a Struct that names the fields we use; everything
else in it is skipped. Only what that pass refuses, or what is a CloudEvent, is read a second time, to say exactly what
is wrong or to unwrap it. JSON types are strict. A dead letter's detail names a field and its problem, never a value.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from pydantic.alias_generators import to_camel

from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.wire.cloudevents import Headers, Unwrapped, binary_type, is_binary, says_structured, unwrap
from worker.wire.money import DIGITS, InvalidAmount, parse_amount
from worker.wire.strict_json import MAX_BYTES, MAX_DEPTH, check_size, invalid, undecodable
from worker.wire.times import TIME_PATTERN, parse_time

Id = Annotated[
    str, Meta(min_length=1, max_length=100, description="1 to 100 characters, no control characters")
]
Time = Annotated[str, Meta(description="RFC 3339 with offset", extra_json_schema={"pattern": TIME_PATTERN})]
Amount = Annotated[
    Raw,
    Meta(
        description="A plain decimal string, or a JSON number, >= 0 and exact in the currency",
        extra_json_schema={
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]+)?$"},
                {"type": "number", "minimum": 0},
            ]
        },
    ),
]


class MoneyIn(msgspec.Struct, frozen=True, rename="camel"):
    """An amount as it arrives. currency: ISO 4217."""

    amount: Amount
    currency: str


class OrderCompletedEvent(msgspec.Struct, frozen=True, rename="camel"):
    """An order that was paid for and will not change, as it arrives (contract, section 2)."""

    event_id: Id
    order_id: Id
    customer_id: Id
    total_amount: MoneyIn
    occurred_on: Time
    correlation_id: Id | None = None


class PaymentCompletedEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A payment that was received, as it arrives (contract, section 2); customerId is optional with PAYMENT_JOIN only."""

    event_id: Id
    payment_id: Id
    order_id: Id
    amount: MoneyIn
    occurred_on: Time
    customer_id: Id | None = None
    transaction_id: Id | None = None
    correlation_id: Id | None = None


class OrderReturnedEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What was given back of one order, and is refunded, as it arrives (contract, section 2)."""

    event_id: Id
    return_id: Id
    order_id: Id
    customer_id: Id
    refund_amount: MoneyIn
    occurred_on: Time
    correlation_id: Id | None = None


class _PlainOrder(OrderCompletedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET  # set: this is a CloudEvent after all


class _PlainPayment(PaymentCompletedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET


class _PlainReturn(OrderReturnedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET


NOT_KNOWN_YET = ""
"""In place of the customerId of a payment that has to find its order; no id is empty."""

_read_order = msgspec.json.Decoder(_PlainOrder).decode
_read_payment = msgspec.json.Decoder(_PlainPayment).decode
_read_return = msgspec.json.Decoder(_PlainReturn).decode
_read_string = msgspec.json.Decoder(str).decode
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_QUOTE = ord('"')
_LONGEST_CENTS = len('"123456789012345.00"')
_NUMBER_STARTS = b"-0123456789"
_WHERE = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_In = TypeVar("_In", _PlainOrder, _PlainPayment, _PlainReturn)


def decode_order(value: bytes, headers: Headers) -> OrderCompleted:
    """The order in a record of order.completed. Raises DeadLettered."""
    order = _read_plain(value, headers, _read_order)
    if order is None:
        order = _read_carefully(value, headers, "OrderCompletedEvent", _read_order)
    event_id, order_id, customer_id = order.event_id, order.order_id, order.customer_id
    if not f"{event_id}{order_id}{customer_id}".isprintable():
        _check_ids(order, ("event_id", "order_id", "customer_id"))
    if order.correlation_id is not None:
        _check_ids(order, ("correlation_id",))
    money = order.total_amount
    return OrderCompleted(
        event_id,
        order_id,
        customer_id,
        _minor_units(money, "totalAmount"),
        money.currency,
        _occurred_at(order.occurred_on),
        order.correlation_id,
    )


def decode_payment(value: bytes, headers: Headers, customer_id: str | None = None) -> PaymentCompleted:
    """The payment in a record of payment.completed. Raises DeadLettered.

    customer_id: whose it is when it does not say so itself; NOT_KNOWN_YET while it has to find its order; None where it
    has to say so.
    """
    payment = _read_plain(value, headers, _read_payment)
    if payment is None:
        payment = _read_carefully(value, headers, "PaymentCompletedEvent", _read_payment)
    if payment.customer_id is not None:
        customer_id = payment.customer_id
    elif customer_id is None:
        raise invalid("customerId", "missing")
    _check_ids(
        payment, ("event_id", "payment_id", "order_id", "customer_id", "transaction_id", "correlation_id")
    )
    return PaymentCompleted(
        payment.event_id,
        payment.payment_id,
        payment.order_id,
        customer_id,
        _minor_units(payment.amount, "amount"),
        payment.amount.currency,
        _occurred_at(payment.occurred_on),
        payment.correlation_id,
    )


def decode_return(value: bytes, headers: Headers) -> OrderReturned:
    """The return in a record of order.returned. Raises DeadLettered."""
    returned = _read_plain(value, headers, _read_return)
    if returned is None:
        returned = _read_carefully(value, headers, "OrderReturnedEvent", _read_return)
    _check_ids(returned, ("event_id", "return_id", "order_id", "customer_id", "correlation_id"))
    return OrderReturned(
        returned.event_id,
        returned.return_id,
        returned.order_id,
        returned.customer_id,
        _minor_units(returned.refund_amount, "refundAmount"),
        returned.refund_amount.currency,
        _occurred_at(returned.occurred_on),
        returned.correlation_id,
    )


def has_control_characters(text: str) -> bool:
    """Whether any character is a control character (Unicode category Cc)."""
    return not text.isprintable() and any(unicodedata.category(char) == "Cc" for char in text)


def _read_plain(value: bytes, headers: Headers, read: Callable[[bytes], _In]) -> _In | None:
    """The event in plain JSON; None when it is something else, which then has to be looked at more closely."""
    if headers and (is_binary(headers) or says_structured(headers)):
        return None
    if len(value) > MAX_BYTES or value.count(b"{") + value.count(b"[") > MAX_DEPTH:
        return None
    try:
        if not value.isascii():
            value.decode()
        event = read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event if event.specversion is UNSET else None


def _read_carefully(value: bytes, headers: Headers, name: str, read: Callable[[bytes], _In]) -> _In:
    """The event in a CloudEvent; or the dead letter that says why there is none."""
    check_size(value)
    if is_binary(headers):
        _check_type(binary_type(headers), name)
    unwrapped = unwrap(value, headers)
    _check_type(unwrapped.type, name)
    if unwrapped.problem is not None:
        raise invalid(*unwrapped.problem)
    try:
        return read(_with_attributes(unwrapped))
    except msgspec.ValidationError as error:
        raise _explained(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise undecodable("text that is not Unicode") from None


def _check_type(kind: str | None, name: str) -> None:
    if kind is not None and kind != name:
        raise DeadLettered(DeadLetterReason.UNKNOWN_TYPE, f"only {name} belongs here")


def _with_attributes(unwrapped: Unwrapped) -> bytes:
    """The flat JSON text, completed by the CloudEvent's id and correlationid where it has none of its own."""
    if unwrapped.type is None:
        return unwrapped.raw
    fields = _read_fields(unwrapped.raw)
    fields.pop("specversion", None)  # of the data, where it means nothing
    for name, attribute in (("eventId", unwrapped.id), ("correlationId", unwrapped.correlation_id)):
        if attribute is not None and bytes(fields.get(name, b"null")) == b"null":
            fields[name] = Raw(msgspec.json.encode(attribute))
    return msgspec.json.encode(fields)


def _explained(error: msgspec.ValidationError) -> DeadLettered:
    """INVALID with the field's path; msgspec's messages name types and limits, never values."""
    found = _WHERE.fullmatch(str(error))
    problem, path = (found["problem"], found["path"] or "") if found else ("breaks the schema", "")
    missing = _MISSING.fullmatch(problem)
    if missing is not None:
        return invalid(f"{path}.{missing['field']}".lstrip("."), "missing")
    return invalid(path or "(the object)", problem)


def _check_ids(event: _In, names: tuple[str, ...]) -> None:
    for name in names:
        text = getattr(event, name)
        if text is not None and has_control_characters(text):
            raise invalid(to_camel(name), "control characters")


def _minor_units(money: MoneyIn, field: str) -> int:
    """Minor units of an amount. The text of the JSON value is read, so that a number stays exact."""
    raw = bytes(money.amount)
    digits = DIGITS.get(money.currency)
    if (
        digits == 2 and raw[-4:-3] == b"." and len(raw) <= _LONGEST_CENTS
    ):  # the usual "129.90", in a third of the time
        figures = raw[1:-4] + raw[-3:-1]
        if figures.isdigit() and raw[0] == _QUOTE == raw[-1] and len(figures) > 2:
            return int(figures)
    try:
        if raw[0] == _QUOTE:
            text = raw[1:-1].decode() if b"\\" not in raw else _read_string(raw)
            return parse_amount(text, money.currency)
        if raw[0] in _NUMBER_STARTS:
            return parse_amount(raw.decode(), money.currency, number=True)
    except InvalidAmount as error:
        where = "currency" if error.code == "unknown_currency" else "amount"
        raise invalid(f"{field}.{where}", error.code) from None
    except msgspec.DecodeError:
        raise undecodable("text that is not Unicode") from None
    raise invalid(f"{field}.amount", "neither a decimal string nor a number")


def _occurred_at(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise invalid("occurredOn", str(error)) from None
