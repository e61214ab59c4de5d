"""Membership levels by lifetime spending. A level never falls.

Orders count in the order of `occurredOn`, each by the rule set of its own day. The level is the one that they reach
together. With one rule set only the lifetime total matters. With several sets, a late order can raise the total of a
later set. A total is the spending that counts in a set's currency: spent in it, or converted into it.
"""

from worker.domain.decide.counting import Counted
from worker.domain.decide.vip import vip_by_upgrade
from worker.domain.events import Event, MembershipLevelUpgraded
from worker.domain.messages import OrderCompleted, UpgradeMembership
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import DAY_MS, adds, by_day, total_spending
from worker.domain.state import Customer, Ledger
from worker.domain.values import RANK, MembershipLevel


def level_by_order(
    customer: Customer,
    order: OrderCompleted,
    counted: Counted | None,
    rule_set: RuleSet,
    rules: RuleBook,
    ledger: Ledger,
) -> MembershipLevelUpgraded | None:
    """The upgrade that this order causes for a customer below PLATINUM.

    Args:
        customer: the state before the order.
        order: not counted before.
        counted: the order's amount and totals by `rule_set`; None when the order does not count.
        rule_set: the set of the order's day.
        rules: all rule sets, which a late order needs.
        ledger: holds the days that the customer's row no longer keeps.

    Returns:
        One event, even when levels are skipped; None when the level stays.
    """
    latest = customer.last_order_at
    if latest is not None and order.occurred_at < latest and rules.on(latest // DAY_MS) is not rule_set:
        level, by = _reached_late(customer, order, rules, ledger)
        total = total_spending(customer, by.currency) + adds(order, rules).get(by.currency, 0)
    elif counted is not None:
        level, by, total = rule_set.level_at(counted.total), rule_set, counted.total
    else:
        return None
    if RANK[level] <= RANK[customer.level]:
        return None
    return MembershipLevelUpgraded(customer.level, level, total, by.currency, by.version)


def upgrade_membership(
    customer: Customer, command: UpgradeMembership, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...]:
    """Raise the level by hand. PLATINUM also makes the customer VIP if a window of days is full.

    Raises:
        Rejected: MEMBERSHIP_DOWNGRADE_NOT_ALLOWED for a lower level.
    """
    old, new = customer.level, command.new_level
    if new == old:
        return ()
    if RANK[new] < RANK[old]:
        raise Rejected(RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED, f"{old} to {new}")
    rule_set = rules.on(command.issued_at // DAY_MS)
    total = total_spending(customer, rule_set.currency)
    upgraded = MembershipLevelUpgraded(old, new, total, rule_set.currency, rule_set.version)
    vip = vip_by_upgrade(customer, rules, ledger) if new is MembershipLevel.PLATINUM else None
    return (upgraded,) if vip is None else (upgraded, vip)


def _reached_late(
    customer: Customer, order: OrderCompleted, rules: RuleBook, ledger: Ledger
) -> tuple[MembershipLevel, RuleSet]:
    """The highest level on the order's day or later, and the set that gave it. Each day uses its own rule set.

    Only currencies that the order adds to are examined, because no other total can have changed.
    """
    first = order.occurred_at // DAY_MS
    last = first if customer.last_order_at is None else max(first, customer.last_order_at // DAY_MS)
    days = by_day(customer, order, first, last, rules, ledger)
    running = {
        currency: total_spending(customer, currency) + amount - sum(days[currency].values())
        for currency, amount in adds(order, rules).items()
        if currency in days
    }
    best, by = MembershipLevel.STANDARD, rules.on(first)
    for day in sorted({day for currency in running for day in days[currency]}):
        for currency in running:
            running[currency] += days[currency].get(day, 0)
        rule_set = rules.on(day)
        if rule_set.currency in running and day in days[rule_set.currency]:
            level = rule_set.level_at(running[rule_set.currency])
            if RANK[level] > RANK[best]:
                best, by = level, rule_set
    return best, by
