"""Copies of partitions that another worker holds: they keep up, they end in time, and a takeover reads what is left."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.engine.conftest import Bench
from tests.engine.test_engine import Ends, eventually, processed, sums
from worker.engine import standby
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.restore import Reader
from worker.engine.standby import Standby
from worker.engine.store import Changes, MemoryStore, MemoryStores, Store, StoreFailed


class Copy(MemoryStore):
    """Tells what was done to it; what is copied into it can be held up, for two seconds at most, or fail."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = {"load": 0, "write": 0}
        self.gate = threading.Event()
        self.gate.set()
        self.held_up = False
        self.failure: StoreFailed | None = None

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        self._count("load", changes)
        super().write(changes, offsets)

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        if self.failure is not None:
            raise self.failure
        copied = threading.current_thread() is not threading.main_thread()
        if copied:
            self.held_up = not self.gate.is_set()
            self.gate.wait(2.0)
        super().write(changes, offsets)
        if copied:
            self.held_up = False
        self._count("write", changes)

    def _count(self, how: str, changes: Mapping[bytes, Changes]) -> None:
        self.rows[how] += sum(map(len, changes.values()))


class CopyStores(MemoryStores):
    def __init__(self, copy: Copy) -> None:
        super().__init__()
        self._open[0] = copy


async def copying(bench: Bench, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that holds nothing and keeps up a copy of partition 0."""
    engine = bench.engine(stores=CopyStores(copy))
    monkeypatch.setattr(engine._standby, "_every_s", 0.05)
    await engine.fence([], copies=[0])
    await engine.restore()
    assert engine.begin(0, {})
    return engine


async def test_a_copy_keeps_up_and_a_takeover_reads_only_what_it_lacks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    owner, copy = bench.engine(), Copy()
    generation = await bench.take_over(owner)
    await processed(bench, owner, generation, [1, 2])
    engine = await copying(bench, copy, monkeypatch)
    await eventually(lambda: sums(copy) == {"count": 2, "sum": 3, "xor": 3})
    assert copy.rows["load"] > 0
    await processed(bench, owner, generation, [3])
    await eventually(lambda: sums(copy) == {"count": 3, "sum": 6, "xor": 0})
    assert copy.rows["write"] > 0  # each durable by itself
    assert engine.held == frozenset()
    assert engine.store(0) is None  # nobody reads it meanwhile
    await owner.close()
    loaded = copy.rows["load"]
    await processed(bench, engine, await bench.take_over(engine), [4])
    assert sums(copy) == {"count": 4, "sum": 10, "xor": 4}
    assert copy.rows["load"] == loaded  # nothing was left to restore
    assert bench.events() == [(1, 1), (2, 2), (3, 3), (4, 4)]


async def taken_over_while_a_copy_is_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, int] | None:
    """The sums of 1, 2, 3 and 4, the partition taken over while the row of 1 and 2 was on its way into the copy."""
    owner, copy = bench.engine(), Copy()
    generation = await bench.take_over(owner)
    engine = await copying(bench, copy, monkeypatch)
    await eventually(lambda: engine._standby._reader._consumer is not None)
    copy.gate.clear()
    await processed(bench, owner, generation, [1, 2])
    await eventually(lambda: copy.held_up)
    monkeypatch.setattr(engine._standby, "_every_s", 60.0)  # a further step would mend what this one spoils
    await owner.close()
    generation = await bench.take_over(engine)
    await processed(bench, engine, generation, [3])
    copy.gate.set()
    await eventually(lambda: not copy.held_up)
    await processed(bench, engine, generation, [4])
    return sums(copy)


async def test_a_copy_has_ended_before_its_partition_is_fenced(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    found = await taken_over_while_a_copy_is_written(bench, monkeypatch)
    assert found == {"count": 4, "sum": 10, "xor": 4}


async def test_control_a_copy_that_goes_on_puts_old_rows_over_new_ones(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    async def go_on(self: Standby) -> None:
        """Control: nothing is waited for."""

    monkeypatch.setattr(Standby, "stop", go_on)
    found = await taken_over_while_a_copy_is_written(bench, monkeypatch)
    assert found != {"count": 4, "sum": 10, "xor": 4}


async def test_kafka_may_be_away_meanwhile(bench: Bench, monkeypatch: pytest.MonkeyPatch, ends: Ends):
    owner, copy = bench.engine(), Copy()
    await processed(bench, owner, await bench.take_over(owner), [1])
    restore, failures = Reader.restore, [KafkaConnectionError(), KafkaConnectionError()]

    async def away(self: Reader, partitions: Mapping[int, Store], *what: Any, **how: Any) -> int:
        if copy in partitions.values() and failures:
            raise failures.pop()
        return await restore(self, partitions, *what, **how)

    monkeypatch.setattr(Reader, "restore", away)
    await copying(bench, copy, monkeypatch)
    await eventually(lambda: sums(copy) == {"count": 1, "sum": 1, "xor": 1})
    assert (failures, ends) == ([], [])


async def test_a_disk_that_fails_ends_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    codes: list[ExitCode] = []

    def die(code: ExitCode, why: str, *, error: BaseException | None = None) -> None:
        codes.append(code)

    monkeypatch.setattr(standby, "die", die)
    owner, copy = bench.engine(), Copy()
    generation = await bench.take_over(owner)
    await processed(bench, owner, generation, [1])
    await copying(bench, copy, monkeypatch)
    await eventually(lambda: sums(copy) is not None)
    copy.failure = StoreFailed("no space left on device")
    await processed(bench, owner, generation, [2])
    await eventually(lambda: bool(codes))
    assert codes[0] is ExitCode.STORE_FAILED


async def test_what_is_held_here_is_not_copied_here(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    engine = bench.engine()
    kept_up: list[int] = []
    monkeypatch.setattr(engine._standby, "start", kept_up.extend)
    await engine.fence([0], copies=[0])
    await engine.restore()
    assert engine.begin(1, await engine.positions([(bench.input, 0)]))
    assert kept_up == []


async def test_whoever_waits_for_the_end_of_a_copy_can_be_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    engine = await copying(bench, Copy(), monkeypatch)
    stopping = asyncio.create_task(engine._standby.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
