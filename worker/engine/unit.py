"""A unit of work: what one batch of one partition reads, changes and sends. It becomes one transaction.

It changes nothing in Kafka or the store until the engine commits it. A unit that is dropped has no effect.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any, NamedTuple

import msgspec

from worker.engine.store import Changes, Store
from worker.wire.limits import MAX_OTHER_BYTES, MAX_VALUE_BYTES

Headers = list[tuple[str, bytes | None]]
"""Names and values. A name may be any bytes; it is decoded as UTF-8 with surrogate escapes."""

NO_HEADERS: Headers = []


Derive = Callable[[bytes, bytes], "Sequence[tuple[Table, bytes, bytes]]"]
"""Derives the rows of the indexes from a row's key and value: index, key and value of each."""

MORE = "more"
"""Key in Unit.carried of the owners for whom earlier inputs left work, the next one first. Work.go_on does it in steps."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table, compared by identity.

    Attributes:
        name: names its changelog.
        mark: the byte that names it in the stores, never zero.
        indexes: tables that are derived from this one, row by row. They have no changelog: they are written together with
            this table's rows, and a restore derives them again.
        derive: makes the rows of the indexes.
        changes: whether rows are deleted, or the derived keys change. A reader of an index must then check the row too.
            An earlier version may have deleted the row alone.
    """

    name: str
    mark: bytes
    indexes: "tuple[Table, ...]" = ()
    derive: Derive = lambda key, value: ()
    changes: bool = False


POSITIONS = Table("positions", b"P")
"""Topic -> the next offset to read. It belongs to the engine."""


LONG_VALUE_BYTES = 32 << 10
"""Size of a value from which on a thread processes the input, and not the event loop (worker.engine.aside)."""


class Large(msgspec.Struct, frozen=True, gc=False):
    """What exceeds the limits in a record, or cannot be read.

    Attributes:
        reason: the dead letter's code.
        detail: the dead letter's text.
        digest: SHA-256 in hex of the value, or of the bytes that could not be read; None if there is no value.
        value_bytes: size of the value.
        readable: True for a record, False for what replaces the rest of a batch.
    """

    reason: str
    detail: str
    digest: str | None
    value_bytes: int = 0
    readable: bool = True

    @classmethod
    def value(cls, size: int, digest: str) -> "Large":
        """The value is too large, and is not held."""
        return cls("TOO_LARGE", f"{size} bytes, at most {MAX_VALUE_BYTES}", digest, size)

    @classmethod
    def others(cls, value: bytes | None) -> "Large":
        """The key and headers are too large."""
        digest = None if value is None else hashlib.sha256(value).hexdigest()
        detail = f"key and headers have more than {MAX_OTHER_BYTES} bytes together"
        return cls("TOO_LARGE", detail, digest, len(value or b""))


