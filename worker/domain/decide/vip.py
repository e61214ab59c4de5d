"""VIP: a PLATINUM customer with enough spending in some window of days, both ends included, now or in the past.

The window that counts is the earliest full window. `vip_since` is the time of the order that filled it.
Every order keeps `Customer.filled`, which names that order, up to date at any level, because PLATINUM may come later.
An order after `filled.at` changes nothing. An earlier order can only fill windows that contain its own day and end
before the known window. So its cost grows with the days of a window. Within a day, the search goes back from the order
that filled the window and passes every order once.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby

import msgspec

from worker.domain.decide.counting import Counted
from worker.domain.events import CustomerVipUpgraded, VipMovedBack
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, EVER, DayTotals, adds, by_day, total_spending
from worker.domain.state import Customer, Filled, Ledger, PastOrder
from worker.domain.values import MembershipLevel


class Window(msgspec.Struct, frozen=True):
    """A full window. end: its last day; spent: the counted amount of all its days, in minor units of rules.currency."""

    rules: RuleSet
    end: int
    spent: int


def filled_by_order(
    customer: Customer, order: OrderCompleted, counted: Counted | None, rules: RuleBook, ledger: Ledger
) -> Filled | None:
    """The new value of Customer.filled, with this order.

    counted: the order's amount and totals by its day's rules; None when the order does not count.
    """
    filled = customer.filled
    if filled is not None:
        return (
            filled if order.occurred_at >= filled.at else _moved_back(customer, order, filled, rules, ledger)
        )
    day, latest = order.occurred_at // DAY_MS, customer.last_order_at
    if latest is None or day >= latest // DAY_MS:
        window = None if counted is None else _ending_on(customer, order, day, counted, rules, ledger)
    else:
        window = _earliest_touched(customer, order, latest // DAY_MS, rules, ledger)
    return None if window is None else _filled_in(window, order, ledger)


def vip_by_order(
    customer: Customer, order: OrderCompleted, filled: Filled | None, rules: RuleBook, ledger: Ledger
) -> CustomerVipUpgraded | VipMovedBack | None:
    """The VIP event of an order, for a customer who is PLATINUM after it; None when VIP does not change.

    filled: the value with this order, from `filled_by_order`.
    """
    if filled is None:
        return None
    if customer.vip_since is None:
        return _upgraded(customer, order, filled, rules, ledger)
    return VipMovedBack(filled.at) if filled.at < customer.vip_since else None


def vip_by_upgrade(customer: Customer, rules: RuleBook, ledger: Ledger) -> CustomerVipUpgraded | None:
    """The VIP event of an upgrade to PLATINUM by hand; None when no window is full."""
    return None if customer.filled is None else _upgraded(customer, None, customer.filled, rules, ledger)


def filled_ever(customer: Customer, rules: RuleBook, ledger: Ledger) -> Filled | None:
    """Compute Customer.filled from the days alone, for a customer that an earlier version wrote.

    The work grows with the number of days, and with the orders of one day.
    """
    if customer.vip_since is not None:
        return _filled_at(customer, customer.vip_since, rules, ledger)
    if customer.last_order_at is None or not _may_be_full(customer, None, rules):
        return None
    last = customer.last_order_at // DAY_MS
    window = earliest_full(by_day(customer, None, EVER, last, rules, ledger), EVER, last, rules)
    return None if window is None else _filled_in(window, None, ledger)


def earliest_full(days: dict[str, dict[int, int]], first: int, last: int, rules: RuleBook) -> Window | None:
    """The earliest full window that ends on a day from `first` to `last`; None when there is none.

    The rule set of the window's last day applies. The last day is always one with spending, because only an order on
    that day can fill the window.
    """
    most = {currency: sum(spent.values()) for currency, spent in days.items()}
    if all(most.get(rule_set.currency, 0) < rule_set.vip_spending for rule_set in rules.sets):
        return None
    totals = {currency: DayTotals(spent) for currency, spent in days.items()}
    for end in sorted({day for spent in days.values() for day in spent if first <= day <= last}):
        rule_set = rules.on(end)
        if end not in days.get(rule_set.currency, ()):
            continue
        spent = totals[rule_set.currency].between(end - rule_set.vip_days + 1, end)
        if spent >= rule_set.vip_spending:
            return Window(rule_set, end, spent)
    return None


def _upgraded(
    customer: Customer, order: OrderCompleted | None, filled: Filled, rules: RuleBook, ledger: Ledger
) -> CustomerVipUpgraded:
    end = filled.at // DAY_MS
    rule_set = rules.on(end)
    start = end - rule_set.vip_days + 1
    spent = by_day(customer, order, start, end, rules, ledger).get(rule_set.currency, {})
    return CustomerVipUpgraded(
        MembershipLevel.PLATINUM,
        sum(spent.values()),
        rule_set.currency,
        start,
        end,
        filled.at,
        rule_set.version,
    )


def _moved_back(
    customer: Customer, order: OrderCompleted, filled: Filled, rules: RuleBook, ledger: Ledger
) -> Filled:
    """Customer.filled with an order that occurred before the one that filled the window."""
    day, end = order.occurred_at // DAY_MS, filled.at // DAY_MS
    window = _earliest_touched(customer, order, end - 1, rules, ledger) if day < end else None
    if window is not None:
        return _filled_in(window, order, ledger)
    rule_set = rules.on(end)
    added = adds(order, rules).get(rule_set.currency)
    if added is None or day <= end - rule_set.vip_days:
        return filled
    if filled.before >= rule_set.vip_spending and day == end:
        return Filled(order.occurred_at, filled.before)  # no order of this day that counts came before it
    before = filled.before + added
    earlier = None
    if before >= rule_set.vip_spending > filled.before:
        orders = ledger.orders_before(filled.at, end * DAY_MS)
        earlier = _back(rule_set, before, _with(order, orders) if day == end else orders)
    return earlier or Filled(filled.at, before)


def _ending_on(
    customer: Customer, order: OrderCompleted, day: int, counted: Counted, rules: RuleBook, ledger: Ledger
) -> Window | None:
    """The window that ends on this order's day, if it is full with the order. No order may be of a later day."""
    rule_set = rules.on(day)
    if counted.total < rule_set.vip_spending:
        return None
    if rule_set.vip_days == ANNUAL_DAYS:
        spent = counted.annual
    else:
        first = day - rule_set.vip_days + 1
        spent = sum(by_day(customer, order, first, day, rules, ledger).get(rule_set.currency, {}).values())
    return Window(rule_set, day, spent) if spent >= rule_set.vip_spending else None


