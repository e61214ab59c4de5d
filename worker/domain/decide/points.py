"""Reward points: whole points per order. The remainder of an order is dropped, so arrival order does not matter.

Points that are earned, restored or added pay the customer's debt first. Redemptions, cancellations and adjustments count
once per id, for ever.
"""

from worker.domain.events import (
    Event,
    RewardPointsAdjusted,
    RewardPointsEarned,
    RewardPointsRedeemed,
    RewardPointsRestored,
    RewardPointsReversed,
)
from worker.domain.messages import (
    AdjustPoints,
    CancelRedemption,
    OrderCompleted,
    OrderReturned,
    RedeemPoints,
)
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.rules import RuleSet
from worker.domain.state import ADJUSTMENT, CANCELLATION, REDEMPTION, Customer, Ledger, LedgerLine
from worker.domain.values import CustomerStatus

ORDER_REASON = "ORDER_COMPLETED"


def earn_points(
    customer: Customer, order: OrderCompleted, counted: int, rules: RuleSet
) -> RewardPointsEarned | None:
    """The points that an order earns; None for less than one point.

    counted: the order's amount in the rules' currency, in minor units.
    """
    points = rules.points_for(counted)
    if points == 0:
        return None
    total_points, debt = credited(customer, points)
    return RewardPointsEarned(
        points,
        total_points,
        debt,
        ORDER_REASON,
        order.order_id,
        counted,
        rules.currency,
        rules.version,
    )


def reverse_points(
    customer: Customer, returned: OrderReturned, order: LedgerLine, rules: RuleSet
) -> RewardPointsReversed | None:
    """The points that a return takes back; None for less than one point. Points beyond the balance become debt.

    Args:
        customer: the state before the return.
        returned: the return, not more than is left of the order.
        order: the order's ledger line before this return.
        rules: the set that the order earned its points with.
    """
    left = order.amount - order.returned
    points = _points_of(left, order, rules) - _points_of(left - returned.amount, order, rules)
    if points == 0:
        return None
    taken = min(points, customer.points)
    debt = customer.debt + points - taken
    return RewardPointsReversed(points, customer.points - taken, debt, returned.order_id, returned.return_id)


def _points_of(left: int, order: LedgerLine, rules: RuleSet) -> int:
    """The points of the rest of an order, at most as many as the whole order earned; 0 without a rate."""
    counted = rules.counted(left, order.currency)
    return 0 if counted is None else min(rules.points_for(counted), order.points)


def redeem_points(customer: Customer, command: RedeemPoints, ledger: Ledger) -> tuple[Event, ...]:
    """Spend points; () when the redemptionId has been redeemed already.

    Raises:
        Rejected: IDEMPOTENCY_CONFLICT for a known redemptionId with other points or a cancelled one,
            CUSTOMER_NOT_ACTIVE, INSUFFICIENT_POINTS.
    """
    taken = ledger.line(REDEMPTION, command.redemption_id)
    if taken is not None:
        if taken.points != command.points:
            raise Rejected(RejectionCode.IDEMPOTENCY_CONFLICT, f"redeemed before with {taken.points} points")
        if ledger.line(CANCELLATION, command.redemption_id) is not None:
            raise Rejected(RejectionCode.IDEMPOTENCY_CONFLICT, "the redemption was cancelled")
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


def cancel_redemption(customer: Customer, command: CancelRedemption, ledger: Ledger) -> tuple[Event, ...]:
    """Give back all points of a redemption, in any status; () when it has been cancelled already.

    Raises:
        Rejected: REDEMPTION_NOT_FOUND.
    """
    if ledger.line(CANCELLATION, command.redemption_id) is not None:
        return ()
    redeemed = ledger.line(REDEMPTION, command.redemption_id)
    if redeemed is None:
        raise Rejected(RejectionCode.REDEMPTION_NOT_FOUND)
    total_points, debt = credited(customer, redeemed.points)
    return (
        RewardPointsRestored(
            redeemed.points,
            total_points,
            debt,
            command.reason,
            command.redemption_id,
            redeemed.order_id,
            command.issued_at,
        ),
    )


def adjust_points(customer: Customer, command: AdjustPoints, ledger: Ledger) -> tuple[Event, ...]:
    """Add points or take them away, in any status; () when the adjustmentId has counted already.

    Raises:
        Rejected: IDEMPOTENCY_CONFLICT for a known adjustmentId with other points, INSUFFICIENT_POINTS when more
            than the balance would be taken away.
    """
    counted = ledger.line(ADJUSTMENT, command.adjustment_id)
    if counted is not None:
        if counted.points != command.points:
            raise Rejected(RejectionCode.IDEMPOTENCY_CONFLICT, f"adjusted before by {counted.points} points")
        return ()
    if command.points > 0:
        total_points, debt = credited(customer, command.points)
    else:
        total_points, debt = customer.points + command.points, customer.debt
        if total_points < 0:
            raise Rejected(RejectionCode.INSUFFICIENT_POINTS, f"balance {customer.points}")
    return (
        RewardPointsAdjusted(
            command.points, total_points, debt, command.reason, command.adjustment_id, command.issued_at
        ),
    )


def credited(customer: Customer, points: int) -> tuple[int, int]:
    """Balance and debt once these points are added. They pay the debt first."""
    paid_back = min(points, customer.debt)
    return customer.points + points - paid_back, customer.debt - paid_back
