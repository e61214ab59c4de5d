"""The handlers of orders, payments and returns: each is counted once, or waits.

Rules:
- All of them wait for the registration of their customer.
- A return also waits for its order, and is applied directly after it.
- Of a registered customer only returns wait. So an order looks for waiting returns only if the row counts any input.
"""

from collections.abc import Callable

from agents.batch import Batch
from agents.forwarding import at_home, forward
from agents.parking import expiry
from agents.parking.arrival import enqueue, let_wait, met_input
from tables import waiting, waiting_index
from worker.domain.decide import decide_order, decide_payment, decide_return
from worker.domain.events import Event
from worker.domain.messages import OrderCompleted, OrderReturned, PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import Customer, CustomerRow
from worker.engine.unit import InputRecord, Outgoing
from worker.wire.inputs import NOT_KNOWN_YET, decode_order, decode_payment, decode_return
from worker.wire.order_index import OrderOwner, encode_owner
from worker.wire.strict_json import invalid

MAX_AHEAD_MS = 48 * 3_600_000
"""How far occurredOn may be after the timestamp of the input's first record."""

Purchase = OrderCompleted | PaymentCompleted | OrderReturned

_DECODERS: dict[str, Callable[[InputRecord, str], Purchase]] = {  # of inputs that wait for a customer
    waiting.ORDER: lambda source, _: decode_order(source.content, source.headers, stored=True),
    waiting.PAYMENT: lambda source, customer_id: decode_payment(
        source.content, source.headers, customer_id, stored=True
    ),
    waiting.RETURN: lambda source, _: decode_return(source.content, source.headers, stored=True),
}
_CONFLICTS = {
    waiting.ORDER: DeadLetterReason.ORDER_CONFLICT,
    waiting.PAYMENT: DeadLetterReason.PAYMENT_CONFLICT,
    waiting.RETURN: DeadLetterReason.RETURN_CONFLICT,
}


def order(batch: Batch, source: InputRecord, forwarded: bool = False) -> None:
    """Handle a record of order.completed. Raises DeadLettered.

    Args:
        batch: the current batch.
        source: the record.
        forwarded: whether it came through the inbox, and so has the customer's key and partition.
    """
    completed = decode_order(source.content, source.headers, batch.routing.type_aliases)
    receive(batch, source, completed, forwarded)


def payment(batch: Batch, source: InputRecord, forwarded: bool = False) -> None:
    """Handle a record of payment.completed; arguments and errors as in `order`.

    With PAYMENT_JOIN a payment that names no customer is sent to the partition of its order (agents.order_index).
    """
    index = batch.routing.order_index
    unnamed = None if index is None else NOT_KNOWN_YET
    completed = decode_payment(source.content, source.headers, unnamed, batch.routing.type_aliases)
    if index is not None and completed.customer_id == NOT_KNOWN_YET:
        _check_time(source, completed)
        forward(batch, source, index, completed.order_id)
    else:
        receive(batch, source, completed, forwarded)


def joined(batch: Batch, source: InputRecord, customer_id: str) -> None:
    """Handle a payment whose customer was found through its order (agents.order_index). Raises DeadLettered."""
    completed = decode_payment(source.content, source.headers, customer_id, batch.routing.type_aliases)
    receive(batch, source, completed, forwarded=True)


def returned(batch: Batch, source: InputRecord, forwarded: bool = False) -> None:
    """Handle a record of order.returned; arguments and errors as in `order`."""
    sent_back = decode_return(source.content, source.headers, batch.routing.type_aliases)
    receive(batch, source, sent_back, forwarded)


def is_too_early(source: InputRecord, purchase: Purchase) -> bool:
    """Whether the record came too long before the time that it names."""
    return purchase.occurred_at > source.timestamp + MAX_AHEAD_MS


def _check_time(source: InputRecord, purchase: Purchase) -> None:
    if is_too_early(source, purchase):
        raise invalid("occurredOn", "more than 48 hours after its record's timestamp")


def receive(batch: Batch, source: InputRecord, purchase: Purchase, forwarded: bool = False) -> None:
    """Handle a decoded record; arguments and errors as in `order`."""
    _check_time(source, purchase)
    if not forwarded and not at_home(batch, source, purchase.customer_id):
        return
    row = batch.customers.row(purchase.customer_id)
    # Expired inputs end first, so that they do not count against the limit or as repeats.
    due = row.waiting > 0 and row.pending_claim is None and expiry.is_due(batch, row)
    is_held_up = row.pending_claim is not None and row.queued >= batch.bounds.queued
    if (not row.busy and not due) or is_held_up:  # a pending email claim need not delay purchases
        _take(batch, source, purchase, row)
        return
    enqueue(batch, row, purchase.customer_id, source)
    row.behind += 1
    if due:
        batch.begin(purchase.customer_id)


