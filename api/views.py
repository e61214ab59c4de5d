"""The JSON bodies of HTTP answers (contract, section 5): their types, and how they are made from the stored customer.

Rules:
- A version has one representation (contract, section 3), so the same id and version give the same bytes.
- The OpenAPI document is generated from these types and their docstrings.
- Every field is always present. An unknown value is null. Money is a decimal string, times are RFC 3339 in UTC with
  milliseconds, dates YYYY-MM-DD.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from worker.domain.spending import net_annual, net_total
from worker.domain.state import ADJUSTMENT, CANCELLATION, ORDER, REDEMPTION, RETURN, Customer, LedgerLine
from worker.domain.values import (
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethod,
    PaymentMethodType,
    Preferences,
)
from worker.wire.money import format_amount
from worker.wire.times import format_time

LEDGER_LINES = 20
MOST_HISTORY_LINES = 100  # of one page
MONTHS = 12  # of the spending by month
_MOST_RENDERED = 4_096  # customers, with about a kilobyte each

LedgerEntry = tuple[str, str, LedgerLine]
Timestamp = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Date = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date"})]
Count = Annotated[int, msgspec.Meta(ge=0)]
LineType = Literal["EARN", "REDEEM", "REVERSE", "RESTORE", "ADJUST"]
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
    """A payment method of a customer. It never holds a card number."""

    id: str
    type: PaymentMethodType
    last4: str
    provider: str | None
    expiry: str | None


class PreferencesView(msgspec.Struct, frozen=True, rename="camel"):
    """A customer's language, currency, and the types and channels of notifications."""

    marketing_emails: bool
    language: str
    currency: str
    enabled_types: tuple[NotificationType, ...]
    enabled_channels: tuple[NotificationChannel, ...]


class StatisticsView(msgspec.Struct, frozen=True, rename="camel"):
    """Counts and sums of orders and payments. totalPaid holds the payments in the currency of the rules."""

    order_count: Count
    payment_count: Count
    total_paid: MoneyView
    paid_by_currency: dict[str, MoneyView]
    last_order_at: Timestamp | None
    last_payment_at: Timestamp | None


class CustomerView(msgspec.Struct, frozen=True, rename="camel"):
    """A customer. totalSpending and annualSpending are in the currency of the rules, including converted amounts."""

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
    """One line of the points history. points: moved, without a sign; an adjustment's are negative if taken away."""

    type: LineType
    points: int
    order_id: str | None
    redemption_id: str | None
    return_id: str | None
    adjustment_id: str | None
    occurred_on: Timestamp
    rules_version: str | None


class RewardPointsView(msgspec.Struct, frozen=True, rename="camel"):
    """The balance of reward points and the last 20 lines of its history, newest first."""

    customer_id: str
    balance: Count
    debt: Count
    lifetime_earned: Count
    lifetime_redeemed: Count
    lifetime_reversed: Count
    lifetime_restored: Count
    lifetime_adjusted: int
    version: Version
    ledger: Annotated[tuple[PointsLineView, ...], msgspec.Meta(max_length=LEDGER_LINES)]


class PointsHistoryView(msgspec.Struct, frozen=True, rename="camel"):
    """A page of the points history, newest first. next: the cursor of the next page, null on the last."""

    customer_id: str
    entries: Annotated[tuple[PointsLineView, ...], msgspec.Meta(max_length=MOST_HISTORY_LINES)]
    next: str | None


class TimelineEntryView(msgspec.Struct, frozen=True, rename="camel"):
    """An input that changed the customer, and the customer after it.

    points: moved, negative if they were taken. Where an earlier release applied the input, all but version and why is
    null or empty.
    """

    version: Version
    at: Timestamp | None
    occurred_on: Timestamp | None
    input: str | None
    input_id: str | None
    actor: str | None
    events: tuple[str, ...]
    points: int | None
    balance: Count | None
    debt: Count | None
    membership_level: MembershipLevel | None
    vip: bool | None
    amount: MoneyView | None
    rules_version: str | None
    why: tuple[str, ...]