def _earliest_touched(
    customer: Customer, order: OrderCompleted, last: int, rules: RuleBook, ledger: Ledger
) -> Window | None:
    """The earliest full window that contains this order's day and ends on or before `last`."""
    if not _may_be_full(customer, order, rules):
        return None
    day, longest = order.occurred_at // DAY_MS, max(rule_set.vip_days for rule_set in rules.sets)
    last = min(last, day + longest - 1)
    return earliest_full(by_day(customer, order, day - longest + 1, last, rules, ledger), day, last, rules)


def _may_be_full(customer: Customer, order: OrderCompleted | None, rules: RuleBook) -> bool:
    """Whether the lifetime total is enough for some rule set. This check is cheap and rules most customers out."""
    added = {} if order is None else adds(order, rules)
    return any(
        total_spending(customer, rule_set.currency) + added.get(rule_set.currency, 0) >= rule_set.vip_spending
        for rule_set in rules.sets
    )


def _filled_in(window: Window, order: OrderCompleted | None, ledger: Ledger) -> Filled:
    """The order that filled the window: one of its last day, or the order under decision."""
    start = window.end * DAY_MS
    orders = ledger.orders_before(start + DAY_MS, start)
    if order is not None and order.occurred_at // DAY_MS == window.end:
        orders = _with(order, orders)
    filled = _back(window.rules, window.spent, orders)
    if filled is not None:
        return filled
    # Somebody edited the rates of a set after its orders counted, and now none counts. Take the day's last order.
    last = next(ledger.orders_before(start + DAY_MS, start), None)
    if last is None:
        raise ValueError(
            "a full window ends on a day without orders: the ledger and the spending do not agree"
        )
    return Filled(last.occurred_at, window.spent)


def _filled_at(customer: Customer, at: int, rules: RuleBook, ledger: Ledger) -> Filled:
    """Customer.filled of a customer who has been VIP since `at`."""
    end = at // DAY_MS
    rule_set = rules.on(end)
    first = end - rule_set.vip_days + 1
    before = by_day(customer, None, first, end - 1, rules, ledger).get(rule_set.currency, {})
    of_day = (rule_set.counted(each.amount, each.currency) for each in ledger.orders_before(at, end * DAY_MS))
    return Filled(at, sum(before.values()) + sum(amount or 0 for amount in of_day))


def _with(order: OrderCompleted, orders: Iterator[PastOrder]) -> Iterator[PastOrder]:
    """Merge this order into the orders, which are sorted with the latest first."""
    mine = PastOrder(order.occurred_at, order.amount, order.currency)
    return merge([mine], orders, key=lambda each: each.occurred_at, reverse=True)


def _back(rules: RuleSet, running: int, orders: Iterable[PastOrder]) -> Filled | None:
    """Go back over the orders of one day to the time whose orders filled the window.

    Args:
        rules: the set of that day.
        running: the counted amount of the window with all of these orders.
        orders: the orders of the window's last day, the latest first.

    Returns:
        The latest time without whose orders the window is not full. If the days before fill it by themselves, the time
        of the day's first order that counts. None when no order counts.
    """
    found = None
    for at, together in groupby(orders, key=lambda each: each.occurred_at):
        amounts = [rules.counted(each.amount, each.currency) for each in together]
        if any(amount is not None for amount in amounts):
            running -= sum(amount or 0 for amount in amounts)
            found = Filled(at, running)
            if running < rules.vip_spending:
                break
    return found
