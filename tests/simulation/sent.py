"""The messages sent, with all facts that the check needs. Knows nothing of how a worker treats them."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

COMMANDS, ORDERS, PAYMENTS = "customer.commands", "order.completed", "payment.completed"
RETURNS = "order.returned"
ORDER, PAYMENT, RETURN = "O", "P", "T"
NAMELESS = "payment of an order"  # a payment that names no customer

Header = tuple[str, bytes]


class Message(NamedTuple):
    """One record to send. topic: without prefix. about: the facts that Sent records."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int
    headers: tuple[Header, ...]
    about: tuple[str, ...]


class Delivery(NamedTuple):
    """One delivery of an order, payment or return. amount: minor units. order_id: only set for a return."""

    amount: int
    currency: str
    digest: str
    order_id: str = ""


@dataclass
class Sent:
    """All messages sent.

    Attributes:
        commands: (customerId, commandId) -> number of deliveries.
        purchases: (kind, customerId, id) -> deliveries.
        nameless: (orderId, paymentId) -> deliveries of payments that name no customer.
        poison: (reason, digest) -> number of broken records.
        keys: causation id -> the id from which the ids of its events are derived.
        aged: the purchases sent before a month passed. Those that waited for a customer expired then.
        registered_by: seconds since 1970. The aged purchases of customers registered later expired.
        count: number of messages.
    """

    commands: Counter[tuple[str, str]] = field(default_factory=Counter)
    purchases: dict[tuple[str, str, str], list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    nameless: dict[tuple[str, str], list[Delivery]] = field(default_factory=lambda: defaultdict(list))
    poison: Counter[tuple[str, str]] = field(default_factory=Counter)
    keys: dict[str, str] = field(default_factory=dict)
    aged: dict[tuple[str, str, str], list[Delivery]] = field(default_factory=dict)
    registered_by: float = 0.0
    count: int = 0

    def note(self, message: Message) -> None:
        """Record a message as sent."""
        self.count += 1
        kind, *about = message.about
        if kind == COMMANDS:
            customer, command_id = about
            self.commands[customer, command_id] += 1
            self.keys[command_id] = command_id
        elif kind in (ORDER, PAYMENT, RETURN):
            customer, purchase_id, amount, currency, event_id, *of_order = about
            delivery = Delivery(int(amount), currency, digest(message.value or b""), *of_order)
            self.purchases[kind, customer, purchase_id].append(delivery)
            self.keys[event_id] = purchase_id
        elif kind == NAMELESS:
            order_id, payment_id, amount, currency, event_id = about
            delivery = Delivery(int(amount), currency, digest(message.value or b""))
            self.nameless[order_id, payment_id].append(delivery)
            self.keys[event_id] = payment_id
        elif about[0]:
            self.poison[about[0], digest(message.value or b"")] += 1

    def age(self, registered_by: float) -> None:
        """Let a month pass after all messages so far are processed. registered_by: see the class."""
        self.registered_by = registered_by
        self.aged = {key: list(deliveries) for key, deliveries in self.purchases.items()}


def digest(value: bytes) -> str:
    """SHA-256 of a value in hex. A dead letter may hold it instead of the value."""
    return sha256(value).hexdigest()
