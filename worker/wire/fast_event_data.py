"""The data of the two events of every order, formatted as JSON text.

This takes a third of the time of building and encoding their Structs (worker.wire.event_data). A test checks that both
give the same text.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from worker.domain.events import CustomerSpendingUpdated, Event, RewardPointsEarned
from worker.wire.money import format_amount

_encode = msgspec.json.Encoder().encode


def quoted(text: str) -> str:
    """The JSON string of a text."""
    return _encode(text).decode()


_label = lru_cache(maxsize=64)(quoted)  # for the few texts that many events share


def _money(amount: str, currency: str) -> str:
    return f'{{"amount":"{amount}","currency":"{currency}"}}'


def spending_text(
    customer: str, amount: str, total: str, annual: str, currency: str, order: str, kind: str
) -> str:
    """The data of a CustomerSpendingUpdatedEvent. customer and order are quoted; amounts are decimal texts."""
    return (
        f'{{"customerId":{customer},"spendingAmount":{_money(amount, currency)},'
        f'"totalSpending":{_money(total, currency)},"annualSpending":{_money(annual, currency)},'
        f'"orderId":{order},"spendingType":"{kind}"}}'
    )


def earned_text(
    customer: str,
    points: int | str,
    total: int | str,
    debt: int | str,
    reason: str,
    order: str,
    amount: str,
    currency: str,
    version: str,
) -> str:
    """The data of a RewardPointsEarnedEvent. Ids, reason and version are quoted; the amount is a decimal text."""
    return (
        f'{{"customerId":{customer},"pointsEarned":{points},"totalPoints":{total},"debt":{debt},'
        f'"reason":{reason},"orderId":{order},"eligibleAmount":{_money(amount, currency)},'
        f'"rulesVersion":{version}}}'
    )


def _spending(customer: str, order: str, event: CustomerSpendingUpdated) -> str:
    currency = event.currency
    return spending_text(
        customer,
        format_amount(event.amount, currency),
        format_amount(event.total_spending, currency),
        format_amount(event.annual_spending, currency),
        currency,
        order,
        event.spending_type,
    )


def _earned(customer: str, order: str, event: RewardPointsEarned) -> str:
    return earned_text(
        customer,
        event.points,
        event.total_points,
        event.debt,
        _label(event.reason),
        order,
        format_amount(event.eligible_amount, event.currency),
        event.currency,
        _label(event.rules_version),
    )


FAST: dict[type[Event], Callable[[str, str, Any], str]] = {
    CustomerSpendingUpdated: _spending,
    RewardPointsEarned: _earned,
}
"""The functions that format an event's data from the quoted customerId, the quoted orderId and the event."""
