"""Membership levels by lifetime spending. A level never falls.

The level is what the orders would have reached one after the other by `occurredOn`, each judged by the rule set of
its own day. With one rule set that is the lifetime total; with several, a late order can lift a later set's total. Totals
are of what counts in a set's currency: spent in it, and converted into it.
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
    """The upgrade that this order brings to a customer below PLATINUM, if any; one, even when levels are skipped.

    rule_set: of the order's day. counted: what the order counts as by it; None when it does not.
    """
    latest = customer.last_order_at
    if latest is not None and order.occurred_at < latest and rules.on(latest // DAY_MS) is not rule_set:
        level, by = _reached_late(customer, order, rules, ledger)
        total = total_spending(customer, by.currency) + adds(order, rules).get(by.currency, 0)
    elif counted is not None:
        level, by, total = _level_at(rule_set, counted.total), rule_set, counted.total
    else:
        return None
    if RANK[level] <= RANK[customer.level]:
        return None
    return MembershipLevelUpgraded(customer.level, level, total, by.currency, by.version)


def upgrade_membership(
    customer: Customer, command: UpgradeMembership, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...]:
    """By hand, and never down. PLATINUM given by hand makes VIP of who has spent enough."""
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


def _level_at(rule_set: RuleSet, total: int) -> MembershipLevel:
    level = MembershipLevel.STANDARD
    for threshold, reached in rule_set.levels:
        if total < threshold:
            break
        level = reached
    return level


def _reached_late(
    customer: Customer, order: OrderCompleted, rules: RuleBook, ledger: Ledger
) -> tuple[MembershipLevel, RuleSet]:
    """The highest level of this and all later days, each at its own set's thresholds, and the set that gave it.

    Only what counts in a currency that the order adds to: no other level can have changed.
    """
    first = order.occurred_at // DAY_MS
    days = by_day(customer, order, first, rules, ledger)
    running = {
        currency: total_spending(customer, currency) + amount - sum(days[currency].values())
        for currency, amount in adds(order, rules).items()
    }
    best, by = MembershipLevel.STANDARD, rules.on(first)
    for day in sorted({day for currency in running for day in days[currency]}):
        for currency in running:
            running[currency] += days[currency].get(day, 0)
        rule_set = rules.on(day)
        if rule_set.currency in running and day in days[rule_set.currency]:
            level = _level_at(rule_set, running[rule_set.currency])
            if RANK[level] > RANK[best]:
                best, by = level, rule_set
    return best, by
