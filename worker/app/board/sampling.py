"""The board of this worker, made once a second and shared by everybody who looks.

Rules:
- What a board costs does not depend on how many look at it.
- Its buffers are bounded: 15 minutes of points, a few seconds of readings, the latest events.
- Of an event, a board holds type, customerId and time. Its data is dropped at the next sample.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec

from worker.app.board.totals import Totals, gauge, latency, read_totals
from worker.board import (
    POINT_EVERY_S,
    POINTS,
    Board,
    CustomerCounts,
    GroupMember,
    InputLag,
    PartitionPlace,
    Point,
    PublishedEvent,
)
from worker.engine.kafka_clock import CLOCK
from worker.engine.unit import Outgoing
from worker.gateway import Readiness
from worker.membership import Member
from worker.observability import metrics

_EVERY_S = 1.0
_LAST_EVENTS = 20
_STATE_EVERY = (
    2  # boards from one look at lag and readiness to the next; Kafka is not asked for ends more often
)

_THEIRS = "Rates, lag, latency, events and dead letters are this worker's; the others show their own."
_THEIR_CUSTOMERS = "Customers are counted in the partitions that this worker holds."
_THEIR_COPIES = "Which other workers keep copies of a partition is not known here."


class Source(Protocol):
    """What a board shows of a worker beside its metrics."""

    def lags(self) -> Mapping[tuple[str, int], int]:
        """Records not yet processed per held input (topic, partition)."""

    def readiness(self) -> Readiness:
        """Whether this worker processes its assigned partitions."""

    def held_partitions(self) -> frozenset[int]:
        """The partitions that are restored and processed here."""

    def copied_partitions(self) -> frozenset[int]:
        """The partitions of which this worker keeps copies."""

    def owner_url(self, partition: int) -> str | None:
        """The URL of the partition's owner; None while unknown."""

    def members(self) -> Sequence[Member]:
        """All members of the group at the last assignment."""

    def customer_counts(self) -> CustomerCounts:
        """The customers of the held partitions."""


class _State(NamedTuple):
    """What costs most to look at, because it reads the stores of all partitions."""

    lags: Mapping[tuple[str, int], int]
    readiness: Readiness


class _Reading(NamedTuple):
    """at: monotonic seconds."""

    at: float
    totals: Totals


class Boards:
    """Makes the boards of one worker.

    Args:
        me: this worker.
        partitions: how many partitions there are.
        source: the state of this worker.
        clock: seconds since 1970 UTC.
        elapsed: monotonic seconds.
        every_s: from one board to the next.
    """

    def __init__(
        self,
        me: Member,
        partitions: int,
        source: Source,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        *,
        every_s: float = _EVERY_S,
    ) -> None:
        self._me = me
        self._partitions = partitions
        self._source = source
        self._clock = clock
        self._elapsed = elapsed
        self._every_s = every_s
        self._started_at = int(clock() * 1_000)
        self._readings = deque(
            [_Reading(elapsed(), read_totals())], maxlen=round(POINT_EVERY_S / every_s) + 1
        )
        self._points: deque[Point] = deque(maxlen=POINTS)
        self._point_at = elapsed()
        self._state: _State | None = None
        self._boards = 0
        self._fresh: deque[Outgoing] = deque(maxlen=_LAST_EVENTS)
        self._last_events: tuple[PublishedEvent, ...] = ()
        self._board: Board | None = None
        self._next: asyncio.Future[Board | None] | None = None
        self._stopped = False

    async def run(self) -> None:
        """Make a board every second, until cancelled. Then nobody waits for one any more."""
        try:
            while True:
                self.sample()
                await asyncio.sleep(self._every_s)
        finally:
            self._stopped = True
            self._tell(None)

    def published(self, events: Sequence[Outgoing]) -> None:
        """Remember the last events of a committed batch."""
        self._fresh.extend(events[-_LAST_EVENTS:])

    def latest(self) -> Board:
        """The last board that was made."""
        return self._board or self.sample()

    async def changed(self) -> Board | None:
        """Wait for the next board; None if no more will come. Any number may wait at the same time."""
        if self._stopped:
            return None
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._next)  # whoever stops waiting must not end the wait of the others

    def sample(self) -> Board:
        """Make a board now, and give it to those who wait."""
        reading = _Reading(self._elapsed(), read_totals())
        if self._state is None or self._boards % _STATE_EVERY == 0:
            self._state = _State(self._source.lags(), self._source.readiness())
        self._boards += 1
        self._readings.append(reading)
        now = self._point(self._readings[0], reading, sum(self._state.lags.values()))
        if reading.at - self._point_at >= POINT_EVERY_S:
            self._points.append(now)
            self._point_at = reading.at
        fresh = (_event(event) for event in reversed(self._fresh))
        self._last_events = tuple(islice((*fresh, *self._last_events), _LAST_EVENTS))
        self._fresh.clear()
        self._board = self._made(now, reading.totals, self._state)
        self._tell(self._board)
        return self._board

    def _point(self, before: _Reading, after: _Reading, lag: int) -> Point:
        seconds = max(after.at - before.at, 0.001)
        return Point(
            at=int(self._clock() * 1_000),
            inputs_per_s=(after.totals.inputs - before.totals.inputs) / seconds,
            events_per_s=(after.totals.events - before.totals.events) / seconds,
            lag=lag,
            p50_ms=latency(before.totals, after.totals, 0.5),
            p99_ms=latency(before.totals, after.totals, 0.99),
        )

    def _made(self, now: Point, totals: Totals, state: _State) -> Board:
        lags, readiness = state
        members = self._source.members()
        held, copied = self._source.held_partitions(), self._source.copied_partitions()
        return Board(
            at=now.at,
            started_at=self._started_at,
            url=self._me.url,
            release=self._me.release,
            commit=self._me.commit,
            now=now,
            points=tuple(self._points),
            lags=tuple(InputLag(*held, records) for held, records in sorted(lags.items())),
            last_events=self._last_events,
            dead_letters=totals.dead_letters,
            customers=self._source.customer_counts(),
            ready=readiness.ready,
            reasons=readiness.reasons,
            restoring=bool(gauge(metrics.RESTORING)),
            transaction_version=int(gauge(metrics.TRANSACTION_VERSION)),
            clock_ahead_ms=CLOCK.ahead_ms,
            partitions=tuple(
                PartitionPlace(number, self._source.owner_url(number), number in held, number in copied)
                for number in range(self._partitions)
            ),
            members=tuple(
                sorted(
                    (GroupMember(each.url, each.release, each.commit) for each in members),
                    key=lambda each: each.url,
                )
            ),
            unseen=(_THEIRS, _THEIR_CUSTOMERS, _THEIR_COPIES) if len(members) > 1 else (),
        )

    def _tell(self, board: Board | None) -> None:
        waited, self._next = self._next, None
        if waited is not None and not waited.done():
            waited.set_result(board)


class _Published(msgspec.Struct):
    type: str
    subject: str
    time: str


_read = msgspec.json.Decoder(_Published).decode


def _event(event: Outgoing) -> PublishedEvent:
    read = _read(event.value or b"")
    return PublishedEvent(read.type, read.subject, read.time)
