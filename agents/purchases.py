"""Orders, payments and returns: count them once, or let them wait.

All wait for the registration of their customer, and a return also for its order, which it then follows at once. Only
returns wait for a registered customer, so an order asks the row's count alone whether anything waits for it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from agents import expiry
from agents.batch import Batch
from tables import waiting
from tables.waiting import Source
from worker.domain.decide import decide_order, decide_payment, decide_return
from worker.domain.decide.erased import too_late
from worker.domain.events import Event
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer, CustomerRow
from worker.engine.unit import Outgoing
from worker.wire.inputs import NOT_KNOWN_YET, decode_order, decode_payment, decode_return
from worker.wire.order_index import OrderOwner, encode_owner

MAX_WAITING = 1_000

Purchase = OrderCompleted | PaymentCompleted | OrderReturned

_DECODERS: dict[str, Callable[[Source, str], Purchase]] = {  # of what waits for a customer
    waiting.ORDER: lambda source, _: decode_order(source.value, source.headers),
    waiting.PAYMENT: lambda source, customer_id: decode_payment(source.value, source.headers, customer_id),
    waiting.RETURN: lambda source, _: decode_return(source.value, source.headers),
}
_CONFLICTS = {
    waiting.ORDER: DeadLetterReason.ORDER_CONFLICT,
    waiting.PAYMENT: DeadLetterReason.PAYMENT_CONFLICT,
    waiting.RETURN: DeadLetterReason.RETURN_CONFLICT,
}


class _Waiting(NamedTuple):
    """An input that waits, as it was read and as it came. waiting_id: orderId, paymentId or returnId."""

    kind: str
    waiting_id: str
    purchase: Purchase
    source: Source

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it was first, which parts what occurred at the same time."""
        return self.source.topic, self.source.partition, self.source.offset


