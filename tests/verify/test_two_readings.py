"""Two readings of the same bytes, the worker's and the verification's, agree: seeded mutations of every kind of input."""

import json
import random
from typing import Any

import pytest

from worker.domain.rejections import DeadLettered
from worker.verify.reading.inputs import Unreadable, read_command, read_order, read_payment, read_return
from worker.wire.commands import decode_command
from worker.wire.inputs import decode_order, decode_payment, decode_return
from worker.wire.type_aliases import READ

SAMPLES = 2_000
ADDRESS = {"street": "S", "city": "C", "zipCode": "Z", "country": "US"}
PREFERENCES = {
    "marketingEmails": True,
    "language": "de-CH",
    "currency": "CHF",
    "notifications": {"enabledTypes": ["ORDER"], "enabledChannels": ["SMS"]},
}
EVENT = {"eventId": "e1", "orderId": "o1", "customerId": "c1", "occurredOn": "2026-01-02T03:04:05Z"}
PRICE = {"amount": "12.50", "currency": "USD"}
COMMANDS: dict[str, dict[str, Any]] = {
    "RegisterCustomer": {
        "name": "A",
        "email": "a@example.com",
        "phone": "+14155552671",
        "birthDate": "1990-01-01",
        "address": ADDRESS,
        "preferences": PREFERENCES,
    },
    "UpdateProfile": {"name": "A", "email": "a@example.com", "phone": None},
    "ChangeStatus": {"newStatus": "ACTIVE", "reason": "r"},
    "AddDeliveryAddress": {**ADDRESS, "label": "l", "isDefault": True},
    "RemoveDeliveryAddress": {"addressId": "a"},
    "UpdatePreferences": PREFERENCES,
    "AddPaymentMethod": {"type": "CREDIT_CARD", "last4": "1234", "provider": "P", "expiry": "2029-05"},
    "RemovePaymentMethod": {"paymentMethodId": "x"},
    "RedeemPoints": {"points": 5, "reason": "r", "redemptionId": "x", "orderId": "o"},
    "CancelRedemption": {"redemptionId": "x", "reason": "r"},
    "AdjustPoints": {"points": -5, "reason": "r", "adjustmentId": "x"},
    "UpgradeMembership": {"newLevel": "GOLD", "reason": "r"},
    "EraseCustomer": {"reason": "r"},
}
VALUES: tuple[Any, ...] = (
    *(10**6, 10**6 + 1, -(10**6), -(10**6) - 1),
    *(None, "", " ", 0, 1, -1, 1.5, 1e3, 2**53, 2**53 - 1, 10**30, True, False, [], {}, [None]),
    *("x" * 40, "x" * 41, "x" * 100, "x" * 101, "x" * 200, "x" * 201, "x" * 501, "a\0b", "\ud800", "é"),
    *("0.1", "00012.50", "12.500", "12.505", "1e3", "-1", "+1", "1.", ".5", "12,5", "9" * 15, "9" * 16),
    *("USD", "usd", "XAU", "XXX", "JPY", "EUR", "KWD", "US", "us", "UK", "GB", "ZZ"),
    *("2026-02-30T00:00:00Z", "2026-01-02T03:04:05", "2026-01-02t03:04:05z", "2016-12-31T23:59:60Z"),
    *("2026-01-02T03:04:05.123456789+05:30", "2016-12-31T22:59:60Z", "1899-12-31T23:59:59Z"),
    *("2026-01-02T24:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1990-02-30"),
    *("a@b", "A@B.Com", " a@b.co ", "a@münchen.de", "ä@b.de", "a..b@c.de", ".a@c.de", "a b@c.de", "a@b_c.de"),
    *("a@[1.2.3.4]", '"a"@b.de', "a@b.de.", f"{'a' * 65}@b.de", f"a@{'b' * 64}.de", "a@straße.de", "a@b.123"),
    *("+1 (415) 555-2671", "0049123", "+49", "+4915112345678", "+999123456789", "+12345678901234567"),
    *("1990-01-01", "2050-01-01", "19900101", "en_US", "de-1996", "x-private", "english", "4111111111111111"),
    *("4111 1111 1111 1111", "a4111111111111111", "4111-1111-1111-1112", "1234", "12345", "2029-13"),
    *(
        "GOLD",
        "BRONZE",
        "ORDER",
        ["ORDER", "ORDER"],
        ["ORDER", "X"],
        "GIFT_CARD",
        "İ@b.de",
        "\uff11\uff12.50",
    ),
)
SPOILT = (b"", b"\0", b"\xff", b'"', b"}", b"\\ud800", b",", b" ", b"\\")
RAW = (
    *(b"", b"null", b"[]", b"{}", b"\xff", b"\xef\xbb\xbf{}", b'{"x":NaN}', b'{"x":Infinity}'),
    *(b'{"a":' * 70 + b"1" + b"}" * 70, b'{"x":1e999999999999999999999}', b'{"x":' + b"9" * 5_000 + b"}"),
)
ALIASES = {f"com.shop.{kind}": kind for kind in READ}


