"""What a customer should come to, computed the slow and obvious way: all orders, one after the other by occurredOn.

Shares no code with worker.domain but the types of its messages and rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet

NAMES = ("STANDARD", "SILVER", "GOLD", "PLATINUM")


@dataclass(frozen=True)
class Sums:
    """Minor units per currency: since ever, in the year that ends with the latest order, and per day."""

    totals: dict[str, int]
    annual: dict[str, int]
    per_day: dict[str, dict[int, int]]


@dataclass(frozen=True)
class Expected(Sums):
    """The sums are those of the orders' own currencies; converted: of what rates made of orders."""

    points: int
    level: str
    vip_since: int | None
    converted: Sums


def expected(
    orders: Iterable[OrderCompleted], sets: Sequence[RuleSet], by_hand: str = "STANDARD"
) -> Expected:
    """orders: each once; by_hand: the level that somebody gave the customer at some time."""
    in_time = sorted(orders, key=lambda order: (order.occurred_at, order.order_id))
    points, level, full_at = 0, by_hand, None
    for n, order in enumerate(in_time):
        rules = _in_force(sets, _day(order))
        counted = _counted_in(rules.currency, order, sets)
        if counted is None:
            continue
        points += counted // rules.amount_per_point
        so_far = [(_day(each), _counted_in(rules.currency, each, sets) or 0) for each in in_time[: n + 1]]
        for threshold, reached in rules.levels:
            if sum(amount for _, amount in so_far) >= threshold:
                level = max(level, reached.value, key=NAMES.index)
        window = sum(amount for day, amount in so_far if _day(order) - day < rules.vip_days)
        if full_at is None and window >= rules.vip_spending:
            full_at = order.occurred_at
    last_day = _day(in_time[-1]) if in_time else 0
    own = _sums([(order.currency, _day(order), order.amount) for order in in_time], last_day)
    return Expected(
        own.totals,
        own.annual,
        own.per_day,
        points,
        level,
        full_at if level == "PLATINUM" else None,
        _sums(_conversions(in_time, sets), last_day),
    )


def _counted_in(currency: str, order: OrderCompleted, sets: Sequence[RuleSet]) -> int | None:
    """What the order counts as in that currency: its own amount, or what the rules of its day convert it into."""
    if order.currency == currency:
        return order.amount
    rules = _in_force(sets, _day(order))
    if rules.currency != currency or order.currency not in rules.rates:
        return None
    return floor(order.amount * Fraction(*rules.rates[order.currency]))


def _conversions(orders: list[OrderCompleted], sets: Sequence[RuleSet]) -> list[tuple[str, int, int]]:
    found = []
    for order in orders:
        currency = _in_force(sets, _day(order)).currency
        counted = _counted_in(currency, order, sets)
        if counted is not None and currency != order.currency:
            found.append((currency, _day(order), counted))
    return found


def _sums(facts: list[tuple[str, int, int]], last_day: int) -> Sums:
    """facts: (currency, day, amount)."""
    sums = Sums({}, {}, {})
    for currency, day, amount in facts:
        sums.totals[currency] = sums.totals.get(currency, 0) + amount
        sums.annual[currency] = sums.annual.get(currency, 0) + (amount if day >= last_day - 364 else 0)
        days = sums.per_day.setdefault(currency, {})
        days[day] = days.get(day, 0) + amount
    return sums


def _day(order: OrderCompleted) -> int:
    return order.occurred_at // (24 * 60 * 60 * 1000)


def _in_force(sets: Sequence[RuleSet], day: int) -> RuleSet:
    started = [rules for rules in sets if rules.effective_from <= day]
    if not started:
        return min(sets, key=lambda rules: rules.effective_from)
    return max(started, key=lambda rules: rules.effective_from)
