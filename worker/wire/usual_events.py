"""The one or two events of a usual order (worker.domain.usual), as `encode_events` encodes them."""

from collections.abc import Callable

from worker import native
from worker.domain.decide.counting import PURCHASE
from worker.domain.decide.points import ORDER_REASON
from worker.domain.events import CustomerSpendingUpdated, RewardPointsEarned
from worker.domain.ids import event_key
from worker.domain.usual import Counted
from worker.wire.event_data import PUBLISHED
from worker.wire.events import encode_events, envelope
from worker.wire.fast_event_data import earned_text, quoted, spending_text

_SPENT, _EARNED = PUBLISHED[CustomerSpendingUpdated][0], PUBLISHED[RewardPointsEarned][0]

NAMES = {False: (_SPENT,), True: (_SPENT, _EARNED)}
"""The types of an order's events, in their order, by whether it earns points."""

_CUSTOMER, _ORDER, _CURRENCY = ("q", "customer_id"), ("q", "order_id"), ("t", "currency")
_SPENT_SLOTS: tuple[native.Slot, ...] = (
    _CUSTOMER,
    ("m", "amount"),
    ("m", "total"),
    ("m", "annual"),
    _CURRENCY,
    _ORDER,
)
_EARNED_SLOTS: tuple[native.Slot, ...] = (
    _CUSTOMER,
    ("i", "points"),
    ("i", "balance"),
    ("i", "debt"),
    _ORDER,
    ("m", "amount"),
    _CURRENCY,
    ("q", "rules_version"),
)


def usual_events(counted: Counted, time: str) -> list[tuple[str, bytes]]:
    """The types and the JSON of the events. time: when the worker processed the order, as RFC 3339 text."""
    order_id, currency, version = counted.order_id, counted.currency, counted.rules_version
    spent = CustomerSpendingUpdated(
        counted.amount,
        currency,
        counted.total,
        counted.annual,
        order_id,
        PURCHASE,
        counted.occurred_at,
        version,
    )
    earned = RewardPointsEarned(
        counted.points,
        counted.balance,
        counted.debt,
        ORDER_REASON,
        order_id,
        counted.amount,
        currency,
        version,
    )
    events = (spent, earned) if counted.points else (spent,)
    before = counted.sequence - len(events)
    return encode_events(
        counted.customer_id, order_id, counted.event_id, counted.correlation_id, before, time, events
    )


def event_texts(earns: bool) -> tuple[tuple[native.Text, ...], tuple[native.Text, ...]]:
    """The templates of the events' ids and of the events, for an order that earns points or none."""
    spent = _event(0, _SPENT, _spending, _SPENT_SLOTS, -1 if earns else 0)
    earned = _event(1, _EARNED, _earned, _EARNED_SLOTS, 0)
    ids = tuple(
        native.text(
            lambda customer, order, name=name: event_key(customer, order, name, 0),
            Counted._fields,
            ("t", "customer_id"),
            ("t", "order_id"),
        )
        for name in NAMES[earns]
    )
    return ids, (spent, earned) if earns else (spent,)


def _event(
    number: int, name: str, data: Callable[..., str], slots: tuple[native.Slot, ...], more: int
) -> native.Text:
    """The template of an event. more: to add to the last sequence."""

    def made(
        event: str, customer: str, time: str, sequence: str, cause: str, correlation: str, *of_data: str
    ) -> str:
        return envelope(event, name, customer, time, sequence, cause, correlation, "", data(*of_data))

    return native.text(
        made,
        Counted._fields,
        ("I", str(number)),
        _CUSTOMER,
        ("T", "at"),
        ("i", "sequence", more),
        ("q", "event_id"),
        ("q", "correlation_id"),
        *slots,
    )


def _spending(customer: str, amount: str, total: str, annual: str, currency: str, order: str) -> str:
    return spending_text(customer, amount, total, annual, currency, order, PURCHASE)


def _earned(
    customer: str, points: str, balance: str, debt: str, order: str, amount: str, currency: str, version: str
) -> str:
    return earned_text(
        customer, points, balance, debt, quoted(ORDER_REASON), order, amount, currency, version
    )
