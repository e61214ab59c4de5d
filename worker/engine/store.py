"""The local copy of the tables of one partition.

Rules:
- One store per partition number holds all its tables, so that a transaction's changes and the changelog offsets that
  go with them are written in one atomic write, after the commit. A store may lag the changelogs, never lead them.
- A restore loads: what was loaded since the last flush may be lost in a crash, the latest first, offsets with it.
- Keys and values are raw bytes. `scan` yields a table's keys in ascending order.
- All RocksDB stores of a process share one block cache and one budget of write buffers (FAUST.md).
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import rocksdict
from sortedcontainers import SortedDict

from worker.topics import CHANGELOG_DELETE_RETENTION_MS

Changes = Mapping[bytes, bytes | None]

_OFFSETS = b"\x00"
BLOCK_CACHE_BYTES = 16 << 20
_WRITE_BUFFERS_BYTES = 32 << 20
_BUFFER_BYTES = 4 << 20
_MAX_AGE_S = CHANGELOG_DELETE_RETENTION_MS / 1000 - 86_400  # a day of reserve


class StoreFailed(Exception):
    """The disk does not take or give what a store needs: full, broken, or not ours. The text says what RocksDB said."""


class Store(Protocol):
    """Tables are named by one byte, never zero."""

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value, or None."""

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every key that starts with prefix, ascending."""

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of every key greater than this one, ascending. The store must not change meanwhile."""

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """changes: per table, a None value deletes. offsets: per table, the changelog offset to continue at."""

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        """As write, but faster and durable only after `flush`, which has to come before the next write."""

    def flush(self) -> None:
        """Make durable what was loaded."""

    def offsets(self) -> dict[bytes, int]:
        """Per table, the changelog offset to continue at; tables never written are absent."""

    def close(self) -> None:
        """Let go; the data stays where it is durable."""


class MemoryStore:
    """Everything in this process; restored from the changelogs at each assignment."""

    def __init__(self) -> None:
        self._tables: dict[bytes, SortedDict[bytes, bytes]] = {}
        self._offsets: dict[bytes, int] = {}

    def get(self, table: bytes, key: bytes) -> bytes | None:
        rows = self._tables.get(table)
        return None if rows is None else rows.get(key)

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        rows = self._tables.get(table)
        if rows is None:
            return
        for key in rows.irange(minimum=prefix):
            if not key.startswith(prefix):
                return
            yield key, rows[key]

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows = self._tables.get(table)
        if rows is not None:
            for each in rows.irange(minimum=key, inclusive=(False, True)):
                yield each, rows[each]

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        for table, rows in changes.items():
            kept = self._tables.setdefault(table, SortedDict())
            for key, value in rows.items():
                if value is None:
                    kept.pop(key, None)
                else:
                    kept[key] = value
        self._offsets.update(offsets)

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        self.write(changes, offsets)

    def flush(self) -> None:
        """Nothing here is ever durable."""

    def offsets(self) -> dict[bytes, int]:
        return dict(self._offsets)

    def close(self) -> None:
        self._tables.clear()
        self._offsets.clear()


def _write_options(*, logged: bool) -> rocksdict.WriteOptions:
    options = rocksdict.WriteOptions()
    options.disable_wal = not logged  # type: ignore[assignment]  # its stub takes the setter for a method
    return options


_LOGGED = _write_options(logged=True)
_UNLOGGED = _write_options(logged=False)


