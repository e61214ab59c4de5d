"""Events of other contexts, from bytes to the domain. An unreadable event is a dead letter, never an error.

The usual input is plain JSON without headers. It is read in one pass into a Struct with the fields that we use. Other
fields are skipped. An input that this pass refuses is read a second time: to unwrap it if it is a CloudEvent, or to
name its problem exactly. JSON types are strict. A dead letter's detail names a field and its problem, never a value.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from pydantic.alias_generators import to_camel

from worker import native
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.wire.cloudevents import Headers, Unwrapped, binary_type, is_binary, says_structured, unwrap
from worker.wire.ids import ID_RULE, MAX_ID_CHARS, has_control_characters
from worker.wire.limits import MAX_DEPTH, MAX_VALUE_BYTES
from worker.wire.money import DIGITS, InvalidAmount, parse_amount
from worker.wire.strict_json import check_depth, check_size, invalid, undecodable
from worker.wire.times import TIME_PATTERN, parse_time
from worker.wire.type_aliases import NO_ALIASES, TypeAliases

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS, description=ID_RULE)]
Time = Annotated[
    str,
    Meta(
        description="RFC 3339 with offset", extra_json_schema={"pattern": TIME_PATTERN, "format": "date-time"}
    ),
]
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


class MoneyIn(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An amount as it arrives. currency: ISO 4217."""

    amount: Amount
    currency: str


