"""What an order is spent as, and what it counts as towards points, levels and VIP.

It is spent in its own currency. It counts in the currency of its day's rules: with its own amount where they are the
same, with the converted one where those rules hold a rate, and not at all where they hold none.
"""

import msgspec

from worker.domain.events import Converted, CustomerSpendingUpdated
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at, returned_at
from worker.domain.state import Customer, Spending

PURCHASE = "PURCHASE"


class Counted(msgspec.Struct, frozen=True, gc=False):
    """Minor units of the rules' currency: of the order, and, with it, of all that counts since ever and in the year."""

    amount: int
    total: int
    annual: int


def count_order(
    customer: Customer, order: OrderCompleted, rules: RuleSet
) -> tuple[CustomerSpendingUpdated, Counted | None]:
    """The order as spent, and as counted. rules: of its day."""
    day, amount, currency = order.occurred_at // DAY_MS, order.amount, order.currency
    last_day = day if customer.last_order_at is None else max(day, customer.last_order_at // DAY_MS)
    total, annual = amount, amount if day > last_day - ANNUAL_DAYS else 0
    spending = customer.spending.get(currency)
    returned, in_year_returned = 0, 0
    if spending is not None:
        total += spending.total
        annual += annual_at(spending, last_day)
        if spending.returned:
            returned, in_year_returned = returned_at(spending, last_day)
    converted = None
    if currency != rules.currency:
        converted, counted = _converted(customer, order, last_day, rules)
    elif customer.converted:
        counted = _beside(customer.converted.get(currency), Counted(amount, total, annual), last_day)
    else:
        counted = Counted(amount, total, annual)
    spent = CustomerSpendingUpdated(
        amount,
        currency,
        total - returned,
        annual - in_year_returned,
        order.order_id,
        PURCHASE,
        order.occurred_at,
        rules.version,
        returned,
        in_year_returned,
        converted,
    )
    return spent, counted


def _converted(
    customer: Customer, order: OrderCompleted, last_day: int, rules: RuleSet
) -> tuple[Converted | None, Counted | None]:
    amount = rules.counted(order.amount, order.currency)
    if amount is None:
        return None, None
    in_year = amount if order.occurred_at // DAY_MS > last_day - ANNUAL_DAYS else 0
    of_order = Counted(amount, amount, in_year)
    so_far = _beside(customer.converted.get(rules.currency), of_order, last_day)
    converted = Converted(amount, rules.currency, so_far.total, so_far.annual)
    return converted, _beside(customer.spending.get(rules.currency), so_far, last_day)


def _beside(spending: Spending | None, counted: Counted, last_day: int) -> Counted:
    """With what that spending adds to the totals."""
    if spending is None:
        return counted
    annual = counted.annual + annual_at(spending, last_day)
    return Counted(counted.amount, counted.total + spending.total, annual)
