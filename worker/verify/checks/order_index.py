"""The replay of customer.order-index: which customer owns an order, and where payments without a customer go.

One partition holds everything about one orderId. The first customer named for an order owns it. A later payment is sent
on to that customer; an earlier one waits until then (contract, section 6). The tables must equal the end of the replay.

The dead letter of a payment that waited too long is trusted. The logs do not tell which other payments for the order
came while it waited. So both outcomes are allowed for those.
"""

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from worker.verify.checks.traces import source_of
from worker.verify.reading.contents import Record, Shared
from worker.verify.reading.deliveries import Delivery, Expected, original, too_large
from worker.verify.reading.inputs import Position, Purchase, Unreadable, read_payment_to_join
from worker.verify.report import Report

MAX_WAITING = 1_000


class IndexLog:
    """The replay of one partition of the log.

    Attributes:
        named: (orderId, customerId) -> how often the customer was named for the order.
        payments: for each payment, its original position and whether it was processed here.
        sent_on: original position -> (customerId, whether the payment must have been sent on; otherwise it may).
        dead: the dead letters that the records must or may have.
    """

    def __init__(
        self,
        shared: Shared,
        records: Iterable[Record],
        expired: Container[Position | None],
        failed: Container[Position | None],
    ) -> None:
        """Replay the records.

        Args:
            shared: the data of all partitions.
            records: the records of the partition, in offset order.
            expired: original positions of payments with a WAITING_EXPIRED dead letter.
            failed: original positions of inputs with a FAILED dead letter.
        """
        self._aliases = shared.catalogue.type_aliases
        self._failed = failed
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
            due = shared.processed(record.topic, record.partition, record.offset)
            if record.value is not None:
                self._step(record, due=due)
            elif reasons := too_large(record):
                self.dead.append(Expected(record, reasons, due))

    def compare_tables(
        self,
        rows: Mapping[str, Mapping[str, Any]],
        waiting: Mapping[tuple[str, str], Mapping[str, Any]],
        report: Report,
    ) -> None:
        """Compare the tables with the replay. Orders with records in flight are skipped.

        Args:
            rows: orderId -> row of the order_index table.
            waiting: (orderId, paymentId) -> row of the waiting payment.
            report: receives the differences.
        """
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
                state = "is missing" if found is None else "differs from the replay of its log"
                report.differs("order index", f"order {order_id}", f"the row {state}")
        for order_id, payment_id in sorted(expected_waiting.keys() | waiting.keys()):
            source = waiting.get((order_id, payment_id))
            position = None if source is None else source_of(source)
            if order_id not in self._unprocessed and position != expected_waiting.get((order_id, payment_id)):
                state = "does not wait" if source is None else "waits, but should not"
                report.differs("order index", f"order {order_id}", f"payment {payment_id} {state}")

    def _step(self, record: Record, *, due: bool) -> None:
        source = original(record)
        if source is not None and source.position in self._failed:
            return
        try:
            if source is not None:
                payment = read_payment_to_join(source.value or b"", source.headers, self._aliases)
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
