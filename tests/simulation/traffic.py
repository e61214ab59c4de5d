"""Seeded traffic of every kind, for the simulation and for the fault runs.

Rules:
- The same seed yields the same messages. Nothing here reads a worker's state.
- Calm traffic has one right final state, whatever the order of orders, returns and payments. No two customers want the
  same email, and no command depends on an order. No order is returned twice, and no customer is erased. Every message
  is on its customer's partition. Wild traffic has all of these cases.
- Only one customer in eight is ever erased, so that long traffic does not run out of customers.
- One customer in three makes orders in the way that most do: in one currency, one after the other, and none is returned.
"""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from aiokafka.partitioner import murmur2

from tests.simulation.poison import BROKEN, Poison
from tests.simulation.sent import (
    COMMANDS,
    NAMELESS,
    ORDER,
    ORDERS,
    PAYMENT,
    PAYMENTS,
    RETURN,
    RETURNS,
    Header,
    Message,
)

_NAMESPACE = uuid5(NAMESPACE_DNS, "customer-context")
_NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
_LATE_DAYS = 1_000
_HISTORY = 400
_ERASABLE_EVERY = 8
_USUAL_EVERY = 3
_USUAL_SINCE, _USUAL_STEP = _NOON - timedelta(days=400), timedelta(hours=3)
_RECENT = 8
_AMOUNTS = ("0", "5.5", "9.99", "10.00", "49.90", "129.90", "480.10", "1500", "4800.00", "9999.99")
_USUAL_AMOUNTS = ("5.50", "9.99", "10.00", "49.90", "129.90")
_YEN = ("0", "149", "1492", "1493", "74627", "746269")


