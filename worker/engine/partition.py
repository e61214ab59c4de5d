"""The loop of one partition number: the single writer of everything in that partition.

Rules:
- Records are queued in the order of their logs, in two lanes: prompt topics, on which somebody waits for an answer, and
  all others. A batch takes what is there of both, prompt records first and up to half of it.
- Pace: an idle lane opens at once; a busy one lets a batch build, because small transactions cost as much as large
  ones: the shorter, the fewer records its last batch had, so that few records do not wait for many.
- Large batches wait for their turn (worker.engine.turns); prompt records and small batches do not. A batch yields
  after every slice; prompt records that came meanwhile are taken into it and end it, so that they wait for a slice
  instead of a batch.
- Positions are rows of the positions table, changed in the same transaction as everything else.
- Sweeps (worker.engine.sweeping) take turns with batches, a step after each one while they are due, so that neither
  keeps the other waiting.
- After the commit: local store, then whoever waits for results. Any error or missed deadline ends the process.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer

from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.store import Store, StoreFailed
from worker.engine.sweeping import Sweep, Sweeping
from worker.engine.turns import Turns
from worker.engine.unit import Table, Unit

POSITIONS = Table("positions", b"P")


class Work(Protocol):
    """Turns the records of one batch into changes of its unit."""

    def take(self, records: Sequence[Any]) -> None:
        """Process the next records."""

    def finish(self) -> Callable[[], None]:
        """Say that these were all. Returns what to do once they are committed and visible locally."""


Processor = Callable[[Unit], Work]

Commit = Callable[[AIOKafkaProducer, Unit], Any]


class Pace(NamedTuple):
    """How a batch builds. build_s: how long a busy lane waits, counted from the start of its last batch, in full after
    one of busy_records; max_records: what ends the wait. A batch of more than small_records is large, and at_once of
    those may be in the making. sweep_every_s: from one sweep of a partition to the next."""

    build_s: float = 0.05
    busy_records: int = 8
    small_records: int = 100
    max_records: int = 2_000
    queue_records: int = 4_000
    at_once: int = 2
    deadline_s: float = 10.0
    sweep_every_s: float = 3_600.0


class Lane:
    """Records that wait, in the order of their logs, and when the next batch may take of them."""

    def __init__(self, pace: Pace) -> None:
        self.records: deque[Any] = deque()
        self._pace = pace
        self._opens = 0.0

    def opens_in_s(self, now: float) -> float | None:
        """Seconds until it opens, 0 if it is open; None while it is empty. now: monotonic seconds."""
        if not self.records:
            return None
        full = len(self.records) >= self._pace.max_records
        return 0.0 if full else max(0.0, self._opens - now)

    def pop(self, now: float, most: int) -> list[Any]:
        """The next records, none while it is closed."""
        if self.opens_in_s(now) != 0.0:
            return []
        return [self.records.popleft() for _ in range(min(len(self.records), most))]

    def put_back(self, records: Sequence[Any]) -> None:
        """Records that were popped last, and not used."""
        self.records.extendleft(reversed(records))

    def batched(self, count: int, started: float) -> None:
        """A batch with so many of its records, begun at that monotonic time, is done; one with none changes nothing."""
        if not count:
            return
        busy = min(count / self._pace.busy_records, 1.0) if self.records else 0.0
        self._opens = started + self._pace.build_s * busy


class Partition:
    """Lanes and loop of one partition number. turns: shared by all partitions of a worker."""

    def __init__(
        self,
        number: int,
        store: Store,
        producer: AIOKafkaProducer,
        process: Processor,
        commit: Commit,
        pace: Pace,
        turns: Turns,
        observer: Observer,
        prompt: frozenset[str] = frozenset(),
        sweep: Sweep | None = None,
    ) -> None:
        self.number = number
        self.store = store
        self.producer = producer
        self.expected: dict[str, int] = {}
        self.anchored: set[str] = set()
        self._process = process
        self._commit = commit
        self._pace = pace
        self._turns = turns
        self._turn: asyncio.Future[None] | None = None  # asked for, or ours
        self._observer = observer
        self._kept: dict[str, Any] = {}
        self._prompt_topics = prompt
        self._prompt = Lane(pace)
        self._bulk = Lane(pace)
        self._sweeping = Sweeping(sweep, pace.sweep_every_s)
        self._wake = asyncio.Event()
        self._active = False
        self._task: asyncio.Task[None] | None = None

    def positions(self) -> dict[str, int]:
        """Committed position per topic, from the positions table."""
        return {topic.decode(): int(offset) for topic, offset in self.store.scan(POSITIONS.mark)}

    @property
    def running(self) -> bool:
        """Whether the loop runs, or still finishes its last transaction."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin processing; expected and anchored were set for this generation."""
        self._active = True
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"partition-{self.number}")

    async def stop(self) -> None:
        """Let the running transaction finish and drop what is queued; it will be read again."""
        self._active = False
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=self._pace.deadline_s)
            if not done:
                die(ExitCode.DEADLINE, f"partition {self.number} did not finish its transaction in time")
            self._task = None
        self._prompt.records.clear()
        self._bulk.records.clear()

    def put(self, topic: str, records: Sequence[Any]) -> None:
        """Queue records of one topic."""
        lane = self._lane_of(topic)
        lane.records.extend(records)
        if lane is self._prompt:
            self._turns.hear()
        self._wake.set()

    def has_room(self, topic: str) -> bool:
        """Whether more of that topic should be fetched."""
        return len(self._lane_of(topic).records) < self._pace.queue_records

    def _lane_of(self, topic: str) -> Lane:
        return self._prompt if topic in self._prompt_topics else self._bulk

    async def _run(self) -> None:
        try:
            while self._active:
                await self._go_on()
        except TimeoutError as error:
            die(ExitCode.DEADLINE, f"a batch of partition {self.number} missed its deadline", error=error)
        except StoreFailed as error:
            die(ExitCode.STORE_FAILED, str(error), error=error)
        except BaseException as error:
            die(_code_of(error), f"a batch of partition {self.number} failed", error=error)
        finally:
            self._end_turn()

    async def _go_on(self) -> None:
        """One batch and one step of a sweep, as far as they are due; or the wait for either."""
        # One moment for all: a lane that opened between a look and the wait would not end the wait.
        now, most = time.monotonic(), self._turns.max_records
        prompt = self._prompt.pop(now, most // 2)
        bulk = self._bulk.pop(now, most - len(prompt)) if self._bulk_may_go(now) else []
        if prompt or bulk:
            async with asyncio.timeout(self._pace.deadline_s):
                await self._transact(prompt, bulk)
            if bulk:
                self._end_turn()
        if self._sweeping.due_in_s(now) == 0.0:
            async with asyncio.timeout(self._pace.deadline_s):
                await self._sweep(now)
        elif not (prompt or bulk):
            await self._change(now)

    def _bulk_may_go(self, now: float) -> bool:
        """Whether what has piled up is little, or has its turn; asks for the turn when it is open to be taken."""
        if self._bulk.opens_in_s(now) != 0.0:
            return False
        if len(self._bulk.records) <= self._pace.small_records:
            return True
        if self._turn is None:
            self._turn = self._turns.ask()
            self._turn.add_done_callback(lambda _: self._wake.set())
        return self._turn.done()

    def _end_turn(self) -> None:
        if self._turn is not None:
            self._turns.end(self._turn)
            self._turn = None

    async def _change(self, now: float) -> None:
        """Wait until there may be something to do; now: when there was nothing."""
        waits = self._prompt.opens_in_s(now), self._bulk.opens_in_s(now), self._sweeping.due_in_s(now)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(filter(None, waits), default=None)):
                await self._wake.wait()

    async def _transact(self, prompt: list[Any], bulk: list[Any]) -> None:
        started = time.monotonic()
        unit = Unit(self.number, self.store, self._kept)
        work = self._process(unit)
        prompt, bulk = await self._take(work, prompt, bulk)
        records = prompt + bulk
        committed = work.finish()
        positions = {record.topic: record.offset + 1 for record in records}
        for topic, position in positions.items():
            unit.put(POSITIONS, topic.encode(), b"%d" % position)
        seconds = await self._write(unit)
        committed()
        self._observer.committed(records, positions, seconds)
        self._prompt.batched(len(prompt), started)
        self._bulk.batched(len(bulk), started)

    async def _sweep(self, now: float) -> None:
        unit = Unit(self.number, self.store, self._kept)
        committed = self._sweeping.step(unit, now)
        await asyncio.sleep(0)
        if committed is not None:
            seconds = await self._write(unit)
            committed()
            self._observer.swept(seconds)

    async def _write(self, unit: Unit) -> float:
        """Commit the unit, and then change the local store. Returns how many seconds the transaction took."""
        began = time.monotonic()
        offsets = await self._commit(self.producer, unit)
        ended = time.monotonic()
        self.store.write({table.mark: rows for table, rows in unit.changes.items()}, offsets)
        return ended - began

    async def _take(self, work: Work, prompt: list[Any], bulk: list[Any]) -> tuple[list[Any], list[Any]]:
        """Process the records, and prompt ones that come meanwhile; then what is left of the others goes back.

        Returns what was processed.
        """
        await self._take_slices(work, prompt)
        taken = 0
        while taken < len(bulk):
            piece = bulk[taken : taken + self._turns.slice_records]
            work.take(piece)
            taken += len(piece)
            await asyncio.sleep(0)
            late = self._prompt.pop(time.monotonic(), self._turns.max_records // 2)
            if late:
                self._bulk.put_back(bulk[taken:])
                await self._take_slices(work, late)
                return prompt + late, bulk[:taken]
        return prompt, bulk

    async def _take_slices(self, work: Work, records: Sequence[Any]) -> None:
        size = self._turns.slice_records
        for start in range(0, len(records), size):
            work.take(records[start : start + size])
            await asyncio.sleep(0)


def _code_of(error: BaseException) -> ExitCode:
    fenced = type(error).__name__ in {"ProducerFenced", "InvalidProducerEpoch", "InvalidTxnState"}
    return ExitCode.FENCED if fenced else ExitCode.BATCH_FAILED