def _take(batch: Batch, source: InputRecord, purchase: Purchase, row: CustomerRow) -> None:
    customer = row.customer
    is_return = isinstance(purchase, OrderReturned)
    if customer is not None and row.waiting and is_return and _waits_already(batch, purchase, row):
        return
    events = None if customer is None else apply(batch, purchase, row, customer)
    is_new = _wait(batch, source, purchase, row) if events is None else bool(events)
    if is_new and isinstance(purchase, OrderCompleted):
        if batch.routing.order_index is not None:
            _index(batch, batch.routing.order_index, purchase)
        if row.waiting and customer is not None:
            _release_returns(batch, row, customer, purchase.order_id)


def _release_returns(batch: Batch, row: CustomerRow, customer: Customer, order_id: str) -> None:
    """Begin to apply the returns that wait for this order."""
    if any(True for _ in waiting_index.returns_of(batch.unit, customer.id, order_id)):
        row.returns_of = order_id
        batch.customers.changed(customer.id, row)
        batch.begin(customer.id)


def _index(batch: Batch, topic: str, order: OrderCompleted) -> None:
    """Send the order's customer to the order index, which is the partition of the orderId."""
    partition, key = batch.routing.home(order.order_id)
    owner = encode_owner(OrderOwner(order.order_id, order.customer_id))
    batch.unit.out(topic, partition).append(Outgoing(key, owner, batch.trace_headers()))


def apply(batch: Batch, purchase: Purchase, row: CustomerRow, customer: Customer) -> tuple[Event, ...] | None:
    """Apply a purchase of a registered customer.

    Args:
        batch: the current batch.
        purchase: the decoded input.
        row: the customer's row; changed in place.
        customer: the registered customer.

    Returns:
        The events; empty for a repeat. None for a return that has to wait for its order.

    Raises:
        DeadLettered: an earlier input with the same id has other contents, or the customer is erased.
    """
    ledger = batch.ledger(purchase.customer_id)
    events: tuple[Event, ...] | None
    if isinstance(purchase, OrderCompleted):
        batch.track(row, customer)
        events = decide_order(customer, purchase, batch.rules, ledger)
        key = purchase.order_id
    elif isinstance(purchase, PaymentCompleted):
        events = decide_payment(customer, purchase, ledger)
        key = purchase.payment_id
    else:
        events = decide_return(customer, purchase, batch.rules, ledger)
        key = purchase.return_id
    if events:
        batch.publish(row, key, purchase.event_id, purchase.correlation_id, events)
    return events


def decode_waiting(kind: str, source: InputRecord, customer_id: str) -> Purchase:
    """Decode a stored purchase. Raises DeadLettered.

    Args:
        kind: ORDER, PAYMENT or RETURN of tables.waiting.
        source: the stored input.
        customer_id: the customer of a payment that names none.
    """
    return _DECODERS[kind](source, customer_id)


def handle_queued(batch: Batch, row: CustomerRow, source: InputRecord, customer_id: str) -> None:
    """Handle a purchase at the head of the customer's queue. Raises DeadLettered."""
    kind = {
        batch.routing.orders: waiting.ORDER,
        batch.routing.payments: waiting.PAYMENT,
        batch.routing.returns: waiting.RETURN,
    }[source.topic]
    _take(batch, source, decode_waiting(kind, source, customer_id), row)


def _named(purchase: Purchase) -> tuple[str, str]:
    """The purchase's kind in the waiting table, and the id that identifies repeats."""
    if isinstance(purchase, OrderCompleted):
        return waiting.ORDER, purchase.order_id
    if isinstance(purchase, PaymentCompleted):
        return waiting.PAYMENT, purchase.payment_id
    return waiting.RETURN, purchase.return_id


def _waits_already(batch: Batch, purchase: Purchase, row: CustomerRow) -> bool:
    """Whether the same purchase waits already. Raises DeadLettered if it waits with another amount.

    If the waiting one has expired, it becomes a dead letter, and the answer is False. Call this before anything is
    changed (`met_input`).
    """
    kind, waiting_id = _named(purchase)
    at = batch.unit.at
    known = met_input(batch, purchase.customer_id, kind, waiting_id)
    if known is None or expiry.ended(batch, (purchase.customer_id, kind, waiting_id), known, row):
        batch.unit.at = at
        return False
    earlier = _DECODERS[kind](known, purchase.customer_id)
    batch.unit.at = at
    if (earlier.amount, earlier.currency) != (purchase.amount, purchase.currency):
        raise DeadLettered(_CONFLICTS[kind], "the same id already waits with another amount")
    return True


def _wait(batch: Batch, source: InputRecord, purchase: Purchase, row: CustomerRow) -> bool:
    """Store a purchase that has to wait. Returns False for a repeat. Raises DeadLettered."""
    expiry.check(batch, source)
    if _waits_already(batch, purchase, row):
        return False
    if row.waiting >= batch.bounds.waiting:
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{batch.bounds.waiting} inputs wait for this customer already"
        )
    let_wait(batch, purchase.customer_id, *_named(purchase), source)
    row.waiting += 1
    row.waiting_since = min(source.timestamp, row.waiting_since or source.timestamp)
    batch.customers.changed(purchase.customer_id, row)
    return True
