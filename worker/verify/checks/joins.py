"""Payments that name no customer: each takes every hop once, and reaches the customer who owns its order.

A payment goes to customer.order-index, and from there to its customer's inbox. The customer of an order is named on
that topic once, when the order counts or begins to wait. An expired order that comes again names its customer again.
Inputs from before PAYMENT_JOIN was turned on did not take these hops. An order that is older than the first one with
such a hop is not verifiable.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from worker.verify.checks import dead_letters
from worker.verify.checks.account import Account
from worker.verify.checks.order_index import IndexLog
from worker.verify.checks.traces import source_of
from worker.verify.reading.contents import Partition, Shared
from worker.verify.reading.deliveries import Delivery, Expected
from worker.verify.reading.inputs import Position, Purchase
from worker.verify.report import Report

BEFORE = "INVALID"
"""The dead letter reason of a payment without a customerId while PAYMENT_JOIN was off."""


class Joins:
    """Compares the joins of all partitions. Feed it every partition and customer, in any order, then call `finish`.

    dead: the dead letters that the joins must or may have.
    """

    def __init__(self, shared: Shared, report: Report) -> None:
        self.dead: list[Expected] = []
        self._shared = shared
        self._report = report
        self._before = dead_letters.sources_with(BEFORE, shared.dead_letters)
        self._expired = dead_letters.sources_with(dead_letters.EXPIRED, shared.dead_letters)
        self._failed = dead_letters.sources_with(dead_letters.FAILED, shared.dead_letters)
        self._expired_orders: set[tuple[str, str]] = set()
        self._given: dict[Position, bool] = {}
        self._indexed: Counter[Position] = Counter()
        self._processed: set[Position] = set()
        self._to_send: dict[Position, tuple[str, bool]] = {}
        self._sent: defaultdict[Position, list[Delivery[Purchase]]] = defaultdict(list)
        self._named: Counter[tuple[str, str]] = Counter()
        self._owed: dict[tuple[str, str], Delivery[Purchase]] = {}

    @property
    def positions(self) -> set[Position]:
        """The original positions of the payments on customer.order-index."""
        return set(self._indexed)

    def partition(
        self,
        contents: Partition,
        rows: Mapping[str, Mapping[str, Any]],
        waiting: Mapping[tuple[str, str], Mapping[str, Any]],
    ) -> None:
        """Replay one partition of customer.order-index, and compare its tables.

        Args:
            contents: the partition.
            rows: orderId -> row of the order_index table.
            waiting: (orderId, paymentId) -> row of the waiting payment.
        """
        topic = self._shared.catalogue.order_index.name
        log = IndexLog(self._shared, contents.records.get(topic, ()), self._expired, self._failed)
        if contents.number not in self._shared.moving and not self._shared.is_cut(topic):
            log.compare_tables(rows, waiting, self._report)
        self.dead += log.dead
        self._named += log.named
        self._to_send |= log.sent_on
        self._indexed.update(position for position, _ in log.payments)
        self._processed |= {position for position, due in log.payments if due}

    def given(self, payments: Iterable[Delivery[Purchase]]) -> None:
        """Add payments of payment.completed that name no customer."""
        for each in payments:
            if each.position in self._before:
                self.dead.append(Expected(each.source, frozenset((BEFORE,)), each.due))
            self._given[each.position] = each.due

    def arrived(self, payments: Iterable[Delivery[Purchase]]) -> None:
        """Add the copies of such payments in the inbox, each with the customer of its envelope."""
        for each in payments:
            self._sent[each.position].append(each)

    def expect(self, customer_id: str, account: Account) -> None:
        """Add the orders for which this customer must be named on customer.order-index."""
        for order_id, deliveries in account.orders_by_id.items():
            counted = account.winners.get(("O", order_id))
            waits = account.traces.waiting.get(("O", order_id))
            if counted is None and waits is not None:
                counted = next((each for each in deliveries if each.position == source_of(waits)), None)
            if any(each.position in self._expired for each in deliveries):
                self._expired_orders.add((order_id, customer_id))
            if counted is not None:
                self._owed[order_id, customer_id] = counted

    def finish(self, excused: set[str]) -> None:
        """Compare every hop. excused: customers that cannot be verified."""
        catalogue = self._shared.catalogue
        if not catalogue.payment_join or self._shared.is_cut(catalogue.order_index.name):
            return
        self._compare_given()
        self._compare_sent()
        self._compare_named(excused)

    def _compare_given(self) -> None:
        before = 0
        for position, due in self._given.items():
            times = self._indexed[position]
            if times == 0 and position in self._before:
                before += 1
            elif times > 1 or (times == 0 and due):
                self._report.differs(
                    "order index", str(position), f"the payment was sent there {times} times"
                )
        if not self._shared.is_cut(self._shared.catalogue.payments.name):
            for position in sorted(self._processed - self._given.keys()):
                self._report.differs("order index", str(position), "no such payment was given")
        if before:
            self._report.unverifiable.append(f"payments from before they were joined to orders: {before}")

    def _compare_sent(self) -> None:
        if self._shared.is_cut(self._shared.catalogue.inbox.name):
            return
        for position in sorted(self._to_send.keys() | self._sent.keys()):
            customer_id, due = self._to_send.get(position, ("", False))
            sent = self._sent.get(position, [])
            if not customer_id:
                if any(each.due for each in sent):
                    self._report.differs("payment join", str(position), "sent on, but its order is not known")
            elif len(sent) > 1 or (due and not sent):
                self._report.differs("payment join", str(position), f"sent on {len(sent)} times")
            elif sent and sent[0].fact.customer_id != customer_id:
                self._report.differs("payment join", str(position), f"is customer {customer_id}'s")

    def _compare_named(self, excused: set[str]) -> None:
        first: dict[tuple[str, int], int] = {}
        for owed, counted in self._owed.items():
            if self._named[owed] and counted.at_home:
                where, offset = counted.position[:2], counted.position.offset
                first[where] = min(first.get(where, offset), offset)
        before = 0
        for order_id, customer_id in sorted(self._owed.keys() | self._named.keys()):
            times, order = self._named[order_id, customer_id], self._owed.get((order_id, customer_id))
            if customer_id in excused or times == (order is not None):
                continue
            if times and (order_id, customer_id) in self._expired_orders:
                continue
            if order is not None and not times and _older(order.position, first):
                before += 1
            elif order is not None or not self._shared.is_cut(self._shared.catalogue.orders.name):
                wanted = "once" if order is not None else "but has no such order"
                text = f"order {order_id}: named {times} times, {wanted}"
                self._report.differs("order index", f"customer {customer_id}", text)
        if before:
            self._report.unverifiable.append(f"orders from before payments were joined to them: {before}")


def _older(position: Position, first: Mapping[tuple[str, int], int]) -> bool:
    """Whether the order came before the first order of its partition for which a customer was named."""
    return position.offset < first.get(position[:2], position.offset + 1)
