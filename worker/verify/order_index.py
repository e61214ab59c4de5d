"""The log of customer.order-index, replayed: whose an order is, and what becomes of payments that name no customer.

Everything about one orderId is in one partition of the log. The first customer named for an order owns it; a payment
that comes later is sent on to that customer, an earlier one waits until then (CONTRACT section 6). The tables have to
be the end of the replay. Where a payment waited too long, its dead letter is taken at its word; what came of other payments
for the same order is then allowed either way, for which of them it hid while it waited cannot be told.
"""

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from worker.verify.contents import Record, Shared
from worker.verify.deliveries import Delivery, Expected, original
from worker.verify.inputs import Position, Purchase, Unreadable, read_payment_to_join
from worker.verify.report import Report
from worker.verify.traces import source_of

MAX_WAITING = 1_000


class IndexLog:
    """One partition of the log.

    named: how often a customer was named for an order, by (orderId, customerId). payments: of each payment on the log,
    where it was first, and whether it was processed here. sent_on: position -> (customerId, whether it must have been).
    """

    def __init__(
        self, shared: Shared, records: Iterable[Record], expired: Container[Position | None]
    ) -> None:
        """expired: where the payments were first that waited too long."""
        self.named: Counter[tuple[str, str]] = Counter()
        self.payments: list[tuple[Position, bool]] = []
        self.sent_on: dict[Position, tuple[str, bool]] = {}
        self.dead: list[Expected] = []
        self._owners: dict[str, str] = {}
        self._waiting: dict[str, dict[str, Delivery[Purchase]]] = {}
        self._expired = expired
        self._of_expired: set[str] = set()
        self._unprocessed: set[str] = set()
        for record in records:
            if record.value is not None:
                self._step(record, due=shared.processed(record.topic, record.partition, record.offset))

    def compare_tables(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        waiting: Mapping[tuple[str, str], Mapping[str, Any]],
        report: Report,
    ) -> None:
        """rows: orderId -> row of the index; waiting: (orderId, paymentId) -> input. What is on its way is left out."""
        expected: dict[str, tuple[str | None, int]] = {
            order_id: (owner, 0) for order_id, owner in self._owners.items()
        }
        expected_waiting = {}
        for order_id, payments in self._waiting.items():
            expected[order_id] = None, len(payments)
            for payment_id, delivery in payments.items():
                expected_waiting[order_id, payment_id] = delivery.position
        for order_id in sorted((expected.keys() | rows.keys()) - self._unprocessed):
            row = rows.get(order_id)
            found = None if row is None else (row.get("customer_id"), row.get("waiting", 0))
            if found != expected.get(order_id):
                state = "is missing" if found is None else "is not what its log leads to"
                report.differs("order index", f"order {order_id}", f"the row {state}")
        for order_id, payment_id in sorted(expected_waiting.keys() | waiting.keys()):
            source = waiting.get((order_id, payment_id))
            position = None if source is None else source_of(source)
            if order_id not in self._unprocessed and position != expected_waiting.get((order_id, payment_id)):
                state = "does not wait" if source is None else "waits, but should not"
                report.differs("order index", f"order {order_id}", f"payment {payment_id} {state}")

    def _step(self, record: Record, *, due: bool) -> None:
        source = original(record)
        try:
            if source is not None:
                payment = read_payment_to_join(source.value or b"", source.headers)
                self._note(payment.order_id, due=due)
                self._payment(Delivery(payment, source, at_home=False, due=due))
                return
            message = json.loads(record.value or b"")
            order_id, customer_id = message["order_id"], message["customer_id"]
        except Unreadable as problem:
            self.dead.append(Expected(source or record, problem.reasons, due))
        except (ValueError, KeyError, TypeError):
            self.dead.append(Expected(record, frozenset(("UNDECODABLE",)), due))
        else:
            self._note(order_id, due=due)
            self._owner(order_id, customer_id, due=due)

    def _note(self, order_id: str, *, due: bool) -> None:
        if not due:
            self._unprocessed.add(order_id)

    def _owner(self, order_id: str, customer_id: str, *, due: bool) -> None:
        self.named[order_id, customer_id] += 1
        if order_id not in self._owners:
            self._owners[order_id] = customer_id
            for delivery in self._waiting.pop(order_id, {}).values():
                self.sent_on[delivery.position] = customer_id, due and order_id not in self._of_expired

    def _payment(self, delivery: Delivery[Purchase]) -> None:
        payment = delivery.fact
        self.payments.append((delivery.position, delivery.due))
        if delivery.position in self._expired:
            self._of_expired.add(payment.order_id)
            self._unprocessed.add(payment.order_id)
            self._refuse(delivery, "WAITING_EXPIRED")
            return
        if payment.order_id in self._owners:
            self.sent_on[delivery.position] = self._owners[payment.order_id], delivery.due
            return
        waiting = self._waiting.setdefault(payment.order_id, {})
        earlier = waiting.get(payment.id)
        if earlier is not None:
            if earlier.fact.worth != payment.worth:
                self._refuse(delivery, "PAYMENT_CONFLICT")
        elif payment.order_id in self._of_expired:
            self.dead.append(Expected(delivery.source, frozenset(("PAYMENT_CONFLICT",)), due=False))
            waiting[payment.id] = delivery
        elif len(waiting) >= MAX_WAITING:
            self._refuse(delivery, "WAITING_LIMIT")
        else:
            waiting[payment.id] = delivery

    def _refuse(self, delivery: Delivery[Purchase], reason: str) -> None:
        self.dead.append(Expected(delivery.source, frozenset((reason,)), delivery.due))
