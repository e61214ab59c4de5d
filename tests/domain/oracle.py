"""What a customer should come to, computed the slow and obvious way: all orders, one after the other by occurredOn.

Shares no code with worker.domain but the types of its messages and rules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet

NAMES = ("STANDARD", "SILVER", "GOLD", "PLATINUM")


@dataclass(frozen=True)
class Expected:
    points: int
    level: str
    vip_since: int | None
    totals: dict[str, int]
    annual: dict[str, int]
    per_day: dict[str, dict[int, int]]


def expected(
    orders: Iterable[OrderCompleted], sets: Sequence[RuleSet], by_hand: str = "STANDARD"
) -> Expected:
    """orders: each once; by_hand: the level that somebody gave the customer at some time."""
    in_time = sorted(orders, key=lambda order: (order.occurred_at, order.order_id))
    points, level, full_at = 0, by_hand, None
    for n, order in enumerate(in_time):
        rules = _in_force(sets, _day(order))
        if order.currency != rules.currency:
            continue
        points += order.amount // rules.amount_per_point
        so_far = [each for each in in_time[: n + 1] if each.currency == rules.currency]
        for threshold, reached in rules.levels:
            if sum(each.amount for each in so_far) >= threshold:
                level = max(level, reached.value, key=NAMES.index)
        window = sum(each.amount for each in so_far if _day(order) - _day(each) < rules.vip_days)
        if full_at is None and window >= rules.vip_spending:
            full_at = order.occurred_at
    return Expected(
        points,
        level,
        full_at if level == "PLATINUM" else None,
        *_sums(in_time),
    )


def _sums(orders: list[OrderCompleted]) -> tuple[dict[str, int], dict[str, int], dict[str, dict[int, int]]]:
    totals: dict[str, int] = {}
    annual: dict[str, int] = {}
    per_day: dict[str, dict[int, int]] = {}
    for order in orders:
        last_day = _day(orders[-1])
        totals[order.currency] = totals.get(order.currency, 0) + order.amount
        in_year = order.amount if _day(order) >= last_day - 364 else 0
        annual[order.currency] = annual.get(order.currency, 0) + in_year
        days = per_day.setdefault(order.currency, {})
        days[_day(order)] = days.get(_day(order), 0) + order.amount
    return totals, annual, per_day


def _day(order: OrderCompleted) -> int:
    return order.occurred_at // (24 * 60 * 60 * 1000)


def _in_force(sets: Sequence[RuleSet], day: int) -> RuleSet:
    started = [rules for rules in sets if rules.effective_from <= day]
    if not started:
        return min(sets, key=lambda rules: rules.effective_from)
    return max(started, key=lambda rules: rules.effective_from)
