"""The ledger lines of an input: one for each that changes a customer. None is ever deleted.

A return also rewrites the line of its order, whose `returned` then includes it.
"""

from collections.abc import Sequence

from worker.domain.changes import Change, Details, FullWindow, Upgrade
from worker.domain.events import (
    STATE_ONLY,
    CustomerProfileUpdated,
    CustomerSpendingUpdated,
    CustomerStatusChanged,
    CustomerVipUpgraded,
    DeliveryAddressAdded,
    DeliveryAddressRemoved,
    Event,
    MembershipLevelUpgraded,
    NotificationPreferencesUpdated,
    PaymentCounted,
    RewardPointsAdjusted,
    RewardPointsEarned,
    RewardPointsRedeemed,
    RewardPointsRestored,
    RewardPointsReversed,
    SpendingRefunded,
    VipMovedBack,
)
from worker.domain.messages import Command
from worker.domain.state import (
    ADJUSTMENT,
    CANCELLATION,
    COMMAND,
    ORDER,
    PAYMENT,
    REDEMPTION,
    RETURN,
    Customer,
    LedgerLine,
)
from worker.domain.values import Preferences

Line = tuple[str, str, LedgerLine]
"""Kind, id and line."""

_PREFERENCES = {
    "marketing_emails": "marketingEmails",
    "language": "language",
    "currency": "currency",
    "enabled_types": "enabledTypes",
    "enabled_channels": "enabledChannels",
}


def ledger_lines(
    events: Sequence[Event], customer: Customer, command: Command | None = None
) -> tuple[Line, ...]:
    """The ledger lines to write after one input. Empty when nothing changed.

    Args:
        events: the events of one input.
        customer: the state after these events.
        command: the input, if it is a command.
    """
    if not events:
        return ()
    first = events[0]
    if isinstance(first, CustomerSpendingUpdated):
        return (_order(first, events, customer),)
    if command is not None:
        return (_of_command(first, events, customer, command),)
    if isinstance(first, PaymentCounted):
        paid = _line(customer, 0, first.occurred_at, amount=first.amount, currency=first.currency)
        return ((PAYMENT, first.payment_id, paid),)
    if isinstance(first, SpendingRefunded):
        return ((ORDER, first.order_id, first.order), _return(first, events, customer))
    raise ValueError(f"{type(first).__name__} of no command")


def _order(order: CustomerSpendingUpdated, events: Sequence[Event], customer: Customer) -> Line:
    points, details = 0, None
    for event in events[1:]:
        if isinstance(event, RewardPointsEarned):
            points = event.points
        else:
            details = _details(events)
            break
    line = LedgerLine(
        order.amount,
        order.currency,
        points,
        order.occurred_at,
        order.rules_version,
        customer.sequence,
        None,
        0,
        _change(customer, details),
    )
    return (ORDER, order.order_id, line)


def _return(refund: SpendingRefunded, events: Sequence[Event], customer: Customer) -> Line:
    points = sum(event.points for event in events if isinstance(event, RewardPointsReversed))
    line = LedgerLine(
        refund.amount,
        refund.currency,
        points,
        refund.occurred_at,
        refund.order.rules_version,
        customer.sequence,
        refund.order_id,
        0,
        _change(customer),
    )
    return (RETURN, refund.return_id, line)


def _of_command(first: Event, events: Sequence[Event], customer: Customer, command: Command) -> Line:
    details = _details(events, command)
    if isinstance(first, RewardPointsRedeemed):
        redeemed = _line(customer, first.points, first.occurred_at, first.order_id, details)
        return (REDEMPTION, first.redemption_id, redeemed)
    if isinstance(first, RewardPointsRestored):
        restored = _line(customer, first.points, first.occurred_at, first.order_id, details)
        return (CANCELLATION, first.redemption_id, restored)
    if isinstance(first, RewardPointsAdjusted):
        return (
            ADJUSTMENT,
            first.adjustment_id,
            _line(customer, first.points, first.occurred_at, None, details),
        )
    return (COMMAND, str(customer.version), _line(customer, 0, command.issued_at, None, details))


def _line(
    customer: Customer,
    points: int,
    occurred_at: int,
    order_id: str | None = None,
    details: Details | None = None,
    *,
    amount: int = 0,
    currency: str = "",
) -> LedgerLine:
    version = "" if details is None or details.upgrade is None else details.upgrade.rules_version
    change = _change(customer, details)
    return LedgerLine(amount, currency, points, occurred_at, version, customer.sequence, order_id, 0, change)


def _change(customer: Customer, details: Details | None = None) -> Change:
    return Change(
        customer.version,
        customer.updated_at,
        customer.points,
        customer.debt,
        customer.level,
        customer.vip_since is not None,
        details,
    )


def _details(events: Sequence[Event], command: Command | None = None) -> Details:
    before = after = upgrade = window = vip_since = addresses = None
    fields: tuple[str, ...] = ()
    for event in events:
        if isinstance(event, MembershipLevelUpgraded):
            upgrade = Upgrade(
                event.old_level, event.new_level, event.total_spending, event.currency, event.rules_version
            )
        elif isinstance(event, CustomerVipUpgraded):
            window = FullWindow(
                event.window_start,
                event.window_end,
                event.annual_spending,
                event.currency,
                event.rules_version,
            )
        elif isinstance(event, VipMovedBack):
            vip_since = event.vip_since
        elif isinstance(event, CustomerProfileUpdated):
            fields = event.changed_fields
        elif isinstance(event, NotificationPreferencesUpdated):
            fields = _changed(event.old_preferences, event.new_preferences)
        elif isinstance(event, CustomerStatusChanged):
            before, after = event.old_status.value, event.new_status.value
        elif isinstance(event, DeliveryAddressAdded):
            addresses = event.total_count
        elif isinstance(event, DeliveryAddressRemoved):
            addresses = event.remaining_count
    if command is None:
        return Details(upgrade=upgrade, window=window, vip_since=vip_since)
    return Details(
        command.command_id,
        type(command).__name__,
        command.actor,
        tuple(f"{type(event).__name__}Event" for event in events if not isinstance(event, STATE_ONLY)),
        fields,
        before,
        after,
        addresses,
        upgrade,
        window,
        vip_since,
    )


def _changed(old: Preferences, new: Preferences) -> tuple[str, ...]:
    """The contract's names of the preferences that differ."""
    return tuple(name for field, name in _PREFERENCES.items() if getattr(old, field) != getattr(new, field))
