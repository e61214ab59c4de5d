"""When a partition sweeps: at its start and then every so often, step by step, and never in the way of its batches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from tests.engine.inputs import input_record
from worker.engine import partition as partition_module
from worker.engine.exits import ExitCode
from worker.engine.isolation import ISOLATION
from worker.engine.lanes import Pace
from worker.engine.observer import Observer
from worker.engine.partition import Partition
from worker.engine.store import MemoryStore
from worker.engine.sweeping import Sweeping, Swept
from worker.engine.turns import Turns
from worker.engine.unit import POSITIONS, Outgoing, Table, Unit

PACE = Pace(build_s=0.0)
TABLE = Table("things", b"T")
LAST, MORE = True, False


class Noting:
    """Notes a batch's inputs. Fulfils worker.engine.making.Work."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def take(self, records: Sequence[Any], until: float) -> int:
        self._notes.append(f"batch of {len(records)}")
        return len(records)

    def fail(self, record: Any, detail: str, *, bare: bool) -> None:
        raise NotImplementedError

    def finish(self) -> Callable[[], None]:
        return lambda: None


class Watching(Observer):
    def __init__(self) -> None:
        self.swept_units = 0

    def swept(self, transaction_s: float) -> None:
        self.swept_units += 1


class Sweeper:
    """A partition whose sweeps have so many steps as `steps` says, True for the last one of each sweep.

    changes: whether a step changes something. notes: what happened. A commit waits while `gate` is closed, and
    while `busy` there is a record more after each.
    """

    def __init__(self, steps: Sequence[bool], pace: Pace = PACE, *, changes: bool = True) -> None:
        self.notes: list[str] = []
        self.units: list[Unit] = []
        self.busy = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.store = MemoryStore()
        self.observer = Watching()
        self._steps = list(steps)
        self._changes = changes
        turns = Turns(pace.at_once, pace.max_records)
        producer: Any = SimpleNamespace(former_had_committed=True)
        process: Any = lambda unit: Noting(self.notes)  # noqa: E731
        self.partition = Partition(
            0,
            self.store,
            producer,
            process,
            self._commit,
            pace,
            turns,
            self.observer,
            frozenset(),
            self._sweep,
        )

    def _sweep(self, unit: Unit) -> Swept:
        self.notes.append("step")
        last = self._steps.pop(0) if self._steps else LAST
        if not self._changes:
            return Swept(last)
        unit.put(TABLE, b"k%d" % len(self.notes), b"v")
        unit.out("letters", 0).append(Outgoing(b"k", b"v", []))
        return Swept(last, lambda: self.notes.append("committed"))

    async def _commit(self, producer: Any, unit: Unit) -> dict[bytes, int]:
        await self.gate.wait()
        self.units.append(unit)
        if self.busy:
            self.partition.put("order", [input_record("order", len(self.units))])
        return {TABLE.mark: 7}

    async def put(self, count: int) -> None:
        self.partition.put("order", [input_record("order", offset) for offset in range(count)])
        await self.settle()

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)


@pytest.fixture
async def sweeper() -> AsyncIterator[Callable[..., Any]]:
    made: list[Sweeper] = []

    async def make(steps: Sequence[bool] = (), pace: Pace = PACE, *, changes: bool = True) -> Sweeper:
        made.append(Sweeper(steps, pace, changes=changes))
        made[-1].partition.start({})
        await made[-1].settle()
        return made[-1]

    yield make
    for each in made:
        each.gate.set()
        await each.partition.stop()


async def test_a_partition_sweeps_when_it_begins_until_the_sweep_is_at_its_end(sweeper):
    s = await sweeper([MORE, MORE, LAST])
    assert s.notes == ["step", "committed"] * 3


async def test_a_step_that_changed_something_is_one_transaction_without_positions(sweeper):
    s = await sweeper([LAST])
    _, unit = s.units  # the first one says that a sweep begins
    assert (TABLE in unit.changes, POSITIONS in unit.changes) == (True, False)
    assert s.store.get(TABLE.mark, b"k1") == b"v"
    assert s.store.offsets() == {TABLE.mark: 7}
    assert s.observer.swept_units == 1


async def test_a_step_that_changed_nothing_is_no_transaction(sweeper):
    s = await sweeper([MORE, LAST], changes=False)
    assert s.notes == ["step", "step"]
    assert [set(unit.changes) for unit in s.units] == [
        {ISOLATION},
        {ISOLATION},
    ]  # that it begins, and has ended


