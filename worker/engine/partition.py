"""The loop of one partition number: the only writer of everything in that partition.

Rules:
- Records wait in the order of their logs, in two lanes. The prompt lane holds topics whose senders wait for an answer;
  the bulk lane holds all others. A batch takes from both: prompt records first, up to half of the batch.
- An idle lane opens at once. A busy lane lets a batch build up, because a small transaction costs as much as a large
  one. The wait is shorter when the last batch was small, so that few records do not wait for many.
- A batch also ends by time and by bytes (worker.engine.making). worker.engine.batches says what it takes and commits.
- Large batches wait for their turn (worker.engine.turns). Prompt records and small batches do not.
- An input may cause more work than one batch should hold. The rest follows it, one step after each batch.
- A sweep (worker.engine.sweeping) that is due does one step after each batch, so that neither delays the other for long.
- Any error or missed deadline ends the process.
- Inputs on which the former owner may have failed are suspects (worker.engine.isolation). Inputs that wait in a table
  may be suspects, too (worker.engine.stored_suspects).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from worker.engine.batches import Batches
from worker.engine.exits import ExitCode, code_of, die
from worker.engine.isolation import Isolation
from worker.engine.lanes import Lane, Load, Pace
from worker.engine.making import BeginWork
from worker.engine.observer import Observer
from worker.engine.patches.producer import CertainProducer
from worker.engine.steps import Steps
from worker.engine.store import Store, StoreFailed
from worker.engine.stored_suspects import StoredSuspects
from worker.engine.sweeping import Sweep, Sweeping
from worker.engine.turns import Turns
from worker.engine.unit import POSITIONS, InputRecord, Unit
from worker.engine.units import Commit, Units
from worker.engine.watchdog import HAND

log = structlog.get_logger(__name__)

_HELD_S = 0.5  # between two questions whether inputs may be processed


class Partition:
    """The lanes and the loop of one partition number.

    Args:
        number: the partition number.
        store: its local store.
        producer: its transactional producer.
        process: begins the work on a batch.
        commit: commits a unit in one transaction.
        pace: sizes and times.
        turns: shared by all partitions of a worker.
        observer: is told of each transaction.
        prompt: topics of the prompt lane.
        sweep: does one step of a sweep; None for no sweeps.
        load: the bytes in all lanes; shared by all partitions of a worker.
        trials: the lock of the partition that processes suspects; shared by all partitions of a worker.
        may_take: whether anything may be processed now.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        number: int,
        store: Store,
        producer: CertainProducer,
        process: BeginWork,
        commit: Commit,
        pace: Pace,
        turns: Turns,
        observer: Observer,
        prompt: frozenset[str] = frozenset(),
        sweep: Sweep | None = None,
        load: Load | None = None,
        trials: asyncio.Lock | None = None,
        may_take: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number = number
        self.store = store
        self.producer = producer
        self.former_had_committed = producer.former_had_committed
        self.expected: dict[str, int] = {}
        self.anchored: set[str] = set()
        self._pace = pace
        self._turns = turns
        self._turn: asyncio.Future[None] | None = None  # requested, or granted
        self._observer = observer
        self._prompt_topics = prompt
        self._prompt, self._bulk = Lane(pace, load), Lane(pace, load)
        self._trials = trials or asyncio.Lock()
        self._may_take = may_take
        self._clock = clock
        self._active = self.begun = False
        self._isolation, stored = Isolation(store, pace.max_records), StoredSuspects(store)
        self._units = Units(number, store, producer, commit, pace.deadline_s, self._isolation, stored)
        self._batches = Batches(
            units=self._units,
            isolation=self._isolation,
            stored=stored,
            prompt=self._prompt,
            bulk=self._bulk,
            process=process,
            pace=pace,
            turns=turns,
            observer=observer,
            trials=self._trials,
            active=lambda: self._active,
            clock=clock,
        )
        self._sweeping = Sweeping(sweep, pace.sweep_every_s, pace.sweep_again_s)
        self._steps = Steps(stored, process, self._units)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def positions(self) -> dict[str, int]:
        """The committed position of each topic, from the positions table."""
        return {topic.decode(): int(offset) for topic, offset in self.store.scan(POSITIONS.mark)}

    async def change(self, change: Callable[[Unit], None]) -> None:
        """Commit changes that no input caused. The loop must not run.

        Raises:
            TimeoutError: the transaction missed its deadline.
        """
        unit = self._units.begin()
        change(unit)
        await self._units.write_alone(unit)

    def take_from(self, untaken: "Partition") -> None:
        """Replace a partition that was fenced and never begun.

        The former owner's outcome comes from that partition, because its own producer was the first to fence.
        """
        if not untaken.begun:
            self.former_had_committed = untaken.former_had_committed

    @property
    def running(self) -> bool:
        """Whether the loop runs, its last transaction included."""
        return self._task is not None and not self._task.done()

    def start(self, ends: Mapping[str, int]) -> None:
        """Begin processing. `expected` and `anchored` must be set for this generation.

        Args:
            ends: the end of each input's log at the takeover.
        """
        self._active = self.begun = True
        now = self._clock()
        former = self._isolation.begin(
            self.positions(), ends, self._units.begin(), had_committed=self.former_had_committed
        )
        self._sweeping.begin(self.store, now)
        self._steps.begin(had_committed=self.former_had_committed)
        if self._sweeping.due_in_s(now) == 0.0:
            self._sweeping.mark(self._units.at_hand)
        if former is not None:
            log.warning(
                "a former owner failed on this partition",
                partition=self.number,
                inputs=[
                    f"{topic} from {first} to {end - 1}" for topic, (first, end) in former.region.items()
                ],
                tried=[f"{topic} at {each.offset}" for topic, each in former.tried.items()],
                records_a_batch=self._isolation.limit,
            )
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"partition-{self.number}")

    async def stop(self) -> None:
        """Let the running transaction finish, and drop the queued records. They will be read again."""
        self._active = False
        self._wake.set()
        if self._task is not None:
            done, _ = await asyncio.wait({self._task}, timeout=self._pace.deadline_s)
            if not done:
                die(ExitCode.DEADLINE, f"partition {self.number} did not finish its transaction in time")
            self._task = None
        self._prompt.clear()
        self._bulk.clear()

    def put(self, topic: str, records: Sequence[InputRecord]) -> None:
        """Queue records of one topic, in offset order."""
        lane = self._lane_of(topic)
        lane.extend(records)
        self._isolation.come(topic, records)
        if lane is self._prompt:
            self._turns.hear()
        self._wake.set()

    def has_room(self, topic: str) -> bool:
        """Whether to fetch more of that topic."""
        return self._lane_of(topic).has_room

    def _lane_of(self, topic: str) -> Lane:
        return self._prompt if topic in self._prompt_topics else self._bulk

    async def _run(self) -> None:
        try:
            if self._units.at_hand.changes:
                await self._units.write_alone(self._units.at_hand)
            while self._active:
                await self._go_on()
            self._sweeping.end(self._units.begin())
            self._steps.stored.over(self._units.at_hand)
            if self._units.at_hand.changes:
                await self._units.write_alone(self._units.at_hand)
        except TimeoutError as error:
            self._die(ExitCode.DEADLINE, f"a batch of partition {self.number} missed its deadline", error)
        except StoreFailed as error:
            self._die(ExitCode.STORE_FAILED, str(error), error)
        except BaseException as error:
            self._die(
                code_of(error, ExitCode.BATCH_FAILED), f"a batch of partition {self.number} failed", error
            )
        finally:
            self._end_turn()

    def _die(self, code: ExitCode, why: str, error: BaseException) -> None:
        die(code, why, error=error, at=self._units.at_hand.at)

    async def _go_on(self) -> None:
        """Do one batch and one step of a sweep if they are due; else wait."""
        if not self._may_take():
            await asyncio.sleep(_HELD_S)
            return
        await self._step(self._steps.put_aside)
        # Every check uses the same moment. Else a lane could open between its check and the wait, and not end the wait.
        now, most = self._clock(), self._turns.max_records
        prompt = self._prompt.pop(now, most // 2)
        bulk = self._bulk.pop(now, most - len(prompt)) if self._bulk_may_go(now) else []
        if prompt or bulk:
            await self._batches.transact(prompt, bulk)
            if bulk:
                self._end_turn()
        more = bool(self._steps.more)
        if more:
            await self._step(self._steps.step)
        if self._sweeping.due_in_s(now) == 0.0:
            async with asyncio.timeout(self._pace.deadline_s):
                await self._sweep(now)
        elif not (prompt or bulk or more):
            await self._change(now)

    async def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step without records. While the step tries a suspect, no other partition tries one."""
        async with self._trials if self._steps.stored.alone else contextlib.nullcontext():
            async with asyncio.timeout(self._pace.deadline_s):
                await step()

    def _bulk_may_go(self, now: float) -> bool:
        """Whether the bulk lane may make a batch: it is open, and it is small or has its turn.

        Asks for the turn if needed.
        """
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
        """Wait until there may be something to do.

        Args:
            now: when nothing was due, in monotonic seconds.
        """
        waits = self._prompt.opens_in_s(now), self._bulk.opens_in_s(now), self._sweeping.due_in_s(now)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(filter(None, waits), default=None)):
                await self._wake.wait()

    async def _sweep(self, now: float) -> None:
        if self._sweeping.mark(self._units.begin()):
            await self._units.write(self._units.at_hand)
        unit = self._units.begin()
        with HAND.on(unit):
            committed = self._sweeping.step(unit, now)
        await asyncio.sleep(0)
        if committed is not None:
            seconds = await self._units.write(unit)
            committed()
            self._observer.swept(seconds)
