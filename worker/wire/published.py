"""The published events as consumers see them: field names and types of the contract, section 4.

One Struct per event, and one function that makes it from the domain's event. Amounts become decimal strings, times and
days become text, and an absent optional value is null.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from worker.domain import events, values
from worker.domain.values import CustomerStatus, MembershipLevel, NotificationChannel, NotificationType
from worker.wire.money import format_amount
from worker.wire.times import format_day, format_time


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
    registered_at: str


class CustomerProfileUpdatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The profile as it is now; changedFields: of name, email, phone."""

    customer_id: str
    new_name: str
    new_email: str
    new_phone: str | None
    changed_fields: tuple[str, ...]


class CustomerStatusChangedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The customer's status changed."""

    customer_id: str
    old_status: CustomerStatus
    new_status: CustomerStatus
    reason: str


class MembershipLevelUpgradedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """The level rose, by one or more steps."""

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
    window_start: str
    window_end: str
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
    """pointsEarned: gross; totalPoints: the balance after; debt: points still owed."""

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


class CustomerSpendingUpdatedEvent(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Totals in the order's currency, after the order. spendingType: PURCHASE."""

    customer_id: str
    spending_amount: Money
    total_spending: Money
    annual_spending: Money
    order_id: str
    spending_type: str


def _money(minor: int, currency: str) -> Money:
    return Money(format_amount(minor, currency), currency)


def _address(address: values.Address) -> Address:
    return Address(address.street, address.city, address.zip_code, address.country)


def _preferences(preferences: values.Preferences) -> Preferences:
    return Preferences(
        preferences.marketing_emails,
        preferences.language,
        preferences.currency,
        preferences.enabled_types,
        preferences.enabled_channels,
    )


def _created(customer_id: str, event: events.CustomerCreated) -> CustomerCreatedEvent:
    return CustomerCreatedEvent(
        customer_id,
        event.name,
        event.email,
        event.phone,
        event.level,
        event.status,
        _preferences(event.preferences),
        format_time(event.registered_at),
    )


def _profile(customer_id: str, event: events.CustomerProfileUpdated) -> CustomerProfileUpdatedEvent:
    return CustomerProfileUpdatedEvent(
        customer_id, event.name, event.email, event.phone, event.changed_fields
    )


def _status(customer_id: str, event: events.CustomerStatusChanged) -> CustomerStatusChangedEvent:
    return CustomerStatusChangedEvent(customer_id, event.old_status, event.new_status, event.reason)


def _level(customer_id: str, event: events.MembershipLevelUpgraded) -> MembershipLevelUpgradedEvent:
    total = _money(event.total_spending, event.currency)
    return MembershipLevelUpgradedEvent(
        customer_id, event.old_level, event.new_level, total, event.rules_version
    )


def _vip(customer_id: str, event: events.CustomerVipUpgraded) -> CustomerVipUpgradedEvent:
    return CustomerVipUpgradedEvent(
        customer_id,
        event.level,
        _money(event.annual_spending, event.currency),
        format_day(event.window_start),
        format_day(event.window_end),
        event.rules_version,
    )


def _address_added(customer_id: str, event: events.DeliveryAddressAdded) -> DeliveryAddressAddedEvent:
    added = event.delivery_address
    return DeliveryAddressAddedEvent(
        customer_id, added.id, _address(added.address), added.label, added.is_default, event.total_count
    )


def _address_removed(customer_id: str, event: events.DeliveryAddressRemoved) -> DeliveryAddressRemovedEvent:
    return DeliveryAddressRemovedEvent(
        customer_id,
        event.address_id,
        _address(event.removed_address),
        event.remaining_count,
        event.new_default_address_id,
    )


def _preferences_updated(
    customer_id: str, event: events.NotificationPreferencesUpdated
) -> NotificationPreferencesUpdatedEvent:
    return NotificationPreferencesUpdatedEvent(
        customer_id, _preferences(event.old_preferences), _preferences(event.new_preferences)
    )


def _earned(customer_id: str, event: events.RewardPointsEarned) -> RewardPointsEarnedEvent:
    return RewardPointsEarnedEvent(
        customer_id,
        event.points,
        event.total_points,
        event.debt,
        event.reason,
        event.order_id,
        _money(event.eligible_amount, event.currency),
        event.rules_version,
    )


def _redeemed(customer_id: str, event: events.RewardPointsRedeemed) -> RewardPointsRedeemedEvent:
    return RewardPointsRedeemedEvent(
        customer_id,
        event.points,
        event.remaining_points,
        event.reason,
        event.redemption_id,
        event.order_id,
    )


def _spending(customer_id: str, event: events.CustomerSpendingUpdated) -> CustomerSpendingUpdatedEvent:
    currency = event.currency
    return CustomerSpendingUpdatedEvent(
        customer_id,
        _money(event.amount, currency),
        _money(event.total_spending, currency),
        _money(event.annual_spending, currency),
        event.order_id,
        event.spending_type,
    )


# The domain's event → (its published name, what makes its data).
PUBLISHED: dict[type[events.Event], tuple[str, Callable[[str, Any], msgspec.Struct]]] = {
    events.CustomerCreated: ("CustomerCreatedEvent", _created),
    events.CustomerProfileUpdated: ("CustomerProfileUpdatedEvent", _profile),
    events.CustomerStatusChanged: ("CustomerStatusChangedEvent", _status),
    events.MembershipLevelUpgraded: ("MembershipLevelUpgradedEvent", _level),
    events.CustomerVipUpgraded: ("CustomerVipUpgradedEvent", _vip),
    events.DeliveryAddressAdded: ("DeliveryAddressAddedEvent", _address_added),
    events.DeliveryAddressRemoved: ("DeliveryAddressRemovedEvent", _address_removed),
    events.NotificationPreferencesUpdated: ("NotificationPreferencesUpdatedEvent", _preferences_updated),
    events.RewardPointsEarned: ("RewardPointsEarnedEvent", _earned),
    events.RewardPointsRedeemed: ("RewardPointsRedeemedEvent", _redeemed),
    events.CustomerSpendingUpdated: ("CustomerSpendingUpdatedEvent", _spending),
}

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
        CustomerSpendingUpdatedEvent,
    )
}
