"""What bounds a batch and a lane: time, bytes and, after a failure, how little of it may go together."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from tests.engine.inputs import input_record
from worker.engine import partition as partition_module
from worker.engine.exits import ExitCode
from worker.engine.isolation import ISOLATION
from worker.engine.lanes import Lane, Load, Pace
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.store import MemoryStore
from worker.engine.turns import Turns
from worker.engine.unit import POSITIONS, InputRecord, Outgoing, Table, Unit

THINGS = Table("things", b"T")
PACE = Pace(build_s=0.0, slice_s=0.01, batch_s=0.05, batch_bytes=10_000, max_records=100)


class Crash(BaseException):
    """As kill -9 or a segmentation fault: nobody is left to note anything."""


class Working:
    """Takes its time for each record, sends what the world says, and fails where the world says so."""

    def __init__(self, world: "World", unit: Unit) -> None:
        self._world = world
        self._unit = unit
        self.records: list[InputRecord] = []

    def take(self, records: Sequence[InputRecord], until: float) -> int:
        taken = 0
        for record in records:
            if taken and time.monotonic() >= until:
                break
            taken += 1
            self._unit.at = record
            if record == self._world.poison:
                raise self._world.error
            if record.topic == self._world.slow:
                time.sleep(self._world.record_s)
            if self._world.sends:
                self._unit.out("events", 0).append(Outgoing(b"k", b"x" * self._world.sends, []))
            if self._world.changes:
                self._unit.put(THINGS, b"%d" % record.offset, b"x" * self._world.changes)
            self.records.append(record)
        self._world.slices.append(taken)
        return taken

    def fail(self, record: InputRecord, detail: str, *, bare: bool) -> None:
        self._world.failed.append((record, detail, bare))
        self._unit.at = None
        self.records.append(record)

    def finish(self) -> Callable[[], None]:
        return lambda: self._world.batches.append(self.records)


class World:
    """A partition over a store that outlives it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.slow, self.record_s, self.sends, self.changes = "order", 0.0, 0, 0
        self.poison: InputRecord | None = None  # cannot be processed
        self.refused: InputRecord | None = None  # what comes of it, and of nothing else, is refused
        self.error: BaseException = LookupError("secret")
        self.slices: list[int] = []
        self.batches: list[list[InputRecord]] = []
        self.failed: list[tuple[InputRecord, str, bool]] = []
        self.units: list[Unit] = []
        self.owners: list[Partition] = []

    def own(self, pace: Pace = PACE, trials: asyncio.Lock | None = None, **ends: int) -> Partition:
        """A new owner. trials: the lock of the partition that processes suspects."""
        producer: Any = Producer()
        turns = Turns(pace.at_once, pace.max_records)
        process: Any = lambda unit: Working(self, unit)  # noqa: E731
        prompt = frozenset({"command"})
        owner = Partition(
            0,
            self.store,
            producer,
            process,
            self._commit,
            pace,
            turns,
            Observer(),
            prompt,
            load=Load(),
            trials=trials,
        )
        owner.start(ends)
        self.owners.append(owner)
        return owner

    async def _commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        await asyncio.sleep(0)
        refused = self.refused
        if refused is not None and POSITIONS in unit.changes and len(self.failed) == 0:
            first, end = (
                int(self.store.get(POSITIONS.mark, b"order") or 0),
                int(unit.changes[POSITIONS][b"order"] or 0),
            )
            if first <= refused.offset < end:
                raise self.error
        self.units.append(unit)
        return {}

    @property
    def offsets(self) -> list[int]:
        return [record.offset for batch in self.batches for record in batch]


