"""Bringing local stores up to date from the changelogs, before anything is processed.

Rules:
- Our own read_committed reader, outside the consumer group. The partition's fence came first, so the end of the
  changelog as the reader sees it is the end of everything that will ever be committed by a former owner.
- Done when the reader's position reaches that end: transaction markers take offsets too, so counting records is wrong.
- A store whose offset is past the end of its changelog leads it, and is refused.
- While one thread writes what was read, the next is fetched and unpacked. A restore that is given up waits for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.engine.exits import ExitCode, die
from worker.engine.fetches import whole_batches
from worker.engine.store import Store
from worker.engine.unit import Table

_FETCH_BYTES = 8 << 20  # a larger answer takes longer for each byte of it
_PATIENCE_MS = 20  # where only transaction markers are left, nothing comes, but the position moves on


class Reader:
    """A read_committed reader of single partitions; its users take turns."""

    def __init__(
        self, client: Mapping[str, Any], replayed: Callable[[int], None], fetch_bytes: int = _FETCH_BYTES
    ) -> None:
        """replayed: is told how many changelog records went into stores. fetch_bytes: of one answer, at most."""
        self._client = client
        self._replayed = replayed
        self._fetch_bytes = fetch_bytes
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Connect; idempotent."""
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._client,
                group_id=None,
                enable_auto_commit=False,
                isolation_level="read_committed",
                auto_offset_reset="none",
                fetch_max_wait_ms=50,
                value_deserializer=whole_batches,
                fetch_max_bytes=self._fetch_bytes,
                max_partition_fetch_bytes=self._fetch_bytes,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer

    async def stop(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None

    async def restore(
        self,
        partitions: Mapping[int, Store],
        tables: Iterable[Table],
        changelog_of: Callable[[Table], str],
        *,
        bulk: bool = True,
    ) -> int:
        """Replay into each partition's store what it lacks. Returns the number of records replayed.

        bulk: load it and flush in the end; else every step is durable by itself, which suits stores that lack little.
        """
        wanted = {
            TopicPartition(changelog_of(table), number): (store, table)
            for table in tables
            for number, store in partitions.items()
        }
        if not wanted:
            return 0
        async with self._turn:
            with ThreadPoolExecutor(1, "restore") as thread:
                loader = _Loader(thread, _load if bulk else _write)
                replayed = await self._replay(wanted, loader)
                await loader.end(partitions.values() if bulk else ())
        return replayed

    async def _replay(self, wanted: dict[TopicPartition, tuple[Store, Table]], loader: "_Loader") -> int:
        reader = self._reader()
        reader.assign(list(wanted))
        try:
            ends = await reader.end_offsets(list(wanted))
            begins = await reader.beginning_offsets(list(wanted))
            todo = {
                tp
                for tp, (store, table) in wanted.items()
                if _seek(reader, tp, store, table, begins[tp], ends[tp])
            }
            replayed = 0
            while todo:
                fetched = await reader.getmany(*todo, timeout_ms=_PATIENCE_MS)
                found = [_found(*wanted[tp], batches, ends[tp]) for tp, batches in fetched.items()]
                await loader.load(found)
                count = sum(each.records for each in found)
                self._replayed(count)
                replayed += count
                todo -= {tp for tp in todo if await reader.position(tp) >= ends[tp]}
            return replayed
        finally:
            reader.unsubscribe()

    async def first_readable(self, topic: str, partition: int, offset: int, within: float) -> int | None:
        """The offset of the first committed record at or after offset; None when none is seen within seconds."""
        async with self._turn:
            reader = self._reader()
            tp = TopicPartition(topic, partition)
            reader.assign([tp])
            reader.seek(tp, offset)
            give_up_at = time.monotonic() + within
            try:
                while (left := give_up_at - time.monotonic()) > 0:
                    fetched = await reader.getmany(tp, timeout_ms=int(left * 1000))
                    # Of a compacted log, the first batch may end before the offset.
                    for batch in fetched.get(tp, ()):
                        for record in batch:
                            if record.offset >= offset:
                                return int(record.offset)
                return None
            finally:
                reader.unsubscribe()

    async def bounds(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """(first kept offset, end of the log) of each (topic, partition)."""
        async with self._turn:
            reader = self._reader()
            tps = [TopicPartition(*pair) for pair in partitions]
            if not tps:
                return {}
            begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
            return {(tp.topic, tp.partition): (begins[tp], ends[tp]) for tp in tps}

    def _reader(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the reader was not started")
        return self._consumer


def _seek(
    reader: AIOKafkaConsumer, tp: TopicPartition, store: Store, table: Table, begin: int, end: int
) -> bool:
    """Put the reader where the store stopped. Returns whether there is anything to replay."""
    have = store.offsets().get(table.mark, 0)
    if have > end:
        die(ExitCode.STORE_AHEAD, f"the local store is ahead of {tp.topic}-{tp.partition}: {have} > {end}")
    start = max(begin, have)
    reader.seek(tp, start)
    return start < end


class _Found(NamedTuple):
    """What was read of one table of one store: rows of so many records, and the changelog offset to continue at."""

    store: Store
    table: Table
    rows: dict[bytes, bytes | None]
    records: int
    end: int


def _found(store: Store, table: Table, batches: Sequence[Any], end: int) -> _Found:
    """end: of what is wanted; what came later is left to whoever wrote it.

    The first batch begins at the store's offset or after it: a batch belongs to one transaction, and a store's offset is
    the end of one.
    """
    rows: dict[bytes, bytes | None] = {}
    records = 0
    for batch in batches:
        # As many as records: a transaction names a key once.
        fresh = {record.key: record.value for record in batch if record.offset < end}
        records += len(fresh)
        rows |= fresh
    return _Found(store, table, rows, records, min(batches[-1].next_offset, end))


_Put = Callable[[Sequence[_Found]], None]


class _Loader:
    """Puts what was found into stores on a thread of its own, a step behind its caller."""

    def __init__(self, thread: ThreadPoolExecutor, put: _Put) -> None:
        self._thread = thread
        self._put = put
        self._running: asyncio.Future[None] | None = None

    async def load(self, found: Sequence[_Found]) -> None:
        """Begin to put this; what came before it is put when this returns."""
        await self._begin(self._put, found)

    async def end(self, flush: Iterable[Store]) -> None:
        """Returns when everything is put, and these stores are flushed."""
        await self._begin(_flush, tuple(flush))
        await self._end()

    async def _begin(self, do: Callable[[Any], None], what: Any) -> None:
        await self._end()
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, do, what)

    async def _end(self) -> None:
        if self._running is not None:
            await self._running


def _load(found: Sequence[_Found]) -> None:
    for each in found:
        each.store.load({each.table.mark: each.rows}, {each.table.mark: each.end})


def _write(found: Sequence[_Found]) -> None:
    for each in found:
        each.store.write({each.table.mark: each.rows}, {each.table.mark: each.end})


def _flush(stores: Sequence[Store]) -> None:
    for store in stores:
        store.flush()
