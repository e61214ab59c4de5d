"""Spending over time: what a customer spent in a year, and which days are still worth keeping.

An order in a currency with a rate is kept twice: in `spending` in its own currency and, as its day's rules converted
it, in `converted`. What counts in a currency is both together.

Levels and VIP go by what was spent (gross), what is shown is without what was returned (net). A refund belongs to the
day of its order, whenever it came: so it leaves the year together with what it refunds.

`Spending.days` holds exactly the orders from `kept_from(customer)` on, whatever order they arrived in: the horizon
depends on the set of orders alone and only ever moves forward, so nothing that was dropped is needed again by a late
order within LATE_DAYS. For older ones `by_day` reads the ledger instead, so that they are counted right all the same.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import accumulate

from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleBook
from worker.domain.state import Customer, Ledger, LedgerLine, Spending

DAY_MS = 86_400_000
ANNUAL_DAYS = 365  # both ends included
LATE_DAYS = 3 * 365 + 1  # three years, one of them a leap year
KEPT_DAYS = LATE_DAYS + ANNUAL_DAYS - 1


def total_spending(customer: Customer, currency: str) -> int:
    """Lifetime spending that counts in that currency, in minor units."""
    return sum(spending.total for spending in _counting(customer, currency))


def annual_spending(customer: Customer, currency: str) -> int:
    """What counts in that currency in the 365 days that end on the day of the latest order in any currency."""
    if customer.last_order_at is None:
        return 0
    last_day = customer.last_order_at // DAY_MS
    return sum(annual_at(spending, last_day) for spending in _counting(customer, currency))


def net_total(customer: Customer, currency: str) -> int:
    """As total_spending, without what was returned."""
    return sum(net_figures(spending, spending.annual_day)[0] for spending in _counting(customer, currency))


def net_annual(customer: Customer, currency: str) -> int:
    """As annual_spending, without what was returned of those orders."""
    return sum(net_figures(spending, spending.annual_day)[1] for spending in _counting(customer, currency))


def net_figures(spending: Spending, last_day: int) -> tuple[int, int]:
    """Its total, and its annual with the year that ends on last_day, without what was returned."""
    returned, in_year_returned = returned_at(spending, last_day)
    return spending.total - returned, annual_at(spending, last_day) - in_year_returned


def returned_at(spending: Spending, last_day: int) -> tuple[int, int]:
    """What was returned in all, and of the orders of the year that ends on last_day (>= annual_day)."""
    if not spending.returned_days:
        return spending.returned, 0
    first = last_day - ANNUAL_DAYS + 1
    return spending.returned, sum(amount for day, amount in spending.returned_days.items() if day >= first)


def annual_at(spending: Spending, last_day: int) -> int:
    """What remains of `annual` when the window moves on to end on last_day (>= annual_day, and nothing spent since)."""
    moved = last_day - spending.annual_day
    if moved == 0:
        return spending.annual
    if moved >= ANNUAL_DAYS:
        return 0
    start = last_day - ANNUAL_DAYS + 1
    return spending.annual - spending.days.between(start - moved, start - 1)


def kept_from(customer: Customer) -> int:
    """The first day that Spending.days holds; 0 while there is no order.

    A late order may reach LATE_DAYS back and complete a window that starts a year before it. Once VIP is older than
    any late order nothing can move it, and only annualSpending still needs days.
    """
    if customer.last_order_at is None:
        return 0
    last_day = customer.last_order_at // DAY_MS
    if customer.vip_since is not None and customer.vip_since // DAY_MS < last_day - LATE_DAYS:
        return last_day - ANNUAL_DAYS + 1
    return last_day - KEPT_DAYS


def adds(order: OrderCompleted | LedgerLine, rules: RuleBook) -> dict[str, int]:
    """Minor units that the order adds per currency: its own amount, and what its day's rules count it as."""
    rule_set = rules.on(order.occurred_at // DAY_MS)
    counted = rule_set.counted(order.amount, order.currency)
    own = {order.currency: order.amount}
    return own if counted is None else own | {rule_set.currency: counted}


def by_day(
    customer: Customer, order: OrderCompleted | None, since: int | None, rules: RuleBook, ledger: Ledger
) -> dict[str, dict[int, int]]:
    """Minor units that count per currency and day from the day `since` on (None: ever), with the order under decision.

    Work grows with the customer's days, or with the orders when `since` lies before what is kept.
    """
    result: dict[str, dict[int, int]] = {}
    if since is not None and since >= kept_from(customer):
        for currency, spending in customer.spending.items():
            kept = spending.days.amounts()
            result[currency] = {day: amount for day, amount in kept.items() if day >= since}
        for currency, spending in customer.converted.items():
            for day, amount in spending.days.amounts().items():
                if day >= since:
                    _add(result, currency, day, amount)
    else:
        for _, line in ledger.orders():
            if since is None or line.occurred_at // DAY_MS >= since:
                _add_order(result, line, rules)
    if order is not None:
        _add_order(result, order, rules)
    return result


class DayTotals:
    """Sums over stretches of days, each in logarithmic time."""

    def __init__(self, days: Mapping[int, int]) -> None:
        """days: minor units per day number."""
        self._days = sorted(days)
        self._sums = [0, *accumulate(days[day] for day in self._days)]

    def between(self, first: int, last: int) -> int:
        """Minor units of the days first to last, both included."""
        return self._sums[bisect_right(self._days, last)] - self._sums[bisect_left(self._days, first)]


def _counting(customer: Customer, currency: str) -> list[Spending]:
    kept = (customer.spending.get(currency), customer.converted.get(currency))
    return [spending for spending in kept if spending is not None]


def _add_order(
    result: dict[str, dict[int, int]], order: OrderCompleted | LedgerLine, rules: RuleBook
) -> None:
    for currency, amount in adds(order, rules).items():
        _add(result, currency, order.occurred_at // DAY_MS, amount)


def _add(result: dict[str, dict[int, int]], currency: str, day: int, amount: int) -> None:
    days = result.setdefault(currency, {})
    days[day] = days.get(day, 0) + amount
