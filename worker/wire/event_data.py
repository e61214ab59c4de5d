"""Conversion of the domain's events into published data: one function per event, and a table of the functions."""

from collections.abc import Callable
from typing import Any

import msgspec

from worker.domain import events, values
from worker.wire.money import format_amount
from worker.wire.published import (
    Address,
    CustomerCreatedEvent,
    CustomerErasedEvent,
    CustomerProfileUpdatedEvent,
    CustomerSpendingUpdatedEvent,
    CustomerStatusChangedEvent,
    CustomerVipUpgradedEvent,
    DeliveryAddressAddedEvent,
    DeliveryAddressRemovedEvent,
    MembershipLevelUpgradedEvent,
    Money,
    NotificationPreferencesUpdatedEvent,
    Preferences,
    RewardPointsAdjustedEvent,
    RewardPointsEarnedEvent,
    RewardPointsRedeemedEvent,
    RewardPointsRestoredEvent,
    RewardPointsReversedEvent,
)
from worker.wire.times import format_day, format_time


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


def _reversed(customer_id: str, event: events.RewardPointsReversed) -> RewardPointsReversedEvent:
    return RewardPointsReversedEvent(
        customer_id, event.points, event.total_points, event.debt, event.order_id, event.return_id
    )


def _restored(customer_id: str, event: events.RewardPointsRestored) -> RewardPointsRestoredEvent:
    return RewardPointsRestoredEvent(
        customer_id, event.points, event.total_points, event.debt, event.reason, event.redemption_id
    )


def _adjusted(customer_id: str, event: events.RewardPointsAdjusted) -> RewardPointsAdjustedEvent:
    return RewardPointsAdjustedEvent(
        customer_id, event.points, event.total_points, event.debt, event.reason, event.adjustment_id
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


def _refunded(customer_id: str, event: events.SpendingRefunded) -> CustomerSpendingUpdatedEvent:
    currency = event.currency
    return CustomerSpendingUpdatedEvent(
        customer_id,
        _money(-event.amount, currency),
        _money(event.total_spending, currency),
        _money(event.annual_spending, currency),
        event.order_id,
        "REFUND",
    )


def _erased(customer_id: str, event: events.CustomerErased) -> CustomerErasedEvent:
    return CustomerErasedEvent(customer_id, event.reason)


# The domain's event → (its published name, the function that builds its data).
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
    events.RewardPointsReversed: ("RewardPointsReversedEvent", _reversed),
    events.RewardPointsRestored: ("RewardPointsRestoredEvent", _restored),
    events.RewardPointsAdjusted: ("RewardPointsAdjustedEvent", _adjusted),
    events.SpendingRefunded: ("CustomerSpendingUpdatedEvent", _refunded),
    events.CustomerSpendingUpdated: ("CustomerSpendingUpdatedEvent", _spending),
    events.CustomerErased: ("CustomerErasedEvent", _erased),
}
