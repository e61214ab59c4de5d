"""waiting: customerId (or `of_order`), kind, id -> an input that waits, as it came.

- Orders, payments and returns wait for the registration of an unknown customer, and returns for their order. Their id is
  the orderId, paymentId or returnId, so that a repeat is recognised.
- Payments that name no customer wait for their order in the same way, under `of_order`.
- Commands wait for the customer's pending email claim. Their id is a counter, which keeps their order. The command that
  claims the email is stored beside them.
- An erasure leaves a mark while results of the customer are cleared.

The original input is stored, because it may still become a dead letter. A row is MessagePack, which holds bytes as they
are; rows of earlier versions are JSON and can still be read. An input that waits for a registration or an order may
expire (agents.parking.expiry). One that waits for an email claim is answered soon.
"""

from collections.abc import Iterator

import msgspec

from tables.rows import Rows, compound
from tables.waiting_index import WAITING_INDEX, rows_of
from worker.engine.unit import InputRecord, Table, Unit

ORDER = "O"
PAYMENT = "P"
RETURN = "T"
COMMAND = "C"
CLAIM = "E"
ERASURE = "F"
EXPIRING = (ORDER, PAYMENT, RETURN)

_ORDER_MARK = "\x01"


def of_order(order_id: str) -> str:
    """The key that replaces the customerId of an input that waits for an order.

    It can equal no customerId, because ids have no control characters.
    """
    return f"{_ORDER_MARK}{order_id}"


def order_of(owner: str) -> str | None:
    """The orderId of an `of_order`; None for a customerId."""
    return owner[1:] if owner.startswith(_ORDER_MARK) else None


class _Stamped(msgspec.Struct, array_like=True):
    """The beginning of a row."""

    timestamp: int


class _Row(_Stamped, array_like=True):
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[bytes, bytes | None], ...]


class _OldStamped(msgspec.Struct):
    timestamp: int


_encode_row = msgspec.msgpack.Encoder().encode
_decode_row = msgspec.msgpack.Decoder(_Row).decode
_decode_stamped = msgspec.msgpack.Decoder(_Stamped).decode
_decode_old = msgspec.json.Decoder(InputRecord).decode
_decode_old_stamped = msgspec.json.Decoder(_OldStamped).decode
_OLD = b"{"


def read(rows: Rows, customer_id: str, kind: str, waiting_id: str) -> InputRecord | None:
    """The input that waits under that id, or None."""
    raw = rows.get(WAITING, compound(customer_id, kind, waiting_id))
    return None if raw is None else decode(raw)


def holds(unit: Unit, customer_id: str, kind: str, waiting_id: str) -> bool:
    """Whether an input waits under that id."""
    return unit.get(WAITING, compound(customer_id, kind, waiting_id)) is not None


def put(unit: Unit, customer_id: str, kind: str, waiting_id: str, source: InputRecord | None) -> None:
    """Let an input wait; None ends its waiting."""
    key = compound(customer_id, kind, waiting_id)
    old = unit.get(WAITING, key)
    for index, row, _ in _derive(key, old) if old is not None else ():
        unit.put_derived(index, row, None)
    value = None if source is None else encode(source)
    unit.put(WAITING, key, value)
    for index, row, named in _derive(key, value) if value is not None else ():
        unit.put_derived(index, row, named)


def id_in_queue(number: int) -> str:
    """The id of a COMMAND: the number that it has in its customer's queue."""
    return f"{number:010d}"


def scan(rows: Rows, customer_id: str, kind: str) -> Iterator[tuple[str, InputRecord]]:
    """(id, input) of everything of one kind that waits for the customer, in no particular order."""
    prefix = compound(customer_id, kind, "")
    for key, value in rows.scan(WAITING, prefix):
        yield key[len(prefix) :].decode(), decode(value)


def row_id(key: bytes) -> tuple[str, str, str]:
    """customerId, kind and id of a stored key."""
    customer_id, kind, waiting_id = key.decode().split("\0")
    return customer_id, kind, waiting_id


def encode(source: InputRecord) -> bytes:
    """The stored value of an input."""
    return _encode_row(
        _Row(
            source.timestamp,
            source.topic,
            source.partition,
            source.offset,
            source.key,
            source.content,
            tuple((name.encode(errors="surrogateescape"), content) for name, content in source.headers),
        )
    )


def decode(value: bytes) -> InputRecord:
    """The input of a stored value."""
    if value.startswith(_OLD):
        return _decode_old(value)
    row = _decode_row(value)
    headers = tuple((name.decode(errors="surrogateescape"), content) for name, content in row.headers)
    return InputRecord(row.topic, row.partition, row.offset, row.timestamp, row.key, row.value, headers)


def timestamp(value: bytes) -> int:
    """The timestamp of the input in a stored value, in ms since 1970 UTC, decoded without the other fields."""
    if value.startswith(_OLD):
        return _decode_old_stamped(value).timestamp
    return _decode_stamped(value).timestamp


def _derive(key: bytes, value: bytes) -> list[tuple[Table, bytes, bytes]]:
    owner, kind, waiting_id = row_id(key)
    if kind not in EXPIRING:
        return []
    source = decode(value)
    rows = rows_of(
        owner,
        kind,
        waiting_id,
        timestamp=source.timestamp,
        offset=source.offset,
        value=source.content,
        headers=source.headers,
    )
    return [(WAITING_INDEX, row, named) for row, named in rows]


WAITING = Table("waiting", b"W", (WAITING_INDEX,), _derive, changes=True)
