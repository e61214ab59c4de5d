"""The usual order, decided and applied in one pass: it counts, may earn points, and does nothing else.

Most orders are usual ones. This is a second form of `decide_order`, `apply` and `ledger_lines` for them, which builds no
events. A test holds both forms equal on drawn customers and orders (tests/domain/test_usual.py).
"""

from typing import NamedTuple

from worker.domain.decide.points import credited
from worker.domain.evolve import end_year
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at
from worker.domain.state import Customer, Spending
from worker.domain.values import RANK, MembershipLevel


class Counted(NamedTuple):
    """A usual order that has counted, and its customer afterwards. Amounts are minor units of `currency`.

    Attributes:
        event_id: the id of the message.
        correlation_id: of the message; its event_id if it has none.
        total: the net lifetime spending; annual: the net spending of the year.
        points: that the order earned; 0 for none.
        sequence: after the order's events.
        version: the customer's; rules_version: of the rule set.
        at: when the worker processed the order; at and occurred_at in ms since 1970 UTC.
        new_day: whether it is the customer's first order of its day.
    """

    customer_id: str
    order_id: str
    event_id: str
    correlation_id: str
    amount: int
    currency: str
    total: int
    annual: int
    points: int
    balance: int
    debt: int
    occurred_at: int
    rules_version: str
    sequence: int
    version: int
    at: int
    level: MembershipLevel
    vip: bool
    new_day: bool


def count_usual(customer: Customer, order: OrderCompleted, rules: RuleSet, at: int) -> Counted | None:
    """Count an order that is a usual one.

    It is the customer's latest, in the only currency of the customer and the rules. It changes neither level nor VIP.

    Args:
        customer: changed in place, and only by a usual order.
        order: not counted before.
        rules: the rule set of the order's day.
        at: the new `updated_at`, ms since 1970 UTC.

    Returns:
        What the order did; None for any other order.
    """
    amount, occurred_at = order.amount, order.occurred_at
    latest, spending = customer.last_order_at, customer.spending.get(order.currency)
    if (
        spending is None
        or latest is None
        or occurred_at < latest
        or order.currency != rules.currency
        or len(customer.spending) > 1
        or customer.converted
        or customer.erased
        or not customer.tracked
        or spending.returned_days
    ):
        return None
    day = occurred_at // DAY_MS
    total = spending.total + amount
    annual = amount + (spending.annual if day == spending.annual_day else annual_at(spending, day))
    if _moves_level_or_vip(customer, total, annual, rules):
        return None
    points = rules.points_for(amount)
    if points:
        customer.points, customer.debt = credited(customer, points)
        customer.lifetime_earned += points
    customer.last_order_at = occurred_at
    customer.order_count += 1
    customer.version += 1
    customer.sequence += 2 if points else 1
    customer.updated_at = at
    spending.total, spending.annual = total, annual
    add_day(spending, day, amount)
    return Counted(
        customer.id,
        order.order_id,
        order.event_id,
        order.event_id if order.correlation_id is None else order.correlation_id,
        amount,
        order.currency,
        total - spending.returned,
        annual,
        points,
        customer.points,
        customer.debt,
        occurred_at,
        rules.version,
        customer.sequence,
        customer.version,
        at,
        customer.level,
        customer.vip_since is not None,
        day > latest // DAY_MS,
    )


def next_levels(rules: RuleSet) -> tuple[int | None, ...]:
    """For each level by its rank, the least total with which a customer rises higher; None at the top. Minor units."""
    return tuple(
        min((total for total, level in rules.levels if RANK[level] > rank), default=None)
        for rank in RANK.values()
    )


def _moves_level_or_vip(customer: Customer, total: int, annual: int, rules: RuleSet) -> bool:
    level, filled = customer.level, customer.filled
    is_platinum = level is MembershipLevel.PLATINUM
    if not is_platinum and RANK[rules.level_at(total)] > RANK[level]:
        return True
    if filled is None:
        return total >= rules.vip_spending and (annual >= rules.vip_spending or rules.vip_days != ANNUAL_DAYS)
    return is_platinum and (customer.vip_since is None or filled.at < customer.vip_since)


def add_day(spending: Spending, day: int, amount: int) -> None:
    """Add the latest order to its day, and let the year end on this day."""
    days = spending.days
    if day == days.last:
        days.amount += amount
    else:
        days.add(day, amount)
    end_year(spending, day)
