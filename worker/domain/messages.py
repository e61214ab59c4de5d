"""What the domain consumes: commands (imperative) and the events of other contexts (past tense).

All are valid when they arrive here: worker.wire has trimmed, normalised and checked every field.
"""

import msgspec

from worker.domain.values import Address, CustomerStatus, MembershipLevel, PaymentMethodType, PreferencesPatch


class OrderCompleted(msgspec.Struct, frozen=True):
    """amount: minor units of currency, >= 0; occurred_at: ms since 1970 UTC."""

    event_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class PaymentCompleted(msgspec.Struct, frozen=True):
    """amount: minor units of currency, >= 0; occurred_at: ms since 1970 UTC.

    customer_id: its own, or that of its order; empty until that order is found.
    """

    event_id: str
    payment_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class OrderReturned(msgspec.Struct, frozen=True):
    """amount: what is refunded of the order, minor units of currency, >= 0; occurred_at: ms since 1970 UTC."""

    event_id: str
    return_id: str
    order_id: str
    customer_id: str
    amount: int
    currency: str
    occurred_at: int
    correlation_id: str | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """What every command carries. issued_at: ms since 1970 UTC; expected_version: None when the sender does not mind."""

    command_id: str
    customer_id: str
    issued_at: int
    correlation_id: str | None = None
    expected_version: int | None = None


class RegisterCustomer(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """email: normalised; birth_date: YYYY-MM-DD."""

    name: str
    email: str
    phone: str | None = None
    birth_date: str | None = None
    address: Address | None = None
    preferences: PreferencesPatch | None = None


class UpdateProfile(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """Replaces all three; a None phone clears it."""

    name: str
    email: str
    phone: str | None = None


class ChangeStatus(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    new_status: CustomerStatus
    reason: str


class AddDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    address: Address
    label: str | None = None
    is_default: bool = False


class RemoveDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    address_id: str


class SetDefaultDeliveryAddress(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    address_id: str


class UpdatePreferences(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    preferences: PreferencesPatch


class AddPaymentMethod(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    method_type: PaymentMethodType
    last4: str
    provider: str | None = None
    expiry: str | None = None


class RemovePaymentMethod(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    payment_method_id: str


class RedeemPoints(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    points: int
    reason: str
    redemption_id: str
    order_id: str | None = None


class UpgradeMembership(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    new_level: MembershipLevel
    reason: str


class EraseCustomer(Command, frozen=True, kw_only=True, omit_defaults=True, tag=True):
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
    | UpgradeMembership
    | EraseCustomer
)