def order(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of order.completed. forwarded: it came through the inbox, so it is at home."""
    _receive(batch, source, decode_order(source.value, source.headers), forwarded)


def payment(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of payment.completed. One that names no customer goes to its order, where payments are joined."""
    index = batch.routing.order_index
    if index is None:
        _receive(batch, source, decode_payment(source.value, source.headers), forwarded)
        return
    completed = decode_payment(source.value, source.headers, NOT_KNOWN_YET)
    if completed.customer_id == NOT_KNOWN_YET:
        batch.forward(source, index, completed.order_id)
    else:
        _receive(batch, source, completed, forwarded)


def joined(batch: Batch, source: Source, customer_id: str) -> None:
    """A payment that names no customer, at the home of the one whose order it is for."""
    _receive(batch, source, decode_payment(source.value, source.headers, customer_id), forwarded=True)


def returned(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of order.returned."""
    _receive(batch, source, decode_return(source.value, source.headers), forwarded)


def _receive(batch: Batch, source: Source, purchase: Purchase, forwarded: bool) -> None:
    if not forwarded and not batch.at_home(source, purchase.customer_id):
        return
    row = batch.customers.row(purchase.customer_id)
    customer = row.customer
    if customer is not None and row.waiting and isinstance(purchase, OrderReturned):
        expiry.of_customer(batch, customer.id, row)
        if _waits_already(batch, purchase):
            return
    events = None if customer is None else count(batch, purchase, row, customer)
    is_new = _wait(batch, source, purchase, row) if events is None else bool(events)
    if is_new and isinstance(purchase, OrderCompleted):
        if batch.routing.order_index is not None:
            _index(batch, batch.routing.order_index, purchase)
        if row.waiting and customer is not None:
            _release_returns(batch, row, customer, purchase.order_id)


def _index(batch: Batch, topic: str, order: OrderCompleted) -> None:
    """Say whose the order is where its payments look for it."""
    partition, key = batch.routing.home(order.order_id)
    owner = encode_owner(OrderOwner(order.order_id, order.customer_id))
    batch.unit.out(topic, partition).append(Outgoing(key, owner, batch.trace_headers()))


def count(batch: Batch, purchase: Purchase, row: CustomerRow, customer: Customer) -> tuple[Event, ...] | None:
    """Apply a purchase of a registered customer and return its events; None for a return that has to wait for its order.

    Raises DeadLettered on a conflict with an earlier one.
    """
    ledger = batch.ledger(purchase.customer_id)
    events: tuple[Event, ...] | None
    if isinstance(purchase, OrderCompleted):
        events = decide_order(customer, purchase, batch.rules, ledger)
        key = purchase.order_id
    elif isinstance(purchase, PaymentCompleted):
        events = decide_payment(customer, purchase, ledger)
        key = purchase.payment_id
    else:
        events = decide_return(customer, purchase, batch.rules, ledger)
        key = purchase.return_id
    if events:
        batch.record(row, key, purchase.event_id, purchase.correlation_id, events)
    return events


def release_waiting(batch: Batch, row: CustomerRow, customer: Customer) -> None:
    """Apply what waited for this registration, by occurredOn; a return whose order has not come goes on waiting.

    A return from before its order's time comes after its order all the same. What has expired is not applied.
    """
    expiry.of_customer(batch, customer.id, row)
    found = [each for kind in _DECODERS for each in _waiting(batch, customer.id, kind)]
    ordered_at = {each.waiting_id: each.purchase.occurred_at for each in found if each.kind == waiting.ORDER}

    def turn(each: _Waiting) -> tuple[int, tuple[str, int, int]]:
        purchase = each.purchase
        if isinstance(purchase, OrderReturned):
            return max(purchase.occurred_at, ordered_at.get(purchase.order_id, 0)), each.place
        return purchase.occurred_at, each.place

    _release(batch, row, customer, sorted(found, key=turn))


def refuse_waiting(batch: Batch, row: CustomerRow, customer: Customer) -> None:
    """What still waits for an order when its customer is erased has come too late."""
    if row.waiting:
        for each in _waiting(batch, customer.id, waiting.RETURN):
            batch.dead_letter(each.source, too_late(customer))
            expiry.end_waiting(batch, (customer.id, each.kind, each.waiting_id), row)


def _release_returns(batch: Batch, row: CustomerRow, customer: Customer, order_id: str) -> None:
    """Apply the returns that waited for this order and have not expired, by occurredOn."""
    expiry.of_customer(batch, customer.id, row)
    found = [
        each
        for each in _waiting(batch, customer.id, waiting.RETURN)
        if isinstance(each.purchase, OrderReturned) and each.purchase.order_id == order_id
    ]
    _release(batch, row, customer, sorted(found, key=lambda each: (each.purchase.occurred_at, each.place)))


def _release(batch: Batch, row: CustomerRow, customer: Customer, found: Sequence[_Waiting]) -> None:
    for each in found:
        batch.follow(each.source)
        try:
            if count(batch, each.purchase, row, customer) is None:
                continue
        except DeadLettered as error:
            batch.dead_letter(each.source, error)
        expiry.end_waiting(batch, (customer.id, each.kind, each.waiting_id), row)


def _waiting(batch: Batch, customer_id: str, kind: str) -> list[_Waiting]:
    decode = _DECODERS[kind]
    return [
        _Waiting(kind, waiting_id, decode(source, customer_id), source)
        for waiting_id, source in waiting.scan(batch.unit, customer_id, kind)
    ]


def _named(purchase: Purchase) -> tuple[str, str]:
    """Its kind, and the id under which it counts once."""
    if isinstance(purchase, OrderCompleted):
        return waiting.ORDER, purchase.order_id
    if isinstance(purchase, PaymentCompleted):
        return waiting.PAYMENT, purchase.payment_id
    return waiting.RETURN, purchase.return_id


def _waits_already(batch: Batch, purchase: Purchase) -> bool:
    """Whether it is a repeat of one that waits. Raises DeadLettered when that one has another amount."""
    kind, waiting_id = _named(purchase)
    known = waiting.read(batch.unit, purchase.customer_id, kind, waiting_id)
    if known is None:
        return False
    earlier = _DECODERS[kind](known, purchase.customer_id)
    if (earlier.amount, earlier.currency) != (purchase.amount, purchase.currency):
        raise DeadLettered(_CONFLICTS[kind], "waits already with another amount")
    return True


def _wait(batch: Batch, source: Source, purchase: Purchase, row: CustomerRow) -> bool:
    """Let a purchase wait; returns whether it is new. Raises DeadLettered."""
    expiry.of_customer(batch, purchase.customer_id, row)
    expiry.check(batch, source)
    if _waits_already(batch, purchase):
        return False
    if row.waiting >= MAX_WAITING:
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{MAX_WAITING} inputs wait for this customer already"
        )
    waiting.put(batch.unit, purchase.customer_id, *_named(purchase), source)
    row.waiting += 1
    row.waiting_since = min(source.timestamp, row.waiting_since or source.timestamp)
    batch.customers.changed(purchase.customer_id, row)
    return True
