"""The engine's invariants one by one (docs/architecture.md#invariants), against the real broker; the test plays the consumer."""

import asyncio
import json
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaProducer

from tests.engine.conftest import Bench, Ended
from tests.engine.inputs import as_read
from tests.engine.toy import SUMS
from tests.records import end_of, read
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.store import MemoryStores, RocksStores, Store
from worker.engine.sweeping import Sweep, Swept
from worker.engine.takeover import LetGo
from worker.engine.unit import POSITIONS, Outgoing, Unit

Ends = list[ExitCode]


async def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


def sums(store: Store) -> dict[str, int] | None:
    raw = store.get(SUMS.mark, b"k")
    return json.loads(raw) if raw else None


def position(store: Store, topic: str) -> int:
    return int(store.get(POSITIONS.mark, topic.encode()) or -1)


async def processed(bench: Bench, engine: Engine, generation: int, numbers: list[int]) -> Store:
    """Send numbers, deliver what is new, and wait until it is committed; returns the partition's store."""
    before = {record.offset for record in read(bench.bootstrap, bench.input)}
    records = [record for record in await bench.send(numbers) if record.offset not in before]
    await engine.put(bench.input, 0, generation, records)
    store = engine.store(0)
    assert store is not None
    await eventually(lambda: position(store, bench.input) == records[-1].offset + 1)
    return store


class SlowToCommit(Engine):
    """Waits with the transaction of a batch open until the test lets it commit."""

    entered: asyncio.Event
    release: asyncio.Event

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        if unit.outbox:
            self.entered.set()
            await self.release.wait()
        return await super().commit(producer, unit)


async def slow_to_commit(bench: Bench, deadline_s: float = 10.0) -> tuple[SlowToCommit, int]:
    engine = bench.engine(kind=SlowToCommit, deadline_s=deadline_s)
    assert isinstance(engine, SlowToCommit)
    engine.entered, engine.release = asyncio.Event(), asyncio.Event()
    engine.release.set()  # for the first positions, which are committed before anything is processed
    generation = await bench.take_over(engine)
    engine.entered.clear()
    engine.release.clear()
    return engine, generation


async def test_a_former_owner_cannot_commit_once_its_partition_was_fenced(bench: Bench, ends: Ends):
    former, generation = await slow_to_commit(bench)
    await former.put(bench.input, 0, generation, await bench.send([1, 2]))
    await former.entered.wait()
    new = bench.engine()
    new_generation = await bench.take_over(new)
    await new.put(bench.input, 0, new_generation, as_read(read(bench.bootstrap, bench.input)))
    await eventually(lambda: len(bench.events()) == 2)
    former.release.set()
    await eventually(lambda: bool(ends))
    assert ends == [ExitCode.FENCED]
    assert bench.events() == [(1, 1), (2, 2)]


async def test_the_local_store_changes_only_after_the_commit(bench: Bench):
    engine, generation = await slow_to_commit(bench)
    store = engine.store(0)
    assert store is not None
    await engine.put(bench.input, 0, generation, await bench.send([5]))
    await engine.entered.wait()
    assert (sums(store), store.offsets(), bench.events()) == (None, {POSITIONS.mark: 1}, [])
    engine.release.set()
    await eventually(lambda: sums(store) is not None)
    assert bench.events() == [(5, 1)]


async def test_a_batch_that_misses_its_deadline_ends_the_worker(bench: Bench, ends: Ends):
    engine, generation = await slow_to_commit(bench, deadline_s=0.3)
    await engine.put(bench.input, 0, generation, await bench.send([5]))
    await eventually(lambda: bool(ends))
    assert ends == [ExitCode.DEADLINE]
    assert bench.events() == []


async def test_a_record_lost_on_the_way_ends_the_worker(bench: Bench, ends: Ends):
    engine = bench.engine()
    generation = await bench.take_over(engine)
    records = await bench.send([1, 2, 3])
    with pytest.raises(Ended):
        await engine.put(bench.input, 0, generation, records[1:])
    assert ends == [ExitCode.SKIPPED_RECORDS]


