"""The one catalogue of topics: names, keys, values and how Kafka keeps them (contract, section 1).

Rules:
- Every topic has `partitions` partitions, except the dead letters, which have one. So one partition number means the same
  customers in each of them and in every changelog.
- TOPIC_PREFIX goes before the contract's names as it stands. Changelogs are named by APP_ID, as Faust names them.
- Topics that may hold original inputs accept records up to 8 MiB. An input over the contract's 1 MiB must still be
  readable, because it becomes a dead letter. The producers' own limit keeps published records small.
- The broker stamps the records of every topic that we create. Kafka deletes by a record's time, so a backfill with old
  timestamps would be gone at the next retention check. Kafka also refuses a record that is an hour ahead of its clock.
  A worker with a wrong clock could then write nothing. A copy of an input has the first record's timestamp in a header.
- Segments of topics with RETENTION_DAYS are rolled daily, so no record outlives its retention by more than a day.
- A changelog is compacted often: its segments are small, and are rolled even without traffic.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from worker.wire.limits import MAX_RECORD_BYTES

CHANGELOG_DELETE_RETENTION_MS = 7 * 24 * 3_600_000
"""How long a changelog keeps a tombstone.

A local store that was away for longer may have missed one. It must be rebuilt from the start of the changelog.
"""

_DAY_MS = 24 * 3_600_000
_LEGAL_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's own rule

_STAMPED_BY_BROKER = {"message.timestamp.type": "LogAppendTime"}

_CHANGELOG = _STAMPED_BY_BROKER | {
    "max.message.bytes": str(MAX_RECORD_BYTES),
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(3_600_000),
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(_DAY_MS),  # what was erased is gone from the disk a day later
    "delete.retention.ms": str(CHANGELOG_DELETE_RETENTION_MS),
}


class Direction(StrEnum):
    """IN: others write and we read. OUT: we write and others read. INTERNAL: only we use it."""

    IN = "in"
    OUT = "out"
    INTERNAL = "internal"


class Cleanup(StrEnum):
    """Kafka's cleanup.policy."""

    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    key, value: a description of its records. config: Kafka's settings for it, without the cleanup policy.
    Raises ValueError for a name that Kafka does not accept.
    """

    name: str
    direction: Direction
    key: str
    value: str
    partitions: int
    cleanup: Cleanup
    config: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        if not _LEGAL_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a topic name that Kafka takes")


class Catalogue:
    """Every topic of one installation.

    retention_days: the retention of topics that are not compacted. payment_join: whether there is an order index.
    type_aliases: other CloudEvents types of inputs → the contract's types.
    Raises ValueError for a prefix or app id that makes no legal topic name.
    """

    def __init__(
        self,
        *,
        topic_prefix: str = "",
        app_id: str = "customer-context",
        partitions: int = 8,
        retention_days: int = 30,
        payment_join: bool = False,
        type_aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.topic_prefix = topic_prefix
        self.app_id = app_id
        self.partitions = partitions
        self.payment_join = payment_join
        self.type_aliases = type_aliases or {}

        deleted = _STAMPED_BY_BROKER | {
            "retention.ms": str(retention_days * _DAY_MS),
            "segment.ms": str(_DAY_MS),
        }
        deleted_large = deleted | {"max.message.bytes": str(MAX_RECORD_BYTES)}

        def topic(
            name: str,
            direction: Direction,
            key: str,
            value: str,
            *,
            large: bool = False,
            count: int = partitions,
        ) -> Topic:
            config = deleted_large if large else deleted
            return Topic(topic_prefix + name, direction, key, value, count, Cleanup.DELETE, config)

        into, out, internal = Direction.IN, Direction.OUT, Direction.INTERNAL
        self.commands = topic("customer.commands", into, "customerId", "commands", large=True)
        self.orders = topic("order.completed", into, "customerId", "OrderCompletedEvent", large=True)
        self.returns = topic("order.returned", into, "customerId", "OrderReturnedEvent", large=True)
        self.payments = topic(
            "payment.completed", into, "customerId or orderId", "PaymentCompletedEvent", large=True
        )
        self.events = topic("customer.events", out, "customerId", "published events")
        self.results = topic("customer.command-results", out, "customerId", "command results")
        self.dead_letters = topic(
            "customer.dead-letters", out, "source key", "what could not be processed", large=True, count=1
        )
        self.replays = topic(
            "customer.dead-letter-replays", internal, "coordinates of a dead letter", "that it was sent back"
        )
        self.inbox = topic(
            "customer.inbox", internal, "customerId", "messages from another key or partition", large=True
        )
        self.email_claims = topic("customer.email-claims", internal, "hash of the email", "claims, releases")
        self.order_index = topic(
            "customer.order-index", internal, "orderId", "whose an order is, and its payments", large=True
        )

    def changelog(self, table: str) -> Topic:
        """The compacted topic that holds a table's content: key and value are the table's own."""
        name = f"{self.app_id}-{table}-changelog"
        key, value = f"key of {table}", f"value of {table}"
        return Topic(name, Direction.INTERNAL, key, value, self.partitions, Cleanup.COMPACT, _CHANGELOG)

    @property
    def consumed(self) -> tuple[Topic, ...]:
        """The topics that a worker reads."""
        always = self.commands, self.orders, self.returns, self.payments, self.inbox, self.email_claims
        return (*always, self.order_index) if self.payment_join else always

    def all(self, tables: Sequence[str]) -> tuple[Topic, ...]:
        """Every topic that this installation needs, with the changelogs of these tables."""
        return (
            self.commands,
            self.orders,
            self.returns,
            self.payments,
            self.events,
            self.results,
            self.dead_letters,
            self.replays,
            self.inbox,
            self.email_claims,
            *((self.order_index,) if self.payment_join else ()),
            *map(self.changelog, tables),
        )
