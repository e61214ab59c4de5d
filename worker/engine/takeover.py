"""Takeover: the only way from an assignment to the first record, and back.

Rules:
- The order is fence, restore, positions, begin, for kept partitions too (docs/architecture.md#the-way-of-a-takeover).
  Nothing is read before its partition is fenced. So a former owner's commit is either seen here or refused by Kafka.
- `release` leads back from every state. It waits for open transactions, because a fence would abort them and that ends
  the process.
- A step that the state does not allow raises IllegalMove, and changes nothing.
- From a release to the next beginning a deadline runs, and progress extends it. Until then Kafka's absence is waited out.
- A step whose partitions were released meanwhile raises LetGo. The group rebalances, and the next assignment fences anew.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from typing import NamedTuple, TypeVar

import structlog
from aiokafka.errors import KafkaError, KafkaTimeoutError

from worker.engine import transaction
from worker.engine.deadline import Deadline
from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.patches.producer import CertainProducer
from worker.engine.restore import Reader
from worker.engine.standby import Standby
from worker.engine.store import Store, Stores
from worker.engine.unit import POSITIONS, Table, Unit

log = structlog.get_logger(__name__)

_REBALANCE_DEADLINES = 2.0  # times the deadline, because other members may finish their batches first
_AGAIN_S = 0.2

Result = TypeVar("Result")

Log = tuple[str, int]
"""A topic and a partition number."""

RememberLoss = Callable[[Unit, str, int, int], None]
"""Writes into a unit which inputs of a topic were lost: from the first offset up to, not including, the second."""


class State(Enum):
    """The state of all partitions of an assignment; they move together."""

    RELEASED = auto()  # no partition is held
    FENCED = auto()  # nobody else can commit; nothing has been read
    RESTORED = auto()  # the stores are at the ends of their changelogs
    PROCESSING = auto()  # the loops run


class Step(Enum):
    """A step from one state to the next."""

    FENCE = auto()
    RESTORE = auto()
    POSITIONS = auto()
    BEGIN = auto()
    RELEASE = auto()


MOVES: Mapping[State, Mapping[Step, State]] = {
    State.RELEASED: {Step.FENCE: State.FENCED, Step.RELEASE: State.RELEASED},
    State.FENCED: {Step.RESTORE: State.RESTORED, Step.RELEASE: State.RELEASED},
    State.RESTORED: {
        Step.POSITIONS: State.RESTORED,
        Step.BEGIN: State.PROCESSING,
        Step.RELEASE: State.RELEASED,
    },
    State.PROCESSING: {Step.RELEASE: State.RELEASED},
}


class IllegalMove(RuntimeError):
    """The state does not allow the step; the text names both."""


class LetGo(IllegalMove):
    """The partitions were released before the step was done."""


class Position(NamedTuple):
    """A position in an input.

    Attributes:
        next: the offset at which to read on.
        end: the end of the log at the takeover.
    """

    next: int
    end: int


class Takeover:
    """The partitions of one worker. Call its steps in the order of their definition.

    Args:
        open_producer: fences a partition, and returns its transactional producer.
        make_partition: makes a partition from its number, store and producer.
        reader: restores stores, and reads the bounds of logs.
        standby: keeps up copies of partitions that other workers hold.
        stores: the stores of partitions and copies.
        tables: all tables that a restore reads.
        changelog_of: the changelog topic of a table.
        inputs: the input topics. Other topics have no position.
        observer: is told of each step.
        deadline: runs from a release to the next beginning.
        inspect: looks at each restored store before it is used, and may end the process.
        remember_loss: writes into a unit which inputs retention removed before they were read.
        on_release: is called after a release of partitions that were processed, with their stores, which are open.

    Attributes:
        state: of all its partitions.
        partitions: those of the last assignment, by number.
        generation: the group generation of the last assignment; -1 before the first.
        copies: the partitions of which this worker keeps copies since the last assignment.
    """

    def __init__(
        self,
        *,
        open_producer: Callable[[int], Awaitable[CertainProducer]],
        make_partition: Callable[[int, Store, CertainProducer], Partition],
        reader: Reader,
        standby: Standby,
        stores: Stores,
        tables: Sequence[Table],
        changelog_of: Callable[[Table], str],
        inputs: frozenset[str],
        observer: Observer,
        deadline: Deadline,
        inspect: Callable[[Store], None],
        remember_loss: RememberLoss,
        on_release: Callable[[Collection[Store]], None],
    ) -> None:
        self.state = State.RELEASED
        self.partitions: dict[int, Partition] = {}
        self.generation = -1
        self._open_producer = open_producer
        self._make_partition = make_partition
        self._reader = reader
        self._standby = standby
        self._stores = stores
        self._tables = tables
        self._changelog_of = changelog_of
        self._inputs = inputs
        self._observer = observer
        self._deadline = deadline
        self._inspect = inspect
        self._remember_loss = remember_loss
        self._on_release = on_release
        self.copies: frozenset[int] = frozenset()
        self._moving = asyncio.Lock()  # held while `positions` commits new positions
        self._releases = 0
        self._closed = False

    def expect_assignment(self) -> None:
        """Start the deadline within which the group has to assign partitions."""
        self._deadline.begin("waiting for an assignment", _REBALANCE_DEADLINES)

    async def fence(self, numbers: Iterable[int], copies: Iterable[int] = ()) -> None:
        """RELEASED → FENCED: open a new transactional producer for each partition, kept ones included.

        Closes the stores of all other partitions.

        Args:
            numbers: the assigned partitions.
            copies: partitions that other workers hold, and of which this worker keeps copies.

        Raises:
            IllegalMove: the state does not allow it.
            LetGo: the partitions were released meanwhile.
        """
        with self._step(Step.FENCE):
            self._observer.assignment_begun()
            self._deadline.begin("taking partitions over")
            started = time.monotonic()
            wanted = sorted(set(numbers))
            self.copies = frozenset(copies).difference(wanted)
            await self._standby.stop()
            old = [partition.producer for partition in self.partitions.values()]
            producers, _ = await asyncio.gather(
                asyncio.gather(*(self._fenced(number) for number in wanted)),
                self._patiently(self._reader.start),
            )
            await transaction.close_all(old)
            self._stores.release([*wanted, *self.copies])
            self._take(dict(zip(wanted, producers, strict=True)))
            version = min((producer.transaction_version for producer in producers), default=0)
            self._observer.fenced(version)
            seconds = round(time.monotonic() - started, 3)
            log.info("fenced", partitions=wanted, seconds=seconds, transaction_version=version)

    async def _fenced(self, number: int) -> CertainProducer:
        producer = await self._patiently(lambda: self._open_producer(number))
        self._deadline.progress()
        return producer

    async def _patiently(self, do: Callable[[], Awaitable[Result]]) -> Result:
        """The result of `do`. Calls it again after each Kafka error that may pass."""
        while True:
            try:
                return await do()
            except KafkaError as error:
                if not (error.retriable or isinstance(error, KafkaTimeoutError)):
                    raise
                log.warning("waiting for Kafka", reason=type(error).__name__)
            await asyncio.sleep(_AGAIN_S)

    def _take(self, producers: Mapping[int, CertainProducer]) -> None:
        taken = {
            number: self._make_partition(number, self._stores.open(number), producer)
            for number, producer in producers.items()
        }
        for number in taken.keys() & self.partitions.keys():
            taken[number].take_from(self.partitions[number])
        self.partitions = taken

    async def restore(self) -> None:
        """FENCED → RESTORED: bring the local stores up to the ends of their changelogs.

        Raises:
            IllegalMove: the state does not allow it.
            LetGo: the partitions were released meanwhile.
        """
        with self._step(Step.RESTORE):
            started = time.monotonic()
            stores = {number: partition.store for number, partition in self.partitions.items()}
            records = await self._patiently(
                lambda: self._reader.restore(stores, self._tables, self._changelog_of)
            )
            self._deadline.progress()
            for store in stores.values():
                self._inspect(store)
            seconds = time.monotonic() - started
            self._observer.restored(seconds)
            log.info("restored", replayed=records, seconds=round(seconds, 3))

    async def positions(self, assigned: Iterable[Log]) -> dict[Log, Position]:
        """Where to read each assigned input on: at its committed position, or at the log's start if that is later.

        A position that differs from the committed one is committed first, together with the loss. So each loss is
        reported once. An input that never had a record gets a position too, so that a later loss shows.

        Args:
            assigned: topics and partitions. Those that are no inputs, or not held, are left out.

        Raises:
            IllegalMove: the state does not allow it.
            LetGo: the partitions were released meanwhile.
        """
        with self._step(Step.POSITIONS) as check:
            inputs = [each for each in assigned if each[0] in self._inputs and each[1] in self.partitions]
            bounds = await self._patiently(lambda: self._reader.bounds(inputs))
            self._deadline.progress()
            moved: dict[int, dict[str, tuple[int | None, int]]] = {}
            found = {}
            for topic, number in inputs:
                first, end = bounds[topic, number]
                committed = self.partitions[number].positions().get(topic)
                _refuse_past_the_end(topic, number, committed, end)
                if committed is None or committed < first:
                    moved.setdefault(number, {})[topic] = committed, first
                found[topic, number] = Position(max(committed or 0, first), end)
            async with self._moving:
                check()
                await asyncio.gather(*(self._move(number, topics) for number, topics in moved.items()))
        return found

    async def _move(self, number: int, topics: Mapping[str, tuple[int | None, int]]) -> None:
        """Commit new positions of a partition.

        Args:
            number: the partition.
            topics: the old position of each topic, None if there was none, and the new one.
        """

        def change(unit: Unit) -> None:
            for topic, (old, new) in topics.items():
                unit.put(POSITIONS, topic.encode(), b"%d" % new)
                if old is not None:
                    self._remember_loss(unit, topic, old, new)

        try:
            await self.partitions[number].change(change)
        except TimeoutError as error:
            die(ExitCode.DEADLINE, f"positions of partition {number} were not committed in time", error=error)
        for topic, (old, new) in topics.items():
            if old is not None:
                log.error("inputs lost to retention", topic=topic, partition=number, first=old, next_kept=new)
                self._observer.inputs_lost(topic, new - old)

    def begin(self, generation: int, positions: Mapping[Log, Position]) -> None:
        """RESTORED → PROCESSING: start the loops.

        Args:
            generation: the group generation. Records of any other one are dropped.
            positions: where the records of each input continue.

        Raises:
            IllegalMove: the state does not allow it.
            LetGo: the partitions were released meanwhile.
        """
        with self._step(Step.BEGIN):
            self.generation = generation
            for (topic, number), position in positions.items():
                self.partitions[number].expected[topic] = position.next
            for number, partition in self.partitions.items():
                partition.start({topic: at.end for (topic, n), at in positions.items() if n == number})
            self._standby.start({number: self._stores.open(number) for number in self.copies})
            self._deadline.end()
            log.info("processing", generation=generation, partitions=sorted(self.partitions))

    async def release(self) -> None:
        """Any state → RELEASED: finish the running transactions and stop.

        The next owner reads the queued records again.
        """
        was_processing = self.state is State.PROCESSING
        self.state = MOVES[self.state][Step.RELEASE]
        self._releases += 1
        self._deadline.begin("letting partitions go", _REBALANCE_DEADLINES)  # each batch has its own deadline
        async with self._moving:
            pass
        await asyncio.gather(
            self._standby.stop(), *(partition.stop() for partition in self.partitions.values())
        )
        if was_processing:
            self._on_release([partition.store for partition in self.partitions.values()])
        self.expect_assignment()

    async def close(self) -> None:
        """Release all partitions for good, and close producers, stores and readers."""
        self._closed = True
        await self.release()
        await transaction.close_all(partition.producer for partition in self.partitions.values())
        self.partitions.clear()
        self._stores.release(())
        await self._reader.stop()
        await self._standby.close()
        self._deadline.end()

    @contextmanager
    def _step(self, step: Step) -> Iterator[Callable[[], None]]:
        """Move to the next state after the block.

        Yields a function that raises LetGo if the partitions were released meanwhile.
        """
        to, releases = MOVES[self.state].get(step), self._releases
        if self._closed or (to is None and self.state is State.RELEASED):
            raise LetGo(f"the partitions were released before {step.name}")
        if to is None:
            raise IllegalMove(f"{step.name} is not possible when {self.state.name}")

        def check() -> None:
            if self._releases != releases:
                raise LetGo(f"the partitions were released during {step.name}")

        yield check
        check()
        self.state = to


def _refuse_past_the_end(topic: str, number: int, committed: int | None, end: int) -> None:
    if committed is not None and committed > end:
        die(
            ExitCode.STORE_AHEAD,
            f"position {committed} of {topic}-{number} is past its end {end}: Kafka lost records, or the topic was "
            f"made anew; `customer-context topics --accept-loss {topic}` reads it from its start",
        )
