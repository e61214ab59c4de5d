"""What was sent: all that the check must know of it, and nothing of how a worker would treat it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

COMMANDS, ORDERS, PAYMENTS = "customer.commands", "order.completed", "payment.completed"
RETURNS = "order.returned"
ORDER, PAYMENT, RETURN = "O", "P", "T"
NAMELESS = "payment of an order"  # that names no customer

Header = tuple[str, bytes]


class Message(NamedTuple):
    """One record to send. topic: without prefix; about: for Sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int
    headers: tuple[Header, ...]
    about: tuple[str, ...]


class Delivery(NamedTuple):
    """One delivery of an order, payment or return. digest: SHA-256 of its bytes; order_id: of a return's order."""

    amount: int
    currency: str
    digest: str
    order_id: str = ""


@dataclass
class Sent:
    """What was sent. commands: deliveries per (customerId, commandId); purchases: per (kind, customerId, id); nameless:
    payments that name no customer, per (orderId, paymentId); poison: per (reason, digest); keys: causation id -> the id
    that its events are named after. aged: of the purchases, those that had been sent when so much time passed that what
    waited for its customer expired; registered_by: seconds since 1970, by which a customer of theirs had to be registered.
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
        """One more delivery."""
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
        """All that was sent so far is processed, and then a month passes."""
        self.registered_by = registered_by
        self.aged = {key: list(deliveries) for key, deliveries in self.purchases.items()}


def digest(value: bytes) -> str:
    """How a value is named where it may be replaced by this."""
    return sha256(value).hexdigest()
