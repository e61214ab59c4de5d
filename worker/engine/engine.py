"""The engine of one worker: its parts, how records reach them, and what other modules may ask.

worker.engine.takeover takes over and releases its partitions (docs/architecture.md#invariants).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from worker.engine import standby, transaction
from worker.engine.deadline import Deadline
from worker.engine.exits import ExitCode, die
from worker.engine.isolation import ISOLATION
from worker.engine.lanes import Load, Pace
from worker.engine.making import BeginWork
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.patches.producer import CertainProducer
from worker.engine.restore import Reader
from worker.engine.standby import Standby
from worker.engine.store import Store, Stores
from worker.engine.sweeping import Sweep
from worker.engine.takeover import RememberLoss, State, Takeover
from worker.engine.turns import Turns
from worker.engine.unit import POSITIONS, InputRecord, Table, Unit
from worker.kafka.compression import Compression

_TRANSACTION_TIMEOUT_MS = 60_000


class Engine:
    """All partitions of one worker.

    Args:
        app_id: prefix of transactional ids and changelogs.
        client: aiokafka client arguments.
        stores: the stores of all tables.
        tables: all tables that `process` and `sweep` change.
        inputs: names of the input topics.
        prompt: inputs that a batch takes before the others (the priority lane).
        process: begins the work on a batch.
        sweep: does one step of the changes that no record asks for, such as expiry.
        pace: sizes and times of batches and queues.
        transaction_timeout_ms: after this time brokers abort a dead worker's transaction. Must exceed pace.deadline_s.
        compression: of all that it sends; None for none.
        observer: is told of batches, assignments and restores.
        inspect: looks at each restored store before it is used, and may end the process.
        may_take: whether inputs may be processed now.
        remember_loss: writes into a unit which inputs retention removed before they were read.
        reader: restores the stores; made from client by default.
        copy_reader: keeps up the standby copies; made from client by default.
        copy_pause: waits between two rounds of copying.
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
        process: BeginWork,
        sweep: Sweep | None = None,
        pace: Pace | None = None,
        transaction_timeout_ms: int = _TRANSACTION_TIMEOUT_MS,
        compression: Compression | None = None,
        observer: Observer | None = None,
        inspect: Callable[[Store], None] = lambda _: None,
        may_take: Callable[[], bool] = lambda: True,
        remember_loss: RememberLoss = lambda *_: None,
        reader: Reader | None = None,
        copy_reader: Reader | None = None,
        copy_pause: Callable[[], Awaitable[None]] = standby.pause,
    ) -> None:
        self._app_id = app_id
        self._client = client
        self.assigned_tables = (*tables, POSITIONS)
        self.tables = (*self.assigned_tables, ISOLATION)
        self._inputs = frozenset(inputs)
        self._prompt = frozenset(prompt)
        self._process = process
        self._sweep = sweep
        self._pace = pace or Pace()
        self._transaction_timeout_ms = transaction_timeout_ms
        self._compression = compression
        self._turns = Turns(self._pace.at_once, self._pace.max_records)
        self._load, self._trials = Load(), asyncio.Lock()
        self._observer = observer or Observer()
        self._may_take = may_take
        self.on_release: Callable[[Collection[Store]], None] = lambda stores: None
        deadline, copy_deadline = Deadline(self._pace.deadline_s), Deadline(self._pace.deadline_s)
        self._reader = reader or Reader(client, self._observer.replayed, moved=deadline.progress)
        copy_reader = copy_reader or Reader(
            client, self._observer.copied, standby.FETCH_BYTES, moved=copy_deadline.progress
        )
        copies = Standby(
            copy_reader, self.tables, self.changelog_of, self._observer, copy_deadline, copy_pause
        )
        self.takeover = Takeover(
            open_producer=self._open_producer,
            make_partition=self._partition,
            reader=self._reader,
            standby=copies,
            stores=stores,
            tables=self.tables,
            changelog_of=self.changelog_of,
            inputs=self._inputs,
            observer=self._observer,
            deadline=deadline,
            inspect=inspect,
            remember_loss=remember_loss,
            on_release=lambda stores: self.on_release(stores),
        )

    # -- from the stream to the partitions

    async def put(self, topic: str, number: int, generation: int, records: Sequence[InputRecord]) -> None:
        """Queue a partition's fetched records.

        Drops records of an old generation, and records that were queued already.

        Args:
            topic: the input topic.
            number: the partition.
            generation: the group generation in which the records were fetched.
            records: at least one, in offset order.
        """
        partition = self._held(number)
        if partition is None or generation != self.takeover.generation:
            return
        expected = partition.expected[topic]
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
            if not records:
                return
        if topic not in partition.anchored:
            await self._anchor(partition, topic, expected, records[0].offset)
            if generation != self.takeover.generation or not self.processing:
                return
        partition.expected[topic] = records[-1].offset + 1
        partition.put(topic, records)

    def somebody_reads(self) -> None:
        """Note that a client waits for what it reads. For a second, batches yield more often (worker.engine.turns)."""
        self._turns.read()

    def has_room(self, topic: str, number: int) -> bool:
        """Whether to fetch more of that partition now. A full partition does not hold up the others."""
        partition = self.takeover.partitions.get(number)
        return partition is None or partition.has_room(topic)

    async def _anchor(self, partition: Partition, topic: str, expected: int, got: int) -> None:
        """End the process if an assignment's first record is not the first readable one from the position on."""
        partition.anchored.add(topic)
        if got == expected:
            return
        first = await self._reader.first_readable(topic, partition.number, expected, self._pace.deadline_s)
        if not self.processing:
            return
        if first is None:  # for example, after the process was frozen and woke up
            die(ExitCode.DEADLINE, f"the next record of {topic}-{partition.number} could not be read in time")
        if first != got:
            die(
                ExitCode.SKIPPED_RECORDS,
                f"{topic}-{partition.number} continues at {got}, but its next record after {expected} is {first}",
            )

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        """Commit a unit as one transaction. Returns the changelog offset to store with it, per table mark."""
        return await transaction.commit(producer, unit, self.changelog_of)

    def _partition(self, number: int, store: Store, producer: CertainProducer) -> Partition:
        return Partition(
            number,
            store,
            producer,
            self._process,
            self.commit,
            self._pace,
            self._turns,
            self._observer,
            self._prompt,
            self._sweep,
            self._load,
            self._trials,
            self._may_take,
        )

    async def _open_producer(self, number: int) -> CertainProducer:
        return await transaction.open_producer(
            self._client, self.transactional_id(number), self._transaction_timeout_ms, self._compression
        )

    # -- queries

    def transactional_id(self, number: int) -> str:
        """The transactional id of a partition. It is the same for every owner, so that a new owner fences the old one."""
        return f"{self._app_id}-{number}"

    def changelog_of(self, table: Table) -> str:
        """The changelog topic of a table, named as Faust names it."""
        return f"{self._app_id}-{table.name}-changelog"

    @property
    def held(self) -> frozenset[int]:
        """Partitions that are restored and being processed here."""
        return frozenset(self.takeover.partitions) if self.processing else frozenset()

    @property
    def copied(self) -> frozenset[int]:
        """Partitions that other workers hold, and of which this worker keeps copies. A copy may not be complete yet."""
        return self.takeover.copies if self.processing else frozenset()

    def holds(self, number: int) -> bool:
        """Whether the partition is restored and being processed here."""
        return self._held(number) is not None

    @property
    def processing(self) -> bool:
        """Whether the last assignment is restored and processed. It may hold no partition."""
        return self.takeover.state is State.PROCESSING

    @property
    def at_rest(self) -> bool:
        """Whether no partition is being processed, so that the process may end at once."""
        return not any(partition.running for partition in tuple(self.takeover.partitions.values()))

    def store(self, number: int) -> Store | None:
        """The committed tables of a partition; None unless the partition is held."""
        partition = self._held(number)
        return partition.store if partition else None

    def caught_up(self, topic: str, number: int, position: int) -> bool:
        """Whether everything delivered from a held input partition is committed.

        Args:
            topic: the input topic.
            number: the partition.
            position: its committed position.
        """
        return self.takeover.partitions[number].expected.get(topic) == position

    def progress(self) -> dict[tuple[str, int], int]:
        """Committed positions of all held inputs, for group offsets and lag.

        Leaves out topics that are no longer inputs; their positions stay in the tables.
        """
        return {
            (topic, number): position
            for number in self.held
            for topic, position in self.takeover.partitions[number].positions().items()
            if topic in self._inputs
        }

    def _held(self, number: int) -> Partition | None:
        return self.takeover.partitions.get(number) if self.processing else None
