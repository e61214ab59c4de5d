"""Returns: each refunds some of the rest of one order. Each returnId counts once, for ever.

The customer's level, VIP and orderCount stay, because they use the full amounts of orders. Displayed totals and points
become those of the rest of the order. Points use the rule set that the order earned them with.
"""

import msgspec

from worker.domain.decide.erased import too_late
from worker.domain.decide.points import reverse_points
from worker.domain.events import Event, SpendingRefunded
from worker.domain.messages import OrderReturned
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, net_figures
from worker.domain.state import ORDER, RETURN, Customer, Ledger, LedgerLine
from worker.domain.values import Money


def decide_return(
    customer: Customer, returned: OrderReturned, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...] | None:
    """The return's events; () when it has counted already, None when its order has not counted yet.

    Raises:
        DeadLettered: CUSTOMER_ERASED, even for a return that has counted. RETURN_CONFLICT if it has counted with another
            amount or currency. RETURN_CONFLICT also if it exceeds the rest of the order, or has another currency.
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
    earned_with = _earned_with(order, rules)
    refund = _refund(customer, returned, order, earned_with)
    reversed_ = reverse_points(customer, returned, order, earned_with)
    return (refund,) if reversed_ is None else (refund, reversed_)


def _refund(
    customer: Customer, returned: OrderReturned, order: LedgerLine, rules: RuleSet
) -> SpendingRefunded:
    spending = customer.spending[order.currency]
    total, annual = net_figures(spending, spending.annual_day)
    this_year = order.occurred_at // DAY_MS > spending.annual_day - ANNUAL_DAYS
    return SpendingRefunded(
        returned.amount,
        order.currency,
        total - returned.amount,
        annual - (returned.amount if this_year else 0),
        returned.order_id,
        returned.return_id,
        returned.occurred_at,
        msgspec.structs.replace(order, returned=order.returned + returned.amount),
        _counts_less(customer, returned, order, rules),
    )


def _counts_less(
    customer: Customer, returned: OrderReturned, order: LedgerLine, rules: RuleSet
) -> Money | None:
    """How much less the order counts after the return, in the rules' currency.

    None for an order that counts in its own currency, or does not count.
    """
    left = order.amount - order.returned
    before, after = (rules.counted(each, order.currency) for each in (left, left - returned.amount))
    if order.currency == rules.currency or before is None or after is None:
        return None
    return Money(before - after, rules.currency) if rules.currency in customer.converted else None


def _earned_with(order: LedgerLine, rules: RuleBook) -> RuleSet:
    """The set that the order earned points with. If the rules file no longer has it, the set of the order's day."""
    return rules.named(order.rules_version) or rules.on(order.occurred_at // DAY_MS)


def _conflict(what: str, customer: Customer) -> DeadLettered:
    return DeadLettered(DeadLetterReason.RETURN_CONFLICT, f"{what} (minor units) for customer {customer.id}")
