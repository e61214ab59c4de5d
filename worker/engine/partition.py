"""The loop of one partition number: the single writer of everything in that partition.

Rules:
- Records are queued in the order of their logs; a batch takes what is there. Prompt topics, on which somebody waits
  for an answer, have a queue of their own, and up to half of a batch, before all that has piled up elsewhere.
- Pace: an idle partition starts at once; a busy one lets a batch build, because small transactions cost as much as
  large ones: the shorter, the fewer records the last batch had, so that few records do not wait for many.
- Positions are rows of the positions table, changed in the same transaction as everything else.
- After the commit: local store, then whoever waits for results. Any error or missed deadline ends the process.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from worker.engine.exits import ExitCode, die
from worker.engine.observer import Observer
from worker.engine.store import Store, StoreFailed
from worker.engine.unit import Table, Unit

POSITIONS = Table("positions", b"P")

Processor = Callable[[Unit, Sequence[Any]], Callable[[], None]]
"""Turns records into changes of a unit; returns what to do once they are committed and visible locally."""

Commit = Callable[[AIOKafkaProducer, Unit], Any]


class Pace(NamedTuple):
    """How a batch builds. build_s: how long a busy partition waits, counted from the start of its last batch, in full
    after one of busy_records; max_records: what ends the wait."""

    build_s: float = 0.05
    busy_records: int = 8
    max_records: int = 2_000
    queue_records: int = 4_000
    deadline_s: float = 10.0


class Partition:
    """Queue and loop of one partition number."""

    def __init__(
        self,
        number: int,
        store: Store,
        producer: AIOKafkaProducer,
        process: Processor,
        commit: Commit,
        pace: Pace,
        observer: Observer,
        prompt: frozenset[str] = frozenset(),
    ) -> None:
        self.number = number
        self.store = store
        self.producer = producer
        self.expected: dict[str, int] = {}
        self.anchored: set[str] = set()
        self._process = process
        self._commit = commit
        self._pace = pace
        self._observer = observer
        self._kept: dict[str, dict[Any, Any]] = {}
        self._prompt_topics = prompt
        self._prompt: deque[Any] = deque()
        self._queue: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._active = False
        self._task: asyncio.Task[None] | None = None
        self._next_build = 0.0

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
        self._prompt.clear()
        self._queue.clear()

    def put(self, topic: str, records: Sequence[Any]) -> None:
        """Queue records of one topic."""
        self._queue_of(topic).extend(records)
        self._wake.set()

    def has_room(self, topic: str) -> bool:
        """Whether more of that topic should be fetched."""
        return len(self._queue_of(topic)) < self._pace.queue_records

    def _queue_of(self, topic: str) -> deque[Any]:
        return self._prompt if topic in self._prompt_topics else self._queue

    async def _run(self) -> None:
        try:
            while self._active:
                if not self._waiting:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._let_build()
                if self._active:
                    async with asyncio.timeout(self._pace.deadline_s):
                        await self._transact(self._take())
        except TimeoutError as error:
            die(ExitCode.DEADLINE, f"a batch of partition {self.number} missed its deadline", error=error)
        except StoreFailed as error:
            die(ExitCode.STORE_FAILED, str(error), error=error)
        except BaseException as error:
            die(_code_of(error), f"a batch of partition {self.number} failed", error=error)

    async def _let_build(self) -> None:
        wait = self._next_build - time.monotonic()
        if wait > 0 and self._waiting < self._pace.max_records:
            await asyncio.sleep(wait)

    @property
    def _waiting(self) -> int:
        return len(self._prompt) + len(self._queue)

    def _take(self) -> list[Any]:
        most = self._pace.max_records
        prompt = _pop(self._prompt, most // 2)
        return prompt + _pop(self._queue, most - len(prompt))

    async def _transact(self, records: list[Any]) -> None:
        started = time.monotonic()
        unit = Unit(self.number, self.store, self._kept)
        committed = self._process(unit, records)
        positions = {record.topic: record.offset + 1 for record in records}
        for topic, position in positions.items():
            unit.put(POSITIONS, topic.encode(), b"%d" % position)
        began = time.monotonic()
        offsets = await self._commit(self.producer, unit)
        ended = time.monotonic()
        self.store.write({table.mark: rows for table, rows in unit.changes.items()}, offsets)
        committed()
        self._observer.committed(records, positions, ended - began)
        share = min(len(records) / self._pace.busy_records, 1.0) if self._waiting else 0.0
        self._next_build = started + self._pace.build_s * share


def _pop(queue: deque[Any], most: int) -> list[Any]:
    return [queue.popleft() for _ in range(min(len(queue), most))]


def _code_of(error: BaseException) -> ExitCode:
    fenced = type(error).__name__ in {"ProducerFenced", "InvalidProducerEpoch", "InvalidTxnState"}
    return ExitCode.FENCED if fenced else ExitCode.BATCH_FAILED
