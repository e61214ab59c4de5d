"""Copies of partitions that another worker holds: they keep up, they end in time, and a takeover reads what is left."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from tests.engine.conftest import Bench
from tests.engine.test_engine import Ends, eventually, processed, sums
from tests.engine.toy import SUMS
from worker.engine import standby
from worker.engine.engine import Engine
from worker.engine.exits import ExitCode
from worker.engine.restore import Reader
from worker.engine.standby import Standby
from worker.engine.store import Changes, MemoryStore, MemoryStores, StoreFailed


class Copy(MemoryStore):
    """Tells what was done to it; what is copied into it can be held up, for so many seconds at most, or fail."""

    def __init__(self, held_up_s: float = 2.0) -> None:
        super().__init__()
        self._held_up_s = held_up_s
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
        copied = threading.current_thread() is not threading.main_thread() and SUMS.mark in changes
        if copied:
            self.held_up = not self.gate.is_set()
            self.gate.wait(self._held_up_s)
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


class Pauses:
    """Between two steps of a copy: short, until a test makes them long. taken: how many there were."""

    seconds = 0.05
    taken = 0

    async def __call__(self) -> None:
        self.taken += 1
        await asyncio.sleep(self.seconds)


async def copying(bench: Bench, copy: Copy, pauses: Pauses | None = None, **more: Any) -> Engine:
    """An engine that holds nothing and keeps up a copy of partition 0."""
    engine = bench.engine(stores=CopyStores(copy), copy_pause=pauses or Pauses(), **more)
    await engine.takeover.fence([], copies=[0])
    await engine.takeover.restore()
    engine.takeover.begin(0, {})
    return engine


async def test_a_copy_keeps_up_and_a_takeover_reads_only_what_it_lacks(bench: Bench):
    owner, copy = bench.engine(), Copy()
    generation = await bench.take_over(owner)
    await processed(bench, owner, generation, [1, 2])
    engine = await copying(bench, copy)
    await eventually(lambda: sums(copy) == {"count": 2, "sum": 3, "xor": 3})
    assert copy.rows["load"] > 0
    await processed(bench, owner, generation, [3])
    await eventually(lambda: sums(copy) == {"count": 3, "sum": 6, "xor": 0})
    assert copy.rows["write"] > 0  # each durable by itself
    assert engine.held == frozenset()
    assert engine.store(0) is None  # nobody reads it meanwhile
    await owner.takeover.close()
    loaded = copy.rows["load"]
    await processed(bench, engine, await bench.take_over(engine), [4])
    assert sums(copy) == {"count": 4, "sum": 10, "xor": 4}
    assert copy.rows["load"] == loaded  # nothing was left to restore
    assert bench.events() == [(1, 1), (2, 2), (3, 3), (4, 4)]


async def taken_over_while_a_copy_is_written(bench: Bench, copy: Copy) -> Mapping[str, int] | None:
    """The sums of 1, 2, 3 and 4. The partition is taken over while the row of 1 and 2 is on its way into the copy."""
    owner = bench.engine()
    generation = await bench.take_over(owner)
    pauses = Pauses()
    engine = await copying(bench, copy, pauses)
    await eventually(lambda: pauses.taken > 0)
    copy.gate.clear()
    await processed(bench, owner, generation, [1, 2])
    await eventually(lambda: copy.held_up)
    pauses.seconds = 60.0  # a further step would mend what this one spoils
    await owner.takeover.close()
    generation = await bench.take_over(engine)
    await processed(bench, engine, generation, [3])
    copy.gate.set()
    await eventually(lambda: not copy.held_up)
    await processed(bench, engine, generation, [4])
    return sums(copy)


async def test_a_copy_has_ended_before_its_partition_is_fenced(bench: Bench):
    found = await taken_over_while_a_copy_is_written(bench, Copy())
    assert found == {"count": 4, "sum": 10, "xor": 4}


async def test_control_a_copy_that_goes_on_puts_old_rows_over_new_ones(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    async def go_on(self: Standby) -> None:
        """Control: nothing is waited for."""

    monkeypatch.setattr(Standby, "stop", go_on)
    found = await taken_over_while_a_copy_is_written(bench, Copy(held_up_s=60.0))
    assert found != {"count": 4, "sum": 10, "xor": 4}


class Away(Reader):
    """Cannot reach Kafka twice."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__({"bootstrap_servers": bootstrap}, lambda _: None)
        self.failures = [KafkaConnectionError(), KafkaConnectionError()]

    async def restore(self, *what: Any, **how: Any) -> int:
        if self.failures:
            raise self.failures.pop()
        return await super().restore(*what, **how)


async def test_kafka_may_be_away_meanwhile(bench: Bench, ends: Ends):
    owner, copy, reader = bench.engine(), Copy(), Away(bench.bootstrap)
    await processed(bench, owner, await bench.take_over(owner), [1])
    await copying(bench, copy, copy_reader=reader)
    await eventually(lambda: sums(copy) == {"count": 1, "sum": 1, "xor": 1})
    assert (reader.failures, ends) == ([], [])


async def test_a_disk_that_fails_ends_the_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    codes: list[ExitCode] = []

    def die(code: ExitCode, why: str, *, error: BaseException | None = None) -> None:
        codes.append(code)

    monkeypatch.setattr(standby, "die", die)
    owner, copy = bench.engine(), Copy()
    generation = await bench.take_over(owner)
    await processed(bench, owner, generation, [1])
    await copying(bench, copy)
    await eventually(lambda: sums(copy) is not None)
    copy.failure = StoreFailed("no space left on device")
    await processed(bench, owner, generation, [2])
    await eventually(lambda: bool(codes))
    assert codes[0] is ExitCode.STORE_FAILED


@pytest.mark.parametrize(("held", "copies"), [([0], 0), ([], 1)])
async def test_what_is_held_here_is_not_copied_here(bench: Bench, held: list[int], copies: int):
    pauses = Pauses()
    engine = bench.engine(copy_pause=pauses)
    await engine.takeover.fence(held, copies=[0])
    await engine.takeover.restore()
    engine.takeover.begin(1, await engine.takeover.positions([(bench.input, 0)]))
    await asyncio.sleep(1.0)
    assert min(pauses.taken, 1) == copies


async def test_whoever_waits_for_the_end_of_a_copy_can_be_cancelled(bench: Bench):
    engine = await copying(bench, Copy())
    stopping = asyncio.create_task(engine.takeover.release())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
