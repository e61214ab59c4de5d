"""Orders and payments: count them once, or let them wait until their customer is registered."""

from collections.abc import Callable

from agents.batch import Batch
from tables import waiting
from tables.waiting import Source
from worker.domain.decide import decide_order, decide_payment
from worker.domain.messages import OrderCompleted, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer, CustomerRow
from worker.engine.unit import Outgoing
from worker.wire.inputs import NOT_KNOWN_YET, decode_order, decode_payment
from worker.wire.order_index import OrderOwner, encode_owner

MAX_WAITING = 1_000

Purchase = OrderCompleted | PaymentCompleted

_DECODERS: dict[str, Callable[[Source, str], Purchase]] = {  # of what waits for a customer
    waiting.ORDER: lambda source, _: decode_order(source.value, source.headers),
    waiting.PAYMENT: lambda source, customer_id: decode_payment(source.value, source.headers, customer_id),
}


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


def _receive(batch: Batch, source: Source, purchase: Purchase, forwarded: bool) -> None:
    if not forwarded and not batch.at_home(source, purchase.customer_id):
        return
    row = batch.customers.row(purchase.customer_id)
    if row.customer is None:
        is_new = _wait(batch, source, purchase, row)
    else:
        is_new = count(batch, purchase, row, row.customer)
    if is_new and batch.routing.order_index is not None and isinstance(purchase, OrderCompleted):
        _index(batch, batch.routing.order_index, purchase)


def _index(batch: Batch, topic: str, order: OrderCompleted) -> None:
    """Say whose the order is where its payments look for it."""
    partition, key = batch.routing.home(order.order_id)
    owner = encode_owner(OrderOwner(order.order_id, order.customer_id))
    batch.unit.out(topic, partition).append(Outgoing(key, owner, batch.trace_headers()))


def count(batch: Batch, purchase: Purchase, row: CustomerRow, customer: Customer) -> bool:
    """Apply a purchase of a registered customer; returns whether it is new.

    Raises DeadLettered on a conflict with an earlier one.
    """
    ledger = batch.ledger(purchase.customer_id)
    if isinstance(purchase, OrderCompleted):
        events = decide_order(customer, purchase, batch.rules, ledger)
        key = purchase.order_id
    else:
        events = decide_payment(customer, purchase, ledger)
        key = purchase.payment_id
    if events:
        batch.record(row, key, purchase.event_id, purchase.correlation_id, events)
    return bool(events)


def release_waiting(batch: Batch, row: CustomerRow, customer: Customer) -> None:
    """Apply everything that waited for this registration, by occurredOn."""
    customer_id = customer.id
    found = [
        (decode(source, customer_id), source, kind, waiting_id)
        for kind, decode in _DECODERS.items()
        for waiting_id, source in waiting.scan(batch.unit, customer_id, kind)
    ]
    found.sort(key=lambda each: (each[0].occurred_at, each[1].topic, each[1].partition, each[1].offset))
    for purchase, source, kind, waiting_id in found:
        waiting.put(batch.unit, customer_id, kind, waiting_id, None)
        batch.follow(source)
        try:
            count(batch, purchase, row, customer)
        except DeadLettered as error:
            batch.dead_letter(source, error)
    row.waiting = 0
    batch.customers.changed(customer_id, row)


def _wait(batch: Batch, source: Source, purchase: Purchase, row: CustomerRow) -> bool:
    """Let a purchase wait for its customer; returns whether it is new. Raises DeadLettered."""
    if isinstance(purchase, OrderCompleted):
        kind, waiting_id, conflict = waiting.ORDER, purchase.order_id, DeadLetterReason.ORDER_CONFLICT
    else:
        kind, waiting_id, conflict = waiting.PAYMENT, purchase.payment_id, DeadLetterReason.PAYMENT_CONFLICT
    known = waiting.read(batch.unit, purchase.customer_id, kind, waiting_id)
    if known is not None:
        earlier = _DECODERS[kind](known, purchase.customer_id)
        if (earlier.amount, earlier.currency) != (purchase.amount, purchase.currency):
            raise DeadLettered(conflict, "waits already with another amount")
        return False
    if row.waiting >= MAX_WAITING:
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{MAX_WAITING} inputs wait for this customer already"
        )
    waiting.put(batch.unit, purchase.customer_id, kind, waiting_id, source)
    row.waiting += 1
    batch.customers.changed(purchase.customer_id, row)
    return True
