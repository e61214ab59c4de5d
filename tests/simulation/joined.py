"""Checks payments that name no customer: finds their customers, and checks those without an order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tables.order_index import IndexedOrder
from tables.waiting import decode, of_order
from tests.simulation.sent import ORDER, PAYMENT, Delivery, Sent, digest

if TYPE_CHECKING:
    from tests.simulation.check import Seen


def told(seen: Seen, sent: Sent) -> Sent:
    """The messages sent, with each of these payments assigned to the customer of its order, if there is one."""
    owners = _owners(seen, sent)
    purchases = defaultdict(list, sent.purchases)
    for (order_id, payment_id), deliveries in sent.nameless.items():
        if order_id in owners:
            purchases[PAYMENT, owners[order_id], payment_id] = deliveries
    return replace(sent, purchases=purchases)


def left_of(seen: Seen, sent: Sent) -> Iterable[str]:
    """Yield each error of the index, and each payment that wrongly waits or does not wait for its order."""
    if seen.index is None:
        return
    owners = _owners(seen, sent)
    waits = {(of_order(order), PAYMENT, payment) for order, payment in sent.nameless if order not in owners}
    found = {key for key in seen.waiting if key[0].startswith(of_order(""))}
    yield from (f"payment {key[2]} does not wait for its order" for key in waits - found)
    yield from (f"payment {key[2]} waits for an order" for key in found - waits)
    index = {order_id: IndexedOrder(customer) for order_id, customer in owners.items()}
    for order, count in Counter(order for order, _, _ in waits).items():
        index[order.removeprefix(of_order(""))] = IndexedOrder(waiting=count)
    for order_id in index.keys() | seen.index.keys():
        if index.get(order_id) != seen.index.get(order_id):
            yield f"index of {order_id}: {seen.index.get(order_id)}, not {index.get(order_id)}"


def conflicts(seen: Seen, sent: Sent) -> Counter[tuple[str, str]]:
    """The dead letters of payments without an order whose amount differs from that of the waiting delivery."""
    wanted: Counter[tuple[str, str]] = Counter()
    for (order_id, payment_id), deliveries in sent.nameless.items():
        waits = seen.waiting.get((of_order(order_id), PAYMENT, payment_id))
        if waits is not None:
            first = {each.digest: each[:2] for each in deliveries}[digest(decode(waits).content)]
            wanted.update(("PAYMENT_CONFLICT", each.digest) for each in deliveries if each[:2] != first)
    return wanted


def refused(got: Mapping[tuple[str, str], int], deliveries: Sequence[Delivery]) -> Counter[tuple[str, str]]:
    """The dead letters of a payment that never counted because its customer had been erased.

    Repeats and conflicts may have been found while it waited for its order. They are accepted as found, but at least one
    delivery must have been refused.
    """
    wanted: Counter[tuple[str, str]] = Counter()
    for each, count in Counter(delivery.digest for delivery in deliveries).items():
        late = min(count, got["CUSTOMER_ERASED", each])
        wanted["CUSTOMER_ERASED", each] += late
        wanted["PAYMENT_CONFLICT", each] += min(count - late, got["PAYMENT_CONFLICT", each])
    if not any(reason == "CUSTOMER_ERASED" and count for (reason, _), count in wanted.items()):
        wanted["neither counted nor refused", deliveries[0].digest] += 1
    return wanted


def _owners(seen: Seen, sent: Sent) -> dict[str, str]:
    """orderId -> customerId of all orders that counted or wait. In this traffic, each orderId has one customer."""
    return {
        order_id: customer
        for kind, customer, order_id in sent.purchases
        if kind == ORDER
        and ((ORDER, order_id) in seen.ledger[customer] or (customer, ORDER, order_id) in seen.waiting)
    }
