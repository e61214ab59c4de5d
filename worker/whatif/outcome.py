"""Level, points, debt and VIP of a customer under some rules, from nothing but the history.

All orders count at once, in the order of `occurredOn`, each by the rule set of its day. So a set counts from its first
day on, also for orders that came before somebody wrote it.
"""

from typing import NamedTuple

from worker.domain.decide.vip import earliest_full
from worker.domain.rules import RuleBook
from worker.domain.spending import DAY_MS, EVER, add_order
from worker.domain.state import PastOrder
from worker.domain.values import RANK, MembershipLevel
from worker.whatif.histories import History


class Outcome(NamedTuple):
    """What a customer has, or would have. points: the balance. One of points and debt is always 0."""

    level: MembershipLevel
    points: int
    debt: int
    vip: bool


class RulesUnknown(ValueError):
    """The rules in force are needed, and are not known."""


def present(history: History) -> Outcome:
    """What the customer has."""
    held = history.held
    return Outcome(held.level, held.points, held.debt, held.vip_since is not None)


def outcome(history: History, rules: RuleBook, in_force: RuleBook | None) -> Outcome:
    """What the customer would have if `rules` had always been the rules.

    Points that were redeemed, restored or adjusted stay as they are. If the rest does not cover them, debt is left. Since
    earnings pay debt first, only the sum counts, and not the order in which the points moved.

    Args:
        history: the customer's.
        rules: the other rules.
        in_force: today's rules. They tell which levels an earlier release gave by hand.

    Raises:
        RulesUnknown: the history tells of an earlier release, and in_force is None.
    """
    days = _days(history, rules)
    level = max(_by_spending(days, rules), _by_hand(history, in_force), key=RANK.__getitem__)
    vip = level is MembershipLevel.PLATINUM and _ever_full(days, rules)
    points = history.moved + sum(
        _points(order, history.returned.get(order_id, 0), rules) for order_id, order in history.orders.items()
    )
    return Outcome(level, max(points, 0), max(-points, 0), vip)


def _by_hand(history: History, in_force: RuleBook | None) -> MembershipLevel:
    """The level that somebody gave by hand.

    An earlier release kept no line of it. Then it is the level that the customer has, if spending does not explain it.
    """
    level = history.held.level
    if history.is_whole or RANK[level] <= RANK[history.by_hand]:
        return history.by_hand
    if in_force is None:
        raise RulesUnknown
    explained = _by_spending(_days(history, in_force), in_force)
    return history.by_hand if RANK[level] <= RANK[explained] else level


def _days(history: History, rules: RuleBook) -> dict[str, dict[int, int]]:
    """The amounts that count, by currency and day."""
    days: dict[str, dict[int, int]] = {}
    for order in history.orders.values():
        add_order(days, order, rules)
    return days


def _by_spending(days: dict[str, dict[int, int]], rules: RuleBook) -> MembershipLevel:
    """The highest level that the total of any day reaches by the rules of that day."""
    best = MembershipLevel.STANDARD
    for currency, amounts in days.items():
        total = 0
        for day in sorted(amounts):
            total += amounts[day]
            rule_set = rules.on(day)
            if rule_set.currency == currency:
                best = max(best, rule_set.level_at(total), key=RANK.__getitem__)
    return best


def _ever_full(days: dict[str, dict[int, int]], rules: RuleBook) -> bool:
    last = max((max(amounts) for amounts in days.values()), default=EVER)
    return earliest_full(days, EVER, last, rules) is not None


def _points(order: PastOrder, returned: int, rules: RuleBook) -> int:
    """The points of what is left of an order. returned: minor units of the order's currency."""
    rule_set = rules.on(order.occurred_at // DAY_MS)
    counted = rule_set.counted(order.amount - returned, order.currency)
    return 0 if counted is None else rule_set.points_for(counted)
