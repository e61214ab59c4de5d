"""The payment join (only with PAYMENT_JOIN): it finds the customer of a payment that names no customer.

Such payments go to the partition of their orderId. There the order index maps the orderId to a customerId.

Rules:
- The first customer with an orderId keeps it. Another customer may use the same orderId, but a payment cannot tell the
  two orders apart.
- Once the order is known, a payment is sent to its customer's inbox. There it is handled like any other payment.
- Until then the payment waits. The limits and the expiry of other waiting inputs apply.
- Waiting payments are sent or expire in steps (agents.parking.release). Until then the row counts them.
- A later payment does not overtake one with the same id that still waits, because the first one counts.
- The customer's ledger counts a payment once. A repeat of a waiting payment is recognised by its paymentId.
"""

from collections.abc import Callable, Iterator
from functools import partial

from msgspec.structs import replace

from agents.batch import Batch
from agents.forwarding import forward
from agents.parking import expiry
from agents.parking.arrival import let_wait, met_input, stored_input
from tables import order_index, waiting, waiting_index
from worker.domain.messages import PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.aside import before_reading
from worker.engine.unit import InputRecord
from worker.wire.inbox import CUSTOMER
from worker.wire.inputs import NOT_KNOWN_YET, decode_payment
from worker.wire.order_index import OrderOwner


def owner(batch: Batch, message: OrderOwner) -> None:
    """Store the customer of an order, and begin to send the payments that waited for it."""
    known = order_index.read(batch.unit, message.order_id)
    if known.customer_id is not None:
        return
    order_index.put(batch.unit, message.order_id, replace(known, customer_id=message.customer_id))
    if known.waiting:
        batch.begin(waiting.of_order(message.order_id))


def payment(batch: Batch, source: InputRecord) -> None:
    """Send a payment that names no customer to its customer, or let it wait for its order. Raises DeadLettered."""
    completed = decode_payment(source.content, source.headers, NOT_KNOWN_YET, batch.routing.type_aliases)
    known = order_index.read(batch.unit, completed.order_id)
    if known.customer_id is None:
        expiry.check(batch, source)
        _wait(batch, source, completed)
    else:
        if known.waiting:
            _send_earlier_on(batch, source, completed)
        _send_on(batch, source, known.customer_id)


def released(batch: Batch, order_id: str) -> str | None:
    """The oldest stored payment that need not wait any more; None if there is none.

    A payment need not wait once its order is known or it has expired.
    """
    known = order_index.read(batch.unit, order_id)
    for _, payment_id, timestamp in _oldest(batch, order_id) if known.waiting else ():
        goes_on = known.customer_id is not None or expiry.has_expired(batch, timestamp)
        return payment_id if goes_on else None
    return None


def next_payment(batch: Batch, order_id: str, admits: Callable[[InputRecord], bool]) -> bool:
    """Send the next payment of `released` to its customer, or make it a dead letter if it has expired.

    Args:
        batch: the current batch.
        order_id: the order that it waited for.
        admits: called with the stored payment before it is handled. Returns whether it may be handled now.

    Returns:
        Whether there was such a payment, and it was handled.
    """
    payment_id = released(batch, order_id)
    if payment_id is None:
        return False
    source = stored_input(batch, waiting.of_order(order_id), waiting.PAYMENT, payment_id)
    if source is not None:
        if not admits(source):
            return False
        _release(batch, order_id, source)
    end_waiting(batch, order_id, payment_id)
    return True


def end_waiting(batch: Batch, order_id: str, payment_id: str) -> None:
    """Delete a waiting payment, and subtract it from the count in the order's row."""
    waiting.put(batch.unit, waiting.of_order(order_id), waiting.PAYMENT, payment_id, None)
    known = order_index.read(batch.unit, order_id)
    order_index.put(batch.unit, order_id, replace(known, waiting=known.waiting - 1))


def _oldest(batch: Batch, order_id: str) -> Iterator[tuple[str, str, int]]:
    owner = waiting.of_order(order_id)
    for found in waiting_index.oldest(batch.unit, owner):
        if waiting.holds(batch.unit, owner, found[0], found[1]):
            yield found


def _release(batch: Batch, order_id: str, source: InputRecord) -> None:
    customer_id = order_index.read(batch.unit, order_id).customer_id
    if expiry.has_expired(batch, source.timestamp):
        batch.dead_letter(source, expiry.expired())
    elif customer_id is not None:
        batch.follow(source)
        _send_on(batch, source, customer_id)


def _send_on(batch: Batch, source: InputRecord, customer_id: str) -> None:
    forward(batch, source, batch.routing.inbox, customer_id, (CUSTOMER, customer_id.encode()))


def _wait(batch: Batch, source: InputRecord, completed: PaymentCompleted) -> None:
    """Let a payment wait for its order. A repeat of a waiting payment changes nothing.

    First it ends expired payments that are in the way: one with the same id, or the oldest when the limit is reached.

    Raises:
        DeadLettered: the same payment waits with another amount, or the limit is reached.
    """
    order_id = completed.order_id
    owner = waiting.of_order(order_id)
    at = batch.unit.at
    waits = _earlier(batch, completed)
    most = batch.bounds.waiting
    if waits is not None and expiry.has_expired(batch, waits.timestamp):
        batch.dead_letter(waits, expiry.expired())
        end_waiting(batch, order_id, completed.payment_id)
    elif waits is not None:
        earlier = decode_payment(waits.content, waits.headers, NOT_KNOWN_YET, stored=True)
        if (earlier.amount, earlier.currency) != (completed.amount, completed.currency):
            raise DeadLettered(
                DeadLetterReason.PAYMENT_CONFLICT, "the same id already waits with another amount"
            )
        return
    elif order_index.read(batch.unit, order_id).waiting >= most and not next_payment(
        batch, order_id, partial(_admits, batch)
    ):
        raise DeadLettered(DeadLetterReason.WAITING_LIMIT, f"{most} payments wait for this order already")
    batch.unit.at = at
    let_wait(batch, owner, waiting.PAYMENT, completed.payment_id, source)
    known = order_index.read(batch.unit, order_id)
    order_index.put(batch.unit, order_id, replace(known, waiting=known.waiting + 1))
    if released(batch, order_id) is not None:
        batch.begin(owner)


def _admits(batch: Batch, stored: InputRecord) -> bool:
    """Admit a payment that makes room for the one at hand. Raises NeedsThread."""
    before_reading(batch.unit, stored)
    return True


def _send_earlier_on(batch: Batch, source: InputRecord, payment: PaymentCompleted) -> None:
    """Send the waiting payment with the same id, if any, before this one."""
    waits = _earlier(batch, payment)
    if waits is not None:
        _release(batch, payment.order_id, waits)
        end_waiting(batch, payment.order_id, payment.payment_id)
        batch.follow(source)
    batch.unit.at = source


def _earlier(batch: Batch, payment: PaymentCompleted) -> InputRecord | None:
    """The stored payment with the same order and id, or None."""
    return met_input(batch, waiting.of_order(payment.order_id), waiting.PAYMENT, payment.payment_id)