async def test_offsets_taken_by_aborted_records_and_markers_are_no_lost_records(bench: Bench, ends: Ends):
    await bench.send([1, 2], aborted=True)
    engine = bench.engine()
    generation = await bench.take_over(engine)
    store = await processed(bench, engine, generation, [3])
    assert ends == []
    assert sums(store) == {"count": 1, "sum": 3, "xor": 3}


async def test_a_new_owner_goes_on_after_the_last_committed_record(bench: Bench):
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    second = bench.engine()
    store = await processed(bench, second, await bench.take_over(second), [3])
    assert bench.events() == [(1, 1), (2, 2), (3, 3)]
    assert sums(store) == {"count": 3, "sum": 6, "xor": 0}


async def test_records_of_a_former_assignment_and_known_offsets_are_dropped(bench: Bench):
    engine = bench.engine()
    old = await bench.take_over(engine)
    await processed(bench, engine, old, [1, 2])
    await engine.takeover.release()
    new = await bench.take_over(engine)
    records = await bench.send([3])
    await engine.put(bench.input, 0, old, records)
    await engine.put(bench.input, 0, new, records)  # 1 and 2 were committed: only 3 is news
    await engine.put(bench.input, 0, new, records)
    await eventually(lambda: len(bench.events()) == 3)
    await engine.takeover.release()
    assert bench.events() == [(1, 1), (2, 2), (3, 3)]


async def test_a_position_past_the_end_of_its_log_is_refused(bench: Bench, ends: Ends):
    stores = MemoryStores()
    engine = bench.engine(stores)
    await bench.take_over(engine)
    stores.open(0).write({POSITIONS.mark: {bench.input.encode(): b"99"}}, {})
    await engine.takeover.release()
    with pytest.raises(Ended):
        await bench.take_over(engine)
    assert ends == [ExitCode.STORE_AHEAD]


async def test_a_store_ahead_of_its_changelog_is_refused(bench: Bench, ends: Ends):
    stores = MemoryStores()
    stores.open(0).write({SUMS.mark: {b"k": b'{"count":9,"sum":9,"xor":9}'}}, {SUMS.mark: 9})
    with pytest.raises(Ended):
        await bench.take_over(bench.engine(stores))
    assert ends == [ExitCode.STORE_AHEAD]


async def test_restoring_ends_where_a_changelog_ends_with_transaction_markers(bench: Bench):
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1])
    changelog = first.changelog_of(SUMS)
    assert end_of(bench.bootstrap, changelog, 0) > read(bench.bootstrap, changelog)[-1].offset + 1
    second = bench.engine()
    async with asyncio.timeout(5.0):
        await bench.take_over(second)
    store = second.store(0)
    assert store is not None
    assert sums(store) == {"count": 1, "sum": 1, "xor": 1}


async def test_restoring_leaves_out_what_a_crashed_owner_never_committed(bench: Bench, ends: Ends):
    crashed = AIOKafkaProducer(bootstrap_servers=bench.bootstrap, transactional_id=f"{bench.app_id}-0")
    engine = bench.engine()
    await crashed.start()
    await crashed.begin_transaction()
    await crashed.send_and_wait(engine.changelog_of(SUMS), b'{"count":9}', b"k", 0)
    async with asyncio.timeout(5.0):
        await bench.take_over(engine)  # its fence aborts the open transaction, or this would wait for it
    store = engine.store(0)
    assert store is not None
    assert sums(store) is None
    assert ends == []
    await crashed.stop()


async def test_a_store_older_than_its_changelog_catches_up(bench: Bench, tmp_path):
    first = bench.engine(RocksStores(tmp_path / "first"))
    await processed(bench, first, await bench.take_over(first), [1, 2])
    await first.takeover.release()
    second = bench.engine()
    await processed(bench, second, await bench.take_over(second), [3])
    store = await processed(bench, first, await bench.take_over(first), [4])
    assert bench.events() == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert sums(store) == {"count": 4, "sum": 10, "xor": 4}


