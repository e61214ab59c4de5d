"""Orders and payments: count them once, or let them wait until their customer is registered."""

from collections.abc import Callable, Sequence

from agents import expiry
from agents.batch import Batch
from tables import waiting
from tables.waiting import Source
from worker.domain.decide import decide_order, decide_payment
from worker.domain.messages import OrderCompleted, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer, CustomerRow
from worker.wire.inputs import decode_order, decode_payment

MAX_WAITING = 1_000

Purchase = OrderCompleted | PaymentCompleted

_DECODERS: dict[str, Callable[[bytes, Sequence[tuple[str, bytes]]], Purchase]] = {
    waiting.ORDER: decode_order,
    waiting.PAYMENT: decode_payment,
}


def order(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of order.completed. forwarded: it came through the inbox, so it is at home."""
    _receive(batch, source, decode_order(source.value, source.headers), forwarded)


def payment(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of payment.completed."""
    _receive(batch, source, decode_payment(source.value, source.headers), forwarded)


def _receive(batch: Batch, source: Source, purchase: Purchase, forwarded: bool) -> None:
    if not forwarded and not batch.at_home(source, purchase.customer_id):
        return
    row = batch.customers.row(purchase.customer_id)
    if row.customer is None:
        _wait(batch, source, purchase, row)
    else:
        count(batch, purchase, row, row.customer)


def count(batch: Batch, purchase: Purchase, row: CustomerRow, customer: Customer) -> None:
    """Apply a purchase of a registered customer. Raises DeadLettered on a conflict with an earlier one."""
    ledger = batch.ledger(purchase.customer_id)
    if isinstance(purchase, OrderCompleted):
        events = decide_order(customer, purchase, batch.rules, ledger)
        key = purchase.order_id
    else:
        events = decide_payment(customer, purchase, ledger)
        key = purchase.payment_id
    if events:
        batch.record(row, key, purchase.event_id, purchase.correlation_id, events)


def release_waiting(batch: Batch, row: CustomerRow, customer: Customer) -> None:
    """Apply everything that waited for this registration and has not expired, by occurredOn."""
    customer_id = customer.id
    expiry.of_customer(batch, customer_id, row)
    found = [
        (decode(source.value, source.headers), source, kind, waiting_id)
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
    row.waiting, row.waiting_since = 0, None
    batch.customers.changed(customer_id, row)


def _wait(batch: Batch, source: Source, purchase: Purchase, row: CustomerRow) -> None:
    expiry.of_customer(batch, purchase.customer_id, row)
    expiry.check(batch, source)
    if isinstance(purchase, OrderCompleted):
        kind, waiting_id, conflict = waiting.ORDER, purchase.order_id, DeadLetterReason.ORDER_CONFLICT
    else:
        kind, waiting_id, conflict = waiting.PAYMENT, purchase.payment_id, DeadLetterReason.PAYMENT_CONFLICT
    known = waiting.read(batch.unit, purchase.customer_id, kind, waiting_id)
    if known is not None:
        earlier = _DECODERS[kind](known.value, known.headers)
        if (earlier.amount, earlier.currency) != (purchase.amount, purchase.currency):
            raise DeadLettered(conflict, "waits already with another amount")
        return
    if row.waiting >= MAX_WAITING:
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{MAX_WAITING} inputs wait for this customer already"
        )
    waiting.put(batch.unit, purchase.customer_id, kind, waiting_id, source)
    row.waiting += 1
    row.waiting_since = min(source.timestamp, row.waiting_since or source.timestamp)
    batch.customers.changed(purchase.customer_id, row)
