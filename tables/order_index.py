"""order_index: orderId -> the order's customer, and how many payments wait for it. Partitioned by the orderId.

It exists only with PAYMENT_JOIN. Rows stay for ever, as in the ledger, because a payment may come late. They contain no
personal data.
"""

import msgspec

from tables.rows import Rows
from worker.engine.unit import Table, Unit

ORDER_INDEX = Table("order_index", b"I")


class IndexedOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row. customer_id: None until the order arrives. waiting: how many payments wait for it; then 0."""

    customer_id: str | None = None
    waiting: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(IndexedOrder).decode


def read(rows: Rows, order_id: str) -> IndexedOrder:
    """The row of an order; an empty row for an unknown order."""
    raw = rows.get(ORDER_INDEX, order_id.encode())
    return IndexedOrder() if raw is None else _decode(raw)


def put(unit: Unit, order_id: str, row: IndexedOrder) -> None:
    """Write the row of an order; an empty row is deleted."""
    unit.put(ORDER_INDEX, order_id.encode(), None if row == IndexedOrder() else _encode(row))
