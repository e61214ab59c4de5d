"""Routing: the topic names of an installation, and the home partition of each key."""

from collections.abc import Mapping

from aiokafka.partitioner import murmur2

from tables.waiting import WAITING
from worker.kafka.topics import Catalogue
from worker.wire.events import headers_of
from worker.wire.limits import MAX_RECORD_BYTES

_MAX_CACHED_HOMES = 200_000


class Routing:
    """Topic names and home partitions. All batches of a worker share one.

    Attributes:
        limits: topic → the largest record batch that it accepts, in bytes. Holds the topics that existed before the
            worker started.
        event_headers: type of a published event → the headers of its record.
        type_aliases: other CloudEvents types of inputs → the contract's types.
        order_index: the topic of the payment join; None without PAYMENT_JOIN.
        homes: keys whose partition is known, with the partition and the key's bytes.
        prompt: the topics of the priority lane (worker.engine.partition), because somebody waits for their results.
    """

    def __init__(self, catalogue: Catalogue, partitions: int, *, ce_type: bool = True) -> None:
        self.event_headers = headers_of(ce_type=ce_type)
        self.limits: Mapping[str, int] = {}
        self.waiting = catalogue.changelog(WAITING.name).name
        self.prefix = catalogue.topic_prefix
        self.type_aliases = catalogue.type_aliases
        self.commands = catalogue.commands.name
        self.orders = catalogue.orders.name
        self.returns = catalogue.returns.name
        self.payments = catalogue.payments.name
        self.events = catalogue.events.name
        self.results = catalogue.results.name
        self.dead_letters = catalogue.dead_letters.name
        self.inbox = catalogue.inbox.name
        self.email_claims = catalogue.email_claims.name
        self.order_index = catalogue.order_index.name if catalogue.payment_join else None
        self.prompt = (self.commands, self.email_claims, self.inbox)
        self._partitions = partitions
        self.homes: dict[str, tuple[int, bytes]] = {}

    def limit_of(self, topic: str) -> int:
        """The largest record batch, in bytes, of a topic that holds unchanged inputs."""
        return self.limits.get(topic, MAX_RECORD_BYTES)

    def home(self, key: str) -> tuple[int, bytes]:
        """The key's partition by Kafka's default partitioner, and its bytes. Both are cached."""
        found = self.homes.get(key)
        if found is None:
            if len(self.homes) >= _MAX_CACHED_HOMES:
                self.homes.clear()
            found = self.homes[key] = (self.partition_of(key), key.encode())
        return found

    def partition_of(self, key: str) -> int:
        """The key's partition, not cached. It is meant for keys that come from HTTP clients, not from inputs."""
        return int(murmur2(key.encode()) & 0x7FFFFFFF) % self._partitions
