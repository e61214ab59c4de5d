"""Orders: spending, points, level and VIP, in the contract's order. Each orderId counts once, for ever.

This is the hot path: the cost of an order that is not late does not grow with the customer's history.
"""

import msgspec

from worker.domain.decide.counting import count_order
from worker.domain.decide.erased import too_late
from worker.domain.decide.levels import level_by_order
from worker.domain.decide.points import earn_points
from worker.domain.decide.vip import filled_by_order, vip_by_order
from worker.domain.events import Event
from worker.domain.messages import OrderCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook
from worker.domain.spending import DAY_MS
from worker.domain.state import ORDER, Customer, Ledger
from worker.domain.values import MembershipLevel


def decide_order(
    customer: Customer, order: OrderCompleted, rules: RuleBook, ledger: Ledger
) -> tuple[Event, ...]:
    """The order's events; () when it has counted already.

    Raises:
        DeadLettered: CUSTOMER_ERASED, even for an order that has counted; ORDER_CONFLICT when it counted with
            another amount or currency.
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
    spent, counted_as = count_order(customer, order, rule_set)
    filled = filled_by_order(customer, order, counted_as, rules, ledger)
    if filled is not customer.filled:
        spent = msgspec.structs.replace(spent, filled=filled)
    events: list[Event] = [spent]
    if counted_as is not None:
        earned = earn_points(customer, order, counted_as.amount, rule_set)
        if earned is not None:
            events.append(earned)
    level = customer.level
    if level is not MembershipLevel.PLATINUM:
        upgrade = level_by_order(customer, order, counted_as, rule_set, rules, ledger)
        if upgrade is not None:
            events.append(upgrade)
            level = upgrade.new_level
    if level is MembershipLevel.PLATINUM:
        vip = vip_by_order(customer, order, filled, rules, ledger)
        if vip is not None:
            events.append(vip)
    return tuple(events)
