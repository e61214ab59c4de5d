"""What the tables need of a unit of work or a store, and how compound keys are made."""

from collections.abc import Iterator
from typing import Protocol

from worker.engine.unit import Table


class Rows(Protocol):
    """A unit of work, or a committed store seen through `Committed`."""

    def get(self, table: Table, key: bytes) -> bytes | None: ...

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]: ...


class Store(Protocol):
    def get(self, table: bytes, key: bytes) -> bytes | None: ...

    def scan(self, table: bytes, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...


class Committed:
    """The committed rows of one partition, for reading only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, table: Table, key: bytes) -> bytes | None:
        return self._store.get(table.mark, key)

    def scan(self, table: Table, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan(table.mark, prefix)


def compound(*parts: str) -> bytes:
    """A key of several ids. Ids hold no control characters, so a zero byte parts them."""
    return "\0".join(parts).encode()
