"""A restore loads on a thread of its own: what holds when it is given up, fails, or has nothing to do."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.engine.conftest import Bench
from tests.engine.test_engine import eventually, processed, sums
from worker.engine.engine import Engine
from worker.engine.store import Changes, MemoryStore, MemoryStores, RocksStores, StoreFailed


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


async def test_what_a_restore_loaded_is_on_the_disk_before_it_returns(bench: Bench, tmp_path: Path):
    first = bench.engine()
    await processed(bench, first, await bench.take_over(first), [1, 2])
    await first.close()
    folder = tmp_path / "stores"
    engine = bench.engine(stores=RocksStores(folder))
    await engine.fence([0])
    await engine.restore()
    copy = tmp_path / "as after a crash"
    await asyncio.to_thread(_copy_tree, folder, copy)
    store = RocksStores(copy).open(0)
    assert sums(store) == {"count": 2, "sum": 3, "xor": 3}
    store.close()


def _copy_tree(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file() and file.name != "LOCK":
            copied = target / file.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(file.read_bytes())
