"""Plain types for the topics and tables that a verification reads.

The order of reading makes the comparison sound while workers run (worker.verify.reading.snapshot). Positions come first,
then changing tables, results and dead letters, events, the ledger and the claims, and last the inputs. So:
- The outputs hold everything that was processed at the stated positions.
- Each result has its events, each event has its ledger line, and everything has its input.
- A customer's row is never newer than the events. It is compared with the recomputed customer of the same version.
- Output of inputs after the stated positions is allowed but not required.
- A partition that did not change in the meantime is compared exactly. An input that expires moves no position, but it
  changes its customer's row. So a partition with changed customer rows counts as changed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.kafka.topics import Catalogue
from worker.verify.reading.inputs import Headers, Position

POSITIONS, CUSTOMERS, LEDGER = "positions", "customers", "ledger"
RESULTS, EMAIL_CLAIMS, WAITING = "command_results", "email_claims", "waiting"
ORDER_INDEX, APPLICATION, DAY_TOTALS = "order_index", "application", "day_totals"
LOST = b"lost\0"
"""The key prefix of application table rows for accepted losses. The name of the lost topic follows."""


class Withheld(NamedTuple):
    """The size and digest of a record whose content the reader did not keep.

    Attributes:
        bytes: the size of the value; 0 when the record cannot be read at all.
        digest: SHA-256 in hex of the value, or of the unreadable bytes; None for a null value.
        readable: whether the record could be read.
    """

    bytes: int
    digest: str | None
    readable: bool


class Record(NamedTuple):
    """A record of a topic. timestamp: ms since 1970 UTC; withheld: only set when the record is over the limits."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp: int = 0
    withheld: Withheld | None = None

    @property
    def position(self) -> Position:
        """The topic, partition and offset."""
        return Position(self.topic, self.partition, self.offset)


@dataclass
class Partition:
    """The content of one partition number.

    Attributes:
        number: the partition number.
        records: topic -> records in offset order.
        tables: table name -> key -> value.
    """

    number: int
    records: Mapping[str, list[Record]]
    tables: Mapping[str, Mapping[bytes, bytes]]


@dataclass
class Shared:
    """The data that the checks of every partition need.

    Attributes:
        catalogue: the topics of the installation.
        positions: partition -> topic -> next offset to process, as of the first read.
        moving: partitions whose positions or customer rows changed while the snapshot was read.
        cut: (topic, partition) without its oldest records: past their retention, or lost with their topic.
        ends: (topic, partition) -> offset after the last record read. Complete once all partitions are read.
        dead_letters: all records of the dead letter topic.
        claims: all records of customer.email-claims.
        claims_table: key -> value of the email_claims table, over all partitions.
        forwarded: position of an input -> number of copies in the inbox.
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
        """Whether all records read had been processed and no partition changed, so no message is in flight."""
        return not self.moving and all(
            end <= self.positions.get(partition, {}).get(topic, 0)
            for (topic, partition), end in self.ends.items()
        )

    def is_cut(self, *topics: str) -> bool:
        """Whether any partition of these topics has lost its oldest records."""
        return any(topic in topics for topic, _ in self.cut)
