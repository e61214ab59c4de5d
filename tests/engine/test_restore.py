"""A restore loads on a thread of its own: what holds when it is given up, fails, or has nothing to do."""

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
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
from worker.engine.unit import InputRecord, Table


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
    await first.takeover.close()
    engine = bench.engine(stores=WatchedStores(store))
    await engine.takeover.fence([0])
    return engine


async def test_a_restore_that_is_given_up_returns_when_nothing_is_written_any_more(bench: Bench):
    store = Watched()
    engine = await fenced_after_work(bench, store)
    restoring = asyncio.create_task(engine.takeover.restore())
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
    restoring = asyncio.create_task(engine.takeover.restore())
    await eventually(lambda: store.loading)
    restoring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await restoring
    assert store.loading
    await eventually(lambda: not store.loading)


async def test_what_was_loaded_is_flushed_before_anything_is_processed(bench: Bench):
    store = Watched()
    engine = await fenced_after_work(bench, store)
    await engine.takeover.restore()
    assert store.done[0] == "load"
    assert store.done[-1] == "flush"
    assert sums(store) == {"count": 2, "sum": 3, "xor": 3}
    store.done.clear()
    await engine.takeover.release()
    await engine.takeover.fence([0])
    await (
        engine.takeover.restore()
    )  # nothing is left to load, but one that was given up may have left something
    assert store.done == ["flush"]


async def test_a_disk_that_fails_while_it_is_loaded_fails_the_restore(bench: Bench):
    store = Watched()
    store.failure = StoreFailed("no space left on device")
    engine = await fenced_after_work(bench, store)
    with pytest.raises(StoreFailed, match="no space left"):
        await engine.takeover.restore()


async def left_by_a_crash_after_a_restore(bench: Bench, folder: Path) -> Mapping[str, int] | None:
    """The sums in a copy of the files that a restore has left, its store not closed."""
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    await first.takeover.close()
    engine = bench.engine(stores=RocksStores(folder / "stores"))
    await engine.takeover.fence([0])
    await engine.takeover.restore()
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

    def __init__(self, **_: object) -> None:
        self._fetches = [
            [SimulatedBatch([InputRecord("t", 0, 4, 0, b"k", b"v", ())])],
            [],
            [SimulatedBatch([InputRecord("t", 0, offset, 0, b"k", b"v", ()) for offset in (9, 10)])],
        ]

    async def start(self) -> None: ...

    def assign(self, places: list[TopicPartition]) -> None: ...

    def seek(self, place: TopicPartition, offset: int) -> None: ...

    def unsubscribe(self) -> None: ...

    async def getmany(
        self, place: TopicPartition, timeout_ms: int
    ) -> Mapping[TopicPartition, list[SimulatedBatch]]:
        return {place: self._fetches.pop(0)}


async def test_the_first_readable_record_may_be_in_a_later_batch_than_the_offset():
    reader = restore.Reader({}, lambda _: None, make_consumer=Compacted)
    await reader.start()
    assert await reader.first_readable("t", 0, 6, within=5.0) == 9


INDEX = Table("index", b"x")
OTHER = Table("other", b"y")
INDEXED = Table(
    "indexed",
    b"A",
    (INDEX, OTHER),
    lambda key, value: [(INDEX, value, key), (OTHER, key[::-1], b"")] if value else [],
)


@pytest.mark.parametrize("bulk", [True, False])
def test_an_index_follows_from_the_rows_that_are_replayed(tmp_path: Path, bulk: bool):
    store = RocksStores(tmp_path).open(0)
    rows = {b"k1": b"v1", b"k2": b"v2", b"k3": b"", b"k4": None}
    put = restore._load if bulk else restore._write
    put([restore._Found(store, INDEXED, rows, 4, 9)])
    assert list(store.scan(b"x")) == [(b"v1", b"k1"), (b"v2", b"k2")]
    assert list(store.scan(b"y")) == [(b"1k", b""), (b"2k", b"")]
    assert store.offsets() == {b"A": 9, b"x": 9, b"y": 9}
    store.close()


@pytest.mark.parametrize("indexed_up_to", [None, 3])
def test_an_index_that_an_earlier_version_did_not_write_is_made_before_a_restore(
    tmp_path: Path, indexed_up_to: int | None
):
    store = RocksStores(tmp_path).open(0)
    store.write({b"A": {b"k%05d" % n: b"v%05d" % n for n in range(12_000)}}, {b"A": 12_000})
    if indexed_up_to is not None:
        store.write({b"x": {b"v00000": b"k00000"}}, {b"x": indexed_up_to})
    store.write({}, {b"y": 12_000})  # this one is complete, and is left alone
    restore._complete_indexes([store], [INDEXED])
    assert store.offsets() == {b"A": 12_000, b"x": 12_000, b"y": 12_000}
    assert list(store.scan(b"x")) == [(b"v%05d" % n, b"k%05d" % n) for n in range(12_000)]
    assert list(store.scan(b"y")) == []
    store.close()


def test_an_index_that_is_complete_is_not_made_again(tmp_path: Path):
    store = RocksStores(tmp_path).open(0)
    store.write({b"A": {b"k": b"v"}}, {b"A": 1, b"x": 1, b"y": 1})
    restore._complete_indexes([store], [INDEXED])
    assert list(store.scan(b"x")) == []
    store.close()


class Unassigned(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """Notes what was assigned while it was asked for the ends of logs."""

    assigned: ClassVar[list[int]] = []

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self.assigned.append(len(self.assignment()))
        await asyncio.sleep(0.3)  # as while a leader moves
        return dict(await super().end_offsets(partitions))


async def test_nothing_is_assigned_without_a_position_while_the_ends_are_asked_for(bench: Bench):
    client = {"bootstrap_servers": bench.bootstrap}
    Unassigned.assigned.clear()
    reader = restore.Reader(client, lambda _: None, make_consumer=Unassigned)
    engine = bench.engine(reader=reader)
    for numbers in ([1], [2]):
        await processed(bench, engine, await bench.take_over(engine), numbers)
    assert Unassigned.assigned
    assert set(Unassigned.assigned) == {0}