def other_bytes(key: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> int:
    """Size of a record's key and headers in bytes. Counts null as 0, and each header as 2 at least."""
    size = len(key or b"")
    for name, value in headers:
        size += max(len(name.encode(errors="surrogateescape")) + len(value or b""), 2)
    return size


def sent_bytes(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """The most bytes of a record batch with this record alone."""
    return _BATCH_OVERHEAD + other_bytes(key, headers) + _HEADER_OVERHEAD * len(headers) + len(value or b"")


_BATCH_OVERHEAD = 120  # bytes of the batch's and the record's own headers
_HEADER_OVERHEAD = 10  # bytes of the lengths of a name and a value


class InputRecord(msgspec.Struct, frozen=True, gc=False):
    """A consumed record, with only the fields that are used.

    Attributes:
        topic: where it was read.
        partition: where it was read.
        offset: where it was read.
        timestamp: ms since 1970 UTC.
        key: None if absent or too large to be held.
        value: None if absent or too large to be held.
        headers: names and values; empty if too large to be held. A name may be any bytes; it is decoded as UTF-8 with
            surrogate escapes.
        large: what exceeds the limits; None if nothing does.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    large: Large | None = None

    @property
    def content(self) -> bytes:
        """The value.

        Raises:
            ValueError: the record has none. Such a record must not reach a handler.
        """
        if self.value is None:
            raise ValueError("the record has no value")
        return self.value

    @property
    def is_long(self) -> bool:
        """Whether a thread has to process it (LONG_VALUE_BYTES)."""
        return self.value is not None and len(self.value) >= LONG_VALUE_BYTES


class Stored(msgspec.Struct, frozen=True):
    """A stored input that is being processed.

    Attributes:
        mark: of its table.
        key: of its row.
        owner: for whom it waits, as in MORE.
        topic: where its record was first read.
        partition: where its record was first read.
        offset: where its record was first read; -1 until the row is read.
        is_long: as InputRecord.is_long; False until the row is read.
    """

    mark: bytes
    key: bytes
    owner: str
    topic: str = ""
    partition: int = 0
    offset: int = -1
    is_long: bool = False

    @property
    def row(self) -> tuple[bytes, bytes]:
        """Its identity: the table and the row."""
        return self.mark, self.key


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to publish. Many may share one list of headers; aiokafka requires a list."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Columns(NamedTuple):
    """Records to publish, in order. It needs no Outgoing for each row of a changelog.

    Attributes:
        keys: of all records.
        values: of all records.
        headers: of all records; empty if none has headers.
    """

    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[Headers]

    @classmethod
    def of(cls, records: Sequence[Outgoing]) -> "Columns":
        """The columns of records."""
        return cls(
            [record.key for record in records],
            [record.value for record in records],
            [record.headers for record in records],
        )

    @classmethod
    def of_rows(cls, rows: Mapping[bytes, bytes | None]) -> "Columns":
        """The columns of a table's changed rows."""
        return cls(list(rows), list(rows.values()), [])


class Unit:
    """One partition's tables as a batch sees them, its own changes first, and the records that it sends.

    Args:
        partition: the partition number.
        store: the committed tables.
        carried: what earlier batches of the same assignment left for this one, such as decoded rows. It stays true because
            the partition has one writer, and because a batch that does not commit ends the process.
    """

    def __init__(self, partition: int, store: Store, carried: dict[str, Any] | None = None) -> None:
        self.partition = partition
        self.carried = {} if carried is None else carried
        self.changes: dict[Table, dict[bytes, bytes | None]] = {}
        self.derived: dict[Table, dict[bytes, bytes | None]] = {}
        self._fresh: dict[Table, list[bytes]] = {}  # rows of indexes that are not in _by_id yet
        self._by_id: dict[tuple[Table, bytes], dict[bytes, None]] = {}
        self.outbox: dict[tuple[str, int], list[Outgoing]] = {}
        self.at: InputRecord | Stored | None = (
            None  # the input at hand, so that the log can say where the process ended
        )
        self.apart = (
            False  # whether each stored input has a unit of its own, and a record only begins its steps
        )
        self.in_thread = False  # whether its inputs are processed in the thread (worker.engine.aside)
        self._store = store
        self._ahead: dict[Table, dict[bytes, bytes | None]] = {}
        self._bytes = 0
        self._counted: dict[tuple[str, int], int] = {}

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The row, with this batch's changes; None if there is none."""
        changed = self.changes.get(table)
        if changed is not None and key in changed:
            return changed[key]
        ahead = self._ahead.get(table)
        if ahead is not None and key in ahead:
            return ahead[key]
        return self._store.get(table.mark, key)

    def read_ahead(self, table: Table, keys: Sequence[bytes]) -> None:
        """Look up committed rows together, because that takes less time than `get` for each.

        A later call for the table replaces what an earlier one has read.
        """
        self._ahead[table] = dict(zip(keys, self._store.get_many(table.mark, keys), strict=True))

    def put(self, table: Table, key: bytes, value: bytes | None) -> None:
        """Set a row; None deletes it."""
        rows = self.changes.get(table)
        if rows is None:
            rows = self.changes[table] = {}
        rows[key] = value
        if value is not None:
            self._bytes += len(value)

    def put_derived(self, index: Table, key: bytes, value: bytes | None) -> None:
        """Set a row of an index, as the table's `derive` makes it from a row that this batch sets. None deletes it."""
        rows = self.derived.get(index)
        if rows is None:
            rows = self.derived[index] = {}
        rows[key] = value
        self.fresh(index).append(key)

    def fresh(self, index: Table) -> list[bytes]:
        """The keys that were set since `before` last looked. Whoever sets rows of `derived` appends their keys."""
        keys = self._fresh.get(index)
        if keys is None:
            keys = self._fresh[index] = []
        return keys

    def looked_up(self, table: Table) -> dict[bytes, bytes | None]:
        """The committed rows that `read_ahead` has read last."""
        return self._ahead[table]

    def weigh(self, size: int) -> None:
        """Count bytes of rows that were put into `changes` without `put`."""
        self._bytes += size

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts with prefix, with this batch's changes, in no particular order."""
        changed = self.changes.get(table, {})
        for key, value in self._store.scan(table.mark, prefix):
            if key not in changed:
                yield key, value
        for key, new in list(changed.items()):
            if new is not None and key.startswith(prefix):
                yield key, new

    def before(self, index: Table, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows of an index whose key starts with prefix and is less than end, descending.

        `end` must start with prefix. Keys and prefix begin with an id and a zero byte.
        """
        stored = self._store.before(index.mark, prefix, end)
        changed = self.derived.get(index)
        if not changed:
            return stored
        mine = [
            (key, value)
            for key in self._derived_of(index, prefix)
            if key < end and key.startswith(prefix) and (value := changed[key]) is not None
        ]
        return merge(
            (row for row in stored if row[0] not in changed), sorted(mine, reverse=True), reverse=True
        )

    def _derived_of(self, index: Table, prefix: bytes) -> Iterable[bytes]:
        """Keys that this batch has set in an index, for the id with which the prefix begins."""
        fresh = self.fresh(index)
        for key in fresh:
            self._by_id.setdefault((index, key.partition(b"\0")[0]), {})[key] = None
        fresh.clear()
        return self._by_id.get((index, prefix.partition(b"\0")[0]), ())

    def rows_to_write(self) -> dict[bytes, Changes]:
        """The changes for the local store, per table mark; indexes included."""
        rows: dict[bytes, Changes] = {table.mark: changed for table, changed in self.changes.items()}
        rows.update((table.mark, derived) for table, derived in self.derived.items())
        return rows

    def committed_after(self, table: Table, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with greater keys, ascending, without this batch's changes."""
        return self._store.after(table.mark, key)

    def size(self) -> int:
        """Bytes of the records that it sends and of the rows that it sets. A row that is set twice counts twice."""
        for tp, records in self.outbox.items():
            new = records[self._counted.get(tp, 0) :]
            self._bytes += sum(len(record.value or b"") + len(record.key or b"") for record in new)
            self._counted[tp] = len(records)
        return self._bytes

    def out(self, topic: str, partition: int) -> list[Outgoing]:
        """The list of records for that partition; append to it."""
        records = self.outbox.get((topic, partition))
        if records is None:
            records = self.outbox[topic, partition] = []
        return records


def with_indexes(offsets: Mapping[bytes, int], tables: Iterable[Table]) -> dict[bytes, int]:
    """The offsets, with those of the tables' indexes added. An index has the offset of its table."""
    indexes = {index.mark: offsets[t.mark] for t in tables if t.mark in offsets for index in t.indexes}
    return {**offsets, **indexes}
