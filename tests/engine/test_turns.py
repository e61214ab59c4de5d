"""Large batches of all partitions take turns. A client that waits for an answer does not wait for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engine.inputs import input_record
from worker.engine.lanes import Lane, Pace
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.store import MemoryStore
from worker.engine.turns import Turns
from worker.engine.unit import InputRecord, Stored, Unit

PACE = Pace(build_s=0.0, small_records=2, at_once=1)
COMMAND, ORDERS, FEW = ["command"], ["order"] * 3, ["order"] * 2


class Noted:
    """A batch of which only is noted what it took."""

    def __init__(self) -> None:
        self.records: list[InputRecord] = []

    def take(self, records: Sequence[Any], until: float) -> int:
        self.records += records
        return len(records)

    def fail(self, record: Any, detail: str, *, bare: bool) -> None:
        raise NotImplementedError

    def go_on(self, *, alone: bool = False) -> bool:
        raise NotImplementedError

    def next_stored(self) -> Stored | None:
        raise NotImplementedError

    def put_aside(self, stored: Stored, detail: str, *, bare: bool) -> None:
        raise NotImplementedError

    @property
    def topics(self) -> list[str]:
        return [record.topic for record in self.records]

    def finish(self) -> Callable[[], None]:
        return lambda: None


class Worker:
    """Partitions that take turns, and whose commits wait until they are let through.

    begun: (partition, topics) of every batch whose commit was begun; taken: the records of each.
    """

    def __init__(self, pace: Pace, count: int, clock: Callable[[], float]) -> None:
        self.begun: list[tuple[int, list[str]]] = []
        self.taken: list[list[InputRecord]] = []
        self._clock = clock
        self._commits: dict[int, asyncio.Event] = {number: asyncio.Event() for number in range(count)}
        turns = Turns(pace.at_once, pace.max_records)
        self.partitions = [self._partition(number, pace, turns) for number in range(count)]
        for partition in self.partitions:
            partition.start({})

    def _partition(self, number: int, pace: Pace, turns: Turns) -> Partition:
        batches: list[Noted] = []

        def process(unit: Unit) -> Noted:
            batches.append(Noted())
            return batches[-1]

        async def commit(producer: Any, unit: Unit) -> dict[bytes, int]:
            self.begun.append((number, batches[-1].topics))
            self.taken.append(batches[-1].records)
            await self._commits[number].wait()
            self._commits[number].clear()
            return {}

        producer: Any = SimpleNamespace(former_had_committed=True)
        prompt = frozenset({"command"})
        return Partition(
            number,
            MemoryStore(),
            producer,
            process,
            commit,
            pace,
            turns,
            Observer(),
            prompt,
            clock=self._clock,
        )

    async def put(self, number: int, topics: Sequence[str]) -> None:
        for offset, topic in enumerate(topics):
            self.partitions[number].put(topic, [input_record(topic, offset)])
        await self.settle()

    async def commit(self, number: int) -> None:
        """Let the batch at hand through."""
        self._commits[number].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self) -> None:
        stopping = [asyncio.create_task(partition.stop()) for partition in self.partitions]
        while not all(task.done() for task in stopping):
            for number in self._commits:
                await self.commit(number)


@pytest.fixture
async def worker() -> AsyncIterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(pace: Pace = PACE, clock: Callable[[], float] = time.monotonic) -> Worker:
        made.append(Worker(pace, 3, clock))
        return made[-1]

    yield make
    for each in made:
        await each.end()


async def test_a_large_batch_waits_for_the_one_before_it_and_then_goes(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(1, ORDERS)
    assert w.begun == [(0, ORDERS)]

    await w.commit(0)
    assert w.begun == [(0, ORDERS), (1, ORDERS)]


async def test_as_many_large_batches_as_may_be_are_in_the_making(worker):
    w = worker(PACE._replace(at_once=2))
    for number in range(3):
        await w.put(number, ORDERS)
    assert w.begun == [(0, ORDERS), (1, ORDERS)]


async def test_while_somebody_waits_for_answers_large_batches_go_one_at_a_time_and_a_third_as_large(worker):
    w = worker(PACE._replace(at_once=2, max_records=12))
    await w.put(2, COMMAND)
    await w.put(0, ["order"] * 5)
    await w.put(1, ORDERS)
    assert w.begun == [(2, COMMAND), (0, ["order"] * 4)]


async def test_who_asked_first_goes_first(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(2, ORDERS)
    await w.put(1, ORDERS)
    await w.put(0, ORDERS)  # asks again when its first is done
    for number in (0, 2, 1):
        await w.commit(number)
    assert [number for number, _ in w.begun] == [0, 2, 1, 0]


async def test_a_command_does_not_wait_for_a_turn(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(1, ORDERS)
    await w.put(1, COMMAND)
    assert w.begun == [(0, ORDERS), (1, COMMAND)]

    await w.commit(1)
    await w.commit(0)
    assert w.begun[2:] == [(1, ORDERS)]


async def test_commands_without_end_do_not_keep_orders_from_their_turn(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(1, ORDERS)
    await w.put(1, COMMAND)
    await w.put(1, COMMAND)
    await w.commit(0)
    await w.commit(1)
    assert w.begun[2:] == [(1, COMMAND + ORDERS)]


async def test_a_small_batch_does_not_wait_for_a_turn(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(1, FEW)
    assert w.begun == [(0, ORDERS), (1, FEW)]


async def test_a_partition_that_leaves_gives_its_place_back(worker):
    w = worker()
    for number in range(3):
        await w.put(number, ORDERS)
    await w.partitions[1].stop()
    await w.commit(0)
    assert w.begun == [(0, ORDERS), (2, ORDERS)]


async def test_a_partition_that_leaves_with_the_turn_gives_it_back(worker):
    w = worker()
    await w.put(0, ORDERS)
    await w.put(1, ORDERS)
    stopping = asyncio.create_task(w.partitions[0].stop())
    await w.commit(0)
    await stopping
    assert w.begun == [(0, ORDERS), (1, ORDERS)]


async def test_a_batch_lets_others_on_after_every_slice(worker):
    w = worker(PACE._replace(small_records=1_000))
    w.partitions[0].put("order", [input_record("order", offset) for offset in range(1_000)])
    w.partitions[1].put("command", [input_record("command", 0)])
    await w.settle()
    assert [number for number, _ in w.begun] == [1]


async def test_a_slice_is_shorter_while_somebody_waits_and_shortest_while_somebody_reads():
    turns = Turns(2, 2_000)
    sizes = [turns.slice_records]
    turns.hear()
    sizes.append(turns.slice_records)
    turns.read()
    sizes.append(turns.slice_records)
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    reading = Turns(2, 2_000)
    reading.read()
    assert reading.max_records == 2_000, "orders do not go slower because somebody reads"


async def test_a_command_that_comes_during_a_batch_is_taken_into_it_and_ends_it(worker):
    w = worker(PACE._replace(small_records=1_000))
    await begin_large_batch(w)
    await w.put(0, COMMAND)
    await w.commit(0)
    assert w.begun == [(0, ["order"] * 250 + COMMAND), (0, ["order"] * 50)]


async def test_what_is_left_of_an_interrupted_batch_goes_before_what_came_later(worker):
    w = worker(PACE._replace(small_records=1_000))
    await begin_large_batch(w)
    w.partitions[0].put("order", [input_record("order", 300)])
    await w.put(0, COMMAND)
    await w.commit(0)
    orders = [record.offset for batch in w.taken for record in batch if record.topic == "order"]
    assert orders == list(range(301))


async def begin_large_batch(w: Worker) -> None:
    """300 orders, of which the first slice of 250 is taken."""
    w.partitions[0].put("order", [input_record("order", offset) for offset in range(300)])
    await asyncio.sleep(0)


class SteppingClock:
    """Moves on by the same step with every look."""

    def __init__(self, step_s: float) -> None:
        self._now, self._step_s = 0.0, step_s

    def __call__(self) -> float:
        self._now += self._step_s
        return self._now


async def test_a_lane_that_opens_between_the_look_and_the_wait_is_not_forgotten(worker):
    stuck = []
    for step_ms in range(13, 20):  # of 50 ms, so that some look falls right before it opens
        w = worker(Pace(build_s=0.05, busy_records=1), clock=SteppingClock(step_ms / 1000))
        await w.put(0, ["order"])
        await w.put(0, ["order"])  # arrives while the first one is being committed, and lets a batch build
        await w.commit(0)
        await asyncio.sleep(0.2)
        if len(w.begun) < 2:
            stuck.append(step_ms)
    assert stuck == []


def test_a_batch_without_records_of_a_lane_does_not_open_it():
    lane = Lane(Pace(build_s=0.05, busy_records=1))
    lane.extend([input_record("order", offset) for offset in range(3)])
    lane.batched(1, 100.0)
    lane.batched(0, 100.01)
    assert lane.opens_in_s(100.02) == pytest.approx(0.03)
