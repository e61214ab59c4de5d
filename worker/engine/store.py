"""The local copy of the tables of one partition.

Rules:
- One store per partition number holds all its tables. After the commit, one atomic write takes a transaction's changes
  and their changelog offsets. So a store may lag behind the changelogs, and is never ahead of them.
- A restore loads without a write-ahead log. A crash may lose what was loaded since the last flush: the latest part
  first, its offsets included.
- Keys and values are raw bytes. `scan` yields a table's keys in ascending order.
- All RocksDB stores of a process share one block cache and one budget of write buffers
  (docs/architecture.md#memory-and-cpu).
- Data that RocksDB or worker.engine.store_files finds corrupt is never served. The store is moved aside and rebuilt from
  the changelogs.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import rocksdict
import structlog
from sortedcontainers import SortedDict

from worker.engine import store_files
from worker.kafka.topics import CHANGELOG_DELETE_RETENTION_MS

log = structlog.get_logger(__name__)

Changes = Mapping[bytes, bytes | None]

_OFFSETS = b"\x00"
BLOCK_CACHE_BYTES = 16 << 20
_WRITE_BUFFERS_BYTES = 32 << 20
_BUFFER_BYTES = 4 << 20
_FIRST_FILES = 6  # so many make a compaction; each look-up of a new key asks the Bloom filter of each
_CORRUPT = "corrupt"  # name of a marker file in a store's folder, and suffix of a folder that was moved aside
_TEXTS_OF_CORRUPTION = ("Corruption", "IO error: No such file or directory")
_MAX_AGE_S = CHANGELOG_DELETE_RETENTION_MS / 1000 - 86_400  # a day of reserve


class StoreFailed(Exception):
    """The disk cannot read or write a store: it is full, broken or not accessible. The text quotes RocksDB."""


class StoreCorrupt(StoreFailed):
    """A store's files do not hold what was written. The next start rebuilds the store."""


