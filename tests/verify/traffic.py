"""Seeded traffic of every kind for a simulated worker: duplicates, conflicts, other partitions, broken inputs, crashes."""

import json
import random
from typing import Any

from tests.agents.world import PARTITIONS, World

CARD = "4111 1111 1111 1111"
BROKEN: tuple[bytes | None, ...] = (
    b"",
    b"[]",
    b"{",
    b"\xff\xfe",
    None,
    b'{"a":NaN}',
    b"[" * 100_000,
    b'{"specversion":"1.0","type":"SomethingElse","id":"1","source":"/s","data":{}}',
    json.dumps({"eventId": "e", "orderId": "o", "note": CARD}).encode(),
    b'{"commandId":"x"}',
    b'{"pad":"' + b"x" * 1_050_000 + b'"}',
)


class Traffic:
    """Sends to a world. seed: the same seed sends the same."""

    def __init__(self, world: World, seed: int, customers: int = 6) -> None:
        self.world = world
        self._random = random.Random(seed)
        self._customers = [f"c{n}" for n in range(customers)]
        self._sent: list[tuple[str, dict[str, Any], str]] = []
        self._count = 0

    def send(self, count: int) -> None:
        """So many inputs."""
        new = (self._command, self._order, self._payment, self._return)
        actions = (*new, self._again, self._changed, self._broken)
        for _ in range(count):
            self._random.choices(actions, (9, 10, 4, 3, 2, 1, 0.3))[0]()

    def run(self, turns: int, crashes: float = 0.1) -> None:
        """So many turns of the worker, some of which crash before their commit."""
        for _ in range(turns):
            self.world.one_batch(self._random.randrange(PARTITIONS), crash=self._random.random() < crashes)

    def _put(self, topic: str, value: dict[str, Any], customer: str) -> None:
        self._sent.append((topic, value, customer))
        elsewhere = self._random.random() < 0.1
        headers: tuple[tuple[str, bytes], ...] = (("trace", b"1"),) if self._random.random() < 0.2 else ()
        body: Any = value
        if "eventId" in value and self._random.random() < 0.1:
            body, headers = self._as_cloud_event(value)
        if elsewhere and self._random.random() < 0.5:
            self.world.produce(topic, body, "another key", headers=headers)
        else:
            partition = self._random.randrange(PARTITIONS) if elsewhere else None
            self.world.produce(topic, body, customer, partition, headers)

    def _as_cloud_event(self, value: dict[str, Any]) -> tuple[dict[str, Any], tuple[tuple[str, bytes], ...]]:
        kind = next(kind for field, kind in KIND_BY_FIELD.items() if field in value)
        attributes = {"specversion": "1.0", "id": value["eventId"], "source": "/shop", "type": kind}
        flat = {field: inner for field, inner in value.items() if field != "eventId"}
        if self._random.random() < 0.5:
            return flat, tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
        return {**attributes, "correlationid": "corr-ce", "data": flat}, ()

    def _next(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def _again(self) -> None:
        if self._sent:
            self._put(*self._random.choice(self._sent))

    def _changed(self) -> None:
        if not self._sent:
            return
        topic, value, customer = self._random.choice(self._sent)
        if "data" in value:
            self._put(topic, {**value, "data": {**value["data"], "reason": "another"}}, customer)
        else:
            field = next(field for field in ("totalAmount", "refundAmount", "amount") if field in value)
            self._put(topic, {**value, field: {"amount": "1.00", "currency": "USD"}}, customer)

    def _broken(self) -> None:
        routing = self.world.routing
        topic = self._random.choice((routing.commands, routing.orders, routing.returns, routing.payments))
        self.world.produce(topic, self._random.choice(BROKEN), self._random.choice((None, "c1")), 1)

    def _order(self) -> None:
        order = self._some_order()
        self._put(self.world.routing.orders, order, order["customerId"])

    def _return(self) -> None:
        """Of an order that was sent, or is sent after it, or never."""
        orders = [value for _, value, _ in self._sent if "totalAmount" in value]
        to_come = not orders or self._random.random() < 0.3
        order = self._some_order() if to_come else self._random.choice(orders)
        money = order["totalAmount"]
        whole, point, cents = money["amount"].partition(".")
        part = f"{self._random.choice((0, 1, int(whole) // 2))}{point}{'0' * len(cents)}"
        value = {
            "eventId": self._next("e"),
            "returnId": self._next("b"),
            "orderId": order["orderId"],
            "customerId": order["customerId"],
            "refundAmount": {**money, "amount": self._random.choice((part, part, money["amount"]))},
            "occurredOn": f"2026-11-{self._random.randrange(1, 25):02d}T00:00:00Z",
        }
        self._put(self.world.routing.returns, value, order["customerId"])
        if to_come and self._random.random() < 0.8:
            self._put(self.world.routing.orders, order, order["customerId"])

    def _some_money(self) -> dict[str, str]:
        whole, cents = self._random.choice((0, 5, 999, 4_800, 9_999)), self._random.randrange(100)
        currency = self._random.choice(("USD", "USD", "USD", "EUR", "EUR", "JPY"))
        return {
            "amount": f"{whole * 100}" if currency == "JPY" else f"{whole}.{cents:02d}",
            "currency": currency,
        }

    def _some_order(self) -> dict[str, Any]:
        day = self._random.choice(("2026-11-01", "2026-11-20", "2025-12-01", "2024-02-29", "2026-01-15"))
        value: dict[str, Any] = {
            "eventId": self._next("e"),
            "orderId": self._next("o"),
            "customerId": self._random.choice(self._customers),
            "totalAmount": self._some_money(),
            "occurredOn": f"{day}T{self._random.randrange(24):02d}:00:00Z",
        }
        if self._random.random() < 0.3:
            value["correlationId"] = self._next("corr")
        return value

    def _payment(self) -> None:
        value = {
            "eventId": self._next("e"),
            "paymentId": self._next("p"),
            "orderId": self._next("o"),
            "customerId": (customer := self._random.choice(self._customers)),
            "amount": {"amount": f"{self._random.randrange(500)}", "currency": "USD"},
            "occurredOn": f"2026-11-{self._random.randrange(1, 25):02d}T00:00:00+02:00",
        }
        if self.world.catalogue.payment_join and self._random.random() < 0.7:
            del value["customerId"]
            value["orderId"] = customer = self._order_to_pay()
        self._put(self.world.routing.payments, value, customer)

    def _order_to_pay(self) -> str:
        """One that was sent, or one that may be sent soon."""
        sent: list[str] = [value["orderId"] for _, value, _ in self._sent if "totalAmount" in value]
        return self._random.choice((*sent[-8:], f"o{self._count + self._random.randrange(2, 9)}"))

    def _command(self) -> None:
        customer = self._random.choice(self._customers)
        kind = self._random.choice(KINDS)
        value: dict[str, Any] = {
            "commandId": self._next("k"),
            "commandType": kind,
            "customerId": customer,
            "issuedAt": "2026-11-24T10:00:00Z",
            "data": self._data(kind),
        }
        if self._random.random() < 0.2:
            value["expectedVersion"] = self._random.randrange(12)
        if self._random.random() < 0.2:
            value["actor"] = self._random.choice(("support", "Zoë"))
        self._put(self.world.routing.commands, value, customer)

    def _some_redemption(self) -> str:
        """A redemptionId that was sent."""
        sent: list[str | None] = [value.get("data", {}).get("redemptionId") for _, value, _ in self._sent]
        return self._random.choice([each for each in sent if each] or ["r1"])

    def _data(self, kind: str) -> dict[str, Any]:
        pick = self._random.choice
        email = f"{pick('abcdefgh')}@Example.com"
        address_ids = [
            a.id for c in self._customers if (row := self.world.row(c).customer) for a in row.addresses
        ]
        method_ids = [
            m.id for c in self._customers if (r := self.world.row(c).customer) for m in r.payment_methods
        ]
        address = {
            "street": pick(("S", "T", "U")),
            "city": "C",
            "zipCode": "Z",
            "country": pick(("US", "DE")),
        }
        every: dict[str, dict[str, Any]] = {
            "RegisterCustomer": {
                "name": " Ada ",
                "email": email,
                **({"address": address} if pick((0, 1)) else {}),
            },
            "UpdateProfile": {
                "name": pick(("A", "B")),
                "email": email,
                "phone": pick((None, "+1 415 555 2671")),
            },
            "ChangeStatus": {
                "newStatus": pick(("ACTIVE", "INACTIVE", "SUSPENDED")),
                "reason": pick(("r", "")),
            },
            "AddDeliveryAddress": {
                **address,
                "isDefault": pick((True, False)),
                "label": pick((None, "home")),
            },
            "RemoveDeliveryAddress": {"addressId": pick(address_ids or ["none"])},
            "SetDefaultDeliveryAddress": {"addressId": pick(address_ids or ["none"])},
            "UpdatePreferences": {
                "marketingEmails": pick((True, False)),
                "notifications": {"enabledTypes": pick((["POINTS", "ORDER"], []))},
            },
            "AddPaymentMethod": {
                "type": pick(("CREDIT_CARD", "GIFT_CARD")),
                "last4": pick(("1234", "12345")),
            },
            "RemovePaymentMethod": {"paymentMethodId": pick(method_ids or ["none"])},
            "RedeemPoints": {
                "points": pick((1, 50, 5_000)),
                "reason": pick(("voucher", CARD)),
                "redemptionId": pick(("r1", self._next("r"))),
            },
            "CancelRedemption": {
                "redemptionId": pick(("r1", "r1", self._some_redemption())),
                "reason": pick(("r", "")),
            },
            "AdjustPoints": {
                "points": pick((-60, -1, 9, 400, 0)),
                "reason": pick(("goodwill", CARD)),
                "adjustmentId": pick(("a1", self._next("a"), self._next("a"))),
            },
            "UpgradeMembership": {"newLevel": pick(("SILVER", "GOLD", "PLATINUM")), "reason": "r"},
            "EraseCustomer": {"reason": pick(("r", "r", "r", ""))},
            "Unknown": {},
        }
        return every[kind]


KIND_BY_FIELD = {
    "totalAmount": "OrderCompletedEvent",
    "returnId": "OrderReturnedEvent",
    "paymentId": "PaymentCompletedEvent",
}
KINDS = (
    "RegisterCustomer",
    "RegisterCustomer",
    "UpdateProfile",
    "ChangeStatus",
    "AddDeliveryAddress",
    "RemoveDeliveryAddress",
    "SetDefaultDeliveryAddress",
    "UpdatePreferences",
    "AddPaymentMethod",
    "RemovePaymentMethod",
    "RedeemPoints",
    "CancelRedemption",
    "AdjustPoints",
    "UpgradeMembership",
    "EraseCustomer",
    "Unknown",
)
