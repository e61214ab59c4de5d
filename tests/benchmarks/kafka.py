"""The broker's side of a run: topics, loading, and the ends of the published events.

Rules:
- The broker stamps every record itself (LogAppendTime). So no peer's clock or batching affects the rate.
- Each run has its own topics, with a prefix, and deletes them afterwards. All peers get the same topics, with the same
  number of partitions and the same changelog settings.
- Records are on the partition that Kafka's default partitioner picks, so no peer has to forward any.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not in its __all__

from tests.benchmarks.orders import Expected, Order
from worker.kafka.admin import ensure_topics
from worker.kafka.topics import Catalogue

PARTITIONS = 8
BROKER_PROPERTIES = {"log.message.timestamp.type": "LogAppendTime"}
TABLES = ("customers", "ledger", "command_results", "email_claims", "waiting", "positions", "isolation")


@dataclass(frozen=True)
class Site:
    """The topics and names of one run. prefix: of the names of its topics, groups and transactions."""

    bootstrap: str
    prefix: str

    @property
    def app_id(self) -> str:
        return f"{self.prefix}app"

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(topic_prefix=self.prefix, app_id=self.app_id, partitions=PARTITIONS)

    def create_topics(self) -> None:
        asyncio.run(ensure_topics({"bootstrap_servers": self.bootstrap}, self.catalogue.all(TABLES), 1))

    def shares(self) -> list[int]:
        """The number of order partitions that each member of the peer's group holds, ascending; empty without a group."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})
        (asked,) = admin.describe_consumer_groups([self.app_id]).values()
        try:
            members = asked.result().members
        except KafkaException:  # the group or its coordinator does not exist yet
            return []
        held = [member.assignment.topic_partitions for member in members]
        return sorted(sum(place.topic == self.catalogue.orders.name for place in places) for places in held)

    def delete_topics(self) -> None:
        """Delete all topics of this run, including those that its peer created."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 4})
        names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(self.prefix)]
        for deleted in admin.delete_topics(names).values():
            deleted.result()


class Loader:
    """Produces records as fast as possible."""

    def __init__(self, site: Site, linger_ms: int = 50) -> None:
        self._orders_topic = site.catalogue.orders.name
        self._producer = Producer(
            {
                "bootstrap.servers": site.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "batch.size": 500_000,
                "queue.buffering.max.messages": 200_000,
            }
        )

    def orders(self, orders: Iterable[Order], expected: Expected) -> None:
        """Produce all orders, and wait until the broker has them. expected: gets them added."""
        for order in orders:
            self.send(self._orders_topic, order.customer_id, order.value)
            expected.add(order)
        self.flush()

    def order(self, order: Order) -> None:
        """Produce one order without waiting."""
        self.send(self._orders_topic, order.customer_id, order.value)

    def send(self, topic: str, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> None:
        if self._producer.flush(120):
            raise RuntimeError("the broker did not take every record within 120 s")


class Ends:
    """The ends of a topic's partitions as a read_committed consumer sees them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})
        self._partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]

    def offsets(self) -> list[int]:
        """The last stable offset of each partition."""
        asked: Any = dict.fromkeys(self._partitions, OffsetSpec.latest())
        found = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
        by_number = {tp.partition: future.result().offset for tp, future in found.items()}
        return [by_number[number] for number in range(PARTITIONS)]
