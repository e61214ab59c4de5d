"""VIP: PLATINUM, and enough spent within a window of days, both ends included, now or at any time before.

The window that counts is the earliest full one; `vip_since` is the time of the order that filled it. While a customer
is PLATINUM and not VIP no window is full, so an order can only fill windows that hold its own day, and in the order
of time only the one that ends on it. A late order may also move `vip_since` of a VIP back.
"""

import msgspec

from worker.domain.decide.counting import Counted
from worker.domain.events import CustomerVipUpgraded, Event, VipMovedBack
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, DayTotals, adds, by_day, total_spending
from worker.domain.state import Customer, Ledger, LedgerLine
from worker.domain.values import MembershipLevel


class _Window(msgspec.Struct, frozen=True):
    """A full window. end: its last day; spent: what counts in all of its days, in minor units of rules.currency."""

    rules: RuleSet
    end: int
    spent: int


def vip_by_order(
    customer: Customer,
    order: OrderCompleted,
    counted: Counted | None,
    rules: RuleBook,
    ledger: Ledger,
) -> Event | None:
    """CustomerVipUpgraded, VipMovedBack, or None, for a customer who is PLATINUM with this order.

    counted: what the order counts as by its day's rules, None when it does not.
    """
    day = order.occurred_at // DAY_MS
    if customer.vip_since is not None:
        return _moved_back(customer, order, day, rules, ledger)
    if customer.level is not MembershipLevel.PLATINUM:
        window = _earliest_ever(customer, order, rules, ledger)
    elif customer.last_order_at is None or day >= customer.last_order_at // DAY_MS:
        window = None if counted is None else _ending_on(customer, order, day, counted.annual, rules, ledger)
    else:
        window = _earliest_touched(customer, order, day, customer.last_order_at // DAY_MS, rules, ledger)
    return None if window is None else _upgraded(window, order, ledger)


def vip_by_upgrade(customer: Customer, rules: RuleBook, ledger: Ledger) -> CustomerVipUpgraded | None:
    """What a level of PLATINUM given by hand brings beside the level."""
    window = _earliest_ever(customer, None, rules, ledger)
    return None if window is None else _upgraded(window, None, ledger)


def _upgraded(window: _Window, order: OrderCompleted | None, ledger: Ledger) -> CustomerVipUpgraded:
    return CustomerVipUpgraded(
        MembershipLevel.PLATINUM,
        window.spent,
        window.rules.currency,
        window.end - window.rules.vip_days + 1,
        window.end,
        _filled_at(window, order, ledger),
        window.rules.version,
    )


def _moved_back(
    customer: Customer, order: OrderCompleted, day: int, rules: RuleBook, ledger: Ledger
) -> VipMovedBack | None:
    if customer.vip_since is None or order.occurred_at >= customer.vip_since:
        return None
    window = _earliest_touched(customer, order, day, customer.vip_since // DAY_MS, rules, ledger)
    if window is None:
        return None
    filled_at = _filled_at(window, order, ledger)
    return VipMovedBack(filled_at) if filled_at < customer.vip_since else None


def _ending_on(
    customer: Customer, order: OrderCompleted, day: int, annual: int, rules: RuleBook, ledger: Ledger
) -> _Window | None:
    """The window that ends on this order's day, which is the latest, when the order fills it."""
    rule_set = rules.on(day)
    if rule_set.vip_days == ANNUAL_DAYS:
        spent = annual
    else:
        first = day - rule_set.vip_days + 1
        spent = DayTotals(by_day(customer, order, first, rules, ledger)[rule_set.currency]).between(
            first, day
        )
    return _Window(rule_set, day, spent) if spent >= rule_set.vip_spending else None


def _earliest_touched(
    customer: Customer, order: OrderCompleted, day: int, last: int, rules: RuleBook, ledger: Ledger
) -> _Window | None:
    """The earliest full window that ends on one of the days from this order's to the last."""
    if not _may_be_full(customer, order, rules):
        return None
    longest = max(rule_set.vip_days for rule_set in rules.sets)
    return _earliest_full(by_day(customer, order, day - longest + 1, rules, ledger), day, last, rules)


def _earliest_ever(
    customer: Customer, order: OrderCompleted | None, rules: RuleBook, ledger: Ledger
) -> _Window | None:
    if not _may_be_full(customer, order, rules):
        return None
    days = by_day(customer, order, None, rules, ledger)
    ends = [day for spent in days.values() for day in spent]
    return _earliest_full(days, min(ends, default=0), max(ends, default=0), rules)


def _may_be_full(customer: Customer, order: OrderCompleted | None, rules: RuleBook) -> bool:
    """Whether enough was spent in all, which is cheap to know."""
    added = {} if order is None else adds(order, rules)
    return any(
        total_spending(customer, rule_set.currency) + added.get(rule_set.currency, 0) >= rule_set.vip_spending
        for rule_set in rules.sets
    )


def _earliest_full(days: dict[str, dict[int, int]], first: int, last: int, rules: RuleBook) -> _Window | None:
    """By the rule set of the window's last day; a window can only be filled by an order on that day."""
    totals = {currency: DayTotals(spent) for currency, spent in days.items()}
    for end in sorted({day for spent in days.values() for day in spent if first <= day <= last}):
        rule_set = rules.on(end)
        if end not in days.get(rule_set.currency, ()):
            continue
        spent = totals[rule_set.currency].between(end - rule_set.vip_days + 1, end)
        if spent >= rule_set.vip_spending:
            return _Window(rule_set, end, spent)
    return None


def _filled_at(window: _Window, order: OrderCompleted | None, ledger: Ledger) -> int:
    """When the order came that filled the window: those of its last day that count, one after the other.

    Where the rates of a set were edited since its orders counted, none may be left that fills it: then the day's last.
    """
    orders: list[tuple[str, LedgerLine | OrderCompleted]] = [*ledger.orders()]
    if order is not None:
        orders.append((order.order_id, order))
    of_day = sorted(
        (each.occurred_at, order_id, window.rules.counted(each.amount, each.currency))
        for order_id, each in orders
        if each.occurred_at // DAY_MS == window.end
    )
    running = window.spent - sum(counted or 0 for _, _, counted in of_day)
    for occurred_at, _, counted in of_day:
        if counted is not None:
            running += counted
            if running >= window.rules.vip_spending:
                return occurred_at
    if not of_day:
        raise ValueError(
            "a full window ends on a day without orders: the ledger and the spending do not agree"
        )
    return of_day[-1][0]
