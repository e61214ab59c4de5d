"""Spending over time: the sum of a customer's year, and the days that a rule may still need.

An order in a currency with a rate is kept twice. `spending` holds it in its own currency, `converted` holds it in the
currency of its day's rules. The amount that counts in a currency is the sum of both.

Levels and VIP use gross spending. Displayed totals are net: they exclude returned amounts. A refund belongs to the day
of its order, so it leaves the year together with the order.

`Spending.days` holds the orders from `recent_from(customer)` on. This horizon depends on the set of orders and not on
their arrival. It only moves forward. Earlier days move to rows of their own (`take_old_days`). A late order reads only
the rows of days in windows that contain its own day.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from worker.domain.events import CustomerSpendingUpdated, CustomerVipUpgraded, Event, VipMovedBack
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleBook
from worker.domain.state import CONVERTED, SPENT, Customer, Ledger, PastOrder, Spending

DAY_MS = 86_400_000
EVER = -26_000  # a day before 1900; worker.wire.times refuses earlier times
ANNUAL_DAYS = 365  # both ends included
LATE_DAYS = 3 * 365 + 1  # three years, one of them a leap year
RECENT_DAYS = LATE_DAYS + ANNUAL_DAYS - 1
_VIP_MOVED = (CustomerVipUpgraded, VipMovedBack)  # after these the row may keep fewer days


def total_spending(customer: Customer, currency: str) -> int:
    """Lifetime spending that counts in that currency, gross, in minor units."""
    return sum(spending.total for spending in _counting(customer, currency))


def annual_spending(customer: Customer, currency: str) -> int:
    """Spending that counts in that currency, gross, in minor units, within one year.

    The year is the 365 days that end on the day of the latest order in any currency.
    """
    if customer.last_order_at is None:
        return 0
    last_day = customer.last_order_at // DAY_MS
    return sum(annual_at(spending, last_day) for spending in _counting(customer, currency))


def spent_between(customer: Customer, currency: str, first: int, last: int) -> int:
    """Spending that counts in that currency, gross, in minor units, from day `first` to `last`, both included.

    The days must be within RECENT_DAYS of the latest order, because older ones left the customer's row.
    """
    return sum(spending.days.between(first, last) for spending in _counting(customer, currency))


def net_total(customer: Customer, currency: str) -> int:
    """The same as total_spending, without returned amounts."""
    return sum(net_figures(spending, spending.annual_day)[0] for spending in _counting(customer, currency))


def net_annual(customer: Customer, currency: str) -> int:
    """The same as annual_spending, without the returned amounts of those orders."""
    return sum(net_figures(spending, spending.annual_day)[1] for spending in _counting(customer, currency))


def net_figures(spending: Spending, last_day: int) -> tuple[int, int]:
    """The net total, and the net sum of the year that ends on last_day."""
    returned, in_year_returned = returned_at(spending, last_day)
    return spending.total - returned, annual_at(spending, last_day) - in_year_returned


def returned_at(spending: Spending, last_day: int) -> tuple[int, int]:
    """The returned amount in total, and of orders in the year that ends on last_day (>= annual_day)."""
    if not spending.returned_days:
        return spending.returned, 0
    first = last_day - ANNUAL_DAYS + 1
    return spending.returned, sum(amount for day, amount in spending.returned_days.items() if day >= first)


def annual_at(spending: Spending, last_day: int) -> int:
    """The gross sum of the year that ends on last_day.

    last_day: >= annual_day; no order of this currency came after annual_day.
    """
    moved = last_day - spending.annual_day
    if moved == 0:
        return spending.annual
    if moved >= ANNUAL_DAYS:
        return 0
    start = last_day - ANNUAL_DAYS + 1
    return spending.annual - spending.days.between(start - moved, start - 1)


def recent_from(customer: Customer) -> int:
    """The first day that Spending.days holds; 0 while there is no order.

    A late order may be LATE_DAYS old and complete a window that starts a year before it. Once vip_since is older than
    any late order, no order can move it. Then only annualSpending still needs days.
    """
    if customer.last_order_at is None:
        return 0
    last_day = customer.last_order_at // DAY_MS
    if customer.vip_since is not None and customer.vip_since // DAY_MS < last_day - LATE_DAYS:
        return last_day - ANNUAL_DAYS + 1
    return last_day - RECENT_DAYS


def adds(order: OrderCompleted | PastOrder, rules: RuleBook) -> dict[str, int]:
    """The minor units that the order adds per currency: in its own and in that of its day's rules."""
    rule_set = rules.on(order.occurred_at // DAY_MS)
    counted = rule_set.counted(order.amount, order.currency)
    own = {order.currency: order.amount}
    return own if counted is None else own | {rule_set.currency: counted}


def by_day(
    customer: Customer, order: OrderCompleted | None, first: int, last: int, rules: RuleBook, ledger: Ledger
) -> dict[str, dict[int, int]]:
    """The amounts that count per day, for each currency that a rule set uses.

    Args:
        customer: the state before the order.
        order: the order under decision, which is added; None when there is none.
        first: the first day, since 1970.
        last: the last day, included.
        rules: all rule sets.
        ledger: holds the days that the customer's row no longer keeps.

    Returns:
        Minor units by currency and day. The work grows with the days from `first` on, not with the orders.
    """
    result: dict[str, dict[int, int]] = {}
    horizon = recent_from(customer)
    for kind, spent in ((SPENT, customer.spending), (CONVERTED, customer.converted)):
        for currency in rules.currencies & spent.keys():
            if first < horizon:
                _add_days(result, currency, ledger.old_days(kind, currency, first, min(last, horizon - 1)))
            _add_days(result, currency, spent[currency].days.within(first, last))
    if order is not None and first <= order.occurred_at // DAY_MS <= last:
        add_order(result, order, rules)
    return result


def add_order(days: dict[str, dict[int, int]], order: OrderCompleted | PastOrder, rules: RuleBook) -> None:
    """Add what the order counts as to amounts by currency and day, as `by_day` returns them."""
    for currency, amount in adds(order, rules).items():
        if currency in rules.currencies:
            _add_days(days, currency, {order.occurred_at // DAY_MS: amount})


class OldDays(NamedTuple):
    """Days that a customer's row no longer keeps. kind: SPENT or CONVERTED; amounts: minor units per day."""

    kind: str
    currency: str
    amounts: Mapping[int, int]


def take_old_days(customer: Customer, events: Sequence[Event]) -> list[OldDays]:
    """Remove the days that the customer's row no longer keeps after these events.

    The work grows with the removed days. An order of the latest day removes none.

    Args:
        customer: the state after the events were applied; changed in place.
        events: at least one.

    Returns:
        The amounts to add to the rows of single days.
    """
    first, moved_vip = events[0], isinstance(events[-1], _VIP_MOVED)
    taken = []
    if isinstance(first, CustomerSpendingUpdated):
        if not first.recent:
            day = first.occurred_at // DAY_MS
            taken.append(OldDays(SPENT, first.currency, {day: first.amount}))
            if first.converted is not None:
                taken.append(OldDays(CONVERTED, first.converted.currency, {day: first.converted.amount}))
        if not (first.new_day or moved_vip):
            return taken
    elif not moved_vip:
        return taken
    return taken + leaving(customer)


def leaving(customer: Customer) -> list[OldDays]:
    """Remove the days that the customer's row no longer keeps, and return their amounts. Work grows with these days."""
    horizon = recent_from(customer)
    return [
        OldDays(kind, currency, amounts)
        for kind, spent in ((SPENT, customer.spending), (CONVERTED, customer.converted))
        for currency, spending in spent.items()
        if spending.days.first < horizon and (amounts := spending.days.take_before(horizon))
    ]


class DayTotals:
    """Prefix sums: the total of any range of days in logarithmic time."""

    def __init__(self, days: Mapping[int, int]) -> None:
        """Sort the days once. days: minor units per day number."""
        self._days = sorted(days)
        self._sums = [0, *accumulate(days[day] for day in self._days)]

    def between(self, first: int, last: int) -> int:
        """Minor units of the days first to last, both included."""
        return self._sums[bisect_right(self._days, last)] - self._sums[bisect_left(self._days, first)]


def _counting(customer: Customer, currency: str) -> list[Spending]:
    both = (customer.spending.get(currency), customer.converted.get(currency))
    return [spending for spending in both if spending is not None]


def _add_days(result: dict[str, dict[int, int]], currency: str, amounts: Mapping[int, int]) -> None:
    days = result.setdefault(currency, {})
    for day, amount in amounts.items():
        days[day] = days.get(day, 0) + amount
