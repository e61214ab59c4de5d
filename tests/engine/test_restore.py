"""A restore loads on a thread of its own: what holds when it is given up, fails, or has nothing to do."""

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer

from tests.engine.conftest import Bench
from tests.engine.test_engine import eventually, processed, sums
from tests.engine.toy import PARTITIONS
from tests.engine.toy_run import make_topics, start_toy
from tests.simulation.log import SimulatedBatch
from tests.supervised import look_after_until
from worker.engine import restore
from worker.engine.engine import Engine
from worker.engine.store import Changes, MemoryStore, MemoryStores, RocksStore, RocksStores, StoreFailed
from worker.engine.unit import Record


class Watched(MemoryStore):
    """Takes its time to load, and tells what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.loading = False
        self.failure: StoreFailed | None = None

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        self.loading = True
        time.sleep(0.2)
        if self.failure is not None:
            raise self.failure
        super().load(changes, offsets)
        self.done.append("load")
        self.loading = False

    def flush(self) -> None:
        self.done.append("flush")


class WatchedStores(MemoryStores):
    def __init__(self, store: Watched) -> None:
        super().__init__()
        self._open[0] = store


async def fenced_after_work(bench: Bench, store: Watched) -> Engine:
    """An engine that has to restore what another one has done."""
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    await first.close()
    engine = bench.engine(stores=WatchedStores(store))
    await engine.fence([0])
    return engine


async def test_a_restore_that_is_given_up_returns_when_nothing_is_written_any_more(bench: Bench):
    store = Watched()
    engine = await fenced_after_work(bench, store)
    restoring = asyncio.create_task(engine.restore())
    await eventually(lambda: store.loading)
    restoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restoring
    assert not store.loading


class Hasty(ThreadPoolExecutor):
    """Control: does not wait for what it runs."""

    def __exit__(self, *_: object) -> None:
        self.shutdown(wait=False)


async def test_control_a_restore_that_does_not_wait_leaves_its_thread_writing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(restore, "ThreadPoolExecutor", Hasty)
    store = Watched()
    engine = await fenced_after_work(bench, store)
    restoring = asyncio.create_task(engine.restore())
    await eventually(lambda: store.loading)
    restoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restoring
    assert store.loading
    await eventually(lambda: not store.loading)


async def test_what_was_loaded_is_flushed_before_anything_is_processed(bench: Bench):
    store = Watched()
    engine = await fenced_after_work(bench, store)
    await engine.restore()
    assert store.done[0] == "load"
    assert store.done[-1] == "flush"
    assert sums(store) == {"count": 2, "sum": 3, "xor": 3}
    store.done.clear()
    await engine.restore()  # nothing is left to load; what a restore that was given up has loaded still is
    assert store.done == ["flush"]


async def test_a_disk_that_fails_while_it_is_loaded_fails_the_restore(bench: Bench):
    store = Watched()
    store.failure = StoreFailed("no space left on device")
    engine = await fenced_after_work(bench, store)
    with pytest.raises(StoreFailed, match="no space left"):
        await engine.restore()


async def left_by_a_crash_after_a_restore(bench: Bench, folder: Path) -> Mapping[str, int] | None:
    """The sums in a copy of the files that a restore has left, its store not closed."""
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    await first.close()
    engine = bench.engine(stores=RocksStores(folder / "stores"))
    await engine.fence([0])
    await engine.restore()
    copy = await asyncio.to_thread(_copied, folder / "stores", folder / "copy")
    store = RocksStores(copy).open(0)
    found = sums(store)
    store.close()
    return found


async def test_what_a_restore_loaded_is_on_the_disk_before_it_returns(bench: Bench, tmp_path: Path):
    assert await left_by_a_crash_after_a_restore(bench, tmp_path) == {"count": 2, "sum": 3, "xor": 3}


async def test_control_without_the_flush_it_is_not(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(RocksStore, "flush", lambda _: None)
    assert await left_by_a_crash_after_a_restore(bench, tmp_path) is None


def _copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target, ignore=shutil.ignore_patterns("LOCK")))


def test_sigterm_in_the_middle_of_a_restore_ends_the_worker_in_order(kafka: str, tmp_path: Path):
    app_id = make_topics(kafka)
    _fill_changelog(kafka, f"{app_id}-sums-changelog", 400_000)
    worker = start_toy(app_id, kafka, tmp_path, "toy")
    try:
        assert look_after_until([worker], lambda: "fenced" in worker.log, within_s=30.0)
        time.sleep(0.2)
        worker.signal(signal.SIGTERM)
        assert worker.wait(8.0) == 0, worker.end_of_log
        assert "restored" not in worker.log
    finally:
        worker.end()


def _fill_changelog(bootstrap: str, topic: str, rows: int) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "queue.buffering.max.messages": rows})
    for number in range(rows):
        producer.produce(topic, b"v" * 200, b"%08d" % number, number % PARTITIONS)
    assert producer.flush(60.0) == 0


class Compacted:
    """A consumer of a log whose first batch has lost all records from the wanted offset on."""

    def __init__(self) -> None:
        self._fetches = [
            [SimulatedBatch([Record("t", 0, 4, 0, b"k", b"v", ())])],
            [],
            [SimulatedBatch([Record("t", 0, offset, 0, b"k", b"v", ()) for offset in (9, 10)])],
        ]

    def assign(self, places: list[TopicPartition]) -> None: ...

    def seek(self, place: TopicPartition, offset: int) -> None: ...

    def unsubscribe(self) -> None: ...

    async def getmany(
        self, place: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list[SimulatedBatch]]:
        return {place: self._fetches.pop(0)}


async def test_the_first_readable_record_may_be_in_a_later_batch_than_the_offset():
    reader = restore.Reader({}, lambda _: None)
    reader._consumer = Compacted()
    assert await reader.first_readable("t", 0, 6, within=5.0) == 9
