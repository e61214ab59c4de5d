"""A short implementation of the contract's rules for one order, only for the two Python peers.

Rules:
- A customer counts as registered before the first order, so version and sequence start at 1.
- It covers what the benchmark's orders need: US dollars, one rule set, more than three years of days. It has no returns
  or payments.
- It is fast: msgspec reads and writes, hashlib makes ids, and the annual sum is updated, not recomputed.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from hashlib import sha1
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

import msgspec

LEVELS = ("STANDARD", "SILVER", "GOLD", "PLATINUM")
THRESHOLDS = (50_000, 200_000, 500_000)
PLATINUM = 3
VIP_CENTS, WINDOW_DAYS = 1_000_000, 365
CENTS_PER_POINT = 1_000

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_NAMESPACE = uuid5(NAMESPACE_DNS, "customer-context").bytes


class Amount(msgspec.Struct, gc=False):
    amount: str
    currency: str = "USD"


class OrderCompleted(msgspec.Struct, rename="camel", gc=False):
    """One record of order.completed."""

    event_id: str
    order_id: str
    customer_id: str
    total_amount: Amount
    occurred_on: str
    correlation_id: str | None = None

    @property
    def cents(self) -> int:
        whole, _, fraction = self.total_amount.amount.partition(".")
        if self.total_amount.currency != "USD" or len(fraction) > 2:
            raise ValueError("not an amount of US dollars")
        return int(whole) * 100 + int(fraction.ljust(2, "0"))


class Customer(msgspec.Struct):
    """A customer. last_day: day of the latest order, in days since 1970; 0 before the first. days: day -> cents."""

    version: int = 1
    sequence: int = 1
    total: int = 0
    annual: int = 0
    last_day: int = 0
    level: int = 0
    vip: bool = False
    points: int = 0
    days: dict[int, int] = {}  # msgspec copies it for each customer


class Spending(msgspec.Struct, rename="camel", gc=False):
    customer_id: str
    spending_amount: Amount
    total_spending: Amount
    annual_spending: Amount
    order_id: str
    spending_type: str = "PURCHASE"


class Points(msgspec.Struct, rename="camel", gc=False):
    customer_id: str
    points_earned: int
    total_points: int
    debt: int
    reason: str
    order_id: str
    eligible_amount: Amount
    rules_version: str = "1"


class Level(msgspec.Struct, rename="camel", gc=False):
    customer_id: str
    old_level: str
    new_level: str
    total_spending: Amount
    rules_version: str = "1"


class Vip(msgspec.Struct, rename="camel", gc=False):
    customer_id: str
    membership_level: str
    annual_spending: Amount
    window_start: str
    window_end: str
    rules_version: str = "1"


class CloudEvent(msgspec.Struct, gc=False):
    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    sequence: str
    causationid: str
    correlationid: str
    data: Any


def count(customer: Customer, order: OrderCompleted, time: str) -> Iterator[CloudEvent]:
    """Apply a new order to the customer, and yield its events. time: the current time, as RFC 3339 text."""
    day = int(datetime.fromisoformat(order.occurred_on).astimezone(UTC).timestamp()) // 86_400
    cents, last_day, level = order.cents, customer.last_day, customer.level
    _spend(customer, day, cents)
    key, amount = order.customer_id, _money(cents)
    data = Spending(key, amount, _money(customer.total), _money(customer.annual), order.order_id)
    yield _envelope(customer, order, "CustomerSpendingUpdatedEvent", time, data)
    if points := cents // CENTS_PER_POINT:
        customer.points += points
        earned = Points(key, points, customer.points, 0, "ORDER_COMPLETED", order.order_id, amount)
        yield _envelope(customer, order, "RewardPointsEarnedEvent", time, earned)
    while customer.level < PLATINUM and customer.total >= THRESHOLDS[customer.level]:
        customer.level += 1
    if customer.level > level:
        upgrade = Level(key, LEVELS[level], LEVELS[customer.level], _money(customer.total))
        yield _envelope(customer, order, "MembershipLevelUpgradedEvent", time, upgrade)
    window = _full_window(customer, day, last_day, level)
    if window is not None:
        customer.vip = True
        end, spent = window
        vip = Vip(key, "PLATINUM", _money(spent), _day(end - WINDOW_DAYS + 1), _day(end))
        yield _envelope(customer, order, "CustomerVipUpgradedEvent", time, vip)
    customer.version += 1


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spend(customer: Customer, day: int, cents: int) -> None:
    days, last = customer.days, max(day, customer.last_day)
    first = customer.last_day - WINDOW_DAYS + 1
    moved = last - customer.last_day
    if moved > len(days):
        customer.annual = sum(amount for at, amount in days.items() if at > last - WINDOW_DAYS)
    else:
        customer.annual -= sum(days.get(at, 0) for at in range(first, first + moved))
    if day > last - WINDOW_DAYS:
        customer.annual += cents
    customer.total += cents
    customer.last_day = last
    days[day] = days.get(day, 0) + cents


def _full_window(customer: Customer, day: int, last_day: int, level_before: int) -> tuple[int, int] | None:
    """(last day, cents) of the earliest full window if the customer becomes a VIP now; otherwise None."""
    if customer.vip or customer.level < PLATINUM or customer.total < VIP_CENTS:
        return None
    if level_before == PLATINUM and day >= last_day:
        return (day, customer.annual) if customer.annual >= VIP_CENTS else None
    for end in sorted(customer.days):
        if level_before < PLATINUM or day <= end <= last_day:
            spent = sum(amount for at, amount in customer.days.items() if end - WINDOW_DAYS < at <= end)
            if spent >= VIP_CENTS:
                return end, spent
    return None


def _envelope(customer: Customer, order: OrderCompleted, kind: str, time: str, data: Any) -> CloudEvent:
    customer.sequence += 1
    return CloudEvent(
        "1.0",
        _event_id(f"{order.customer_id}|{order.order_id}|{kind}|0"),
        "/customer-context",
        kind,
        order.customer_id,
        time,
        "application/json",
        str(customer.sequence),
        order.event_id,
        order.correlation_id or order.event_id,
        data,
    )


def _event_id(name: str) -> str:
    return str(UUID(bytes=sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16], version=5))


def _money(cents: int) -> Amount:
    return Amount(f"{cents // 100}.{cents % 100:02d}")


def _day(number: int) -> str:
    return date.fromordinal(number + _EPOCH_DAY).isoformat()
