"""A simulated worker: the real engine, partition loops, restore, agents, tables and domain, on a simulated log.

Only the log, the fetched records and the clock are simulated. `die` ends the worker instead of the process.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NoReturn
from unittest.mock import patch

import structlog

from agents.parking.bounds import BOUNDS
from agents.processor import Processor
from agents.routing import Routing
from tables import needed
from tests.agents.world import PARTITIONS
from tests.simulation.log import MortalConsumer, Place, SimulatedConsumer, SimulatedLog, SimulatedProducer
from worker.domain.rules import RuleBook
from worker.engine import engine, partition, restore, standby, takeover
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.lanes import Pace
from worker.engine.restore import Reader
from worker.engine.store import MemoryStore, Store
from worker.engine.takeover import Log, Position
from worker.engine.unit import InputRecord, Unit
from worker.kafka.topics import Catalogue

APP_ID = "customer-context"
# Else the real clock would end a step, and schedules would depend on the machine.
ONE_INPUT_A_STEP = BOUNDS._replace(step_s=0.0)
_PACE = Pace(
    build_s=0.0,
    max_records=1_000,
    queue_records=100_000,
    slice_s=60.0,
    batch_s=60.0,
    sweep_again_s=0.0,
    deadline_s=60.0,
)


class Fate(Enum):
    """How the next transaction of a worker ends."""

    COMMIT = auto()
    DIE_BEFORE = auto()
    DIE_AFTER = auto()


class Crash(Exception):
    """Simulates kill -9."""


class Ended(Exception):
    """Simulates a process that ends itself."""


class Broken(AssertionError):
    """A worker ended for an unplanned reason."""


class Inline(Executor):
    """An executor that runs each call at once, in the caller's thread, so that a seed replays."""

    def __init__(self, *_: Any) -> None:
        """Accept the arguments of a ThreadPoolExecutor."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(do(*args, **kwargs))
        return done


class KeptStores:
    """Stores that outlive their worker, like RocksDB's. Writes that a crash prevented are missing."""

    def __init__(self) -> None:
        self._stores: dict[int, MemoryStore] = {}

    def open(self, number: int) -> Store:
        return self._stores.setdefault(number, MemoryStore())

    def release(self, keep: Sequence[int]) -> None:
        """Keep all stores."""

    def lose(self) -> None:
        """Lose the disk with all stores."""
        self._stores.clear()


class SimulatedEngine(Engine):
    """The engine with a simulated producer and reader."""

    worker: "SimulatedWorker"

    async def _open_producer(self, number: int) -> Any:
        return self.worker.log.init_producer(self.transactional_id(number))

    async def commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        return await self.worker.commit(producer, unit)

    async def restore(self) -> None:
        """Read what a takeover must read before it processes. Controls override this."""
        await self.takeover.restore()

    async def positions(self, assigned: Iterable[Log]) -> dict[Log, Position]:
        """The positions from which the worker continues. Controls override this."""
        return await self.takeover.positions(assigned)


def _reader(make_consumer: Callable[..., Any]) -> Reader:
    return Reader({}, lambda _: None, make_consumer=make_consumer)


