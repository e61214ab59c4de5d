"""Peer: a hand-written loop on confluent-kafka. Consume, decide, produce, commit: one transaction per batch.

Rules:
- Exactly once as in Kafka's documentation: the transaction with the events and both changelogs also has the offsets.
  All state is in memory and is restored from the changelogs, so memory grows with every order.
- One process owns every partition. It does not handle rebalances, zombies or a second process.
"""

import os
import signal
from typing import Any

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.benchmarks.rewards import Customer, OrderCompleted, count, now

PREFIX, APP_ID = os.environ["BENCH_PREFIX"], os.environ["BENCH_APP_ID"]
PARTITIONS = int(os.environ["BENCH_PARTITIONS"])
ORDERS, EVENTS = f"{PREFIX}order.completed", f"{PREFIX}customer.events"
DEAD_LETTERS = f"{PREFIX}customer.dead-letters"
CUSTOMERS, LEDGER = f"{APP_ID}-customers-changelog", f"{APP_ID}-ledger-changelog"
CLIENT = {"bootstrap.servers": os.environ["BENCH_BOOTSTRAP"]}
MOST_RECORDS = 4_000
BUILD_S = 0.005  # how long a batch collects records after its first one

Headers = list[tuple[str, str | bytes | None]]

_encode = msgspec.json.Encoder().encode
_decode_order = msgspec.json.Decoder(OrderCompleted).decode
_decode_customer = msgspec.json.Decoder(Customer).decode


class Loop:
    def __init__(self) -> None:
        self.over = False
        self.customers: dict[bytes, Customer] = {}
        self.ledger: dict[bytes, int] = {}
        self._headers: dict[str, Headers] = {}
        self._consumer = Consumer(
            {
                **CLIENT,
                "group.id": APP_ID,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": 6_000,
            }
        )
        self._producer = Producer(
            {
                **CLIENT,
                "transactional.id": APP_ID,
                "linger.ms": 2,
                "batch.size": 900_000,
                "queue.buffering.max.messages": 200_000,
            }
        )

    def run(self) -> None:
        self._producer.init_transactions()  # fences a former process before the state is read
        self._restore()
        self._consumer.subscribe([ORDERS])
        while not self.over:
            first = self._consumer.poll(0.5)
            if first is not None:
                self._transaction([first, *self._consumer.consume(MOST_RECORDS, BUILD_S)])
        self._consumer.close()

    def _transaction(self, records: list[Any]) -> None:
        records = [record for record in records if record.error() is None]
        self._producer.begin_transaction()
        changed: dict[bytes, int] = {}
        time = now()
        for record in records:
            self._count(record, time, changed)
        for key, partition in changed.items():
            self._produce(CUSTOMERS, _encode(self.customers[key]), key, partition)
        ends = {record.partition(): record.offset() + 1 for record in records}
        self._producer.send_offsets_to_transaction(
            [TopicPartition(ORDERS, number, offset) for number, offset in ends.items()],
            self._consumer.consumer_group_metadata(),
        )
        self._producer.commit_transaction()

    def _count(self, record: Any, time: str, changed: dict[bytes, int]) -> None:
        key, partition = record.key(), record.partition()
        try:
            order = _decode_order(record.value())
            cents = order.cents
        except (msgspec.DecodeError, ValueError):
            self._produce(DEAD_LETTERS, record.value(), key, 0, [("dlq-reason", b"INVALID")])
            return
        line = f"{order.customer_id}\0O\0{order.order_id}".encode()
        counted = self.ledger.get(line)
        if counted is not None:
            if counted != cents:
                self._produce(DEAD_LETTERS, record.value(), key, 0, [("dlq-reason", b"ORDER_CONFLICT")])
            return
        customer = self.customers.get(key)
        if customer is None:
            customer = self.customers[key] = Customer()
        for event in count(customer, order, time):
            self._produce(EVENTS, _encode(event), key, partition, self._headers_of(event.type))
        self.ledger[line] = cents
        changed[key] = partition
        row = (cents, "USD", cents // 1_000, order.occurred_on, "1", customer.sequence)
        self._produce(LEDGER, _encode(row), line, partition)

    def _headers_of(self, kind: str) -> Headers:
        if kind not in self._headers:
            self._headers[kind] = [
                ("content-type", b"application/cloudevents+json"),
                ("ce_type", kind.encode()),
            ]
        return self._headers[kind]

    def _produce(
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        headers: Headers | None = None,
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers)
            except BufferError:
                self._producer.poll(0.05)
            else:
                return

    def _restore(self) -> None:
        reader = Consumer(
            {
                **CLIENT,
                "group.id": f"{APP_ID}-restore",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        missing = {(topic, number) for topic in (CUSTOMERS, LEDGER) for number in range(PARTITIONS)}
        reader.assign([TopicPartition(topic, number, 0) for topic, number in missing])
        while missing:
            records: list[Any] = reader.consume(10_000, 0.2)
            for record in records:
                if record.error() is not None:  # the end of a partition
                    missing.discard((record.topic(), record.partition()))
                elif record.topic() == CUSTOMERS:
                    self.customers[record.key()] = _decode_customer(record.value())
                else:
                    self.ledger[record.key()] = msgspec.json.decode(record.value())[0]
        reader.close()


def main() -> None:
    loop = Loop()

    def stop(number: int, frame: object) -> None:
        loop.over = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    loop.run()


if __name__ == "__main__":
    main()
