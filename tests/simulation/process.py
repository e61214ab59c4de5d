"""A simulated worker: the real engine, partition loops, restore, agents, tables and domain, on a simulated log.

What is made up: the log, what the worker has fetched, and the clock. `die` ends the worker instead of the process.
"""

import asyncio
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NoReturn
from unittest.mock import patch

import structlog

from agents.batch import Routing
from agents.processor import Processor
from tables import needed
from tests.agents.world import PARTITIONS
from tests.simulation.log import MortalConsumer, Place, SimulatedConsumer, SimulatedLog, SimulatedProducer
from worker.domain.rules import RuleBook
from worker.engine import engine, partition, restore, standby
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.partition import Pace
from worker.engine.store import MemoryStore, Store
from worker.engine.unit import Record, Unit
from worker.topics import Catalogue

APP_ID = "customer-context"
_PACE = Pace(build_s=0.0, max_records=1_000, queue_records=100_000, deadline_s=60.0)


class Fate(Enum):
    """How a transaction may end."""

    COMMIT = auto()
    DIE_BEFORE = auto()
    DIE_AFTER = auto()


class Crash(Exception):
    """Stands for kill -9."""


class Ended(Exception):
    """Stands for the end of a process that ended itself."""


class Broken(AssertionError):
    """A worker ended for a reason that nobody planned."""


class Inline(Executor):
    """A thread that never runs beside the loop, so that a seed replays."""

    def __init__(self, *_: Any) -> None:
        """Takes what a ThreadPoolExecutor takes."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(do(*args, **kwargs))
        return done


class KeptStores:
    """Stores that outlive their worker, as RocksDB's do. They lag by what was not written before a crash."""

    def __init__(self) -> None:
        self._kept: dict[int, MemoryStore] = {}

    def open(self, number: int) -> Store:
        return self._kept.setdefault(number, MemoryStore())

    def release(self, keep: Sequence[int]) -> None:
        """They stay."""

    def lose(self) -> None:
        """The disk is gone."""
        self._kept.clear()


class SimulatedEngine(Engine):
    """The engine with a simulated producer and reader."""

    worker: "SimulatedWorker"

    async def _open_producer(self, number: int) -> Any:
        return self.worker.log.init_producer(self.transactional_id(number))

    async def commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        return await self.worker.commit(producer, unit)


@dataclass
class SimulatedWorker:
    """One process: its engine, and how far it has fetched."""

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
        processor = Processor(routing, self.rules, lambda *_: None, clock=lambda: self.log.now)
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
        )
        self.engine.worker = self
        self.engine._reader._consumer = SimulatedConsumer(self.log)
        standby = self.engine._standby
        standby._reader._consumer = MortalConsumer(self.log, self._alive)
        standby._every_s = 0.0

    async def _alive(self) -> None:
        await self.awake.wait()
        if self.dead:
            await asyncio.Event().wait()

    async def take_over(self, generation: int, numbers: Sequence[int], copies: Sequence[int]) -> None:
        """An assignment, after everybody's quiesce. copies: of what others got."""
        _worker.set(self)
        self.generation, self.held = generation, tuple(numbers)
        await self.engine.fence(numbers, copies)
        await self.engine.restore()
        assigned = [(topic, number) for topic in self.inputs for number in numbers]
        positions = await self.engine.positions(assigned)
        self.fetched = dict(positions)
        self.engine.begin(generation, positions)

    async def fetch(self, number: int, counts: Mapping[str, int]) -> None:
        """Hand up to so many log entries per topic of a partition to the engine."""
        _worker.set(self)
        for topic, count in counts.items():
            at = self.fetched[topic, number]
            entries = self.log.logs[topic, number][at : at + count]
            self.fetched[topic, number] = at + len(entries)
            records = [entry for entry in entries if entry is not None]
            if records and not self.dead:
                await self.put(topic, number, records)

    async def put(self, topic: str, number: int, records: list[Record]) -> None:
        """As the agents do."""
        try:
            await self.engine.put(topic, number, self.generation, records)
        except Ended:
            self.dead = True

    async def commit(self, producer: SimulatedProducer, unit: Unit) -> dict[bytes, int]:
        """One transaction with the fate that was chosen for it."""
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
        """The engine ended the process."""
        fenced = code is ExitCode.FENCED and self.engine is not None
        if not (fenced or isinstance(error, Crash | asyncio.CancelledError)) and self.unplanned is None:
            self.unplanned = error or Broken(f"ended with {code.name}")
        self.dead = True


_worker: contextvars.ContextVar[SimulatedWorker] = contextvars.ContextVar("worker")


def _end_loop(code: ExitCode, why: str, *, error: BaseException | None = None) -> None:
    _worker.get().ended(code, error)


def _end_worker(code: ExitCode, why: str, *, error: BaseException | None = None) -> NoReturn:
    _worker.get().ended(code, error or Broken(why))
    raise Ended(why)


@contextmanager
def simulated_ends() -> Iterator[None]:
    """Within this, a process that ends itself is a simulated worker that dies, and the engine does not log."""
    quiet = structlog.wrap_logger(structlog.testing.LogCapture(), processors=[_drop])
    with (
        patch.object(partition, "die", _end_loop),
        patch.object(engine, "die", _end_worker),
        patch.object(restore, "die", _end_worker),
        patch.object(standby, "die", _end_loop),
        patch.object(restore, "ThreadPoolExecutor", Inline),
        patch.object(engine, "log", quiet),
        patch.object(standby, "log", quiet),
    ):
        yield


def _drop(*_: Any) -> NoReturn:
    raise structlog.DropEvent
