"""The spending that an order adds, and the amount that counts towards points, levels and VIP.

Spending is in the order's own currency. The counted amount is in the currency of its day's rules: the order's amount
if the currencies are the same, else the converted amount. Without a rate the order does not count.
"""

import msgspec

from worker.domain.events import Converted, CustomerSpendingUpdated
from worker.domain.messages import OrderCompleted
from worker.domain.rules import RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at, recent_from, returned_at
from worker.domain.state import Customer, Spending

PURCHASE = "PURCHASE"


class Counted(msgspec.Struct, frozen=True, gc=False):
    """The counted amount of an order, and the sums that include it. All are minor units of the rules' currency.

    Attributes:
        amount: of the order.
        total: of all orders that count.
        annual: of the orders that count in the year that ends on the customer's latest order.
    """

    amount: int
    total: int
    annual: int


def count_order(
    customer: Customer, order: OrderCompleted, rules: RuleSet
) -> tuple[CustomerSpendingUpdated, Counted | None]:
    """Compute the spending event of an order and its counted amount.

    Args:
        customer: the state before the order.
        order: not counted before.
        rules: the rule set of the order's day.

    Returns:
        The event, and the counted amount; None when the rules have no rate for the currency.
    """
    day, amount, currency = order.occurred_at // DAY_MS, order.amount, order.currency
    latest = customer.last_order_at
    new_day = latest is None or day > latest // DAY_MS
    last_day = day if latest is None or new_day else latest // DAY_MS
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
        new_day,
        new_day or day >= recent_from(customer),
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
    """The counted amount with the totals of `spending` added to its totals."""
    if spending is None:
        return counted
    annual = counted.annual + annual_at(spending, last_day)
    return Counted(counted.amount, counted.total + spending.total, annual)
