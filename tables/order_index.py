"""order_index: orderId -> whose order it is, and how many payments wait for it. Partitioned by the orderId.

Only with PAYMENT_JOIN. Rows stay for ever, as the ledger's do: a payment may come late. No personal data is in them.
"""

import msgspec

from tables.rows import Rows
from worker.engine.unit import Table, Unit

ORDER_INDEX = Table("order_index", b"I")


class IndexedOrder(msgspec.Struct, frozen=True, omit_defaults=True):
    """customer_id: None until the order comes. waiting: payments that wait for it, 0 from then on."""

    customer_id: str | None = None
    waiting: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(IndexedOrder).decode


def read(rows: Rows, order_id: str) -> IndexedOrder:
    """What is known of the order; an empty row for one never heard of."""
    raw = rows.get(ORDER_INDEX, order_id.encode())
    return IndexedOrder() if raw is None else _decode(raw)


def put(unit: Unit, order_id: str, row: IndexedOrder) -> None:
    """Write what is known of the order; an empty row is deleted."""
    unit.put(ORDER_INDEX, order_id.encode(), None if row == IndexedOrder() else _encode(row))