class Samples:
    """Inputs of one seed: (what reads it, value, headers)."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def next(self) -> tuple[str, bytes, tuple[tuple[str, bytes], ...]]:
        kind = self._random.choice(("orders", "payments", "returns", "commands"))
        flat: dict[str, Any]
        if kind == "orders":
            flat, type_name = {**EVENT, "totalAmount": PRICE}, "OrderCompletedEvent"
        elif kind == "payments":
            flat, type_name = {**EVENT, "paymentId": "p1", "amount": PRICE}, "PaymentCompletedEvent"
        elif kind == "returns":
            flat, type_name = {**EVENT, "returnId": "b1", "refundAmount": PRICE}, "OrderReturnedEvent"
        else:
            type_name = self._random.choice(list(COMMANDS))
            flat = {
                "commandId": "k",
                "commandType": type_name,
                "customerId": "c",
                "issuedAt": "2026-01-01T00:00:00Z",
                "correlationId": "co",
                "expectedVersion": 3,
                "data": COMMANDS[type_name],
            }
        value, headers = self._wrapped(self._mutated(flat), type_name)
        return kind, self._spoilt(json.dumps(value).encode()), headers

    def _mutated(self, flat: dict[str, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = json.loads(json.dumps(flat))
        for _ in range(self._random.choice((0, 1, 1, 1, 2))):
            node = copy
            while node:
                name = self._random.choice(list(node))
                if isinstance(node[name], dict) and self._random.random() < 0.75:
                    node = node[name]
                    continue
                self._change(node, name)
                break
        return copy

    def _change(self, node: dict[str, Any], name: str) -> None:
        what = self._random.choice(("drop", "add", *["replace"] * 8))
        if what == "drop":
            del node[name]
        else:
            node["extra" if what == "add" else name] = self._random.choice(VALUES)

    def _wrapped(self, flat: dict[str, Any], type_name: str) -> tuple[Any, tuple[tuple[str, bytes], ...]]:
        mode = self._random.choice(("plain", "plain", "structured", "binary"))
        attributes = {
            "specversion": "1.0",
            "id": "i",
            "source": "/s",
            "type": self._random.choice((type_name, f"com.shop.{type_name}")),
            "correlationid": "cc",
        }
        if self._random.random() < 0.3:
            attributes[self._random.choice(list(attributes))] = self._random.choice(("", "1.0", "x"))
        if mode == "structured" and self._random.random() < 0.2:
            numbers = (7, -7, 7.0, 7.5, 10**29, 10**30, True)
            return {**attributes, "correlationid": self._random.choice(numbers), "data": flat}, ()
        if mode != "plain" and self._random.random() < 0.3:
            flat.pop("eventId", None)
        if mode == "structured":
            return {**attributes, "data": flat}, ()
        if mode == "binary":
            return flat, tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
        return flat, ()

    def _spoilt(self, raw: bytes) -> bytes:
        chance = self._random.random()
        if chance < 0.92:
            return raw
        if chance < 0.95:
            return self._random.choice(RAW)
        place = self._random.randrange(len(raw))
        return raw[:place] + self._random.choice(SPOILT) + raw[place + self._random.choice((0, 1)) :]


def worker_reads(kind: str, value: bytes, headers: Any) -> Any:
    try:
        if kind == "commands":
            received = decode_command(value, headers, ALIASES)
            command = received.command
            facts = None
            if command is not None:
                named = [getattr(command, field, None) for field in ("name", "email", "phone")]
                facts = [command.issued_at, command.expected_version, command.correlation_id, *named]
            return received.command_id, received.customer_id, received.command_type, facts
        if kind == "orders":
            order = decode_order(value, headers, ALIASES)
            return order.order_id, *_amounts(order), order.occurred_at
        if kind == "returns":
            back = decode_return(value, headers, ALIASES)
            return back.return_id, *_amounts(back), back.occurred_at
        payment = decode_payment(value, headers, None, ALIASES)
        return payment.payment_id, *_amounts(payment), payment.occurred_at
    except DeadLettered as dead:
        return dead.reason.value


def _amounts(purchase: Any) -> tuple[Any, ...]:
    ids = purchase.customer_id, purchase.event_id, purchase.correlation_id
    return *ids, purchase.amount, purchase.currency


READERS = {"orders": read_order, "payments": read_payment, "returns": read_return}


def verification_reads(kind: str, value: bytes, headers: Any) -> Any:
    try:
        if kind == "commands":
            command = read_command(value, headers, ALIASES)
            facts = None
            if command.fields is not None:
                named = [command.fields.get(field) for field in ("name", "email", "phone")]
                facts = [command.issued_at, command.expected_version, command.correlation_id, *named]
            return command.id, command.customer_id, command.known_kind, facts
        purchase = READERS[kind](value, headers, ALIASES)
        return purchase.id, *_amounts(purchase), purchase.occurred_at
    except Unreadable as problem:
        return problem.reasons


@pytest.mark.parametrize("seed", range(3))
def test_the_worker_and_the_verification_read_the_same_in_every_input(seed):
    samples = Samples(seed)
    readable = 0
    for _ in range(SAMPLES):
        kind, value, headers = samples.next()
        one, other = worker_reads(kind, value, headers), verification_reads(kind, value, headers)
        readable += not isinstance(one, str)
        if isinstance(one, str) and isinstance(other, frozenset):
            assert one in other, (value, headers)
        else:
            assert one == other, (value, headers)
    assert SAMPLES * 0.2 < readable < SAMPLES * 0.95
