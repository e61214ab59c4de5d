"""Applies events to the aggregate. It decides nothing: every figure that needs a rule is in the event.

The customer changes in place, because its partition loop is the only owner.
A caller that needs the former state copies it first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from worker.domain.events import (
    STATE_ONLY,
    Converted,
    CustomerCreated,
    CustomerErased,
    CustomerProfileUpdated,
    CustomerSpendingUpdated,
    CustomerStatusChanged,
    CustomerVipUpgraded,
    DefaultDeliveryAddressSet,
    DeliveryAddressAdded,
    DeliveryAddressRemoved,
    Event,
    MembershipLevelUpgraded,
    NotificationPreferencesUpdated,
    PaymentCounted,
    PaymentMethodAdded,
    PaymentMethodRemoved,
    RewardPointsAdjusted,
    RewardPointsEarned,
    RewardPointsRedeemed,
    RewardPointsRestored,
    RewardPointsReversed,
    SpendingRefunded,
    VipMovedBack,
)
from worker.domain.spending import ANNUAL_DAYS, DAY_MS, annual_at
from worker.domain.state import Customer, Spending
from worker.domain.values import Preferences

_UNPUBLISHED = frozenset(STATE_ONLY)


def apply(customer: Customer | None, events: Sequence[Event], at: int) -> Customer:
    """Apply all events of one input, and raise the customer's version and sequence.

    Args:
        customer: changed in place; None while it is not registered.
        events: may be empty; then nothing changes.
        at: the new `updated_at`, ms since 1970 UTC.

    Returns:
        The same customer, or the one that CustomerCreated creates.

    Raises:
        ValueError: the customer is unknown and no event creates it, or a CustomerCreated meets one that exists.
    """
    published = 0
    for event in events:
        if customer is None:
            customer = evolve(None, event)
        else:
            _CHANGES[type(event)](customer, event)
        if type(event) not in _UNPUBLISHED:
            published += 1
    if customer is None:
        raise ValueError("no events, and no customer to return")
    if events:
        customer.version += 1
        customer.sequence += published
        customer.updated_at = at
    return customer


def evolve(customer: Customer | None, event: Event) -> Customer:
    """Apply one event in place, and return the customer.

    Raises:
        ValueError: CustomerCreated is not the first event, or another event is.
    """
    if customer is None:
        if not isinstance(event, CustomerCreated):
            raise ValueError(f"{type(event).__name__} before CustomerCreated")
        return _created(event)
    _CHANGES[type(event)](customer, event)
    return customer


def _created(event: CustomerCreated) -> Customer:
    return Customer(
        id=event.customer_id,
        name=event.name,
        email=event.email,
        phone=event.phone,
        birth_date=event.birth_date,
        status=event.status,
        level=event.level,
        preferences=event.preferences,
        created_at=event.registered_at,
        tracked=True,
    )


def _created_again(customer: Customer, event: CustomerCreated) -> None:
    raise ValueError(f"customer {customer.id} exists already")


def _profile_updated(customer: Customer, event: CustomerProfileUpdated) -> None:
    customer.name = event.name
    customer.email = event.email
    customer.phone = event.phone


def _status_changed(customer: Customer, event: CustomerStatusChanged) -> None:
    customer.status = event.new_status


def _preferences_updated(customer: Customer, event: NotificationPreferencesUpdated) -> None:
    customer.preferences = event.new_preferences


def _address_added(customer: Customer, event: DeliveryAddressAdded) -> None:
    customer.addresses = (*customer.addresses, event.delivery_address)
    if event.delivery_address.is_default:
        _make_default(customer, event.delivery_address.id)


def _address_removed(customer: Customer, event: DeliveryAddressRemoved) -> None:
    customer.addresses = tuple(address for address in customer.addresses if address.id != event.address_id)
    if event.new_default_address_id is not None:
        _make_default(customer, event.new_default_address_id)


def _default_address_set(customer: Customer, event: DefaultDeliveryAddressSet) -> None:
    _make_default(customer, event.address_id)


def _make_default(customer: Customer, address_id: str) -> None:
    customer.addresses = tuple(
        msgspec.structs.replace(address, is_default=address.id == address_id)
        for address in customer.addresses
    )


def _payment_method_added(customer: Customer, event: PaymentMethodAdded) -> None:
    customer.payment_methods = (*customer.payment_methods, event.method)


def _payment_method_removed(customer: Customer, event: PaymentMethodRemoved) -> None:
    customer.payment_methods = tuple(
        method for method in customer.payment_methods if method.id != event.payment_method_id
    )


def _spending_updated(customer: Customer, event: CustomerSpendingUpdated) -> None:
    day = event.occurred_at // DAY_MS
    last = customer.last_order_at
    if last is None or event.occurred_at > last:
        _latest_order(customer, event)
        last_day = day
    else:
        last_day = last // DAY_MS
    if event.filled is not None:
        customer.filled = event.filled
    spending = customer.spending.get(event.currency)
    if spending is None:
        spending = customer.spending[event.currency] = Spending()
    customer.order_count += 1
    spending.total = event.total_spending + event.returned_total
    spending.annual = event.annual_spending + event.returned_annual
    if event.recent:
        spending.days.add(day, event.amount)
    end_year(spending, last_day)
    if event.converted is not None:
        _converted(customer, event.converted, day, last_day, recent=event.recent)


def _converted(customer: Customer, converted: Converted, day: int, last_day: int, *, recent: bool) -> None:
    """Add the order's converted amount. recent: whether the customer's row still keeps the order's day."""
    spending = customer.converted.setdefault(converted.currency, Spending())
    spending.total = converted.total
    spending.annual = converted.annual
    if recent:
        spending.days.add(day, converted.amount)
    end_year(spending, last_day)