class TimelineView(msgspec.Struct, frozen=True, rename="camel"):
    """A page of the timeline, newest first, one entry a version. next: the cursor of the next page, null on the last."""

    customer_id: str
    entries: Annotated[tuple[TimelineEntryView, ...], msgspec.Meta(max_length=MOST_HISTORY_LINES)]
    next: str | None


class InputView(msgspec.Struct, frozen=True, rename="camel"):
    """An entry of the timeline: the version, and the name and id of its input."""

    version: Version
    input: str | None
    input_id: str | None


class LevelStandingView(msgspec.Struct, frozen=True, rename="camel"):
    """The level. by: the input that gave it. missing: lifetime spending to the next level, null after the highest.

    reachedOn and by are null where an earlier release gave the level.
    """

    current: MembershipLevel
    reached_on: Timestamp | None
    by: InputView | None
    next: MembershipLevel | None
    missing: MoneyView | None


class VipWindowView(msgspec.Struct, frozen=True):
    """Days, both included, and what was spent on them."""

    start: Date
    end: Date
    spent: MoneyView


class VipStandingView(msgspec.Struct, frozen=True, rename="camel"):
    """VIP. window: the one that made the customer VIP, or else the best so far. missing: null for a VIP."""

    vip: bool
    since: Timestamp | None
    window: VipWindowView | None
    needed: MoneyView
    missing: MoneyView | None


class PointsStandingView(msgspec.Struct, frozen=True):
    """The points: earned - reversed - redeemed + restored + adjusted = balance - debt."""

    balance: Count
    debt: Count
    earned: Count
    reversed: Count
    redeemed: Count
    restored: Count
    adjusted: int


class ExplanationView(msgspec.Struct, frozen=True, rename="camel"):
    """Why the customer has this level, VIP and points. sentences: the same in words."""

    customer_id: str
    version: Version
    level: LevelStandingView
    vip: VipStandingView
    points: PointsStandingView
    sentences: tuple[str, ...]


class MonthView(msgspec.Struct, frozen=True):
    """The orders of a month (YYYY-MM), in the currency of the rules, before returns."""

    month: str
    spent: MoneyView


class MonthlySpendingView(msgspec.Struct, frozen=True, rename="camel"):
    """The twelve months that end with that of the latest order, the earliest first."""

    customer_id: str
    months: Annotated[tuple[MonthView, ...], msgspec.Meta(min_length=MONTHS, max_length=MONTHS)]


class FieldErrorView(msgspec.Struct, frozen=True):
    """A fault. field: dotted path in the body, or the name of a header or parameter; code: a lower-case word."""

    field: str
    code: str


class PendingCommandView(msgspec.Struct, frozen=True, rename="camel"):
    """A command that was accepted and has no result yet. Location is the path of the result."""

    command_id: str
    customer_id: str
    status: Literal["PENDING"] = "PENDING"


class HealthView(msgspec.Struct, frozen=True):
    """The health of a worker. alive: the process runs; ready: it processes its partitions; application: its APP_ID."""

    status: Literal["alive", "ready"]
    application: str


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """An error (RFC 9457), without personal data. reasons: why the worker is not ready; absent in other errors."""

    type: str = "about:blank"
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    code: str  # the OpenAPI document lists them (api.problems.STATUS_OF_CODE)
    detail: str | msgspec.UnsetType = msgspec.UNSET
    errors: tuple[FieldErrorView, ...] = ()
    reasons: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


encode = msgspec.json.Encoder().encode


class Renderings:
    """A bounded cache of customers as JSON. An entry is used while its version is the latest.

    When it is full, the entry that was added first is removed. currency: the currency of the rules.
    """

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._rendered: dict[str, tuple[int, bytes]] = {}

    def of(self, customer: Customer) -> bytes:
        """The customer's JSON, from the cache if its version is there."""
        version, body = self._rendered.get(customer.id, (None, b""))
        if version == customer.version:
            return body
        if len(self._rendered) >= _MOST_RENDERED:
            del self._rendered[next(iter(self._rendered))]
        body = encode(customer_view(customer, self._currency))
        self._rendered[customer.id] = (customer.version, body)
        return body

    def forget(self, customer_id: str) -> None:
        """Remove a customer, because an erased one must not stay in memory."""
        self._rendered.pop(customer_id, None)


