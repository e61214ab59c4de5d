"""A unit of work: what one batch of one partition reads, changes and sends. It becomes one transaction.

Nothing here touches Kafka or the store until the engine commits it; a unit that is dropped has done nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from worker.engine.store import Store

Headers = list[tuple[str, bytes]]
NO_HEADERS: Headers = []


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A changelog-backed table, known by its identity. mark: the byte that names it in the stores, never zero."""

    name: str
    mark: bytes


class Record(msgspec.Struct, frozen=True, gc=False):
    """A consumed record: what is asked of one, and none of the rest of aiokafka's. timestamp: ms since 1970 UTC."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to publish. Many may share one list of headers; aiokafka wants a list."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Unit:
    """One partition's tables as this batch sees them, its own changes first, and what it sends.

    kept: what earlier batches of the same assignment left for this one, such as decoded rows. It is right because this
    partition has one writer, and because a batch that does not commit ends the process.
    """

    def __init__(self, partition: int, store: Store, kept: dict[str, Any] | None = None) -> None:
        self.partition = partition
        self.kept = {} if kept is None else kept
        self.changes: dict[Table, dict[bytes, bytes | None]] = {}
        self.outbox: dict[tuple[str, int], list[Outgoing]] = {}
        self._store = store

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The row, this batch's change of it included; None where there is none."""
        changed = self.changes.get(table)
        if changed is not None and key in changed:
            return changed[key]
        return self._store.get(table.mark, key)

    def put(self, table: Table, key: bytes, value: bytes | None) -> None:
        """Set a row; None deletes it."""
        rows = self.changes.get(table)
        if rows is None:
            rows = self.changes[table] = {}
        rows[key] = value

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts with prefix, this batch's changes included, in no particular order."""
        changed = self.changes.get(table, {})
        for key, value in self._store.scan(table.mark, prefix):
            if key not in changed:
                yield key, value
        for key, new in list(changed.items()):
            if new is not None and key.startswith(prefix):
                yield key, new

    def committed_after(self, table: Table, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with greater keys, ascending, as they were before this batch."""
        return self._store.after(table.mark, key)

    def out(self, topic: str, partition: int) -> list[Outgoing]:
        """The list of records that go to that partition; append to it."""
        records = self.outbox.get((topic, partition))
        if records is None:
            records = self.outbox[topic, partition] = []
        return records
