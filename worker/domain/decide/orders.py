"""Orders: spending, points, level and VIP, in the contract's order. Once per orderId, for ever.

The hot path: an order in the order of time costs the same however many the customer has.
"""

from worker.domain.decide.erased import too_late
from worker.domain.decide.levels import level_by_order
from worker.domain.decide.points import earn_points
from worker.domain.decide.vip import vip_by_order
from worker.domain.events import CustomerSpendingUpdated, Event
from worker.domain.messages import OrderCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at, returned_at
from worker.domain.state import ORDER, Customer, Ledger

PURCHASE = "PURCHASE"


def decide_order(
    customer: Customer, order: OrderCompleted, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...]:
    """The order's events; () when it has counted already.

    Raises DeadLettered when it counted with another amount, or when the customer was erased, whatever counted before.
    """
    if customer.erased:
        raise too_late(customer)
    counted = ledger.line(ORDER, order.order_id)
    if counted is not None:
        if counted.amount == order.amount and counted.currency == order.currency:
            return ()
        raise DeadLettered(
            DeadLetterReason.ORDER_CONFLICT,
            f"order counted with {counted.amount} {counted.currency} (minor units) for customer {customer.id}",
        )
    rule_set = rules.on(order.occurred_at // DAY_MS)
    total, annual, returned, annually_returned = _totals(customer, order)
    events: list[Event] = [
        CustomerSpendingUpdated(
            order.amount,
            order.currency,
            total - returned,
            annual - annually_returned,
            order.order_id,
            PURCHASE,
            order.occurred_at,
            rule_set.version,
            returned,
            annually_returned,
        )
    ]
    if order.currency == rule_set.currency:
        earned = earn_points(customer, order, rule_set)
        if earned is not None:
            events.append(earned)
    upgrade = level_by_order(customer, order, total, rules, ledger)
    if upgrade is not None:
        events.append(upgrade)
    level = customer.level if upgrade is None else upgrade.new_level
    vip = vip_by_order(customer, order, level, annual, rules, ledger)
    if vip is not None:
        events.append(vip)
    return tuple(events)


def _totals(customer: Customer, order: OrderCompleted) -> tuple[int, int, int, int]:
    """Lifetime and annual spending in the order's currency, with this order; and what was returned of each."""
    day = order.occurred_at // DAY_MS
    last_day = day if customer.last_order_at is None else max(day, customer.last_order_at // DAY_MS)
    counts = order.amount if day > last_day - ANNUAL_DAYS else 0
    spending = customer.spending.get(order.currency)
    if spending is None:
        return order.amount, counts, 0, 0
    returned, annually = returned_at(spending, last_day) if spending.returned else (0, 0)
    return spending.total + order.amount, annual_at(spending, last_day) + counts, returned, annually
