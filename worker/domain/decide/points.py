"""Reward points: whole points per order, the rest of that order dropped, so that arrival order does not matter."""

from worker.domain.events import Event, RewardPointsEarned, RewardPointsRedeemed, RewardPointsReversed
from worker.domain.messages import OrderCompleted, OrderReturned, RedeemPoints
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import RuleSet
from worker.domain.state import REDEMPTION, Customer, Ledger, LedgerLine
from worker.domain.values import CustomerStatus

ORDER_REASON = "ORDER_COMPLETED"


def earn_points(
    customer: Customer, order: OrderCompleted, counted: int, rules: RuleSet
) -> RewardPointsEarned | None:
    """None for less than one point. Points pay the customer's debt first.

    counted: the order's amount in the rules' currency, in minor units.
    """
    points = counted // rules.amount_per_point
    if points == 0:
        return None
    paid_back = min(points, customer.debt)
    return RewardPointsEarned(
        points,
        customer.points + points - paid_back,
        customer.debt - paid_back,
        ORDER_REASON,
        order.order_id,
        counted,
        rules.currency,
        rules.version,
    )


def reverse_points(
    customer: Customer, returned: OrderReturned, order: LedgerLine, rules: RuleSet
) -> RewardPointsReversed | None:
    """What the order earns no longer; None for less than one point. What the balance cannot give becomes debt.

    order: its line before this return; rules: the set that it was earned with.
    """
    left = order.amount - order.returned
    points = _points_of(left, order, rules) - _points_of(left - returned.amount, order, rules)
    if points == 0:
        return None
    taken = min(points, customer.points)
    debt = customer.debt + points - taken
    return RewardPointsReversed(points, customer.points - taken, debt, returned.order_id, returned.return_id)


def _points_of(left: int, order: LedgerLine, rules: RuleSet) -> int:
    """Points of what is left of an order: never more than the whole of it earned, which is nothing in some currencies."""
    counted = rules.counted(left, order.currency)
    return 0 if counted is None else min(counted // rules.amount_per_point, order.points)


def redeem_points(customer: Customer, command: RedeemPoints, ledger: Ledger) -> tuple[Event, ...]:
    """Once per redemptionId, for ever."""
    taken = ledger.line(REDEMPTION, command.redemption_id)
    if taken is not None:
        if taken.points != command.points:
            raise Rejected(RejectionCode.IDEMPOTENCY_CONFLICT, f"redeemed before with {taken.points} points")
        return ()
    if customer.status is not CustomerStatus.ACTIVE:
        raise Rejected(RejectionCode.CUSTOMER_NOT_ACTIVE, f"status {customer.status}")
    if command.points > customer.points:
        raise Rejected(RejectionCode.INSUFFICIENT_POINTS, f"balance {customer.points}")
    return (
        RewardPointsRedeemed(
            command.points,
            customer.points - command.points,
            command.reason,
            command.redemption_id,
            command.order_id,
            command.issued_at,
        ),
    )
