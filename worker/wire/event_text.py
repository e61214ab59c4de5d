"""The data of the two events of every order, written out as JSON text.

That takes a third of the time in which their Structs (worker.wire.event_data) are made and encoded; a test holds both
to be the same.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from worker.domain.events import CustomerSpendingUpdated, Event, RewardPointsEarned
from worker.wire.money import format_amount

_encode = msgspec.json.Encoder().encode

def quoted(text: str) -> str:
    """The JSON string of a text."""
    return _encode(text).decode()


def _money(minor: int, currency: str) -> str:
    return f'{{"amount":"{format_amount(minor, currency)}","currency":"{currency}"}}'


def _spending(customer: str, event: CustomerSpendingUpdated) -> str:
    currency = event.currency
    return (
        f'{{"customerId":{customer},"spendingAmount":{_money(event.amount, currency)},'
        f'"totalSpending":{_money(event.total_spending, currency)},'
        f'"annualSpending":{_money(event.annual_spending, currency)},'
        f'"orderId":{quoted(event.order_id)},"spendingType":"{event.spending_type}"}}'
    )


def _earned(customer: str, event: RewardPointsEarned) -> str:
    return (
        f'{{"customerId":{customer},"pointsEarned":{event.points},"totalPoints":{event.total_points},'
        f'"debt":{event.debt},"reason":{quoted(event.reason)},"orderId":{quoted(event.order_id)},'
        f'"eligibleAmount":{_money(event.eligible_amount, event.currency)},'
        f'"rulesVersion":{quoted(event.rules_version)}}}'
    )


WRITTEN: dict[type[Event], Callable[[str, Any], str]] = {
    CustomerSpendingUpdated: _spending,
    RewardPointsEarned: _earned,
}
"""What writes an event's data, from the quoted customerId and the event."""