def forget_sums(bench: Bench) -> Sweep:
    """A sweep that takes every sum away and says so on the output topic, with the number 0."""

    def sweep(unit: Unit) -> Swept:
        keys = [key for key, _ in unit.committed_after(SUMS, b"")]
        for key in keys:
            unit.put(SUMS, key, None)
            unit.out(bench.output, 0).append(Outgoing(key, b'{"id":0,"seq":0}', []))
        return Swept(True, (lambda: None) if keys else None)

    return sweep


async def test_what_a_sweep_does_is_committed_once_and_the_next_owner_sees_it(bench: Bench):
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    second = bench.engine(sweep=forget_sums(bench))
    await bench.take_over(second)
    await eventually(lambda: (store := second.store(0)) is not None and sums(store) is None)
    third = bench.engine(sweep=forget_sums(bench))
    store = await processed(bench, third, await bench.take_over(third), [3])
    assert sums(store) == {"count": 1, "sum": 3, "xor": 3}
    assert bench.events() == [(1, 1), (2, 2), (0, 0), (3, 1)]


async def test_a_former_owner_cannot_sweep_once_its_partition_was_fenced(bench: Bench, ends: Ends):
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1])
    former = bench.engine(kind=SlowToCommit, sweep=forget_sums(bench))
    assert isinstance(former, SlowToCommit)
    former.entered, former.release = asyncio.Event(), asyncio.Event()
    await bench.take_over(former)
    await former.entered.wait()
    new = bench.engine()
    await bench.take_over(new)
    former.release.set()
    await eventually(lambda: bool(ends))
    assert ends == [ExitCode.FENCED]
    assert bench.events() == [(1, 1)]
    store = new.store(0)
    assert store is not None
    assert sums(store) == {"count": 1, "sum": 1, "xor": 1}


async def test_an_engine_that_was_closed_takes_nothing_over(bench: Bench):
    engine = bench.engine()
    await bench.take_over(engine)
    await engine.takeover.close()
    with pytest.raises(LetGo):
        await engine.takeover.fence([0])
    assert (engine.held, engine.store(0), engine.progress()) == (frozenset(), None, {})


class Held(Engine):
    """Waits before each commit."""

    entered: asyncio.Event
    release: asyncio.Event

    async def commit(self, producer: AIOKafkaProducer, unit: Unit) -> dict[bytes, int]:
        self.entered.set()
        await self.release.wait()
        return await super().commit(producer, unit)


async def test_first_positions_are_committed_before_their_partitions_go_to_another(bench: Bench, ends: Ends):
    former = bench.engine(kind=Held)
    assert isinstance(former, Held)
    former.entered, former.release = asyncio.Event(), asyncio.Event()
    taking = asyncio.create_task(bench.take_over(former))
    await former.entered.wait()
    letting_go = asyncio.create_task(former.takeover.release())
    await asyncio.sleep(0.2)
    assert not letting_go.done()
    former.release.set()
    await letting_go
    with pytest.raises(LetGo):
        await taking
    new = bench.engine()
    await processed(bench, new, await bench.take_over(new), [1])
    assert (former.processing, ends) == (False, [])


async def test_what_was_let_go_while_it_was_restored_is_not_begun(bench: Bench):
    engine = bench.engine()
    await engine.takeover.fence([0])
    await engine.takeover.restore()
    positions = await engine.takeover.positions([(bench.input, 0)])
    await engine.takeover.release()  # the group rebalances again
    with pytest.raises(LetGo):
        engine.takeover.begin(1, positions)
    assert (engine.at_rest, engine.held) == (True, frozenset())
    generation = await bench.take_over(engine)
    store = await processed(bench, engine, generation, [1, 2])
    assert sums(store) == {"count": 2, "sum": 3, "xor": 3}
