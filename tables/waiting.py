"""waiting: customerId (or `of_order`), kind, id -> an input that waits, as it came.

Orders, payments and returns wait for the registration of an unknown customer, keyed by orderId, paymentId or returnId so
that a repeat is recognised, and returns for their order; payments that name no customer wait for their order in the same
way, under `of_order`; commands wait for the customer's pending email claim, keyed by a counter so that they keep their
order. The originals are kept because an input may still become a dead letter.
What waits for a registration or an order may expire (agents.expiry); what waits for an email claim is answered soon.
"""

from collections.abc import Iterator

import msgspec

from tables.rows import Rows, compound
from worker.engine.unit import Table, Unit

WAITING = Table("waiting", b"W")

ORDER = "O"
PAYMENT = "P"
RETURN = "T"
COMMAND = "C"
EXPIRING = (ORDER, PAYMENT, RETURN)

_ORDER_MARK = "\x01"


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
    return f"{_ORDER_MARK}{order_id}"


def order_of(owner: str) -> str | None:
    """The orderId of an `of_order`; None for a customerId."""
    return owner[1:] if owner.startswith(_ORDER_MARK) else None


class _Stamped(msgspec.Struct):
    timestamp: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Source).decode
_decode_timestamp = msgspec.json.Decoder(_Stamped).decode


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


def place(key: bytes) -> tuple[str, str, str]:
    """customerId, kind and id of a stored key."""
    customer_id, kind, waiting_id = key.decode().split("\0")
    return customer_id, kind, waiting_id


def decode(value: bytes) -> Source:
    """The input of a stored value."""
    return _decode(value)


def timestamp(value: bytes) -> int:
    """The timestamp of the input of a stored value, for who need not look at the rest of it."""
    return _decode_timestamp(value).timestamp
