"""waiting: customerId (or `of_order`), kind, id -> an input that waits, as it came.

Orders and payments wait for the registration of an unknown customer, keyed by orderId or paymentId so that a repeat is
recognised; payments that name no customer wait for their order in the same way, under `of_order`; commands wait for
the customer's pending email claim, keyed by a counter so that they keep their order. The originals are kept because an
input may still become a dead letter.
"""

from collections.abc import Iterator

import msgspec

from tables.rows import Rows, compound
from worker.engine.unit import Table, Unit

WAITING = Table("waiting", b"W")

ORDER = "O"
PAYMENT = "P"
COMMAND = "C"


class Source(msgspec.Struct, frozen=True):
    """An input record as it was first read: position, timestamp (ms since 1970 UTC), key, value and headers."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, record: "Source") -> "Source":
        """A copy of a consumed record (anything with these attributes) that can be stored."""
        if isinstance(record, cls):
            return record
        return cls(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )


def of_order(order_id: str) -> str:
    """In place of the customerId of what waits for an order. No customerId: ids hold no control characters."""
    return f"\x01{order_id}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Source).decode


def read(rows: Rows, customer_id: str, kind: str, waiting_id: str) -> Source | None:
    """The input that waits under that id, or None."""
    raw = rows.get(WAITING, compound(customer_id, kind, waiting_id))
    return None if raw is None else _decode(raw)


def put(unit: Unit, customer_id: str, kind: str, waiting_id: str, source: Source | None) -> None:
    """Let an input wait; None ends its waiting."""
    unit.put(
        WAITING,
        compound(customer_id, kind, waiting_id),
        None if source is None else _encode(Source.of(source)),
    )


def scan(rows: Rows, customer_id: str, kind: str) -> Iterator[tuple[str, Source]]:
    """(id, input) of everything of one kind that waits for the customer, in no particular order."""
    prefix = compound(customer_id, kind, "")
    for key, value in rows.scan(WAITING, prefix):
        yield key[len(prefix) :].decode(), _decode(value)