class Store(Protocol):
    """The tables of one partition. One byte names a table, never zero."""

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value of a key; None if there is none."""

    def get_many(self, table: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of several keys, as `get` returns each."""

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every key that starts with prefix, ascending."""

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every key greater than this one, ascending. The store must not change meanwhile."""

    def before(self, table: bytes, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every key that starts with prefix and is less than end, descending.

        `end` must start with prefix. The store must not change meanwhile.
        """

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Change rows and offsets in one atomic, durable write.

        Args:
            changes: the rows of each table. A None value deletes.
            offsets: the changelog offset of each table at which to continue.
        """

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Write without durability, which is faster. Call `flush` before the next write."""

    def flush(self) -> None:
        """Make the loaded rows durable."""

    def offsets(self) -> dict[bytes, int]:
        """The changelog offset of each table at which to continue. A table that was never written is absent."""

    def close(self) -> None:
        """Close the store. What is durable stays."""


class MemoryStore:
    """Tables in memory only; each assignment restores them from the changelogs."""

    def __init__(self) -> None:
        self._tables: dict[bytes, SortedDict[bytes, bytes]] = {}
        self._offsets: dict[bytes, int] = {}

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value; None also if the table was never written."""
        rows = self._tables.get(table)
        return None if rows is None else rows.get(key)

    def get_many(self, table: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values, one by one."""
        return [self.get(table, key) for key in keys]

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Walk the table's sorted keys from the prefix on."""
        rows = self._tables.get(table)
        if rows is None:
            return
        for key in rows.irange(minimum=prefix):
            if not key.startswith(prefix):
                return
            yield key, rows[key]

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk the table's sorted keys from the next greater one on."""
        rows = self._tables.get(table)
        if rows is not None:
            for each in rows.irange(minimum=key, inclusive=(False, True)):
                yield each, rows[each]

    def before(self, table: bytes, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk the table's sorted keys backwards from `end`, which is left out."""
        rows = self._tables.get(table)
        if rows is not None:
            for each in rows.irange(minimum=prefix, maximum=end, inclusive=(True, False), reverse=True):
                yield each, rows[each]

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Change the rows one by one. Nothing is durable."""
        for table, changed in changes.items():
            rows = self._tables.setdefault(table, SortedDict())
            for key, value in changed.items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
        self._offsets.update(offsets)

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Write, because nothing is durable in any case."""
        self.write(changes, offsets)

    def flush(self) -> None:
        """Do nothing, because nothing is durable in any case."""

    def offsets(self) -> dict[bytes, int]:
        """A copy of the offsets; empty until the first write."""
        return dict(self._offsets)

    def close(self) -> None:
        """Drop everything."""
        self._tables.clear()
        self._offsets.clear()


def _write_options(*, logged: bool) -> rocksdict.WriteOptions:
    options = rocksdict.WriteOptions()
    options.disable_wal = not logged  # type: ignore[assignment]  # its stub takes the setter for a method
    return options


_LOGGED = _write_options(logged=True)
_UNLOGGED = _write_options(logged=False)


class RocksStore:
    """A store in RocksDB, through rocksdict. A key is the table's byte and the row's key.

    Every method raises StoreCorrupt or StoreFailed if RocksDB fails.
    """

    def __init__(self, path: Path, options: rocksdict.Options) -> None:
        self._path = path
        if path.exists() and (why := store_files.damage(path)):
            raise StoreCorrupt(f"the local store is corrupt: {why}")
        with self._failing("opened"):
            # Unless its only column family is named, an existing store keeps the options that it was made with.
            self._db = rocksdict.Rdict(str(path), options, {"default": options})
        self._get = self._db.get
        self._loaded = False  # whether rows were loaded since the last flush

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value, from the write buffers, the block cache or the disk."""
        try:
            value: bytes | None = self._get(table + key)
        except Exception as error:  # rocksdict raises nothing more precise
            raise self._failure("read", error) from error
        return value

    def get_many(self, table: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values, found by one call. A corrupt block raises StoreCorrupt."""
        with self._failing("read"):
            values: Any = self._get([table + key for key in keys])
        return list(values)

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys from the prefix on. A corrupt block raises StoreCorrupt, and does not end the walk silently."""
        start = table + prefix
        for key, value in self._ascending(start):
            if not key.startswith(start):
                return
            yield key[1:], value

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys after this one. A corrupt block raises StoreCorrupt."""
        for found, value in self._ascending(table + key):
            if not found.startswith(table):
                return
            if found != table + key:
                yield found[1:], value

    def before(self, table: bytes, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Walk the keys backwards from `end`, which is left out. A corrupt block raises StoreCorrupt."""
        start, last = table + prefix, table + end
        for found, value in self._descending(last):
            if found < last:
                if not found.startswith(start):
                    return
                yield found[1:], value

    # `Rdict.items` is not used: at a corrupt block it ends without an error, as if there were no more rows.

    def _ascending(self, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows = self._db.iter()
        rows.seek(first)
        while rows.valid():
            yield rows.key(), rows.value()
            rows.next()
        self._end(rows)

    def _descending(self, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows = self._db.iter()
        rows.seek_for_prev(last)
        while rows.valid():
            yield rows.key(), rows.value()
            rows.prev()
        self._end(rows)

    def _end(self, rows: rocksdict.RdictIter) -> None:
        with self._failing("read"):
            rows.status()

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Write one batch through the write-ahead log, which survives a crash of the process."""
        self._write(changes, offsets, _LOGGED)

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """Write one batch without the write-ahead log."""
        self._loaded = True
        self._write(changes, offsets, _UNLOGGED)

    def flush(self) -> None:
        """Write the buffers to table files. Does nothing unless rows were loaded since the last flush."""
        if self._loaded:
            with self._failing("written"):
                self._db.flush()
            self._loaded = False

    def _write(
        self,
        changes: Mapping[bytes, Changes],
        offsets: Mapping[bytes, int],
        how: rocksdict.WriteOptions,
    ) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for table, rows in changes.items():
            for key in sorted(rows):  # neighbours in the write buffer are then neighbours in memory
                value = rows[key]
                if value is None:
                    batch.delete(table + key)
                else:
                    batch.put(table + key, value)
        for table, offset in offsets.items():
            batch.put(_OFFSETS + table, b"%d" % offset)
        with self._failing("written"):
            self._db.write(batch, how)

    def offsets(self) -> dict[bytes, int]:
        """The offsets, which are rows under the byte zero."""
        return {key: int(value) for key, value in self.scan(_OFFSETS)}

    def close(self) -> None:
        """Close the database. Its files stay."""
        self._db.close()

    @contextmanager
    def _failing(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # rocksdict raises nothing more precise
            raise self._failure(done, error) from error

    def _failure(self, done: str, error: Exception) -> StoreFailed:
        if not str(error).startswith(_TEXTS_OF_CORRUPTION):
            return StoreFailed(f"the local store cannot be {done}: {error}")
        with suppress(OSError):  # a broken disk may refuse the marker, and a later read fails again
            (self._path / _CORRUPT).touch()
        return StoreCorrupt(f"the local store is corrupt, and is made anew at the next start: {error}")


class Stores(Protocol):
    """Opens and keeps the stores of a worker's partitions."""

    def open(self, partition: int) -> Store:
        """The store of that partition. Opens it unless it is open."""

    def release(self, keep: Sequence[int]) -> None:
        """Close the stores of all other partitions."""


class MemoryStores:
    """Stores in memory only. A released store is gone."""

    def __init__(self) -> None:
        self._open: dict[int, MemoryStore] = {}

    def open(self, partition: int) -> Store:
        """The store of that partition; empty if it is new or was released."""
        return self._open.setdefault(partition, MemoryStore())

    def release(self, keep: Sequence[int]) -> None:
        """Drop the stores of all other partitions."""
        for partition in set(self._open) - set(keep):
            self._open.pop(partition).close()


class RocksStores:
    """RocksDB stores, one sub-folder per partition.

    A store stays on disk when its partition leaves. It serves again when the partition returns, because a restore
    continues at its changelog offsets.

    Args:
        path: this worker's own folder.
        max_age_s: a store that was not written for so long is rebuilt, in seconds. Compaction may have removed tombstones
            that it never saw.
        block_cache_bytes: size of the block cache that all stores share.
    """

    def __init__(
        self, path: Path, max_age_s: float = _MAX_AGE_S, block_cache_bytes: int = BLOCK_CACHE_BYTES
    ) -> None:
        self._path = path
        self._max_age_s = max_age_s
        self._open: dict[int, RocksStore] = {}
        self._options = _rocks_options(block_cache_bytes)
        path.mkdir(parents=True, exist_ok=True)

    def open(self, partition: int) -> Store:
        """The store of that partition. Opens it unless it is open, and starts a new one if it is corrupt or too old."""
        if partition not in self._open:
            folder = self._path / f"{partition:05d}"
            if folder.exists() and time.time() - _last_written(folder) > self._max_age_s:
                shutil.rmtree(folder)
            if (folder / _CORRUPT).exists():
                _move_aside(folder)
            self._open[partition] = self._opened(folder)
        return self._open[partition]

    def _opened(self, folder: Path) -> RocksStore:
        try:
            return RocksStore(folder, self._options)
        except StoreCorrupt:
            _move_aside(folder)
            return RocksStore(folder, self._options)

    def release(self, keep: Sequence[int]) -> None:
        """Close the stores of all other partitions. Their folders stay."""
        for partition in set(self._open) - set(keep):
            self._open.pop(partition).close()


def _move_aside(folder: Path) -> None:
    """Make room for a new store. The old one is kept, because it may be the last copy of data that Kafka has lost."""
    aside = folder.with_name(f"{folder.name}.{_CORRUPT}")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    log.error("local store is corrupt, and is made anew from the changelogs", kept_as=str(aside))


def _last_written(folder: Path) -> float:
    return max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)


def _rocks_options(block_cache_bytes: int) -> rocksdict.Options:
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(rocksdict.Cache(block_cache_bytes))
    table.set_bloom_filter(10, False)
    # Partitioned index and filters: a look-up needs three parts. Whole ones of a million rows would evict each other.
    table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(4096)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_pin_top_level_index_and_filter(True)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    # Memtable Bloom filters: a look-up of a new order does not search the write buffers.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_allow_concurrent_memtable_write(False)  # a store has one writer
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_write_buffer_manager(rocksdict.WriteBufferManager(_WRITE_BUFFERS_BYTES, False))
    # What the buffers leave is soon compacted, so compressing it first costs more than it saves.
    options.set_compression_per_level(
        [rocksdict.DBCompressionType.none(), *[rocksdict.DBCompressionType.snappy()] * 6]
    )
    options.set_level_zero_file_num_compaction_trigger(_FIRST_FILES)
    options.set_max_total_wal_size(64 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(256)
    return options
