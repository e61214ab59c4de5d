"""The poison corpus: more than 200 records that cannot be processed, each with its dead letter reason.

The source is the contract, section 1, dead letters. Bad commands with readable ids are not here: they get a rejection
as their result, not a dead letter.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.simulation.poison import BROKEN, EVENTS, EVERYWHERE, Poison

CARD = "4111 1111 1111 1111"
_COMMANDS, _ORDERS, _PAYMENTS, _RETURNS = ((topic,) for topic in EVERYWHERE)
_MAX_INPUT_BYTES = 1 << 20

_ORDER: dict[str, Any] = {
    "eventId": "poison-e",
    "orderId": "poison-o",
    "customerId": "c1",
    "totalAmount": {"amount": "10.00", "currency": "USD"},
    "occurredOn": "2026-11-01T00:00:00Z",
}
_PAYMENT: dict[str, Any] = {
    "eventId": "poison-e",
    "paymentId": "poison-p",
    "orderId": "poison-o",
    "customerId": "c1",
    "amount": {"amount": "10.00", "currency": "USD"},
    "occurredOn": "2026-11-01T00:00:00Z",
}
_RETURN: dict[str, Any] = {
    "eventId": "poison-e",
    "returnId": "poison-b",
    "orderId": "poison-o",
    "customerId": "c1",
    "refundAmount": {"amount": "10.00", "currency": "USD"},
    "occurredOn": "2026-11-01T00:00:00Z",
}
_COMMAND: dict[str, Any] = {
    "commandId": "poison-k",
    "commandType": "RegisterCustomer",
    "customerId": "c1",
    "issuedAt": "2026-11-24T10:00:00Z",
    "data": {},
}

_NOT_IDS: tuple[Any, ...] = (7, 1.5, True, None, [], {}, "", "x" * 101, "with\u0000zero", "with\nline")
_NOT_MONEY: tuple[Any, ...] = (
    None,
    7,
    "10.00",
    [],
    {},
    {"amount": "10.00"},
    {"currency": "USD"},
    {"amount": "-0.01", "currency": "USD"},
    {"amount": -1, "currency": "USD"},
    {"amount": "1.001", "currency": "USD"},
    {"amount": "1.5", "currency": "JPY"},
    {"amount": "1e3", "currency": "USD"},
    {"amount": "", "currency": "USD"},
    {"amount": " 1", "currency": "USD"},
    {"amount": "1,00", "currency": "USD"},
    {"amount": "0x10", "currency": "USD"},
    {"amount": "NaN", "currency": "USD"},
    {"amount": "Infinity", "currency": "USD"},
    {"amount": "1" * 16, "currency": "USD"},
    {"amount": "1" * 5_000, "currency": "USD"},
    {"amount": True, "currency": "USD"},
    {"amount": None, "currency": "USD"},
    {"amount": "1.00", "currency": "usd"},
    {"amount": "1.00", "currency": "XXXX"},
    {"amount": "1.00", "currency": 840},
    {"amount": "1.00", "currency": None},
    {"amount": "\u0661.00", "currency": "USD"},
    {"amount": "1.00", "currency": CARD},
)
_NOT_TIMES = (
    None,
    7,
    "",
    "yesterday",
    "2026-11-01",
    "2026-11-01T00:00:00",
    "2026-02-29T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-11-01T25:00:00Z",
    "2026-11-01T00:00:00+99:00",
    "99999-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    ["2026-11-01T00:00:00Z"],
    CARD,
)
_NOT_JSON = {
    "white space": b"  \n\t",
    "zero byte": b"\0",
    "zero bytes": bytes(1_000),
    "byte order mark alone": b"\xef\xbb\xbf",
    "number": b"42",
    "string": b'"order"',
    "true": b"true",
    "null": b"null",
    "list of objects": b"[{}]",
    "unclosed": b'{"eventId":"e"',
    "unopened": b'"eventId":"e"}',
    "trailing comma": b'{"eventId":"e",}',
    "two objects": b'{"eventId":"e"}{"eventId":"f"}',
    "text after": b'{"eventId":"e"} and more',
    "single quotes": b"{'eventId':'e'}",
    "comment": b'{/* no */"eventId":"e"}',
    "unquoted name": b'{eventId:"e"}',
    "Infinity": b'{"totalAmount":Infinity}',
    "-Infinity": b'{"totalAmount":-Infinity}',
    "leading zero": b'{"a":01}',
    "plus sign": b'{"a":+1}',
    "bare escape": b'{"eventId":"\\x41"}',
    "control character": b'{"eventId":"a\x01b"}',
    "overlong utf-8": b'{"eventId":"\xc0\xaf"}',
    "surrogate as utf-8": b'{"eventId":"\xed\xa0\x80"}',
    "utf-8 cut off": b'{"eventId":"\xe2\x82"}',
    "latin-1": b'{"eventId":"M\xfcller"}',
    "utf-16": '{"eventId":"e"}'.encode("utf-16"),
    "utf-32": '{"eventId":"e"}'.encode("utf-32"),
    "avro": b"\x00\x00\x00\x00\x01\x0aorder",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "xml": b"<order><id>1</id></order>",
    "half an escape": b'{"eventId":"\\u12"}',
    "100,000 lists deep": b"[" * 100_000,
    "100,000 objects deep": b'{"a":' * 100_000,
    "100,000 levels deep, closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "5,000 digits cut off": b'{"a":' + b"9" * 5_000,
    "card number alone": CARD.encode(),
    "card number in broken JSON": b'{"card":"4111111111111111"',
}
_KEYS = (b"", b"\xff\xfe", b"__faust", b"__faust\0key", b"\0", b"k" * 10_000, None)


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _undecodable() -> Iterator[Poison]:
    for name, value in _NOT_JSON.items():
        yield Poison(name, value, "UNDECODABLE")
    for key in _KEYS:
        yield Poison("half, with an odd key", b'{"half":', "UNDECODABLE", key=key)
        yield Poison("tombstone with an odd key", None, "", key=key)


def _large() -> Iterator[Poison]:
    for size in (_MAX_INPUT_BYTES + 1, 2 << 20, 5 << 20):
        padded = b'{"pad":"' + b"x" * (size - 10) + b'"}'
        yield Poison(f"{size} bytes", padded, "TOO_LARGE")
        yield Poison(f"{size} zero bytes", bytes(size), "TOO_LARGE")
    yield Poison("1 MiB of digits and more", b'{"a":' + b"7" * _MAX_INPUT_BYTES + b"}", "TOO_LARGE")


def _events(topics: tuple[str, ...], good: dict[str, Any], amount: str, own_id: str) -> Iterator[Poison]:
    for field in good:
        if field != "eventId":  # has a case of its own below, because a CloudEvent's id can replace it
            without = {name: value for name, value in good.items() if name != field}
            yield Poison(f"without {field}", _as_json(without), "INVALID", topics)
    yield Poison("without eventId", _as_json({**good, "eventId": None}), "INVALID", topics)
    for value in _NOT_IDS:
        yield Poison(f"{own_id} {value!r}", _as_json({**good, own_id: value}), "INVALID", topics)
    for value in _NOT_IDS[:3]:
        yield Poison(f"customerId {value!r}", _as_json({**good, "customerId": value}), "INVALID", topics)
    for value in _NOT_MONEY:
        yield Poison(f"{amount} {value!r}"[:60], _as_json({**good, amount: value}), "INVALID", topics)
    for value in _NOT_TIMES:
        yield Poison(f"occurredOn {value!r}", _as_json({**good, "occurredOn": value}), "INVALID", topics)
    digits = _as_json(good).replace(b'"10.00"', b"9" * 5_000)
    yield Poison("an amount of 5,000 digits", digits, "INVALID", topics)
    yield Poison("an amount of 1e400", _as_json(good).replace(b'"10.00"', b"1e400"), "INVALID", topics)


def _cloud_events() -> Iterator[Poison]:
    envelope = {"specversion": "1.0", "id": "ce", "source": "/s", "type": "OrderCompletedEvent"}
    order = {name: value for name, value in _ORDER.items() if name != "eventId"}
    for kind in ("PaymentCompletedEvent", "OrderCompletedEventV2", "ordercompletedevent", "X" * 1_000):
        yield Poison(
            f"type {kind[:30]}", _as_json({**envelope, "type": kind, "data": order}), "UNKNOWN_TYPE", _ORDERS
        )
    yield Poison("no data", _as_json(envelope), "INVALID", _ORDERS)
    yield Poison("data is a list", _as_json({**envelope, "data": [order]}), "INVALID", _ORDERS)
    headers = tuple((f"ce_{name}", str(value).encode()) for name, value in envelope.items() if name != "type")
    wrong = (*headers, ("ce_type", b"Elsewhere"))
    yield Poison("binary, another type", _as_json(order), "UNKNOWN_TYPE", EVENTS, headers=wrong)


def _commands() -> Iterator[Poison]:
    for field in ("commandId", "customerId"):
        for value in _NOT_IDS:
            named = f"command with {field} {value!r}"
            yield Poison(named[:60], _as_json({**_COMMAND, field: value}), "INVALID", _COMMANDS)
        without = {name: value for name, value in _COMMAND.items() if name != field}
        yield Poison(f"command without {field}", _as_json(without), "INVALID", _COMMANDS)
    yield Poison("an order among commands", _as_json(_ORDER), "INVALID", _COMMANDS)
    yield Poison("card number", _as_json({"card": CARD}), "INVALID", _COMMANDS)


CORPUS = (
    *BROKEN,
    *_undecodable(),
    *_large(),
    *_events(_ORDERS, _ORDER, "totalAmount", "orderId"),
    *_events(_PAYMENTS, _PAYMENT, "amount", "paymentId"),
    *_events(_RETURNS, _RETURN, "refundAmount", "returnId"),
    *_cloud_events(),
    *_commands(),
)
