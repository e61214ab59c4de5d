"""The orders of a run: the same seed yields the same bytes, for every peer and every round.

Rules:
- Order times rise over SPAN_DAYS, so that windows of 365 days fill and move. One order in a hundred is up to LATE_DAYS
  late.
- Zipf means the classic law with exponent 1. Of 10,000 customers, the first has a tenth of all orders.
- The expected spending and points per customer are added up here, independently of any implementation.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import NamedTuple

SPAN_DAYS = 400
LATE_DAYS = 30
CENTS_PER_POINT = 1_000
SMALLEST_CENTS, LARGEST_CENTS = 100, 20_000

_FIRST_DAY = datetime(2025, 9, 1, tzinfo=UTC)
_ID_SUFFIX = "-1111-4000-8000-000000000000"


class Order(NamedTuple):
    """One record of order.completed. value: its JSON."""

    customer_id: str
    order_id: str
    cents: int
    value: bytes


class Shape(StrEnum):
    """The distribution of orders over customers."""

    UNIFORM = "uniform"
    ZIPF = "zipf"


@dataclass(frozen=True)
class Workload:
    """The orders of a run: their number, the number of customers, the distribution and the seed."""

    orders: int
    customers: int
    zipf: bool = False
    seed: int = 7

    @property
    def name(self) -> str:
        return f"{'Zipf' if self.zipf else 'uniform'}, {self.orders:,} orders of {self.customers:,} customers"

    def __iter__(self) -> Iterator[Order]:
        rng = random.Random(self.seed)
        who = self._customers(rng)
        step = timedelta(days=SPAN_DAYS) / self.orders
        for number in range(self.orders):
            when = _FIRST_DAY + step * number
            if rng.random() < 0.01:
                when -= timedelta(days=rng.randrange(1, LATE_DAYS))
            yield make_order(number, who[number], rng.randrange(SMALLEST_CENTS, LARGEST_CENTS), when)

    def _customers(self, rng: random.Random) -> list[int]:
        if not self.zipf:
            return [rng.randrange(self.customers) for _ in range(self.orders)]
        shares = list(accumulate(1 / rank for rank in range(1, self.customers + 1)))
        return rng.choices(range(self.customers), cum_weights=shares, k=self.orders)


class Expected:
    """What the published events must add up to."""

    def __init__(self) -> None:
        self.orders = 0
        self.events = 0  # the minimum: one for the spending, one for points; levels and VIP add more
        self.cents: Counter[str] = Counter()
        self.points: Counter[str] = Counter()

    def add(self, order: Order) -> None:
        points = order.cents // CENTS_PER_POINT
        self.orders += 1
        self.events += 2 if points else 1
        self.cents[order.customer_id] += order.cents
        self.points[order.customer_id] += points


def customer_id(number: int) -> str:
    return f"customer-{number:07d}"


def order_id(number: int) -> str:
    return f"{number:08x}{_ID_SUFFIX}"


def order_number(text: str) -> int:
    """The number in an order id."""
    return int(text[:8], 16)


def make_order(number: int, customer: int, cents: int, when: datetime | None = None) -> Order:
    """An order. when: None means the day after the last order of any workload."""
    when = when or _FIRST_DAY + timedelta(days=SPAN_DAYS + 1)
    key, identity = customer_id(customer), order_id(number)
    value = (
        f'{{"eventId":"{number:08x}-0000-4000-8000-000000000000","orderId":"{identity}","customerId":"{key}",'
        f'"totalAmount":{{"amount":"{cents // 100}.{cents % 100:02d}","currency":"USD"}},'
        f'"occurredOn":"{when:%Y-%m-%dT%H:%M:%S}Z"}}'
    )
    return Order(key, identity, cents, value.encode())
