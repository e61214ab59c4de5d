"""What an order is spent as, and what it counts as towards points, levels and VIP.

It is spent in its own currency. It counts in the currency of its day's rules: with its own amount where they are the
same, with the converted one where those rules hold a rate, and not at all where they hold none.
"""

import msgspec

from worker.domain.events import Converted, CustomerSpendingUpdated
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, figures, returned_at
from worker.domain.state import Customer, Spending

PURCHASE = "PURCHASE"


class Counted(msgspec.Struct, frozen=True):
    """Minor units of the rules' currency: of the order, and, with it, of all that counts since ever and in the year."""

    amount: int
    total: int
    annual: int


def count_order(
    customer: Customer, order: OrderCompleted, rules: RuleSet
) -> tuple[CustomerSpendingUpdated, Counted | None]:
    """The order as spent, and as counted. rules: of its day."""
    day = order.occurred_at // DAY_MS
    last_day = day if customer.last_order_at is None else max(day, customer.last_order_at // DAY_MS)
    in_year = day > last_day - ANNUAL_DAYS
    currency = rules.currency
    before = customer.spending.get(order.currency)
    total, annual = _with(before, order.amount, last_day, in_year=in_year)
    returned, returned_annually = returned_at(before, last_day) if before and before.returned else (0, 0)
    counted, converted = None, None
    if order.currency == currency:
        counted = _counted(order.amount, total, annual, customer.converted.get(currency), last_day)
    elif (amount := rules.counted(order.amount, order.currency)) is not None:
        so_far = _with(customer.converted.get(currency), amount, last_day, in_year=in_year)
        converted = Converted(amount, currency, *so_far)
        counted = _counted(amount, *so_far, customer.spending.get(currency), last_day)
    spent = CustomerSpendingUpdated(
        order.amount,
        order.currency,
        total - returned,
        annual - returned_annually,
        order.order_id,
        PURCHASE,
        order.occurred_at,
        rules.version,
        returned,
        returned_annually,
        converted,
    )
    return spent, counted


def _with(spending: Spending | None, amount: int, last_day: int, *, in_year: bool) -> tuple[int, int]:
    total, annual = figures(spending, last_day)
    return total + amount, annual + amount if in_year else annual


def _counted(amount: int, total: int, annual: int, beside: Spending | None, last_day: int) -> Counted:
    """beside: what counts too, converted or not, in the same currency."""
    if beside is None:
        return Counted(amount, total, annual)
    more, more_in_year = figures(beside, last_day)
    return Counted(amount, total + more, annual + more_in_year)
