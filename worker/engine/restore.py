"""Restore: bring local stores up to date from the changelogs, before anything is processed.

Rules:
- A read_committed reader of our own does it, outside the consumer group. The partition is fenced before. So former
  owners can commit nothing after the end of the changelog that the reader sees.
- A restore is done when the reader's position reaches that end. Counting records would be wrong, because transaction
  markers take offsets too.
- A store whose offset is past the end of its changelog is ahead of it, and is refused.
- Indexes are derived from the replayed rows. An index that is less complete than its table is rebuilt first. Such an
  index comes from a store that an earlier version wrote.
- While a thread writes one fetch, the next is fetched and unpacked. A restore that is cancelled waits for the thread.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from worker.engine.exits import ExitCode, die
from worker.engine.patches.fetches import whole_batches
from worker.engine.store import Changes, Store
from worker.engine.unit import Table, with_indexes

_FETCH_BYTES = 8 << 20  # a larger answer takes longer per byte
_ROWS_AT_ONCE = 5_000
_PATIENCE_MS = 20  # when only transaction markers are left, no record comes, but the position advances


class Reader:
    """A read_committed reader of single partitions. Concurrent calls take turns."""

    def __init__(
        self,
        client: Mapping[str, Any],
        replayed: Callable[[int], None],
        fetch_bytes: int = _FETCH_BYTES,
        make_consumer: Callable[..., AIOKafkaConsumer] = AIOKafkaConsumer,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a reader; `start` connects it.

        Args:
            client: aiokafka client arguments.
            replayed: is told how many changelog records went into stores.
            fetch_bytes: the most bytes of one answer.
            make_consumer: takes the arguments of an AIOKafkaConsumer.
            moved: is called after each part of a restore, on any thread.
        """
        self._client = client
        self._make_consumer = make_consumer
        self._replayed = replayed
        self._moved = moved
        self._fetch_bytes = fetch_bytes
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Connect, unless connected already."""
        if self._consumer is None:
            consumer = self._make_consumer(
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
        """Disconnect, unless disconnected already."""
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
        """Replay into each partition's store the changelog records that it lacks.

        Args:
            partitions: the store of each partition.
            tables: the tables to restore.
            changelog_of: the changelog topic of a table.
            bulk: whether to load without a write-ahead log and flush at the end. Else every step is durable by itself,
                which suits stores that lack little.

        Returns:
            The number of records replayed.
        """
        wanted = {
            TopicPartition(changelog_of(table), number): (store, table)
            for table in tables
            for number, store in partitions.items()
        }
        if not wanted:
            return 0
        async with self._lock:
            with ThreadPoolExecutor(1, "restore") as thread:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(
                    thread, _complete_indexes, tuple(partitions.values()), tuple(tables), self._moved
                )
                loader = _Loader(thread, _load if bulk else _write, self._moved)
                replayed = await self._replay(wanted, loader)
                await loader.end(partitions.values() if bulk else ())
        return replayed

    async def _replay(self, wanted: dict[TopicPartition, tuple[Store, Table]], loader: "_Loader") -> int:
        reader = self._reader()
        ends = await reader.end_offsets(list(wanted))
        begins = await reader.beginning_offsets(list(wanted))
        starts = {
            tp: _start(tp, store.offsets().get(table.mark, 0), begins[tp], ends[tp])
            for tp, (store, table) in wanted.items()
        }
        todo = {tp for tp, start in starts.items() if start < ends[tp]}
        if not todo:
            return 0
        # Nothing is awaited between assign and seek. Else aiokafka's fetch task would look up positions itself. If a
        # leader moves meanwhile, it dies of an error that it sets twice. It also dies of an assignment dropped at once.
        reader.assign(list(todo))
        for tp in todo:
            reader.seek(tp, starts[tp])
        try:
            replayed = 0
            while todo:
                fetched = await reader.getmany(*todo, timeout_ms=_PATIENCE_MS)
                found = [_found(*wanted[tp], batches, ends[tp]) for tp, batches in fetched.items()]
                await loader.load(found)
                count = sum(each.records for each in found)
                self._replayed(count)
                replayed += count
                done = {tp for tp in todo if await reader.position(tp) >= ends[tp]}
                if fetched or done:
                    self._moved()
                todo -= done
            return replayed
        finally:
            reader.unsubscribe()

    async def first_readable(self, topic: str, partition: int, offset: int, within: float) -> int | None:
        """Where the committed records at or after an offset begin.

        Args:
            topic: the topic.
            partition: its partition.
            offset: where to start looking.
            within: how long to look, in seconds.

        Returns:
            The first offset, `offset` or greater; None if no record was seen in time.
        """
        async with self._lock:
            reader = self._reader()
            tp = TopicPartition(topic, partition)
            reader.assign([tp])
            reader.seek(tp, offset)
            give_up_at = time.monotonic() + within
            try:
                while (left := give_up_at - time.monotonic()) > 0:
                    fetched = await reader.getmany(tp, timeout_ms=int(left * 1000))
                    # In a compacted log, the first batch may end before the offset.
                    for batch in fetched.get(tp, ()):
                        if batch.next_offset > offset:
                            return int(max(batch.base_offset, offset))
                return None
            finally:
                reader.unsubscribe()

    async def bounds(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """The first kept offset and the end of the log, for each (topic, partition)."""
        async with self._lock:
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


def _start(tp: TopicPartition, have: int, begin: int, end: int) -> int:
    """The offset at which to go on reading. Ends the process if the store is ahead of its changelog.

    Args:
        tp: the changelog's partition.
        have: the changelog offset that the store has.
        begin: the changelog's first kept offset.
        end: the changelog's end.
    """
    if have > end:
        die(
            ExitCode.STORE_AHEAD,
            f"the local store is ahead of {tp.topic}-{tp.partition}: {have} > {end}; it may be the last copy of the tables: "
            "keep it, and see Restore in the operations page",
        )
    return max(begin, have)


class _Found(NamedTuple):
    """What one fetch brought for one table of one store.

    Attributes:
        store: the store.
        table: the table.
        rows: the last value of each key; None deletes it.
        records: how many records the rows come from.
        end: the changelog offset at which to continue.
    """

    store: Store
    table: Table
    rows: dict[bytes, bytes | None]
    records: int
    end: int


def _found(store: Store, table: Table, batches: Sequence[Any], end: int) -> _Found:
    """Gather the rows of some batches.

    The first batch begins at the store's offset or after it. A batch belongs to one transaction, and a store's offset is
    the end of a transaction.

    Args:
        store: the store to restore.
        table: the table.
        batches: record batches of its changelog, in order; at least one.
        end: where the restore ends. Later records are left out.
    """
    rows: dict[bytes, bytes | None] = {}
    records = 0
    for batch in batches:
        # There are as many rows as records, because a transaction writes a key once.
        fresh = {record.key: record.value for record in batch if record.offset < end}
        records += len(fresh)
        rows |= fresh
    return _Found(store, table, rows, records, min(batches[-1].next_offset, end))


_Put = Callable[[Sequence[_Found]], None]


class _Loader:
    """Puts fetched rows into stores on its own thread, one step behind the caller."""

    def __init__(self, thread: ThreadPoolExecutor, put: _Put, moved: Callable[[], None]) -> None:
        self._thread = thread
        self._put = put
        self._moved = moved
        self._running: asyncio.Future[None] | None = None

    async def load(self, found: Sequence[_Found]) -> None:
        """Begin to put these rows. Returns when the rows of the call before are put."""
        await self._begin(self._put, found)

    async def end(self, flush: Iterable[Store]) -> None:
        """Wait until everything is put, and flush these stores."""
        for store in flush:
            await self._begin(_flush, store)
            self._moved()
        await self._end()

    async def _begin(self, do: Callable[[Any], None], what: Any) -> None:
        await self._end()
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, do, what)

    async def _end(self) -> None:
        if self._running is not None:
            await self._running


def _load(found: Sequence[_Found]) -> None:
    for each in found:
        each.store.load(
            _indexed(each.store, each.table, each.rows),
            with_indexes({each.table.mark: each.end}, (each.table,)),
        )


def _write(found: Sequence[_Found]) -> None:
    for each in found:
        each.store.write(
            _indexed(each.store, each.table, each.rows),
            with_indexes({each.table.mark: each.end}, (each.table,)),
        )


def _indexed(store: Store, table: Table, rows: Mapping[bytes, bytes | None]) -> dict[bytes, Changes]:
    """Rows of the table, and the rows of its indexes that are derived from them."""
    if not table.indexes:
        return {table.mark: rows}
    changes: dict[bytes, dict[bytes, bytes | None]] = {index.mark: {} for index in table.indexes}
    if table.changes:
        for key in rows:
            old = store.get(table.mark, key)
            for index, derived, _ in table.derive(key, old) if old is not None else ():
                changes[index.mark][derived] = None
    for mark, derived_rows in _derived(table, rows, table.indexes).items():
        changes[mark] |= derived_rows
    return {table.mark: rows, **changes}


def _derived(
    table: Table, rows: Mapping[bytes, bytes | None], indexes: Sequence[Table]
) -> dict[bytes, dict[bytes, bytes]]:
    """The rows of these indexes, by the index's mark."""
    derive = table.derive
    found: dict[bytes, dict[bytes, bytes]] = {index.mark: {} for index in indexes}
    for key, value in rows.items():
        if value is not None:
            for index, derived, content in derive(key, value):
                if index.mark in found:
                    found[index.mark][derived] = content
    return found


def _complete_indexes(
    stores: Sequence[Store], tables: Sequence[Table], moved: Callable[[], None] = lambda: None
) -> None:
    for store in stores:
        offsets = store.offsets()
        for table in tables:
            offset = offsets.get(table.mark)
            behind = [index for index in table.indexes if offsets.get(index.mark) != offset]
            if offset is not None and behind:
                _make_indexes(store, table, behind, offset, moved)


def _make_indexes(
    store: Store, table: Table, indexes: Sequence[Table], offset: int, moved: Callable[[], None]
) -> None:
    rows = store.scan(table.mark)
    while piece := dict(islice(rows, _ROWS_AT_ONCE)):
        store.load(_derived(table, piece, indexes), {})
        moved()
    store.load({}, dict.fromkeys((index.mark for index in indexes), offset))
    store.flush()


def _flush(store: Store) -> None:
    store.flush()