def end_year(spending: Spending, day: int) -> None:
    """Let the year of `annual` end on this day. The days that leave it next are then read without the later ones."""
    if day != spending.annual_day or spending.days.mark_at < 0:
        spending.annual_day = day
        spending.days.mark(day - ANNUAL_DAYS + 1)


def _latest_order(customer: Customer, event: CustomerSpendingUpdated) -> None:
    """Move the year of each other currency and of the converted amounts, so that it ends on this order's day."""
    customer.last_order_at = event.occurred_at
    if not event.new_day:
        return
    day = event.occurred_at // DAY_MS
    for other, spending in customer.spending.items():
        if other != event.currency:
            spending.annual = annual_at(spending, day)
            end_year(spending, day)
        _drop_returned(spending, day)
    for spending in customer.converted.values():
        spending.annual = annual_at(spending, day)
        end_year(spending, day)
        _drop_returned(spending, day)


def _drop_returned(spending: Spending, last_day: int) -> None:
    """Forget returns of orders before the year that ends on last_day."""
    if spending.returned_days:
        start = last_day - ANNUAL_DAYS + 1
        spending.returned_days = {
            day: amount for day, amount in spending.returned_days.items() if day >= start
        }


def _spending_refunded(customer: Customer, event: SpendingRefunded) -> None:
    day = event.order.occurred_at // DAY_MS
    _take_back(customer.spending[event.currency], day, event.amount)
    if event.converted is not None:
        _take_back(customer.converted[event.converted.currency], day, event.converted.minor)


def _take_back(spending: Spending, day: int, amount: int) -> None:
    """Add a returned amount. day: the day of the order, not that of the return."""
    spending.returned += amount
    if day > spending.annual_day - ANNUAL_DAYS:
        spending.returned_days[day] = spending.returned_days.get(day, 0) + amount


def _points_earned(customer: Customer, event: RewardPointsEarned) -> None:
    customer.points = event.total_points
    customer.debt = event.debt
    customer.lifetime_earned += event.points


def _points_redeemed(customer: Customer, event: RewardPointsRedeemed) -> None:
    customer.points = event.remaining_points
    customer.lifetime_redeemed += event.points


def _points_reversed(customer: Customer, event: RewardPointsReversed) -> None:
    customer.points = event.total_points
    customer.debt = event.debt
    customer.lifetime_reversed += event.points


def _points_restored(customer: Customer, event: RewardPointsRestored) -> None:
    customer.points = event.total_points
    customer.debt = event.debt
    customer.lifetime_restored += event.points


def _points_adjusted(customer: Customer, event: RewardPointsAdjusted) -> None:
    customer.points = event.total_points
    customer.debt = event.debt
    customer.lifetime_adjusted += event.points


def _level_upgraded(customer: Customer, event: MembershipLevelUpgraded) -> None:
    customer.level = event.new_level


def _vip_since(customer: Customer, event: CustomerVipUpgraded | VipMovedBack) -> None:
    customer.vip_since = event.vip_since


def _erased(customer: Customer, event: CustomerErased) -> None:
    customer.erased = True
    customer.name = customer.email = ""
    customer.phone = customer.birth_date = None
    customer.addresses = customer.payment_methods = ()
    customer.preferences = Preferences()


def _payment_counted(customer: Customer, event: PaymentCounted) -> None:
    customer.payment_count += 1
    customer.paid[event.currency] = customer.paid.get(event.currency, 0) + event.amount
    customer.last_payment_at = max(event.occurred_at, customer.last_payment_at or event.occurred_at)


_CHANGES: dict[type[Event], Callable[[Customer, Any], None]] = {
    CustomerCreated: _created_again,
    CustomerProfileUpdated: _profile_updated,
    CustomerStatusChanged: _status_changed,
    NotificationPreferencesUpdated: _preferences_updated,
    DeliveryAddressAdded: _address_added,
    DeliveryAddressRemoved: _address_removed,
    DefaultDeliveryAddressSet: _default_address_set,
    PaymentMethodAdded: _payment_method_added,
    PaymentMethodRemoved: _payment_method_removed,
    CustomerSpendingUpdated: _spending_updated,
    RewardPointsEarned: _points_earned,
    RewardPointsRedeemed: _points_redeemed,
    SpendingRefunded: _spending_refunded,
    RewardPointsReversed: _points_reversed,
    RewardPointsRestored: _points_restored,
    RewardPointsAdjusted: _points_adjusted,
    MembershipLevelUpgraded: _level_upgraded,
    CustomerVipUpgraded: _vip_since,
    VipMovedBack: _vip_since,
    CustomerErased: _erased,
    PaymentCounted: _payment_counted,
}
