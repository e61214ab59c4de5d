"""Returns: of what is left of one order. Once per returnId, for ever.

The customer's level, VIP and orderCount stay: they go by an order's full amount. Shown totals and points become those of
what is left, the points under the rules that the order was earned with.
"""

import msgspec

from worker.domain.decide.erased import too_late
from worker.domain.decide.points import reverse_points
from worker.domain.events import Event, SpendingRefunded
from worker.domain.messages import OrderReturned
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, net_annual, net_total
from worker.domain.state import ORDER, RETURN, Customer, Ledger, LedgerLine


def decide_return(
    customer: Customer, returned: OrderReturned, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...] | None:
    """The return's events; () when it has counted already, None when its order has not counted yet.

    Raises DeadLettered when it counted with another amount, is more than is left of the order or in another currency,
    or when the customer was erased, whatever counted before.
    """
    if customer.erased:
        raise too_late(customer)
    counted = ledger.line(RETURN, returned.return_id)
    if counted is not None:
        if (counted.amount, counted.currency) == (returned.amount, returned.currency):
            return ()
        raise _conflict(f"return counted with {counted.amount} {counted.currency}", customer)
    order = ledger.line(ORDER, returned.order_id)
    if order is None:
        return None
    left = order.amount - order.returned
    if returned.currency != order.currency or returned.amount > left:
        raise _conflict(f"of the order {left} {order.currency} are left", customer)
    refund = _refund(customer, returned, order)
    reversed_ = reverse_points(customer, returned, order, _earned_with(order, rules))
    return (refund,) if reversed_ is None else (refund, reversed_)


def _refund(customer: Customer, returned: OrderReturned, order: LedgerLine) -> SpendingRefunded:
    currency, last_order_at = order.currency, customer.last_order_at or 0
    this_year = order.occurred_at // DAY_MS > last_order_at // DAY_MS - ANNUAL_DAYS
    return SpendingRefunded(
        returned.amount,
        currency,
        net_total(customer, currency) - returned.amount,
        net_annual(customer, currency) - (returned.amount if this_year else 0),
        returned.order_id,
        returned.return_id,
        returned.occurred_at,
        msgspec.structs.replace(order, returned=order.returned + returned.amount),
    )


def _earned_with(order: LedgerLine, rules: RuleBook) -> RuleSet:
    """The set that the order was earned with; where the rules file has lost it, the one that holds on its day now."""
    return rules.named(order.rules_version) or rules.on(order.occurred_at // DAY_MS)


def _conflict(what: str, customer: Customer) -> DeadLettered:
    return DeadLettered(DeadLetterReason.RETURN_CONFLICT, f"{what} (minor units) for customer {customer.id}")
