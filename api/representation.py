"""From the stored customer to what HTTP shows of it. Pure."""

from collections.abc import Sequence
from heapq import nlargest
from typing import Literal

from api.contracts import (
    CustomerView,
    DeliveryAddressView,
    MoneyView,
    PaymentMethodView,
    PointsLineView,
    PreferencesView,
    RewardPointsView,
    StatisticsView,
)
from worker.domain.spending import net_annual, net_total
from worker.domain.state import ORDER, REDEMPTION, RETURN, Customer, LedgerLine
from worker.domain.values import DeliveryAddress, PaymentMethod, Preferences
from worker.wire.money import format_amount
from worker.wire.times import format_time

LEDGER_LINES = 20

LedgerEntry = tuple[str, str, LedgerLine]


def customer_view(customer: Customer, currency: str) -> CustomerView:
    """The Customer of the contract. currency: the rules' one."""
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
        total_spending=_money(net_total(customer, currency), currency),
        annual_spending=_money(net_annual(customer, currency), currency),
        spending_by_currency={
            code: _money(spent.total - spent.returned, code) for code, spent in customer.spending.items()
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
    place = address.address
    return DeliveryAddressView(
        address.id,
        place.street,
        place.city,
        place.zip_code,
        place.country,
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


def points_view(customer: Customer, ledger: Sequence[LedgerEntry]) -> RewardPointsView:
    """The reward points of the contract. ledger: every line of the customer, in any order.

    Newest first: by when it occurred, then by when it was applied; an order that earned nothing is not shown.
    """
    moved = [entry for entry in ledger if entry[2].points and entry[0] in _LINE_TYPES]
    newest = nlargest(LEDGER_LINES, moved, key=lambda entry: (entry[2].occurred_at, entry[2].sequence))
    return RewardPointsView(
        customer_id=customer.id,
        balance=customer.points,
        debt=customer.debt,
        lifetime_earned=customer.lifetime_earned,
        lifetime_redeemed=customer.lifetime_redeemed,
        lifetime_reversed=customer.lifetime_reversed,
        version=customer.version,
        ledger=tuple(_line_view(*entry) for entry in newest),
    )


_LINE_TYPES: dict[str, Literal["EARN", "REDEEM", "REVERSE"]] = {
    ORDER: "EARN",
    REDEMPTION: "REDEEM",
    RETURN: "REVERSE",
}


def _line_view(kind: str, line_id: str, line: LedgerLine) -> PointsLineView:
    return PointsLineView(
        type=_LINE_TYPES[kind],
        points=line.points,
        order_id=line_id if kind == ORDER else line.order_id,
        redemption_id=line_id if kind == REDEMPTION else None,
        return_id=line_id if kind == RETURN else None,
        occurred_on=format_time(line.occurred_at),
        rules_version=line.rules_version or None,
    )


def _statistics(customer: Customer, currency: str) -> StatisticsView:
    paid = customer.paid
    return StatisticsView(
        order_count=customer.order_count,
        payment_count=customer.payment_count,
        total_paid=_money(paid.get(currency, 0), currency),
        paid_by_currency={code: _money(minor, code) for code, minor in paid.items()},
        last_order_at=_time(customer.last_order_at),
        last_payment_at=_time(customer.last_payment_at),
    )


def _money(minor: int, currency: str) -> MoneyView:
    return MoneyView(format_amount(minor, currency), currency)


def _time(ms: int | None) -> str | None:
    return None if ms is None else format_time(ms)
