"""What happened to a customer. Published events carry the contract's name; state-only events are never published.

Every event is a fact that evolve applies without deciding anything again.
Fields that evolve needs and the contract does not publish are marked "not published".
Amounts are minor units of `currency`, times are ms since 1970 UTC, days are days since 1970 UTC.
"""

import msgspec

from worker.domain.state import Filled, LedgerLine
from worker.domain.values import (
    Address,
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    Money,
    PaymentMethod,
    Preferences,
)


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events; STATE_ONLY lists those that consumers do not see."""


class CustomerCreated(Event, frozen=True):
    """The first event of every customer. birth_date: YYYY-MM-DD."""

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
    """The profile after the change. changed_fields: those of "name", "email", "phone" that differ, in that order."""

    name: str
    email: str
    phone: str | None
    changed_fields: tuple[str, ...]


class CustomerStatusChanged(Event, frozen=True):
    """The status moved along a transition that the contract allows. reason: the text of the command."""

    old_status: CustomerStatus
    new_status: CustomerStatus
    reason: str


class MembershipLevelUpgraded(Event, frozen=True):
    """The level rose. total_spending: lifetime spending in the rules' currency, converted amounts included."""

    old_level: MembershipLevel
    new_level: MembershipLevel
    total_spending: int
    currency: str
    rules_version: str


class CustomerVipUpgraded(Event, frozen=True):
    """The customer became VIP. annual_spending: all of the full window; window_start and window_end are part of it."""

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
    """An address was removed. new_default_address_id: None when the default stayed or no address is left."""

    address_id: str
    removed_address: Address
    remaining_count: int
    new_default_address_id: str | None


class DefaultDeliveryAddressSet(Event, frozen=True):
    """State only: another address became the default."""

    address_id: str


class NotificationPreferencesUpdated(Event, frozen=True):
    """All preferences before and after the change, whichever of them changed."""

    old_preferences: Preferences
    new_preferences: Preferences


class PaymentMethodAdded(Event, frozen=True):
    """State only: the customer has one more payment method."""

    method: PaymentMethod


class PaymentMethodRemoved(Event, frozen=True):
    """State only: the customer has one payment method fewer."""

    payment_method_id: str


class RewardPointsEarned(Event, frozen=True):
    """Points of one order.

    Attributes:
        points: earned, before any debt is paid with them.
        total_points: the balance afterwards.
        debt: the points still owed afterwards.
        eligible_amount: the amount that earned the points, in the rules' currency.
    """

    points: int
    total_points: int
    debt: int
    reason: str
    order_id: str
    eligible_amount: int
    currency: str
    rules_version: str


class RewardPointsRedeemed(Event, frozen=True):
    """The customer spent points. remaining_points: the balance afterwards."""

    points: int
    remaining_points: int
    reason: str
    redemption_id: str
    order_id: str | None
    occurred_at: int = 0  # not published: when the command was issued


class RewardPointsReversed(Event, frozen=True):
    """A return took points back.

    Attributes:
        points: the points that the order no longer earns.
        total_points: the balance afterwards.
        debt: the points still owed afterwards, because the balance did not cover them.
    """

    points: int
    total_points: int
    debt: int
    order_id: str
    return_id: str


class RewardPointsRestored(Event, frozen=True):
    """A redemption was cancelled, and its points came back.

    Attributes:
        points: all points of the redemption, before any debt is paid with them.
        total_points: the balance afterwards.
        debt: the points still owed afterwards.
    """

    points: int
    total_points: int
    debt: int
    reason: str
    redemption_id: str
    order_id: str | None  # not published: the redemption's
    occurred_at: int  # not published: when the command was issued


class RewardPointsAdjusted(Event, frozen=True):
    """The points were corrected by hand.

    Attributes:
        points: added, before any debt is paid with them; negative when they were taken away.
        total_points: the balance afterwards.
        debt: the points still owed afterwards.
    """

    points: int
    total_points: int
    debt: int
    reason: str
    adjustment_id: str
    occurred_at: int  # not published: when the command was issued


class Converted(msgspec.Struct, frozen=True, gc=False):
    """The amount that an order in another currency counts as, in the currency of its day's rules.

    total, annual: sums of all amounts converted into that currency, this order included.
    """

    amount: int
    currency: str
    total: int
    annual: int


class CustomerSpendingUpdated(Event, frozen=True):
    """An order counted. Totals are in its currency, include it and exclude returned amounts.

    spending_type: PURCHASE.
    """

    amount: int
    currency: str
    total_spending: int
    annual_spending: int
    order_id: str
    spending_type: str
    occurred_at: int  # not published
    rules_version: str = ""  # not published: the version of the set in force on the order's day
    returned_total: int = 0  # not published: the returned part of the gross total
    returned_annual: int = 0  # not published: the returned part of the gross annual sum
    converted: Converted | None = (
        None  # not published: None when the order is in the rules' currency, or has no rate
    )
    new_day: bool = False  # not published: whether the order's day is later than that of every order before
    recent: bool = True  # not published: whether the customer's row still holds this day
    filled: Filled | None = None  # not published: None when Customer.filled does not change


class SpendingRefunded(Event, frozen=True):
    """Some of an order was returned. It is published as a CustomerSpendingUpdatedEvent with a negative amount.

    amount: of this return, positive. The totals are in the order's currency and exclude this return, too.
    """

    amount: int
    currency: str
    total_spending: int
    annual_spending: int
    order_id: str
    return_id: str  # not published
    occurred_at: int  # not published
    order: LedgerLine  # not published: the order's line, with this return
    converted: Money | None = (
        None  # not published: how much less the order counts, in the currency of its day's rules
    )


class CustomerErased(Event, frozen=True):
    """The customer's personal data is removed; spending, points and level stay."""

    reason: str


class PaymentCounted(Event, frozen=True):
    """State only: a payment was added to the statistics."""

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
