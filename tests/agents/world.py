"""A simulated Kafka for the processor: real codecs, tables, domain and agents; only the log and the clock are made up.

`World.run` serves the partitions until nothing is left to read. It does what the engine does: it takes records and
processes them in a unit of work. Then it appends what the unit sends and writes what it changes, all or nothing.
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable
from itertools import groupby
from typing import Any

from aiokafka.partitioner import murmur2

from agents.batch import Batch
from agents.parking.bounds import BOUNDS, Bounds
from agents.processor import Processor
from agents.routing import Routing
from tables import customers
from tables.rows import Committed
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, CustomerRow
from worker.engine.store import MemoryStore
from worker.engine.unit import MORE, POSITIONS, InputRecord, Unit
from worker.kafka.topics import Catalogue
from worker.wire.email import email_hash

PARTITIONS = 4
START = 1_795_500_000.0
UNTIMED = BOUNDS._replace(step_s=math.inf)  # a busy machine would end steps early


class World:
    """One installation: its logs, its stores, its readers' positions. seed: of the order of turns and batch sizes."""

    def __init__(
        self,
        seed: int = 0,
        rules: RuleBook | None = None,
        max_batch: int = 100,
        payment_join: bool = False,
        bounds: Bounds = UNTIMED,
        type_aliases: dict[str, str] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.catalogue = Catalogue(
            partitions=PARTITIONS, payment_join=payment_join, type_aliases=type_aliases
        )
        self.routing = Routing(self.catalogue, PARTITIONS)
        self.logs: dict[tuple[str, int], list[InputRecord]] = defaultdict(list)
        self.stores = [MemoryStore() for _ in range(PARTITIONS)]
        self.positions: dict[tuple[str, int], int] = defaultdict(int)
        self.more: list[dict[str, None]] = [
            {} for _ in range(PARTITIONS)
        ]  # all that turns leave for each other
        self.now = START
        self.fails: Callable[[InputRecord], bool] = lambda record: (
            False
        )  # whether the worker itself fails on it
        self.bare = False  # and on its dead letter
        self.slice_records = 250
        self.committed: Callable[[Batch], None] = lambda batch: None  # called after each commit
        self._max_batch = max_batch
        self._process = Processor(
            self.routing,
            rules or RuleBook((DEFAULT_RULES,)),
            lambda batch, *_: self.committed(batch),
            clock=lambda: self.now,
            bounds=bounds,
        )
        self._inputs = [topic.name for topic in self.catalogue.consumed]

    # -- what others do

    def produce(
        self,
        topic: str,
        value: Any,
        key: str | bytes | None = None,
        partition: int | None = None,
        headers: tuple[tuple[str, bytes | None], ...] = (),
    ) -> InputRecord:
        """Append to a log. value: bytes, None, or something to encode as JSON; partition: murmur2 of the key if None."""
        raw_key = key.encode() if isinstance(key, str) else key
        raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        if partition is None:
            partition = (murmur2(raw_key or b"") & 0x7FFFFFFF) % PARTITIONS
        return self._append(topic, partition, raw_key, raw, headers)

    def command(
        self, command_type: str, customer_id: str, command_id: str, data: Any, **envelope: Any
    ) -> None:
        """Produce a command as its sender would."""
        value = {
            "commandId": command_id,
            "commandType": command_type,
            "customerId": customer_id,
            "issuedAt": "2026-11-24T10:00:00Z",
            "data": data,
            **envelope,
        }
        self.produce(self.routing.commands, value, customer_id)

    def register(
        self, customer_id: str, email: str | None = None, command_id: str | None = None, **data: Any
    ) -> None:
        """Produce a registration."""
        data = {"name": "Ada", "email": email or f"{customer_id}@example.com", **data}
        self.command("RegisterCustomer", customer_id, command_id or f"reg-{customer_id}", data)

    def order(
        self, customer_id: str, order_id: str, amount: str, on: str = "2026-11-01T12:00:00Z", **more: Any
    ) -> None:
        """Produce an OrderCompletedEvent."""
        currency = more.pop("currency", "USD")
        value = {
            "eventId": f"e-{order_id}",
            "orderId": order_id,
            "customerId": customer_id,
            "totalAmount": {"amount": amount, "currency": currency},
            "occurredOn": on,
            **more,
        }
        self.produce(self.routing.orders, value, customer_id)

    def returned(
        self,
        customer_id: str,
        return_id: str,
        order_id: str,
        amount: str,
        on: str = "2026-11-02T12:00:00Z",
        **more: Any,
    ) -> None:
        """Produce an OrderReturnedEvent."""
        currency = more.pop("currency", "USD")
        value = {
            "eventId": f"e-{return_id}",
            "returnId": return_id,
            "orderId": order_id,
            "customerId": customer_id,
            "refundAmount": {"amount": amount, "currency": currency},
            "occurredOn": on,
            **more,
        }
        self.produce(self.routing.returns, value, customer_id)

    def payment(
        self,
        customer_id: str,
        payment_id: str,
        amount: str,
        key: str | None = None,
        on: str = "2026-11-01T12:00:00Z",
    ) -> None:
        """Produce a PaymentCompletedEvent."""
        value = {
            "eventId": f"e-{payment_id}",
            "paymentId": payment_id,
            "orderId": f"o-{payment_id}",
            "customerId": customer_id,
            "amount": {"amount": amount, "currency": "USD"},
            "occurredOn": on,
        }
        self.produce(self.routing.payments, value, key or customer_id)

    def payment_of_order(
        self, order_id: str, payment_id: str, amount: str, partition: int | None = None
    ) -> InputRecord:
        """Produce a PaymentCompletedEvent that names no customer, keyed by its order."""
        value = {
            "eventId": f"e-{payment_id}",
            "paymentId": payment_id,
            "orderId": order_id,
            "amount": {"amount": amount, "currency": "USD"},
            "occurredOn": "2026-11-01T12:00:00Z",
        }
        return self.produce(self.routing.payments, value, order_id, partition)

    def email(self, name: str, customer_id: str, here: bool) -> str:
        """An email that is decided on the customer's own partition, or on another."""
        home = self.routing.home(customer_id)[0]
        emails = (f"{name}-{n}@example.com" for n in range(1_000))
        return next(each for each in emails if (self.routing.home(email_hash(each))[0] == home) is here)

    # -- what the worker does

    def run(self) -> "World":
        """Process batches until nothing is left to read."""
        while ready := [p for p in range(PARTITIONS) if self._unread(p) or self.more[p]]:
            self.one_batch(self.random.choice(ready))
        return self

    def one_batch(self, partition: int, crash: bool = False) -> None:
        """One batch of a partition. crash: die before the commit, so that nothing of it remains."""
        if self.more[partition] and not crash:
            self.go_on(partition)
        records = self._take(partition)
        unit = Unit(partition, self.stores[partition], {MORE: self.more[partition]})
        unit.in_thread = True  # a world has no event loop to hold
        work = self._process(unit)
        for fails, group in groupby(records, self.fails):
            together = list(group)
            if fails:
                for record in together:
                    work.fail(record, "3 failures alone: LookupError", bare=self.bare)
            else:
                for start in range(0, len(together), self.slice_records):
                    work.take(together[start : start + self.slice_records])
        committed = work.finish()
        for record in records:
            unit.put(POSITIONS, record.topic.encode(), b"%d" % (record.offset + 1))
        if crash:
            self.more[partition] = {}
            return
        self._commit(unit)
        for record in records:
            self.positions[record.topic, partition] = record.offset + 1
        committed()

    def go_on(self, partition: int) -> None:
        """A step of what former inputs left to do."""
        unit = Unit(partition, self.stores[partition], {MORE: self.more[partition]})
        unit.in_thread = True
        work = self._process(unit)
        if work.go_on():
            work.go_on(alone=True)
        committed = work.finish()
        self._commit(unit)
        committed()

    def sweep(self, crash: bool = False) -> list[int]:
        """One sweep of every partition. Returns how many rows each step ended. crash: as of one_batch."""
        steps = []
        for partition in range(PARTITIONS):
            carried: dict[str, Any] = {MORE: {} if crash else self.more[partition]}
            last = False
            while not last:
                unit = Unit(partition, self.stores[partition], carried)
                last, committed = self._process.sweep(unit)
                ended = [row for rows in unit.changes.values() for row in rows.values() if row is None]
                steps.append(len(ended))
                if committed is not None and not crash:
                    self._commit(unit)
                    committed()
                while carried[MORE] and not crash:
                    self.go_on(partition)
        return steps

    # -- what can be seen

    def published(self, topic: str) -> list[Any]:
        """Values of a topic as JSON, per partition in log order."""
        return [json.loads(record.value or b"null") for record in self.records(topic)]

    def records(self, topic: str) -> list[InputRecord]:
        return [record for number in range(PARTITIONS) for record in self.logs[topic, number]]

    def events(self, customer_id: str) -> list[Any]:
        return [e for e in self.published(self.routing.events) if e["subject"] == customer_id]

    def types(self, customer_id: str) -> list[str]:
        return [event["type"] for event in self.events(customer_id)]

    def results(self, customer_id: str | None = None) -> list[Any]:
        found = self.published(self.routing.results)
        return [r for r in found if customer_id in (None, r["customerId"])]

    def dead_letters(self) -> list[tuple[str, InputRecord]]:
        """(reason, record) of every dead letter."""
        return [
            ((dict(r.headers)["dlq-reason"] or b"").decode(), r)
            for r in self.records(self.routing.dead_letters)
        ]

    def row(self, customer_id: str) -> CustomerRow:
        rows = Committed(self.stores[self.routing.home(customer_id)[0]])
        return customers.read(rows, customer_id) or CustomerRow()

    def customer(self, customer_id: str) -> Customer:
        """The registered customer."""
        customer = self.row(customer_id).customer
        assert customer is not None
        return customer

    def _unread(self, partition: int) -> bool:
        return any(
            self.positions[topic, partition] < len(self.logs[topic, partition]) for topic in self._inputs
        )

    def _take(self, partition: int) -> list[InputRecord]:
        taken: list[InputRecord] = []
        for topic in self.random.sample(self._inputs, len(self._inputs)):
            at = self.positions[topic, partition]
            taken += self.logs[topic, partition][at : at + self.random.randint(1, self._max_batch)]
        return taken

    def _commit(self, unit: Unit) -> None:
        for (topic, number), outgoing in unit.outbox.items():
            for record in outgoing:
                self._append(topic, number, record.key, record.value, tuple(record.headers))
        self.stores[unit.partition].write(unit.rows_to_write(), {})
        self.now += 0.01

    def _append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes | None], ...],
    ) -> InputRecord:
        log = self.logs[topic, partition]
        log.append(InputRecord(topic, partition, len(log), int(self.now * 1000), key, value, headers))
        return log[-1]