class Producer:
    """Has nothing open."""

    former_had_committed = True

    async def abandon(self) -> None:
        """Nothing is open."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    for owner in made.owners:
        await owner.stop()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ExitCode, Any]]:
    """(code, record at hand) of what would have ended the process."""
    found: list[tuple[ExitCode, Any]] = []
    monkeypatch.setattr(partition_module, "die", lambda code, why, error, at: found.append((code, at)))
    return found


def orders(count: int, size: int = 0) -> list[InputRecord]:
    return [input_record("order", offset, b"x" * size) for offset in range(count)]


async def until(done: Callable[[], object], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():
            await asyncio.sleep(0.001)


async def test_slow_records_make_small_batches_and_all_are_processed_in_order(world):
    world.record_s = 0.004
    world.own().put("order", orders(60))
    await until(lambda: len(world.offsets) == 60)
    assert world.offsets == list(range(60))
    assert len(world.batches) >= 3
    assert max(world.slices) <= 4


async def test_positions_are_those_of_what_was_taken_and_not_of_what_went_back(world):
    world.record_s = 0.004
    world.own().put("order", orders(60))
    await until(lambda: world.batches)
    first = world.batches[0]
    (positions,) = [unit.changes[POSITIONS] for unit in world.units if POSITIONS in unit.changes][:1]
    assert positions == {b"order": b"%d" % (first[-1].offset + 1)}
    assert len(first) < 60


async def test_a_record_that_is_slower_than_a_whole_batch_goes_alone_and_others_go_on(world):
    world.record_s = 0.06
    world.own().put("order", orders(3))
    await until(lambda: len(world.offsets) == 3)
    assert [len(batch) for batch in world.batches] == [1, 1, 1]


@pytest.mark.parametrize("what", ["sends", "changes"])
async def test_a_batch_ends_when_what_comes_of_it_is_large(world, what):
    setattr(world, what, 3_000)
    world.own(PACE._replace(slice_s=0.0)).put("order", orders(9))
    await until(lambda: len(world.offsets) == 9)
    assert [len(batch) for batch in world.batches] == [4, 4, 1]


async def test_slow_prompt_records_leave_half_of_the_time_to_others(world):
    world.slow, world.record_s = "command", 0.01
    owner = world.own()
    owner.put("command", [input_record("command", offset) for offset in range(20)])
    owner.put("order", orders(5))
    await until(lambda: world.batches)
    assert {record.topic for record in world.batches[0]} == {"command", "order"}
    await until(lambda: len(world.offsets) == 25)
    commands = [r.offset for batch in world.batches for r in batch if r.topic == "command"]
    assert commands == list(range(20))


async def test_prompt_records_that_come_meanwhile_keep_their_order_though_some_went_back(world):
    world.slow, world.record_s = "command", 0.02
    owner = world.own()
    owner.put("command", [input_record("command", offset) for offset in range(5)])
    owner.put("order", orders(5))
    await asyncio.sleep(0.01)
    owner.put("command", [input_record("command", offset) for offset in range(5, 10)])
    await until(lambda: len(world.offsets) == 15)
    assert [r.offset for b in world.batches for r in b if r.topic == "command"] == list(range(10))


def test_a_lane_has_room_until_it_holds_so_many_records_or_bytes_and_always_while_it_is_empty():
    load = Load()
    pace = Pace(queue_records=10, queue_bytes=10_000, worker_bytes=15_000)
    lane, other, third = Lane(pace, load), Lane(pace, load), Lane(pace, load)
    room = []
    for filled, records in (
        (lane, orders(9)),
        (lane, orders(1)),  # enough records
        (other, orders(1, size=9_000)),
        (other, [input_record("order", 1, b"", b"k" * 500, (("h", b"v" * 500),))]),  # enough bytes
        (third, orders(1, size=3_000)),  # enough bytes in all lanes together
    ):
        filled.extend(records)
        room.append(filled.has_room)
    assert room == [True, False, True, False, False]
    assert Lane(pace, load).has_room


def test_what_leaves_a_lane_does_not_weigh_any_more():
    load = Load()
    lane = Lane(Pace(), load)
    lane.extend(orders(3, size=1_000))
    popped = lane.pop(0.0, 2)
    lane.put_back(popped[1:])
    assert [lane.bytes, load.bytes] == [2 * (1_000 + 200)] * 2
    lane.clear()
    assert [lane.bytes, load.bytes] == [0, 0]


def test_records_weigh_the_same_each_time_that_they_leave_and_come_back():
    load = Load()
    lane = Lane(Pace(), load)
    records = [
        *orders(4, size=100),
        input_record("order", 4, b"v" * 7, b"k" * 30, (("h", b"v" * 50), ("i", None))),
    ]
    sizes = [300, 300, 300, 300, 200 + 7 + 30 + 52]
    lane.extend(records[:3])
    lane.extend(records[3:])
    assert lane.bytes == sum(sizes)
    popped = lane.pop(0.0, 5)
    lane.put_back(popped[4:])  # in two steps, as suspects go back before what a batch left
    lane.put_back(popped[1:4])
    assert lane.bytes == sum(sizes[1:])
    assert lane.pop(0.0, 1) == records[1:2]
    lane.put_back([])
    assert lane.bytes == sum(sizes[2:])
    assert lane.pop(0.0, 9) == records[2:]
    assert [lane.bytes, load.bytes] == [0, 0]


async def test_an_exit_names_the_record_at_hand(world, ends):
    world.poison = orders(9)[7]
    world.own().put("order", orders(9))
    await until(lambda: ends)
    assert ends == [(ExitCode.BATCH_FAILED, world.poison)]


async def test_what_is_no_suspect_is_never_alone_and_costs_no_transaction(world):
    world.own().put("order", orders(50))
    await until(lambda: len(world.offsets) == 50)
    assert not any(ISOLATION in unit.changes for unit in world.units)


async def live(world: World, ends: list[tuple[ExitCode, Any]], count: int, lives: int) -> None:
    """One owner after the other, until all orders but the poison are processed or so many have ended."""
    for _ in range(lives):
        at = int(world.store.get(POSITIONS.mark, b"order") or 0)
        if at == count:
            return
        owner = world.own(order=count)
        owner.put("order", orders(count)[at:])
        before = len(ends)
        await until(
            lambda: len(ends) > before or world.store.get(POSITIONS.mark, b"order") == b"%d" % count  # noqa: B023
        )


@pytest.mark.parametrize(
    ("error", "exits", "detail"),
    [
        (LookupError("secret"), 1 + 3, "LookupError"),  # the first exception tells the record
        (Crash(), 2 + 3, "the process ended"),  # a large batch and a small one
    ],
)
async def test_a_record_that_fails_alone_is_tried_three_times_and_then_put_aside_and_all_others_count(
    world, ends, error, exits, detail
):
    world.poison, world.error = orders(200)[120], error
    await live(world, ends, 200, lives=10)
    assert world.failed == [(world.poison, f"3 failures alone: {detail}", False)]
    assert world.offsets == list(range(200))
    assert ends == [(ExitCode.BATCH_FAILED, world.poison)] * exits
    assert world.store.get(ISOLATION.mark, b"suspects") is None


async def test_a_transaction_that_kafka_does_not_take_never_counts_against_its_input(world, ends):
    world.refused, world.error = orders(20)[7], KafkaConnectionError()
    await live(world, ends, 20, lives=12)
    assert len(ends) == 12
    world.refused = None
    await live(world, ends, 20, lives=1)
    assert (world.failed, world.offsets) == ([], list(range(20)))


async def test_a_transaction_that_is_too_large_for_kafka_counts(world, ends):
    world.refused, world.error = orders(20)[7], MessageSizeTooLargeError()
    await live(world, ends, 20, lives=10)
    assert world.failed == [(world.refused, "3 failures alone: MessageSizeTooLargeError", False)]
    assert world.offsets == list(range(20))


async def test_who_tries_a_suspect_keeps_those_of_other_partitions_waiting(world):
    trials = asyncio.Lock()
    owner = world.own(trials=trials, order=10)
    async with trials:
        owner.put("order", orders(10))
        await asyncio.sleep(0.02)
        assert world.slices == []
    await until(lambda: len(world.offsets) == 10)
