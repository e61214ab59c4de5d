"""The outcomes of the sample, counted from the published events alone.

Rules:
- Only the sample's customers and orders count, so live traffic changes nothing.
- An event id counts once. Tally.repeated counts the events that were published more than once.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from worker.demo import messages
from worker.demo.purchases import Purchase

STANDARD = "STANDARD"


class Tally:
    """Figures of the sample's customers so far. spending: US dollars."""

    def __init__(self, purchases: Iterable[Purchase]) -> None:
        orders = {messages.order_id(purchase): purchase for purchase in purchases}
        self.missing_customers = {messages.customer_id(purchase.customer) for purchase in orders.values()}
        self.missing_orders = set(orders)
        self.customers = 0
        self.orders = 0
        self.spending = Decimal()
        self.points = 0
        self.vips = 0
        self.events = 0
        self.repeated = 0
        self._sample = frozenset(self.missing_customers)
        self._levels: dict[str, str] = {}
        self._seen: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether every customer is registered and every order counted."""
        return not self.missing_customers and not self.missing_orders

    @property
    def levels(self) -> Counter[str]:
        """How many customers have each membership level."""
        levels = Counter(self._levels.values())
        levels[STANDARD] = self.customers - len(self._levels)
        return levels

    def add(self, record: bytes) -> None:
        """Count one record of customer.events."""
        event = _decode(record)
        if event.subject not in self._sample:
            return
        if event.id in self._seen:
            self.repeated += 1
            return
        self._seen.add(event.id)
        self.events += 1
        match event.type:
            case "CustomerCreatedEvent":
                self.missing_customers.discard(event.subject)
                self.customers += 1
            case "CustomerSpendingUpdatedEvent":
                self._spent(_decode_spending(event.data))
            case "RewardPointsEarnedEvent":
                self.points += _decode_points(event.data).points
            case "MembershipLevelUpgradedEvent":
                self._levels[event.subject] = _decode_level(event.data).level
            case "CustomerVipUpgradedEvent":
                self.vips += 1

    def _spent(self, spending: "_Spending") -> None:
        if spending.order_id in self.missing_orders:
            self.missing_orders.discard(spending.order_id)
            self.orders += 1
            self.spending += Decimal(spending.amount.amount)


class _Event(msgspec.Struct):
    id: str
    type: str
    subject: str
    data: msgspec.Raw


class _Money(msgspec.Struct):
    amount: str


class _Spending(msgspec.Struct):
    amount: _Money = msgspec.field(name="spendingAmount")
    order_id: str = msgspec.field(name="orderId")


class _Points(msgspec.Struct):
    points: int = msgspec.field(name="pointsEarned")


class _Level(msgspec.Struct):
    level: str = msgspec.field(name="newLevel")


_decode = msgspec.json.Decoder(_Event).decode
_decode_spending = msgspec.json.Decoder(_Spending).decode
_decode_points = msgspec.json.Decoder(_Points).decode
_decode_level = msgspec.json.Decoder(_Level).decode
