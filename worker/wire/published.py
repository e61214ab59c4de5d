"""The published events as consumers see them: field names and types of the contract, section 4.

One Struct per event. Amounts are decimal strings, times and days are text, and an absent optional value is null.
"""

from typing import Annotated

import msgspec

from worker.domain.values import CustomerStatus, MembershipLevel, NotificationChannel, NotificationType

Timestamp = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Day = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
ProfileField = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["name", "email", "phone"]})]
SpendingType = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["PURCHASE", "REFUND"]})]


class Money(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """amount: a decimal string with exactly the currency's digits, negative for a refund; currency: ISO 4217."""

    amount: str
    currency: str


class Address(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """country: ISO 3166-1 alpha-2."""

    street: str
    city: str
    zip_code: str
    country: str


class Preferences(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """language: BCP 47; currency: ISO 4217."""

    marketing_emails: bool
    language: str
    currency: str
    enabled_types: tuple[NotificationType, ...]
    enabled_channels: tuple[NotificationChannel, ...]


class CustomerCreatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A customer registered."""

    customer_id: str
    customer_name: str
    email: str
    phone: str | None
    membership_level: MembershipLevel
    status: CustomerStatus
    preferences: Preferences
    registered_at: Timestamp


class CustomerProfileUpdatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The profile as it is now; changedFields: of name, email, phone."""

    customer_id: str
    new_name: str
    new_email: str
    new_phone: str | None
    changed_fields: tuple[ProfileField, ...]


class CustomerStatusChangedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The customer's status changed."""

    customer_id: str
    old_status: CustomerStatus
    new_status: CustomerStatus
    reason: str


class MembershipLevelUpgradedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The level rose, by one or more steps. totalSpending: all that counts, in the rules' currency."""

    customer_id: str
    old_level: MembershipLevel
    new_level: MembershipLevel
    total_spending: Money
    rules_version: str


class CustomerVipUpgradedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The customer became a VIP. windowStart, windowEnd: dates, both included."""

    customer_id: str
    membership_level: MembershipLevel
    annual_spending: Money
    window_start: Day
    window_end: Day
    rules_version: str


class DeliveryAddressAddedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """totalAddressCount includes the new one."""

    customer_id: str
    address_id: str
    address: Address
    label: str | None
    is_default: bool
    total_address_count: int


class DeliveryAddressRemovedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """newDefaultAddressId: null when the default stayed or none is left."""

    customer_id: str
    address_id: str
    removed_address: Address
    remaining_address_count: int
    new_default_address_id: str | None


class NotificationPreferencesUpdatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """All preferences, before and after."""

    customer_id: str
    old_preferences: Preferences
    new_preferences: Preferences


class RewardPointsEarnedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """pointsEarned: gross; totalPoints: the balance after; debt: still owed; eligibleAmount: in the rules' currency."""

    customer_id: str
    points_earned: int
    total_points: int
    debt: int
    reason: str
    order_id: str
    eligible_amount: Money
    rules_version: str


class RewardPointsRedeemedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """remainingPoints: the balance after."""

    customer_id: str
    points_redeemed: int
    remaining_points: int
    reason: str
    redemption_id: str
    order_id: str | None


class RewardPointsReversedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """pointsReversed: what the order no longer earns; totalPoints: the balance after; debt: points still owed."""

    customer_id: str
    points_reversed: int
    total_points: int
    debt: int
    order_id: str
    return_id: str


class RewardPointsAdjustedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """points: added by hand, negative when taken away; totalPoints: the balance after; debt: points still owed."""

    customer_id: str
    points: int
    total_points: int
    debt: int
    reason: str
    adjustment_id: str


class RewardPointsRestoredEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """pointsRestored: all points of the cancelled redemption; totalPoints: the balance after; debt: still owed."""

    customer_id: str
    points_restored: int
    total_points: int
    debt: int
    reason: str
    redemption_id: str


class CustomerSpendingUpdatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Totals in the order's currency, net, after the order or return. spendingType: PURCHASE, or REFUND (negative)."""

    customer_id: str
    spending_amount: Money
    total_spending: Money
    annual_spending: Money
    order_id: str
    spending_type: SpendingType


class CustomerErasedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The customer's personal data is erased, for ever. Consumers have to erase their copies, too."""

    customer_id: str
    reason: str


DATA_TYPES: dict[str, type[msgspec.Struct]] = {
    kind.__name__: kind
    for kind in (
        CustomerCreatedEvent,
        CustomerProfileUpdatedEvent,
        CustomerStatusChangedEvent,
        MembershipLevelUpgradedEvent,
        CustomerVipUpgradedEvent,
        DeliveryAddressAddedEvent,
        DeliveryAddressRemovedEvent,
        NotificationPreferencesUpdatedEvent,
        RewardPointsEarnedEvent,
        RewardPointsRedeemedEvent,
        RewardPointsReversedEvent,
        CustomerSpendingUpdatedEvent,
        RewardPointsAdjustedEvent,
        RewardPointsRestoredEvent,
        CustomerErasedEvent,
    )
}
