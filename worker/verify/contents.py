"""What a verification reads: the logs and tables of one installation, as plain records.

The order of reading makes it sound on a running system (worker.verify.snapshot): positions first, then the tables
that change, then results and dead letters, then events, then the ledger and the claims, and the inputs last. So
everything that was processed at the stated positions is in the outputs; a result has its events, an event its ledger
line, and everything its input; and a customer's row is never newer than the events, so it is compared at its version.
What was processed after the positions is allowed but not demanded. A partition that stood still is compared exactly.
Inputs that expire move no position, but their customers' rows: a partition whose customers changed did not stand still.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.topics import Catalogue
from worker.verify.inputs import Headers, Position

POSITIONS, CUSTOMERS, LEDGER = "positions", "customers", "ledger"
RESULTS, EMAIL_CLAIMS, WAITING = "command_results", "email_claims", "waiting"
ORDER_INDEX = "order_index"


class Record(NamedTuple):
    """A record of a topic. timestamp: ms since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int = 0

    @property
    def position(self) -> Position:
        """Where it is."""
        return Position(self.topic, self.partition, self.offset)


@dataclass
class Partition:
    """Everything with one partition number. tables: table name -> key -> value."""

    number: int
    records: Mapping[str, list[Record]]
    tables: Mapping[str, Mapping[bytes, bytes]]


@dataclass
class Shared:
    """What is needed for every partition.

    positions: partition -> topic -> next offset, as they were first read. moving: partitions that went on, with an
    input or without one, until all was read. cut: (topic, partition) whose oldest records are past their retention. ends: offset
    after the last record read, per (topic, partition), complete when all partitions were read. forwarded: how often a
    record was sent to the inbox.
    """

    catalogue: Catalogue
    positions: Mapping[int, Mapping[str, int]]
    moving: set[int] = field(default_factory=set)
    cut: set[tuple[str, int]] = field(default_factory=set)
    ends: Mapping[tuple[str, int], int] = field(default_factory=dict)
    dead_letters: list[Record] = field(default_factory=list)
    claims: list[Record] = field(default_factory=list)
    claims_table: Mapping[bytes, bytes] = field(default_factory=dict)
    forwarded: Counter[Position] = field(default_factory=Counter)

    def processed(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record was processed at the stated positions."""
        return offset < self.positions.get(partition, {}).get(topic, 0)

    @property
    def settled(self) -> bool:
        """Whether everything that was read had been processed, so that nothing is on its way."""
        return not self.moving and all(
            end <= self.positions.get(partition, {}).get(topic, 0)
            for (topic, partition), end in self.ends.items()
        )

    def is_cut(self, *topics: str) -> bool:
        """Whether any partition of these topics has lost its oldest records."""
        return any(topic in topics for topic, _ in self.cut)
