"""Read access to rows, from a unit of work or a committed store, and the form of compound keys."""

from collections.abc import Iterator
from typing import Protocol

from worker.engine.unit import Table


class Rows(Protocol):
    """Read access to one partition: a unit of work, or a committed store through `Committed`."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key; None when there is none."""

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All (key, value) of a table whose keys begin with the prefix, in no particular order."""

    def before(self, index: Table, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) of an index below `end` whose keys begin with the prefix, in descending order."""


class Store(Protocol):
    """The reads that `Committed` needs of a store. table: a table's mark."""

    def get(self, table: bytes, key: bytes) -> bytes | None:
        """The value of a key; None when there is none."""

    def after(self, table: bytes, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) of a table above `key`, in ascending order."""

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All (key, value) of a table whose keys begin with the prefix, in no particular order."""

    def before(self, table: bytes, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) of an index below `end` whose keys begin with the prefix, in descending order."""


class Committed:
    """The committed rows of one partition, for reading only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key; None when there is none."""
        return self._store.get(table.mark, key)

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All (key, value) of a table whose keys begin with the prefix, in no particular order."""
        return self._store.scan(table.mark, prefix)

    def before(self, index: Table, prefix: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) of an index below `end` whose keys begin with the prefix, in descending order."""
        return self._store.before(index.mark, prefix, end)

    def after(self, table: Table, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The (key, value) of a table above `key`, in ascending order."""
        return self._store.after(table.mark, key)


def compound(*parts: str) -> bytes:
    """A key of several ids. Ids hold no control characters, so a zero byte parts them."""
    return "\0".join(parts).encode()