def customer_view(customer: Customer, currency: str) -> CustomerView:
    """The Customer of the contract. currency: the currency of the rules."""
    return CustomerView(
        id=customer.id,
        name=customer.name,
        email=customer.email,
        phone=customer.phone,
        birth_date=customer.birth_date,
        status=customer.status,
        membership_level=customer.level,
        vip=customer.vip_since is not None,
        vip_since=_time(customer.vip_since),
        reward_points=customer.points,
        total_spending=money_view(net_total(customer, currency), currency),
        annual_spending=money_view(net_annual(customer, currency), currency),
        spending_by_currency={
            code: money_view(spent.total - spent.returned, code) for code, spent in customer.spending.items()
        },
        statistics=_statistics(customer, currency),
        addresses=tuple(map(address_view, customer.addresses)),
        preferences=preferences_view(customer.preferences),
        payment_methods=tuple(map(payment_method_view, customer.payment_methods)),
        created_at=format_time(customer.created_at),
        updated_at=format_time(customer.updated_at),
        version=customer.version,
    )


def address_view(address: DeliveryAddress) -> DeliveryAddressView:
    """The DeliveryAddress of the contract."""
    postal = address.address
    return DeliveryAddressView(
        address.id,
        postal.street,
        postal.city,
        postal.zip_code,
        postal.country,
        address.label,
        address.is_default,
    )


def payment_method_view(method: PaymentMethod) -> PaymentMethodView:
    """The payment method of the contract."""
    return PaymentMethodView(method.id, method.type, method.last4, method.provider, method.expiry)


def preferences_view(preferences: Preferences) -> PreferencesView:
    """The preferences of the contract."""
    return PreferencesView(
        preferences.marketing_emails,
        preferences.language,
        preferences.currency,
        preferences.enabled_types,
        preferences.enabled_channels,
    )


def points_view(customer: Customer, history: Sequence[LedgerEntry]) -> RewardPointsView:
    """The reward points of the contract. history: the last LEDGER_LINES lines that changed points, newest first."""
    return RewardPointsView(
        customer_id=customer.id,
        balance=customer.points,
        debt=customer.debt,
        lifetime_earned=customer.lifetime_earned,
        lifetime_redeemed=customer.lifetime_redeemed,
        lifetime_reversed=customer.lifetime_reversed,
        lifetime_restored=customer.lifetime_restored,
        lifetime_adjusted=customer.lifetime_adjusted,
        version=customer.version,
        ledger=tuple(_line_view(*entry) for entry in history),
    )


def history_view(customer_id: str, lines: Sequence[LedgerEntry], cursor: str | None) -> PointsHistoryView:
    """A page of the points history. cursor: of the next page."""
    return PointsHistoryView(customer_id, tuple(_line_view(*line) for line in lines), cursor)


_LINE_TYPES: dict[str, LineType] = {
    ORDER: "EARN",
    REDEMPTION: "REDEEM",
    RETURN: "REVERSE",
    CANCELLATION: "RESTORE",
    ADJUSTMENT: "ADJUST",
}


def _line_view(kind: str, line_id: str, line: LedgerLine) -> PointsLineView:
    return PointsLineView(
        type=_LINE_TYPES[kind],
        points=line.points,
        order_id=line_id if kind == ORDER else line.order_id,
        redemption_id=line_id if kind in (REDEMPTION, CANCELLATION) else None,
        return_id=line_id if kind == RETURN else None,
        adjustment_id=line_id if kind == ADJUSTMENT else None,
        occurred_on=format_time(line.occurred_at),
        rules_version=line.rules_version or None,
    )


def _statistics(customer: Customer, currency: str) -> StatisticsView:
    paid = customer.paid
    return StatisticsView(
        order_count=customer.order_count,
        payment_count=customer.payment_count,
        total_paid=money_view(paid.get(currency, 0), currency),
        paid_by_currency={code: money_view(minor, code) for code, minor in paid.items()},
        last_order_at=_time(customer.last_order_at),
        last_payment_at=_time(customer.last_payment_at),
    )


def money_view(minor: int, currency: str) -> MoneyView:
    """The amount of minor units."""
    return MoneyView(format_amount(minor, currency), currency)


def _time(ms: int | None) -> str | None:
    return None if ms is None else format_time(ms)