class RocksStore:
    """RocksDB through rocksdict. A key is the table's byte and the row's key."""

    def __init__(self, path: Path, options: rocksdict.Options) -> None:
        try:
            # Without naming its only column family, an existing store would keep the options that it was made with.
            self._db = rocksdict.Rdict(str(path), options, {"default": options})
        except Exception as error:  # rocksdict raises nothing more precise
            raise StoreFailed(f"the local store cannot be opened: {error}") from error
        self._get = self._db.get
        self._loaded = False  # and not flushed since

    def get(self, table: bytes, key: bytes) -> bytes | None:
        value: bytes | None = self._get(table + key)
        return value

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        start = table + prefix
        rows: Iterator[tuple[Any, Any]] = self._db.items(from_key=start)
        for key, value in rows:
            if not key.startswith(start):
                return
            yield key[1:], value

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        rows: Iterator[tuple[Any, Any]] = self._db.items(from_key=table + key)
        for found, value in rows:
            if not found.startswith(table):
                return
            if found != table + key:
                yield found[1:], value

    def write(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        self._write(changes, offsets, _LOGGED)

    def load(self, changes: Mapping[bytes, Changes], offsets: Mapping[bytes, int]) -> None:
        self._loaded = True
        self._write(changes, offsets, _UNLOGGED)

    def flush(self) -> None:
        if self._loaded:
            try:
                self._db.flush()
            except Exception as error:  # rocksdict raises nothing more precise
                raise StoreFailed(f"the local store cannot be written: {error}") from error
            self._loaded = False

    def _write(
        self,
        changes: Mapping[bytes, Changes],
        offsets: Mapping[bytes, int],
        how: rocksdict.WriteOptions,
    ) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for table, rows in changes.items():
            for key, value in rows.items():
                if value is None:
                    batch.delete(table + key)
                else:
                    batch.put(table + key, value)
        for table, offset in offsets.items():
            batch.put(_OFFSETS + table, b"%d" % offset)
        try:
            self._db.write(batch, how)
        except Exception as error:  # rocksdict raises nothing more precise
            raise StoreFailed(f"the local store cannot be written: {error}") from error

    def offsets(self) -> dict[bytes, int]:
        return {key: int(value) for key, value in self.scan(_OFFSETS)}

    def close(self) -> None:
        self._db.close()


class Stores(Protocol):
    """Opens and keeps the stores of the partitions that this worker holds."""

    def open(self, partition: int) -> Store:
        """The store of that partition, opened if it is not."""

    def release(self, keep: Sequence[int]) -> None:
        """Close the stores of all partitions but these."""


class MemoryStores:
    def __init__(self) -> None:
        self._open: dict[int, MemoryStore] = {}

    def open(self, partition: int) -> Store:
        return self._open.setdefault(partition, MemoryStore())

    def release(self, keep: Sequence[int]) -> None:
        for partition in set(self._open) - set(keep):
            self._open.pop(partition).close()


class RocksStores:
    """path: this worker's own folder; one sub-folder per partition. It stays when a partition leaves, and serves again
    when the partition comes back, because restoring continues at its changelog offsets. One that was not written for
    max_age_s seconds is rebuilt: compaction may have removed deletions that it never saw."""

    def __init__(self, path: Path, max_age_s: float = _MAX_AGE_S) -> None:
        self._path = path
        self._max_age_s = max_age_s
        self._open: dict[int, RocksStore] = {}
        self._options = _rocks_options()
        path.mkdir(parents=True, exist_ok=True)

    def open(self, partition: int) -> Store:
        if partition not in self._open:
            folder = self._path / f"{partition:05d}"
            if folder.exists() and time.time() - _last_written(folder) > self._max_age_s:
                shutil.rmtree(folder)
            self._open[partition] = RocksStore(folder, self._options)
        return self._open[partition]

    def release(self, keep: Sequence[int]) -> None:
        for partition in set(self._open) - set(keep):
            self._open.pop(partition).close()


def _last_written(folder: Path) -> float:
    return max((file.stat().st_mtime for file in folder.iterdir()), default=0.0)


def _rocks_options() -> rocksdict.Options:
    table = rocksdict.BlockBasedOptions()
    table.set_block_cache(rocksdict.Cache(BLOCK_CACHE_BYTES))
    table.set_bloom_filter(10, False)
    # In parts, of which a look-up needs three: whole ones of a million rows would drive each other out of this cache.
    table.set_index_type(rocksdict.BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(4096)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_pin_top_level_index_and_filter(True)
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    # These two: an order that is new is not searched for in the write buffers.
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.1)
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_write_buffer_manager(rocksdict.WriteBufferManager(_WRITE_BUFFERS_BYTES, False))
    options.set_max_total_wal_size(64 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(256)
    return options