class OrderCompletedEvent(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """An order that was paid for and will not change, as it arrives (contract, section 2)."""

    event_id: Id
    order_id: Id
    customer_id: Id
    total_amount: MoneyIn
    occurred_on: Time
    correlation_id: Id | None = None


class PaymentCompletedEvent(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A payment that was received, as it arrives (contract, section 2); customerId is optional with PAYMENT_JOIN only."""

    event_id: Id
    payment_id: Id
    order_id: Id
    amount: MoneyIn
    occurred_on: Time
    customer_id: Id | None = None
    transaction_id: Id | None = None
    correlation_id: Id | None = None


class OrderReturnedEvent(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A return of some or all of one order, as it arrives (contract, section 2)."""

    event_id: Id
    return_id: Id
    order_id: Id
    customer_id: Id
    refund_amount: MoneyIn
    occurred_on: Time
    correlation_id: Id | None = None


class _PlainOrder(OrderCompletedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET  # set when the value is a CloudEvent in structured mode


class _PlainPayment(PaymentCompletedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET


class _PlainReturn(OrderReturnedEvent, frozen=True, rename="camel"):
    specversion: UnsetType | Raw = UNSET


NOT_KNOWN_YET = ""
"""The customerId of a payment whose order is not found yet. No valid id is empty."""

_ORDERS = msgspec.json.Decoder(_PlainOrder)
_read_order, _read_orders = _ORDERS.decode, _ORDERS.decode_lines
_read_payment = msgspec.json.Decoder(_PlainPayment).decode
_read_return = msgspec.json.Decoder(_PlainReturn).decode
_read_string = msgspec.json.Decoder(str).decode
_read_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_READ_TOGETHER = 32


def _names(struct: type[msgspec.Struct]) -> tuple[bytes, ...]:
    return tuple(field.encode_name.encode() for field in msgspec.structs.fields(struct))


_FIELDS: native.Fields = (_names(_PlainOrder), b"dddmtox", _names(MoneyIn), DIGITS)  # for OrderCompleted
_QUOTE = ord('"')
_LONGEST_CENTS = len('"123456789012345.00"')
_NUMBER_STARTS = b"-0123456789"
_WHERE = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_In = TypeVar("_In", _PlainOrder, _PlainPayment, _PlainReturn)


def decode_order(
    value: bytes, headers: Headers, aliases: TypeAliases = NO_ALIASES, *, stored: bool = False
) -> OrderCompleted:
    """The order in a record of order.completed.

    Args:
        value: the record's value.
        headers: the record's headers.
        aliases: of CloudEvents types.
        stored: whether its type and depth were checked when it arrived. They are not checked again.

    Raises:
        DeadLettered: the value cannot be read, or its CloudEvents type belongs elsewhere.
    """
    order = _read_plain(value, headers, _read_order, stored=stored)
    if order is None:
        name = None if stored else "OrderCompletedEvent"
        order = _read_carefully(value, headers, name, aliases, _read_order)
    return _completed(order)


def decode_orders(values: Sequence[bytes]) -> list[OrderCompleted | None]:
    """The orders in plain JSON values of records without headers. It takes less time than `decode_order` for each.

    Returns:
        For each value its order. None if `decode_order` has to read the value: it is no plain order, or one of those
        that were read with it is none.
    """
    if native.chosen is not None:
        return native.chosen.objects(_FIELDS, OrderCompleted, list(values))
    found: list[OrderCompleted | None] = []
    for start in range(0, len(values), _READ_TOGETHER):
        found += _read_together(values[start : start + _READ_TOGETHER])
    return found


def _read_together(values: Sequence[bytes]) -> Sequence[OrderCompleted | None]:
    lines = b"\n".join(values)
    if not _is_line_each(values, lines):
        return [None] * len(values)
    try:
        orders = _read_orders(lines)
    except (msgspec.DecodeError, RecursionError):
        return [None] * len(values)
    if len(orders) != len(values):  # some value holds two objects
        return [None] * len(values)
    return [_completed_if_plain(order) for order in orders]


def _is_line_each(values: Sequence[bytes], lines: bytes) -> bool:
    """Whether the values, joined by newlines, can be read as lines of one object each.

    Each value has to begin with a brace, end with one, and hold no newline. So no object goes on in the next value.
    """
    between = len(values) - 1
    if lines[:1] != b"{" or lines[-1:] != b"}" or not lines.isascii():
        return False
    if lines.count(b"\n") != between or lines.count(b"}\n{") != between:
        return False
    return all(value.count(b"{") + value.count(b"[") <= MAX_DEPTH for value in values)


def _completed_if_plain(order: _PlainOrder) -> OrderCompleted | None:
    try:
        return _completed(order) if order.specversion is UNSET else None
    except DeadLettered:
        return None


def _completed(order: _PlainOrder) -> OrderCompleted:
    """The order that was read. Raises DeadLettered."""
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


def decode_payment(
    value: bytes,
    headers: Headers,
    customer_id: str | None = None,
    aliases: TypeAliases = NO_ALIASES,
    *,
    stored: bool = False,
) -> PaymentCompleted:
    """The payment in a record of payment.completed.

    Args:
        value: the record's value.
        headers: the record's headers.
        customer_id: the customer of a payment that names none, or NOT_KNOWN_YET. None if a payment must name one.
        aliases: as in `decode_order`.
        stored: as in `decode_order`.

    Raises:
        DeadLettered: as in `decode_order`.
    """
    payment = _read_plain(value, headers, _read_payment, stored=stored)
    if payment is None:
        name = None if stored else "PaymentCompletedEvent"
        payment = _read_carefully(value, headers, name, aliases, _read_payment)
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


def decode_return(
    value: bytes, headers: Headers, aliases: TypeAliases = NO_ALIASES, *, stored: bool = False
) -> OrderReturned:
    """The return in a record of order.returned; arguments and errors as in `decode_order`."""
    returned = _read_plain(value, headers, _read_return, stored=stored)
    if returned is None:
        name = None if stored else "OrderReturnedEvent"
        returned = _read_carefully(value, headers, name, aliases, _read_return)
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


def _read_plain(value: bytes, headers: Headers, read: Callable[[bytes], _In], *, stored: bool) -> _In | None:
    """The event in plain JSON; None for any other value, which `_read_carefully` then reads."""
    if headers and (is_binary(headers) or says_structured(headers)):
        return None
    if len(value) > MAX_VALUE_BYTES:
        return None
    try:
        if not stored:
            check_depth(value)
        if not value.isascii():
            value.decode()
        event = read(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DeadLettered):
        return None
    return event if event.specversion is UNSET else None


def _read_carefully(
    value: bytes, headers: Headers, name: str | None, aliases: TypeAliases, read: Callable[[bytes], _In]
) -> _In:
    """The event in a value that `_read_plain` refused. Raises DeadLettered with the exact problem.

    name: the only CloudEvents type that belongs here; None for any.
    """
    check_size(value)
    if is_binary(headers):
        _check_type(binary_type(headers), name, aliases)
    unwrapped = unwrap(value, headers)
    _check_type(unwrapped.type, name, aliases)
    if unwrapped.problem is not None:
        raise invalid(*unwrapped.problem)
    try:
        return read(_with_attributes(unwrapped))
    except msgspec.ValidationError as error:
        raise _explained(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise undecodable("text that is not Unicode") from None


def _check_type(kind: str | None, name: str | None, aliases: TypeAliases) -> None:
    if kind is not None and name is not None and aliases.get(kind, kind) != name:
        raise DeadLettered(DeadLetterReason.UNKNOWN_TYPE, f"only {name} belongs here")


def _with_attributes(unwrapped: Unwrapped) -> bytes:
    """The flat JSON text. The CloudEvent's id and correlationid fill in missing fields."""
    if unwrapped.type is None:
        return unwrapped.raw
    fields = _read_fields(unwrapped.raw)
    fields.pop("specversion", None)  # a field of the data with this name has no meaning
    for name, attribute in (("eventId", unwrapped.id), ("correlationId", unwrapped.correlation_id)):
        if attribute is not None and bytes(fields.get(name, b"null")) == b"null":
            fields[name] = Raw(msgspec.json.encode(attribute))
    return msgspec.json.encode(fields)


def _explained(error: msgspec.ValidationError) -> DeadLettered:
    """The dead letter INVALID with the field's path. msgspec's messages name types and limits, never values."""
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
    """Minor units of an amount. It parses the text of the JSON value, so a number stays exact."""
    raw = bytes(money.amount)
    digits = DIGITS.get(money.currency)
    if (
        digits == 2 and raw[-4:-3] == b"." and len(raw) <= _LONGEST_CENTS
    ):  # the usual form "129.90", in a third of the time
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
