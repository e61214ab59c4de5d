"""What HTTP answers with (contract, section 5). The OpenAPI document is generated from these types.

Every field is always there; what is not known is null. Money is a decimal string, times are RFC 3339 in UTC with
milliseconds, dates YYYY-MM-DD.
"""

from typing import Annotated, Literal

import msgspec

from worker.domain.values import (
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
)

Timestamp = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Date = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
Version = Annotated[int, msgspec.Meta(ge=1, description="Grows by 1 with each change; also the ETag.")]


class MoneyView(msgspec.Struct, frozen=True):
    """An amount of one currency, with exactly the currency's digits."""

    amount: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["129.90"])]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", examples=["USD"])]


class DeliveryAddressView(msgspec.Struct, frozen=True, rename="camel"):
    """One of a customer's addresses."""

    id: str
    street: str
    city: str
    zip_code: str
    country: str
    label: str | None
    is_default: bool


class PaymentMethodView(msgspec.Struct, frozen=True, rename="camel"):
    """What a customer pays with; never a card number."""

    id: str
    type: PaymentMethodType
    last4: str
    provider: str | None
    expiry: str | None


class PreferencesView(msgspec.Struct, frozen=True, rename="camel"):
    """What a customer wants to hear, where, in which language and currency."""

    marketing_emails: bool
    language: str
    currency: str
    enabled_types: tuple[NotificationType, ...]
    enabled_channels: tuple[NotificationChannel, ...]


class StatisticsView(msgspec.Struct, frozen=True, rename="camel"):
    """What was ordered and paid. totalPaid: in the rules' currency."""

    order_count: Count
    payment_count: Count
    total_paid: MoneyView
    paid_by_currency: dict[str, MoneyView]
    last_order_at: Timestamp | None
    last_payment_at: Timestamp | None


class CustomerView(msgspec.Struct, frozen=True, rename="camel"):
    """A customer. Single amounts are in the rules' currency; of spending, with what was converted into it."""

    id: str
    name: str
    email: str
    phone: str | None
    birth_date: Date | None
    status: CustomerStatus
    membership_level: MembershipLevel
    vip: bool
    vip_since: Timestamp | None
    reward_points: Count
    total_spending: MoneyView
    annual_spending: MoneyView
    spending_by_currency: dict[str, MoneyView]
    statistics: StatisticsView
    addresses: tuple[DeliveryAddressView, ...]
    preferences: PreferencesView
    payment_methods: tuple[PaymentMethodView, ...]
    created_at: Timestamp
    updated_at: Timestamp
    version: Version


class PointsLineView(msgspec.Struct, frozen=True, rename="camel"):
    """One line of the points history."""

    type: Literal["EARN", "REDEEM", "REVERSE"]
    points: Count
    order_id: str | None
    redemption_id: str | None
    return_id: str | None
    occurred_on: Timestamp
    rules_version: str | None


class RewardPointsView(msgspec.Struct, frozen=True, rename="camel"):
    """The balance of reward points and its last 20 lines, newest first."""

    customer_id: str
    balance: Count
    debt: Count
    lifetime_earned: Count
    lifetime_redeemed: Count
    lifetime_reversed: Count
    version: Version
    ledger: Annotated[tuple[PointsLineView, ...], msgspec.Meta(max_length=20)]


class FieldErrorView(msgspec.Struct, frozen=True):
    """field: dotted path in the body, or a header's or parameter's name; code: a lower-case word."""

    field: str
    code: str


class PendingCommandView(msgspec.Struct, frozen=True, rename="camel"):
    """A command that is in the log and has no result yet; ask again at the Location."""

    command_id: str
    customer_id: str
    status: Literal["PENDING"] = "PENDING"


class HealthView(msgspec.Struct, frozen=True):
    """The process runs (alive), or it also processes (ready)."""

    status: Literal["alive", "ready"]


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457), never with personal data. reasons: only where the worker is not ready."""

    type: str = "about:blank"
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    code: str
    detail: str | msgspec.UnsetType = msgspec.UNSET
    errors: tuple[FieldErrorView, ...] = ()
    reasons: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


encode = msgspec.json.Encoder().encode
