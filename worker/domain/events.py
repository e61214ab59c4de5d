"""What happened to a customer. Published ones carry the contract's name; state-only ones are never published.

Every event is a fact that evolve applies without deciding anything again. Fields that evolve needs and the contract
does not publish are marked. Amounts are minor units of `currency`, times ms since 1970 UTC, days since 1970 UTC.
"""

import msgspec

from worker.domain.state import LedgerLine
from worker.domain.values import (
    Address,
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    Money,
    PaymentMethod,
    Preferences,
)


class Event(msgspec.Struct, frozen=True):
    """Base of all events; STATE_ONLY lists those that consumers do not see."""


class CustomerCreated(Event, frozen=True):
    name: str
    email: str
    phone: str | None
    birth_date: str | None  # not published
    level: MembershipLevel
    status: CustomerStatus
    preferences: Preferences
    registered_at: int
    customer_id: str = ""  # published beside the data of every event, but evolve needs it here


class CustomerProfileUpdated(Event, frozen=True):
    """changed_fields: of "name", "email", "phone", in that order."""

    name: str
    email: str
    phone: str | None
    changed_fields: tuple[str, ...]


class CustomerStatusChanged(Event, frozen=True):
    old_status: CustomerStatus
    new_status: CustomerStatus
    reason: str


class MembershipLevelUpgraded(Event, frozen=True):
    """total_spending: lifetime spending in the rules' currency, with what was converted into it."""

    old_level: MembershipLevel
    new_level: MembershipLevel
    total_spending: int
    currency: str
    rules_version: str


class CustomerVipUpgraded(Event, frozen=True):
    """annual_spending: of the full window; window_start, window_end: days since 1970, both included."""

    level: MembershipLevel
    annual_spending: int
    currency: str
    window_start: int
    window_end: int
    vip_since: int  # not published
    rules_version: str


class VipMovedBack(Event, frozen=True):
    """State only: a late order filled an earlier window."""

    vip_since: int


class DeliveryAddressAdded(Event, frozen=True):
    """The address in its final form (id, label, is_default); total_count includes it."""

    delivery_address: DeliveryAddress
    total_count: int


class DeliveryAddressRemoved(Event, frozen=True):
    address_id: str
    removed_address: Address
    remaining_count: int
    new_default_address_id: str | None


class DefaultDeliveryAddressSet(Event, frozen=True):
    """State only."""

    address_id: str


class NotificationPreferencesUpdated(Event, frozen=True):
    old_preferences: Preferences
    new_preferences: Preferences


class PaymentMethodAdded(Event, frozen=True):
    """State only."""

    method: PaymentMethod


class PaymentMethodRemoved(Event, frozen=True):
    """State only."""

    payment_method_id: str


class RewardPointsEarned(Event, frozen=True):
    """points: gross; total_points: the balance after; eligible_amount: what earned, in the rules' currency."""

    points: int
    total_points: int
    debt: int
    reason: str
    order_id: str
    eligible_amount: int
    currency: str
    rules_version: str


class RewardPointsRedeemed(Event, frozen=True):
    points: int
    remaining_points: int
    reason: str
    redemption_id: str
    order_id: str | None
    occurred_at: int = 0  # not published: when the command was issued


class RewardPointsReversed(Event, frozen=True):
    """points: what the order no longer earns; total_points: the balance after; debt: what it could not give back."""

    points: int
    total_points: int
    debt: int
    order_id: str
    return_id: str


class Converted(msgspec.Struct, frozen=True):
    """What an order in a currency with a rate counts as, in the rules' currency of its day.

    total, annual: of all that was converted into that currency, after the order.
    """

    amount: int
    currency: str
    total: int
    annual: int


class CustomerSpendingUpdated(Event, frozen=True):
    """Totals in the order's currency, after the order and without what was returned. spending_type: PURCHASE."""

    amount: int
    currency: str
    total_spending: int
    annual_spending: int
    order_id: str
    spending_type: str
    occurred_at: int  # not published
    rules_version: str = ""  # not published: of the set in force on the order's day
    returned_total: int = 0  # not published: what was returned of all that the total adds up
    returned_annual: int = 0  # not published
    converted: Converted | None = (
        None  # not published: None in the rules' currency, and where there is no rate
    )


class SpendingRefunded(Event, frozen=True):
    """Some of an order was returned; published as spending, too. amount: of this return; totals as above, after it."""

    amount: int
    currency: str
    total_spending: int
    annual_spending: int
    order_id: str
    return_id: str  # not published
    occurred_at: int  # not published
    order: LedgerLine  # not published: the order's line, with this return
    converted: Money | None = (
        None  # not published: by how much less it counts, in the rules' currency of its day
    )


class CustomerErased(Event, frozen=True):
    """Who the customer was is forgotten; what they spent and earned stays."""

    reason: str


class PaymentCounted(Event, frozen=True):
    """State only."""

    payment_id: str
    amount: int
    currency: str
    occurred_at: int


STATE_ONLY: tuple[type[Event], ...] = (
    VipMovedBack,
    DefaultDeliveryAddressSet,
    PaymentMethodAdded,
    PaymentMethodRemoved,
    PaymentCounted,
)