async def test_the_next_sweep_is_due_a_while_after_the_last_and_ends_the_wait_of_an_idle_partition(sweeper):
    s = await sweeper([LAST], PACE._replace(sweep_every_s=0.1))
    assert s.notes.count("step") == 1
    await asyncio.sleep(0.25)
    assert 2 <= s.notes.count("step") <= 3


async def test_a_long_sweep_and_batches_without_end_take_turns(sweeper):
    s = await sweeper([MORE] * 1_000)
    s.busy = True
    await s.settle()
    begun = [note.split()[0] for note in s.notes if note != "committed"]
    turns = begun[begun.index("batch") :]
    assert len(turns) > 5
    assert all(one != other for one, other in pairwise(turns))


async def test_a_batch_does_not_wait_for_the_next_sweep_nor_the_sweep_for_a_batch(sweeper):
    s = await sweeper([LAST], PACE._replace(sweep_every_s=0.05))
    del s.notes[:]
    await s.put(2)
    assert s.notes == ["batch of 2"]
    await asyncio.sleep(0.12)
    assert "step" in s.notes


async def test_what_comes_while_a_step_is_committed_is_not_forgotten(sweeper):
    s = await sweeper([LAST], PACE._replace(sweep_every_s=0.05))
    s.gate.clear()
    await asyncio.sleep(0.1)  # a step waits for its commit
    await s.put(2)
    assert "batch of 2" not in s.notes
    s.gate.set()
    await s.settle()
    assert "batch of 2" in s.notes


async def test_a_partition_that_stops_finishes_its_step_and_begins_no_other(sweeper):
    s = await sweeper([MORE] * 1_000)
    s.gate.clear()
    await s.settle()
    before = s.notes.count("step")
    stopping = asyncio.create_task(s.partition.stop())
    await s.settle()
    s.gate.set()
    await stopping
    assert s.notes.count("step") == before
    assert s.notes[-1] == "committed"


async def test_a_step_that_misses_its_deadline_ends_the_worker(sweeper, monkeypatch):
    ends: list[ExitCode] = []
    monkeypatch.setattr(partition_module, "die", lambda code, *_, **__: ends.append(code))
    s = await sweeper([LAST], PACE._replace(sweep_every_s=0.02, deadline_s=0.1))
    s.gate.clear()
    await asyncio.sleep(0.3)
    assert ends == [ExitCode.DEADLINE]
    assert s.partition.running is False


async def test_a_sweep_that_ended_its_process_is_put_off_and_longer_each_time(sweeper):
    store = MemoryStore()
    waits = []
    for _ in range(4):  # each owner begins, and is gone before it gets through
        sweeping = Sweeping(lambda _: Swept(last=True), every_s=100.0, again_s=2.0)
        sweeping.begin(store, now=10.0)
        waits.append(sweeping.due_in_s(10.0))
        unit = Unit(0, store)
        assert sweeping.mark(unit)
        store.write({table.mark: rows for table, rows in unit.changes.items()}, {})
    assert waits == [0.0, 2.0, 8.0, 32.0]


async def test_a_sweep_that_gets_through_leaves_nothing_and_neither_does_one_that_is_let_go_in_order(sweeper):
    through = await sweeper([LAST])
    assert through.store.get(ISOLATION.mark, b"sweep") is None
    let_go = await sweeper([MORE] * 1_000)
    assert let_go.store.get(ISOLATION.mark, b"sweep") == b"1"
    await let_go.partition.stop()
    assert let_go.store.get(ISOLATION.mark, b"sweep") is None


async def test_a_partition_without_a_sweep_waits_for_its_records_alone():
    notes: list[str] = []
    commits: list[Unit] = []

    async def commit(producer: Any, unit: Unit) -> dict[bytes, int]:
        commits.append(unit)
        return {}

    process: Any = lambda unit: Noting(notes)  # noqa: E731
    producer: Any = SimpleNamespace(former_had_committed=True)
    partition = Partition(0, MemoryStore(), producer, process, commit, PACE, Turns(1, 10), Observer())
    partition.start({})
    await asyncio.sleep(0.01)
    partition.put("order", [input_record("order", 0)])
    await asyncio.sleep(0.01)
    await partition.stop()
    assert (notes, len(commits)) == (["batch of 1"], 1)
