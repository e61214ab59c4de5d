"""The engine: what happens at an assignment, at a revocation and at every batch (DESIGN, section 2).

Order of an assignment, kept partitions included: fence -> restore -> positions -> begin (seek, then resume). Nothing is
read before its partition is fenced, so what a former owner commits is either seen here or rejected there.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from worker.engine import transaction
from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.partition import POSITIONS, Pace, Partition, Processor
from worker.engine.restore import Reader
from worker.engine.standby import Standby
from worker.engine.store import Store, Stores
from worker.engine.sweeping import Sweep
from worker.engine.turns import Turns
from worker.engine.unit import Table, Unit

log = structlog.get_logger(__name__)

_TRANSACTION_TIMEOUT_MS = 15_000


class Engine:
    """All partitions of one worker. client: aiokafka client arguments; app_id: prefix of transactional ids and
    changelogs; tables: all tables that `process` and `sweep` change; prompt: inputs that go before the others in a batch.
    """

    def __init__(
        self,
        *,
        app_id: str,
        client: Mapping[str, Any],
        stores: Stores,
        tables: Sequence[Table],
        inputs: Sequence[str],
        prompt: Sequence[str] = (),
        process: Processor,
        sweep: Sweep | None = None,
        pace: Pace | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._app_id = app_id
        self._client = client
        self._stores = stores
        self.tables = (*tables, POSITIONS)
        self._inputs = frozenset(inputs)
        self._prompt = frozenset(prompt)
        self._process = process
        self._sweep = sweep
        self._pace = pace or Pace()
        self._turns = Turns(self._pace.at_once, self._pace.max_records)
        self._observer = observer or Observer()
        self._partitions: dict[int, Partition] = {}
        self._reader = Reader(client, self._observer.replayed)
        self._standby = Standby(client, self.tables, self.changelog_of, self._observer)
        self._copies: frozenset[int] = frozenset()
        self._generation = -1
        self._fenced = False  # and not asked to let go since
        self._active = False
        self._closed = False
        self.on_release: Callable[[], None] = lambda: None

    # -- what the hooks call, in this order

    async def fence(self, numbers: Iterable[int], copies: Iterable[int] = ()) -> None:
        """Take the partitions over: a new transactional producer each, kept ones included; let go of all others.

        copies: of partitions that others hold, which are to be kept up here.
        """
        if self._closed:
            return
        self._observer.assignment_begun()
        started = time.monotonic()
        wanted = sorted(set(numbers))
        self._copies = frozenset(copies).difference(wanted)
        await self._standby.stop()
        old = [partition.producer for partition in self._partitions.values()]
        producers, _ = await asyncio.gather(
            asyncio.gather(*(self._open_producer(number) for number in wanted)), self._reader.start()
        )
        await transaction.close_all(old)
        self._stores.release([*wanted, *self._copies])
        self._partitions = {
            number: Partition(
                number,
                self._stores.open(number),
                producer,
                self._process,
                self.commit,
                self._pace,
                self._turns,
                self._observer,
                self._prompt,
                self._sweep,
            )
            for number, producer in zip(wanted, producers, strict=True)
        }
        self._fenced = True
        log.info("fenced", partitions=wanted, seconds=round(time.monotonic() - started, 3))

    async def restore(self) -> None:
        """Bring the local stores of all fenced partitions up to the end of their changelogs."""
        started = time.monotonic()
        stores: dict[int, Store] = {number: partition.store for number, partition in self._partitions.items()}
        records = await self._reader.restore(stores, self.tables, self.changelog_of)
        seconds = time.monotonic() - started
        self._observer.restored(seconds)
        log.info("restored", replayed=records, seconds=round(seconds, 3))

    async def positions(self, assigned: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Where to read on, per assigned input (topic, partition): the committed position, or the log's start."""
        inputs = [pair for pair in assigned if pair[0] in self._inputs and pair[1] in self._partitions]
        bounds = await self._reader.bounds(inputs)
        committed = {number: partition.positions() for number, partition in self._partitions.items()}
        found = {}
        for topic, number in inputs:
            first, end = bounds[topic, number]
            position = committed[number].get(topic, first)
            if position > end:
                die(ExitCode.STORE_AHEAD, f"position {position} of {topic}-{number} is past its end {end}")
            if position < first:
                log.error(
                    "inputs lost to retention", topic=topic, partition=number, position=position, first=first
                )
            found[topic, number] = max(position, first)
        return found

    def begin(self, generation: int, positions: Mapping[tuple[str, int], int]) -> bool:
        """Start the loops; records of this generation are expected from these positions on.

        False, and nothing is started, when the partitions were to be let go while they were restored: the next
        assignment fences them again.
        """
        if self._closed or not self._fenced:
            return False
        self._generation = generation
        for (topic, number), position in positions.items():
            self._partitions[number].expected[topic] = position
        for partition in self._partitions.values():
            partition.start()
        self._standby.start({number: self._stores.open(number) for number in self._copies})
        self._active = True
        log.info("processing", generation=generation, partitions=sorted(self._partitions))
        return True

    async def quiesce(self) -> None:
        """Finish the running transactions and stop; queued records will be read again by whoever is next."""
        was_active, self._active, self._fenced = self._active, False, False
        await asyncio.gather(
            self._standby.stop(), *(partition.stop() for partition in self._partitions.values())
        )
        if was_active:
            self.on_release()

    async def close(self) -> None:
        """Quiesce and let go of everything, for good."""
        self._closed = True
        await self.quiesce()
        await transaction.close_all(partition.producer for partition in self._partitions.values())
        self._partitions.clear()
        self._stores.release(())
        await self._reader.stop()
        await self._standby.close()

    # -- the stream's way

    async def put(self, topic: str, number: int, generation: int, records: Sequence[Any]) -> None:
        """Take a partition's fetched records, in offset order. Stale generations and known offsets are dropped."""
        partition = self._partitions.get(number)
        if not self._active or partition is None or generation != self._generation:
            return
        expected = partition.expected[topic]
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
            if not records:
                return
        if topic not in partition.anchored:
            await self._anchor(partition, topic, expected, records[0].offset)
            if generation != self._generation or not self._active:
                return
        partition.expected[topic] = records[-1].offset + 1
        partition.put(topic, records)

    def has_room(self, topic: str, number: int) -> bool:
        """Whether more of that partition should be fetched now: one that is behind does not hold up the others."""
        partition = self._partitions.get(number)
        return partition is None or partition.has_room(topic)

    async def _anchor(self, partition: Partition, topic: str, expected: int, got: int) -> None:
        """The first record of an assignment must be the first readable one at or after the position."""
        partition.anchored.add(topic)
        if got == expected:
            return
        first = await self._reader.first_readable(topic, partition.number, expected, self._pace.deadline_s)
        if not self._active:
            return
        if first is None:  # such as a frozen process sees when it wakes up
            die(
                ExitCode.DEADLINE, f"whether {topic}-{partition.number} was skipped could not be read in time"
            )
        if first != got:
            die(
                ExitCode.SKIPPED_RECORDS,
                f"{topic}-{partition.number} continues at {got}, but its next record after {expected} is {first}",
            )

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        """One transaction for one unit; returns the changelog offsets to write with it."""
        return await transaction.commit(producer, unit, self.changelog_of)

    async def _open_producer(self, number: int) -> AIOKafkaProducer:
        return await transaction.open_producer(
            self._client, self.transactional_id(number), _TRANSACTION_TIMEOUT_MS
        )

    # -- what others may ask

    def transactional_id(self, number: int) -> str:
        """The same for every owner of the partition: that is what fences."""
        return f"{self._app_id}-{number}"

    def changelog_of(self, table: Table) -> str:
        """Named as Faust names the changelog of a table."""
        return f"{self._app_id}-{table.name}-changelog"

    @property
    def held(self) -> frozenset[int]:
        """Partitions that are restored and being processed here."""
        return frozenset(self._partitions) if self._active else frozenset()

    def holds(self, number: int) -> bool:
        """Whether the partition is restored and being processed here."""
        return self._active and number in self._partitions

    @property
    def at_rest(self) -> bool:
        """Whether no partition is being processed, so that the process may end without further ado."""
        return not any(partition.running for partition in tuple(self._partitions.values()))

    def store(self, number: int) -> Store | None:
        """The committed tables of a held partition, else None."""
        partition = self._partitions.get(number) if self._active else None
        return partition.store if partition else None

    def caught_up(self, topic: str, number: int, position: int) -> bool:
        """Whether all that was delivered of a held input partition is committed, its committed position being this."""
        return self._partitions[number].expected.get(topic) == position

    def progress(self) -> dict[tuple[str, int], int]:
        """Committed positions of all held partitions, for group offsets and lag."""
        if not self._active:
            return {}
        return {
            (topic, number): position
            for number, partition in self._partitions.items()
            for topic, position in partition.positions().items()
        }
