"""The payment join: the partition of an orderId says whose a payment is that names no customer (only with PAYMENT_JOIN).

Rules:
- The first customer whose order has an orderId keeps it. The same orderId of another customer is legal, but a payment
  cannot tell the two apart.
- A payment goes on to its customer's inbox once the order is known, and counts there like any other. Until then it
  waits, under the limits of other waiting inputs and no longer than they may.
- Where it counts it counts once (the ledger); while it waits, a repeat is recognised by its paymentId.
"""

from agents import expiry
from agents.batch import Batch
from agents.purchases import MAX_WAITING
from tables import order_index, waiting
from tables.order_index import IndexedOrder
from tables.waiting import Source
from worker.domain.messages import PaymentCompleted
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.wire import claims
from worker.wire.inputs import NOT_KNOWN_YET, decode_payment
from worker.wire.order_index import OrderOwner


def owner(batch: Batch, message: OrderOwner) -> None:
    """Whose an order is: remember it, and send on the payments that waited for it."""
    known = _known(batch, message.order_id)
    if known.customer_id is not None:
        return
    order_index.put(batch.unit, message.order_id, IndexedOrder(message.customer_id))
    if known.waiting:
        _release(batch, message)


def payment(batch: Batch, source: Source) -> None:
    """A payment that names no customer: send it on, or let it wait for its order. Raises DeadLettered."""
    completed = decode_payment(source.value, source.headers, NOT_KNOWN_YET)
    known = _known(batch, completed.order_id)
    if known.customer_id is None:
        expiry.check(batch, source)
        _wait(batch, source, completed, known)
    else:
        _send_on(batch, source, known.customer_id)


def _known(batch: Batch, order_id: str) -> IndexedOrder:
    """What is known of the order, without what waited for it too long."""
    known = order_index.read(batch.unit, order_id)
    if not known.waiting:
        return known
    expiry.of_order(batch, order_id)
    return order_index.read(batch.unit, order_id)


def _release(batch: Batch, message: OrderOwner) -> None:
    order = waiting.of_order(message.order_id)
    found = list(waiting.scan(batch.unit, order, waiting.PAYMENT))
    for payment_id, source in sorted(found, key=lambda each: (each[1].partition, each[1].offset)):
        waiting.put(batch.unit, order, waiting.PAYMENT, payment_id, None)
        _send_on(batch, source, message.customer_id)


def _send_on(batch: Batch, source: Source, customer_id: str) -> None:
    batch.forward(source, batch.routing.inbox, customer_id, (claims.CUSTOMER, customer_id.encode()))


def _wait(batch: Batch, source: Source, completed: PaymentCompleted, known: IndexedOrder) -> None:
    order = waiting.of_order(completed.order_id)
    waits = waiting.read(batch.unit, order, waiting.PAYMENT, completed.payment_id)
    if waits is not None:
        earlier = decode_payment(waits.value, waits.headers, NOT_KNOWN_YET)
        if (earlier.amount, earlier.currency) != (completed.amount, completed.currency):
            raise DeadLettered(DeadLetterReason.PAYMENT_CONFLICT, "waits already with another amount")
        return
    if known.waiting >= MAX_WAITING:
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{MAX_WAITING} payments wait for this order already"
        )
    waiting.put(batch.unit, order, waiting.PAYMENT, completed.payment_id, source)
    order_index.put(batch.unit, completed.order_id, IndexedOrder(waiting=known.waiting + 1))
