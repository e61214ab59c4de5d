"""What the domain consumes: commands (imperative) and the events of other contexts (past tense).

All are valid when they arrive here: worker.wire has trimmed, normalised and checked every field.
"""

import msgspec

from worker.domain.values import Address, CustomerStatus, MembershipLevel, PaymentMethodType, PreferencesPatch


class OrderCompleted(msgspec.Struct, frozen=True, gc=False):
    """An order of the Order Context. amount: minor units of currency, >= 0; occurred_at: ms since 1970 UTC."""

    event_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class PaymentCompleted(msgspec.Struct, frozen=True, gc=False):
    """A payment of an order. amount: minor units of currency, >= 0; occurred_at: ms since 1970 UTC.

    customer_id: the payment's own, or that of its order; empty until the order is found.
    """

    event_id: str
    payment_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class OrderReturned(msgspec.Struct, frozen=True, gc=False):
    """A return of some or all of an order.

    amount: the refunded part of the order, minor units of currency, >= 0; occurred_at: ms since 1970 UTC.
    """

    event_id: str
    return_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """The fields of every command.

    issued_at: ms since 1970 UTC. expected_version: None when the command may meet any version. actor: who gave the
    command, None if nobody is named.
    """

    command_id: str
    customer_id: str
    issued_at: int
    correlation_id: str | None = None
    expected_version: int | None = None
    actor: str | None = None


class RegisterCustomer(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Creates the customer. email: normalised; birth_date: YYYY-MM-DD."""

    name: str
    email: str
    phone: str | None = None
    birth_date: str | None = None
    address: Address | None = None
    preferences: PreferencesPatch | None = None


class UpdateProfile(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Replaces name, email and phone; phone None removes the phone."""

    name: str
    email: str
    phone: str | None = None


class ChangeStatus(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Moves the customer to another status, if the contract allows that transition."""

    new_status: CustomerStatus
    reason: str


class AddDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Adds an address. is_default: whether it replaces the default; the first address always is the default."""

    address: Address
    label: str | None = None
    is_default: bool = False


class RemoveDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Removes an address. address_id: as DeliveryAddressAdded told it."""

    address_id: str


class SetDefaultDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Makes a known address the default. address_id: as DeliveryAddressAdded told it."""

    address_id: str


class UpdatePreferences(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Changes the preferences that the patch names, and leaves the others."""

    preferences: PreferencesPatch


class AddPaymentMethod(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Adds a payment method. last4: the last four digits, never the full number; expiry: YYYY-MM."""

    method_type: PaymentMethodType
    last4: str
    provider: str | None = None
    expiry: str | None = None


class RemovePaymentMethod(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Removes a payment method. payment_method_id: the UUIDv5 of the command that added it."""

    payment_method_id: str


class RedeemPoints(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Spends reward points. redemption_id: counts once, for ever; order_id: the order that they pay for, if any."""

    points: int
    reason: str
    redemption_id: str
    order_id: str | None = None


class CancelRedemption(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Gives back all points of a redemption. redemption_id: as RedeemPoints named it; cancelled once, for ever."""

    redemption_id: str
    reason: str


class AdjustPoints(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Corrects the points by hand. points: to add, or negative to take away; adjustment_id: counts once, for ever."""

    points: int
    reason: str
    adjustment_id: str


class UpgradeMembership(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Raises the level by hand; a lower level is rejected."""

    new_level: MembershipLevel
    reason: str


class EraseCustomer(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Removes the customer's personal data for ever, whatever the status is."""

    reason: str


AnyCommand = (
    RegisterCustomer
    | UpdateProfile
    | ChangeStatus
    | AddDeliveryAddress
    | RemoveDeliveryAddress
    | SetDefaultDeliveryAddress
    | UpdatePreferences
    | AddPaymentMethod
    | RemovePaymentMethod
    | RedeemPoints
    | CancelRedemption
    | AdjustPoints
    | UpgradeMembership
    | EraseCustomer
)