@dataclass
class SimulatedWorker:
    """One process: its engine, and the offsets up to which it has fetched."""

    name: int
    log: SimulatedLog
    catalogue: Catalogue
    stores: KeptStores
    kind: type[SimulatedEngine]
    rules: RuleBook
    held: tuple[int, ...] = ()
    generation: int = 0
    fetched: dict[Place, int] = field(default_factory=dict)
    fate: Fate = Fate.COMMIT
    dead: bool = False
    unplanned: BaseException | None = None

    def __post_init__(self) -> None:
        self.awake = asyncio.Event()
        self.awake.set()
        self.inputs = tuple(topic.name for topic in self.catalogue.consumed)
        routing = Routing(self.catalogue, PARTITIONS)
        processor = Processor(
            routing, self.rules, lambda *_: None, clock=lambda: self.log.now, bounds=ONE_INPUT_A_STEP
        )
        self.engine = self.kind(
            app_id=APP_ID,
            client={},
            stores=self.stores,
            tables=needed(payment_join=self.catalogue.payment_join),
            inputs=self.inputs,
            prompt=routing.prompt,
            process=processor,
            sweep=processor.sweep,
            pace=_PACE,
            reader=_reader(lambda **_: SimulatedConsumer(self.log)),
            copy_reader=_reader(lambda **_: MortalConsumer(self.log, self._alive)),
            copy_pause=lambda: asyncio.sleep(0),
        )
        self.engine.worker = self

    async def _alive(self) -> None:
        await self.awake.wait()
        if self.dead:
            await asyncio.Event().wait()

    async def take_over(self, generation: int, numbers: Sequence[int], copies: Sequence[int]) -> None:
        """Take over an assignment, after all workers have released theirs. copies: partitions for standby copies."""
        _worker.set(self)
        self.generation, self.held = generation, tuple(numbers)
        await self.engine.takeover.fence(numbers, copies)
        await self.engine.restore()
        assigned = [(topic, number) for topic in self.inputs for number in numbers]
        positions = await self.engine.positions(assigned)
        self.fetched = {log: at.next for log, at in positions.items()}
        self.engine.takeover.begin(generation, positions)

    async def fetch(self, number: int, counts: Mapping[str, int]) -> None:
        """Pass log entries of a partition to the engine. counts: topic -> maximum number of entries."""
        _worker.set(self)
        for topic, count in counts.items():
            at = self.fetched[topic, number]
            entries = self.log.logs[topic, number][at : at + count]
            self.fetched[topic, number] = at + len(entries)
            records = [entry for entry in entries if entry is not None]
            if records and not self.dead:
                await self.put(topic, number, records)

    async def put(self, topic: str, number: int, records: list[InputRecord]) -> None:
        """Pass records to the engine, like the agents."""
        try:
            await self.engine.put(topic, number, self.generation, records)
        except Ended:
            self.dead = True

    async def commit(self, producer: SimulatedProducer, unit: Unit) -> dict[bytes, int]:
        """Commit a transaction, or crash as the chosen fate says."""
        if not self.awake.is_set():
            await self.awake.wait()
        if self.dead:
            raise Crash
        if self.fate is Fate.DIE_BEFORE:
            self.log.abort(producer, unit)
            raise Crash
        offsets = self.log.commit(producer, unit, self.engine.changelog_of)
        if self.fate is Fate.DIE_AFTER:
            raise Crash
        return offsets

    def ended(self, code: ExitCode, error: BaseException | None) -> None:
        """Mark the worker dead after the engine ended its process. Remember the error of an unplanned end."""
        fenced = code is ExitCode.FENCED and self.engine is not None
        if not (fenced or isinstance(error, Crash | asyncio.CancelledError)) and self.unplanned is None:
            self.unplanned = error or Broken(f"ended with {code.name}")
        self.dead = True


_worker: contextvars.ContextVar[SimulatedWorker] = contextvars.ContextVar("worker")


def _end_loop(code: ExitCode, why: str, *, error: BaseException | None = None, at: object = None) -> None:
    _worker.get().ended(code, error)


def _end_worker(code: ExitCode, why: str, *, error: BaseException | None = None) -> NoReturn:
    _worker.get().ended(code, error or Broken(why))
    raise Ended(why)


@contextmanager
def simulated_ends() -> Iterator[None]:
    """Inside this context, a process that ends itself is a simulated worker that dies. The engine does not log."""
    quiet = structlog.wrap_logger(structlog.testing.LogCapture(), processors=[_drop])
    with (
        patch.object(partition, "die", _end_loop),
        patch.object(engine, "die", _end_worker),
        patch.object(takeover, "die", _end_worker),
        patch.object(restore, "die", _end_worker),
        patch.object(standby, "die", _end_loop),
        patch.object(restore, "ThreadPoolExecutor", Inline),
        patch.object(takeover, "log", quiet),
        patch.object(standby, "log", quiet),
    ):
        yield


def _drop(*_: Any) -> NoReturn:
    raise structlog.DropEvent