class Traffic:
    """An endless stream of messages.

    customers: their number. wild: see above. poison: share of broken messages. again: share of repeated messages.
    tag: part of every id, so that runs can share topics. payment_join: whether payments may name no customer.
    """

    def __init__(
        self,
        seed: int,
        customers: int,
        partitions: int,
        *,
        wild: bool = True,
        poison: float = 0.02,
        again: float = 0.1,
        tag: str = "",
        corpus: tuple[Poison, ...] = BROKEN,
        payment_join: bool = False,
    ) -> None:
        self._random = random.Random(f"traffic {seed}")
        self._partitions = partitions
        self._wild = wild
        self._poison, self._again = poison, again
        self._corpus = corpus
        self._payment_join = payment_join
        self._customers = [f"{tag}c{n}" for n in range(customers)]
        self._erasable = self._customers[::_ERASABLE_EVERY]
        self._usual = frozenset(self._customers[1::_USUAL_EVERY])
        self._emails = [f"{tag}{n}@example.com" for n in range(max(4, customers))]
        self._tag = tag
        self._count = 0
        self._command_ids = [self._id("k")]
        self._redemptions = [f"{tag}r1"]
        self._history: list[Message] = []
        self._returned: set[str] = set()
        self._next: list[Message] = []

    def __iter__(self) -> "Traffic":
        return self

    def __next__(self) -> Message:
        if not self._next:
            self._next += self._more()
        return self._next.pop(0)

    def take(self, count: int) -> list[Message]:
        """The next `count` messages."""
        return [next(self) for _ in range(count)]

    def registrations(self) -> list[Message]:
        """A registration of every customer, each with a different email."""
        return [self._register(customer, f"{customer}@example.net") for customer in self._customers]

    def _more(self) -> list[Message]:
        chance = self._random.random()
        if chance < self._poison:
            return [self._broken()]
        if chance < self._poison + self._again and self._history:
            return [self._random.choice(self._history)]
        if not self._wild:
            calm = (self._calm, self._order, self._payment, self._return)
            made = [self._random.choices(calm, (3, 6, 2, 1))[0]()]
        else:
            new = (self._command, self._order, self._payment, self._return)
            actions = (*new, self._reused, self._conflict, self._returned_otherwise)
            made = [self._random.choices(actions, (8, 9, 3, 3, 1, 1, 0.5))[0]()]
            if self._random.random() < 0.03:
                made = self._swap()
        for message in made:
            if len(self._history) < _HISTORY:
                self._history.append(message)
            else:
                self._history[self._random.randrange(_HISTORY)] = message
        return made

    # -- commands

    def _command(self) -> Message:
        kind = self._random.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
        customer = self._whom(kind)
        more: dict[str, Any] = {}
        if self._random.random() < 0.1:
            more["expectedVersion"] = self._random.randrange(1, 9)
        if self._random.random() < 0.2:
            more["actor"] = self._random.choice(("support", "Zoë"))
        return self._send_command(customer, self._id("k"), kind, self._data(kind), **more)

    def _calm(self) -> Message:
        customer = self._random.choice(self._customers)
        if self._random.random() < 0.4:
            return self._register(customer, f"{customer}@example.net")
        kind = self._random.choice(_CALM)
        data = self._data(kind)
        if kind == "UpdateProfile":
            data["email"] = f"{customer}.{self._random.randrange(3)}@example.net"
        if kind == "AdjustPoints":
            data |= {"points": abs(data["points"]), "adjustmentId": self._id("a")}
        return self._send_command(customer, self._id("k"), kind, data)

    def _register(self, customer: str, email: str) -> Message:
        data = self._data("RegisterCustomer") | {"email": email}
        return self._send_command(customer, self._id("k"), "RegisterCustomer", data)

    def _reused(self) -> Message:
        """A command with a used commandId, mostly with other content."""
        kind = self._random.choice(tuple(_WEIGHTS))
        customer = self._whom(kind)
        return self._send_command(customer, self._random.choice(self._command_ids), kind, self._data(kind))

    def _whom(self, kind: str) -> str:
        return self._random.choice(self._erasable if kind == "EraseCustomer" else self._customers)

    def _swap(self) -> list[Message]:
        """Profile changes in which two customers ask for the same two emails, in opposite order."""
        first, second = self._random.sample(self._customers, 2) if len(self._customers) > 1 else ("a", "b")
        emails = self._random.sample(self._emails, 2)
        return [
            self._send_command(
                customer, self._id("k"), "UpdateProfile", {"name": "S", "email": email, "phone": None}
            )
            for customer, email in (
                (first, emails[0]),
                (second, emails[1]),
                (first, emails[1]),
                (second, emails[0]),
            )
        ]

    def _send_command(self, customer: str, command_id: str, kind: str, data: Any, **more: Any) -> Message:
        self._command_ids.append(command_id)
        if len(self._command_ids) > _HISTORY:
            del self._command_ids[: _HISTORY // 2]
        value = {
            "commandId": command_id,
            "commandType": kind,
            "customerId": customer,
            "issuedAt": "2026-11-24T10:00:00Z",
            "data": data,
            **more,
        }
        return self._message(COMMANDS, customer, value, (COMMANDS, customer, command_id))

    def _data(self, kind: str) -> dict[str, Any]:
        pick = self._random.choice
        email = pick(self._emails)
        if kind == "RegisterCustomer":
            data: dict[str, Any] = {"name": pick(("Ada", " Grace ")), "email": pick((email, email.upper()))}
            return data | ({"address": self._address()} if pick((0, 1)) else {})
        if kind == "UpdateProfile":
            return {"name": pick(("A", "B")), "email": email, "phone": pick((None, "+1 415 555 2671"))}
        if kind == "ChangeStatus":
            return {"newStatus": pick(("ACTIVE", "INACTIVE", "SUSPENDED")), "reason": pick(("r", "r", ""))}
        if kind == "AddDeliveryAddress":
            return self._address() | {"label": pick((None, "home")), "isDefault": pick((True, False))}
        if kind in ("RemoveDeliveryAddress", "SetDefaultDeliveryAddress"):
            return {"addressId": str(uuid5(_NAMESPACE, pick(self._command_ids)))}
        if kind == "UpdatePreferences":
            types = pick((["POINTS", "ORDER"], [], ["NONE"]))
            return {"marketingEmails": pick((True, False)), "notifications": {"enabledTypes": types}}
        if kind == "AddPaymentMethod":
            return {"type": pick(("CREDIT_CARD", "GIFT_CARD")), "last4": pick(("1234", "1234", "12345"))}
        if kind == "RemovePaymentMethod":
            return {"paymentMethodId": str(uuid5(_NAMESPACE, pick(self._command_ids)))}
        if kind == "RedeemPoints":
            redemption = pick((f"{self._tag}r1", self._id("r")))
            self._redemptions = [*self._redemptions[-_RECENT:], redemption]
            return {"points": pick((1, 20, 300)), "reason": "voucher", "redemptionId": redemption}
        if kind == "CancelRedemption":
            return {"redemptionId": pick(self._redemptions), "reason": pick(("order failed", "r", ""))}
        if kind == "AdjustPoints":
            adjustment = pick((f"{self._tag}a1", self._id("a"), self._id("a")))
            return {"points": pick((-40, -3, 7, 50)), "reason": "goodwill", "adjustmentId": adjustment}
        if kind == "UpgradeMembership":
            return {"newLevel": pick(("SILVER", "GOLD", "PLATINUM")), "reason": "r"}
        if kind == "EraseCustomer":
            return {"reason": pick(("asked for", "asked for", ""))}
        return {}

    def _address(self) -> dict[str, Any]:
        pick = self._random.choice
        return {"street": pick(("S", "T", "U")), "city": "C", "zipCode": "1", "country": pick(("US", "DE"))}

    # -- purchases

    def _order(self) -> Message:
        pick = self._random.choice
        customer = pick(self._customers)
        if customer in self._usual:
            since = min(_USUAL_SINCE + self._count * _USUAL_STEP, _NOON)
            occurred = since.strftime("%Y-%m-%dT%H:%M:%SZ")
            return self._order_of(customer, self._id("o"), pick(_USUAL_AMOUNTS), "USD", occurred)
        amount, currency = pick(_AMOUNTS), pick(("USD", "USD", "USD", "USD", "EUR", "EUR", "JPY"))
        if currency == "JPY":
            amount = pick(_YEN)
        return self._send_order(customer, self._id("o"), amount, currency)

    def _conflict(self) -> Message:
        """An order that may conflict with an earlier one: same id, another amount."""
        earlier = [message for message in self._history[-50:] if message.about[0] == ORDER]
        if not earlier:
            return self._order()
        _, customer, order_id, *_ = self._random.choice(earlier).about
        return self._send_order(customer, order_id, self._random.choice(_AMOUNTS), "USD")

    def _send_order(self, customer: str, order_id: str, amount: str, currency: str) -> Message:
        days = self._random.choice((0, 1, 30, 364, 365, self._random.randrange(_LATE_DAYS)))
        occurred = _NOON - timedelta(days=days, seconds=self._random.randrange(40_000))
        return self._order_of(customer, order_id, amount, currency, occurred.isoformat())

    def _order_of(self, customer: str, order_id: str, amount: str, currency: str, occurred: str) -> Message:
        value: dict[str, Any] = {
            "eventId": self._id("e"),
            "orderId": order_id,
            "customerId": customer,
            "totalAmount": {"amount": amount, "currency": currency},
            "occurredOn": occurred,
        }
        minor = str(int(Decimal(amount) * (1 if currency == "JPY" else 100)))
        about = (ORDER, customer, order_id, minor, currency, value["eventId"])
        return self._message(ORDERS, customer, value, about, event_type="OrderCompletedEvent")

    def _payment(self) -> Message:
        pick = self._random.choice
        if self._payment_join and self._random.random() < 0.7:
            return self._nameless(*self._what_to_pay())
        customer, payment_id, cents = pick(self._customers), self._id("p"), self._random.randrange(50_000)
        value: dict[str, Any] = {
            "eventId": self._id("e"),
            "paymentId": payment_id,
            "orderId": self._id("o"),
            "customerId": customer,
            "amount": {"amount": f"{cents / 100:.2f}", "currency": "USD"},
            "occurredOn": f"2026-11-{self._random.randrange(1, 25):02d}T00:00:00+02:00",
        }
        about = (PAYMENT, customer, payment_id, str(cents), "USD", value["eventId"])
        key = value["orderId"] if self._wild and pick((0, 1)) else customer
        return self._message(PAYMENTS, key, value, about, event_type="PaymentCompletedEvent")

    def _return(self) -> Message:
        """A return of all or part of an order. Calm traffic returns an order once; wild traffic also unknown orders."""
        earlier = [
            message
            for message in self._history[-50:]
            if message.about[0] == ORDER
            and message.about[1] not in self._usual
            and (self._wild or message.about[2] not in self._returned)
        ]
        if not earlier:
            return self._order()
        _, customer, order_id, cents, currency, _ = self._random.choice(earlier).about
        self._returned.add(order_id)
        if self._wild and self._random.random() < 0.3:
            order_id = self._id("o")
        amount = self._random.choice((int(cents), int(cents) // 3, self._random.randint(0, int(cents))))
        return self._send_return(customer, self._id("b"), order_id, amount, currency)

    def _returned_otherwise(self) -> Message:
        """A return with a used returnId, but another amount or order."""
        earlier = [message for message in self._history[-50:] if message.about[0] == RETURN]
        if not earlier:
            return self._return()
        _, customer, return_id, cents, currency, _, order_id = self._random.choice(earlier).about
        amount = self._random.choice((int(cents), self._random.randint(0, 10_000)))
        return self._send_return(
            customer, return_id, self._random.choice((order_id, self._id("o"))), amount, currency
        )

    def _send_return(
        self, customer: str, return_id: str, order_id: str, cents: int, currency: str
    ) -> Message:
        amount = str(cents) if currency == "JPY" else f"{cents / 100:.2f}"
        value: dict[str, Any] = {
            "eventId": self._id("e"),
            "returnId": return_id,
            "orderId": order_id,
            "customerId": customer,
            "refundAmount": {"amount": amount, "currency": currency},
            "occurredOn": f"2026-11-{self._random.randrange(1, 25):02d}T00:00:00Z",
        }
        about = (RETURN, customer, return_id, str(cents), currency, value["eventId"], order_id)
        return self._message(RETURNS, customer, value, about, event_type="OrderReturnedEvent")

    def _what_to_pay(self) -> tuple[str, str]:
        """(orderId, paymentId). The order was sent or may be sent soon. Rarely, the payment was sent before."""
        made = [message.about for message in self._history[-50:]]
        earlier = [about[1:3] for about in made if about[0] == NAMELESS]
        if self._wild and earlier and self._random.random() < 0.2:
            order_id, payment_id = self._random.choice(earlier)
            return order_id, payment_id
        orders = [about[2] for about in made if about[0] == ORDER]
        soon = f"{self._tag}o{self._count + self._random.randrange(2, 9)}"
        return self._random.choice((*orders[-6:], soon)), self._id("p")

    def _nameless(self, order_id: str, payment_id: str) -> Message:
        """A payment that names no customer."""
        amount = self._random.choice(_AMOUNTS)
        value: dict[str, Any] = {
            "eventId": self._id("e"),
            "paymentId": payment_id,
            "orderId": order_id,
            "amount": {"amount": amount, "currency": "USD"},
            "occurredOn": f"2026-11-{self._random.randrange(1, 25):02d}T00:00:00+02:00",
        }
        about = (NAMELESS, order_id, payment_id, str(int(Decimal(amount) * 100)), "USD", value["eventId"])
        return self._message(PAYMENTS, order_id, value, about, event_type="PaymentCompletedEvent")

    # -- records

    def _broken(self) -> Message:
        poison = self._random.choice(self._corpus)
        topic = self._random.choice(poison.topics)
        partition = self._random.randrange(self._partitions)
        return Message(
            topic, poison.key, poison.value, partition, poison.headers, ("poison", poison.reason_on(topic))
        )

    def _message(
        self, topic: str, key: str, value: dict[str, Any], about: tuple[str, ...], event_type: str = ""
    ) -> Message:
        headers: tuple[Header, ...] = ()
        body: Any = value
        raw_key: bytes | None = key.encode()
        partition = (murmur2(raw_key) & 0x7FFFFFFF) % self._partitions
        if self._wild and self._random.random() < 0.1:
            partition = self._random.randrange(self._partitions)
            raw_key = self._random.choice((raw_key, None, b"another", b"\xff"))
        if event_type and self._wild and self._random.random() < 0.1:
            body, headers = self._as_cloud_event(value, event_type)
        return Message(topic, raw_key, json.dumps(body).encode(), partition, headers, about)

    def _as_cloud_event(self, value: dict[str, Any], event_type: str) -> tuple[Any, tuple[Header, ...]]:
        attributes = {"specversion": "1.0", "id": value["eventId"], "source": "/shop", "type": event_type}
        flat = {name: inner for name, inner in value.items() if name != "eventId"}
        if self._random.random() < 0.5:
            return flat, tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
        return {**attributes, "data": flat}, ()

    def _id(self, prefix: str) -> str:
        self._count += 1
        return f"{self._tag}{prefix}{self._count}"


_WEIGHTS = {
    "RegisterCustomer": 6,
    "UpdateProfile": 4,
    "ChangeStatus": 2,
    "AddDeliveryAddress": 2,
    "RemoveDeliveryAddress": 1,
    "SetDefaultDeliveryAddress": 1,
    "UpdatePreferences": 1,
    "AddPaymentMethod": 1,
    "RemovePaymentMethod": 1,
    "RedeemPoints": 4,
    "CancelRedemption": 3,
    "AdjustPoints": 3,
    "UpgradeMembership": 1,
    "EraseCustomer": 1,
    "Unknown": 1,
}

_CALM = (
    "UpdateProfile",
    "ChangeStatus",
    "AddDeliveryAddress",
    "RemoveDeliveryAddress",
    "SetDefaultDeliveryAddress",
    "UpdatePreferences",
    "AddPaymentMethod",
    "RemovePaymentMethod",
    "AdjustPoints",
    "Unknown",
)
