"""What the desk's board shows: the figures of one worker, and the group's partitions.

Rules:
- A board holds ids, types and figures, and no other data of a customer.
- A worker counts only its own work. What it cannot see of the others stands in `Board.unseen`, as sentences.
"""

import msgspec

from worker.domain.values import MembershipLevel

POINTS = 180
"""The most points of a chart."""

POINT_EVERY_S = 5
"""Seconds from one point to the next; all points together are 15 minutes."""


class Point(msgspec.Struct, frozen=True):
    """The work of this worker during one interval.

    Attributes:
        at: the end of the interval, ms since 1970 UTC.
        inputs_per_s: records processed and committed, a second.
        events_per_s: events published and committed, a second.
        lag: records that are not processed yet at the end of the interval.
        p50_ms: the median of the time from a record's timestamp to its commit, estimated from a histogram. A batch counts
            once, with its oldest record. None if nothing was committed.
        p99_ms: the 99th percentile of the same times.
    """

    at: int
    inputs_per_s: float
    events_per_s: float
    lag: int
    p50_ms: float | None
    p99_ms: float | None


class InputLag(msgspec.Struct, frozen=True):
    """The lag of one held input. records: those that are not processed yet."""

    topic: str
    partition: int
    records: int


class PublishedEvent(msgspec.Struct, frozen=True):
    """An event that this worker published. type: the contract's name. time: RFC 3339, when its input was processed."""

    type: str
    customer_id: str
    time: str


class PartitionPlace(msgspec.Struct, frozen=True):
    """Where a partition is processed.

    Attributes:
        number: the partition.
        owner_url: ADVERTISED_URL of the worker that holds it by the last assignment; None while unknown.
        here: whether this worker holds it and has restored it.
        copied_here: whether this worker keeps a standby copy. The copies of other workers are not known.
    """

    number: int
    owner_url: str | None
    here: bool
    copied_here: bool


class GroupMember(msgspec.Struct, frozen=True):
    """A worker of the group at the last assignment. url: its ADVERTISED_URL."""

    url: str
    release: str
    commit: str


class CustomerCounts(msgspec.Struct, frozen=True):
    """The customers of the held partitions, without erased ones.

    Attributes:
        by_level: how many customers have each level; every level has an entry.
        vips: how many of them are VIP.
        counting: held partitions that are not counted to their end yet. Until it is empty, the counts are too low.
    """

    by_level: dict[MembershipLevel, int]
    vips: int
    counting: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many customers are counted."""
        return sum(self.by_level.values())


class Board(msgspec.Struct, frozen=True):
    """The figures of one worker at one moment. The same object is given to everybody who asks within a second.

    Attributes:
        at: when it was made, ms since 1970 UTC.
        started_at: since when this worker counts, ms since 1970 UTC.
        url: this worker's ADVERTISED_URL.
        release: this worker's release.
        commit: the commit of this worker's program.
        now: the last few seconds.
        points: the last 15 minutes, the oldest first; `now` is not among them.
        lags: the lag of each held input whose end is known, by topic and partition.
        last_events: the latest events that this worker published, the latest first; at most 20.
        dead_letters: how many dead letters this worker wrote since it started, by reason; every reason has an entry.
        customers: the customers of the held partitions.
        ready: whether this worker is ready.
        reasons: why it is not, as sentences.
        restoring: whether an assignment's tables are being restored.
        transaction_version: Kafka's protocol of transactions, 1 or 2; 0 while no partition is held.
        clock_ahead_ms: how far this worker's clock is ahead of Kafka's; 0 below a minute.
        partitions: all partitions of the group, by number.
        members: all workers of the group, by URL.
        unseen: what this worker cannot see, as sentences.
    """

    at: int
    started_at: int
    url: str
    release: str
    commit: str
    now: Point
    points: tuple[Point, ...]
    lags: tuple[InputLag, ...]
    last_events: tuple[PublishedEvent, ...]
    dead_letters: dict[str, int]
    customers: CustomerCounts
    ready: bool
    reasons: tuple[str, ...]
    restoring: bool
    transaction_version: int
    clock_ahead_ms: int
    partitions: tuple[PartitionPlace, ...]
    members: tuple[GroupMember, ...]
    unseen: tuple[str, ...]

    @property
    def held(self) -> tuple[int, ...]:
        """The partitions that this worker holds."""
        return tuple(each.number for each in self.partitions if each.here)

    @property
    def copied(self) -> tuple[int, ...]:
        """The partitions of which this worker keeps a copy."""
        return tuple(each.number for each in self.partitions if each.copied_here)
