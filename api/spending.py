"""What a customer ordered month by month, for the chart of the desk.

Only the customer's own row is read, which keeps the days of at least three years. While the owner is away there is no
answer, because the copy does not hold the days.
"""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime

from aiohttp import web

from api import reads
from api.problems import owner_away
from api.request import Call
from api.responses import json_response
from api.views import MONTHS, MonthlySpendingView, MonthView, money_view
from worker.domain.spending import spent_between
from worker.domain.state import Customer
from worker.gateway import NotOwned

_EPOCH = date(1970, 1, 1).toordinal()


async def get_monthly_spending(call: Call) -> web.Response:
    """Answer with the twelve months that end with that of the latest order. Raises Problem 503 while the owner is away."""
    try:
        customer = reads.committed(call)
    except NotOwned as away:
        answer = await reads.ask_owner(call, away.partition)
        if answer is None:
            raise owner_away() from None
        return answer.response()
    return json_response(_view(customer, call.context.rules.currency))


def _view(customer: Customer, currency: str) -> MonthlySpendingView:
    at = time.time() if customer.last_order_at is None else customer.last_order_at / 1000
    last = datetime.fromtimestamp(at, UTC).date()
    months = tuple(
        MonthView(
            f"{first:%Y-%m}",
            money_view(spent_between(customer, currency, _number(first), _number(after) - 1), currency),
        )
        for first, after in _months_until(last)
    )
    return MonthlySpendingView(customer.id, months)


def _months_until(last: date) -> Iterator[tuple[date, date]]:
    """(first day, first day of the next month) of each month, the earliest first."""
    number = last.year * 12 + last.month - 1
    for each in range(number - MONTHS + 1, number + 1):
        yield _first_day(each), _first_day(each + 1)


def _first_day(month: int) -> date:
    """month: counted from year 0."""
    return date(month // 12, month % 12 + 1, 1)


def _number(day: date) -> int:
    """Days since 1970."""
    return day.toordinal() - _EPOCH
