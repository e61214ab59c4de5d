"""What an input leaves in the ledger: one line per order, payment, redemption or return that counted, for ever.

A return also rewrites the line of its order, which says how much of it is left.
"""

from collections.abc import Sequence

from worker.domain.events import (
    CustomerSpendingUpdated,
    Event,
    PaymentCounted,
    RewardPointsEarned,
    RewardPointsRedeemed,
    RewardPointsReversed,
    SpendingRefunded,
)
from worker.domain.state import ORDER, PAYMENT, REDEMPTION, RETURN, LedgerLine


def ledger_lines(events: Sequence[Event], sequence: int) -> tuple[tuple[str, str, LedgerLine], ...]:
    """The lines (kind, id, line) to write for one input's events; none for an input that the ledger does not keep.

    sequence: the customer's event sequence after these events.
    """
    if not events:
        return ()
    first = events[0]
    if isinstance(first, CustomerSpendingUpdated):
        return (_order(first, events, sequence),)
    if isinstance(first, PaymentCounted):
        paid = LedgerLine(first.amount, first.currency, 0, first.occurred_at, "", sequence)
        return ((PAYMENT, first.payment_id, paid),)
    if isinstance(first, RewardPointsRedeemed):
        redeemed = LedgerLine(0, "", first.points, first.occurred_at, "", sequence, first.order_id)
        return ((REDEMPTION, first.redemption_id, redeemed),)
    if isinstance(first, SpendingRefunded):
        return ((ORDER, first.order_id, first.order), _return(first, events, sequence))
    return ()


def _order(
    order: CustomerSpendingUpdated, events: Sequence[Event], sequence: int
) -> tuple[str, str, LedgerLine]:
    points = 0
    if len(events) > 1:
        earned = events[1]  # the contract's order of one order's events
        if isinstance(earned, RewardPointsEarned):
            points = earned.points
    line = LedgerLine(order.amount, order.currency, points, order.occurred_at, order.rules_version, sequence)
    return (ORDER, order.order_id, line)


def _return(refund: SpendingRefunded, events: Sequence[Event], sequence: int) -> tuple[str, str, LedgerLine]:
    points = sum(event.points for event in events if isinstance(event, RewardPointsReversed))
    line = LedgerLine(
        refund.amount,
        refund.currency,
        points,
        refund.occurred_at,
        refund.order.rules_version,
        sequence,
        refund.order_id,
    )
    return (RETURN, refund.return_id, line)
