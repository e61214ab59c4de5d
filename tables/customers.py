"""customers: customerId -> CustomerRow (JSON): the customer, or what is known of one who is not registered yet."""

import msgspec

from tables.rows import Rows
from worker.domain.state import CustomerRow
from worker.engine.unit import Table, Unit

CUSTOMERS = Table("customers", b"C")

_MAX_KEPT = 2_000  # decoded rows a partition; about 3 KiB each

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CustomerRow).decode


def read(rows: Rows, customer_id: str) -> CustomerRow | None:
    """A fresh copy of the row, or None."""
    raw = rows.get(CUSTOMERS, customer_id.encode())
    return None if raw is None else _decode(raw)


def decode(value: bytes) -> CustomerRow:
    """The row of a stored value."""
    return _decode(value)


class CustomerRows:
    """The rows of one batch: decoded once, shared by all its inputs, and written once when the batch ends.

    Rows stay decoded for the batches that follow, up to a bound: who orders once often orders again.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._rows: dict[str, CustomerRow] = unit.kept.setdefault(CUSTOMERS.name, {})
        if len(self._rows) > _MAX_KEPT:
            self._rows.clear()
        self._changed: dict[str, CustomerRow] = {}

    def row(self, customer_id: str) -> CustomerRow:
        """The row; an empty one for a customer never heard of."""
        row = self._rows.get(customer_id)
        if row is None:
            row = self._rows[customer_id] = read(self._unit, customer_id) or CustomerRow()
        return row

    def changed(self, customer_id: str, row: CustomerRow) -> None:
        """Note that the row was changed in place."""
        self._changed[customer_id] = row

    def flush(self) -> list[str]:
        """Write every changed row once; an empty row is deleted. Returns the customerIds."""
        empty = CustomerRow()
        for customer_id, row in self._changed.items():
            self._unit.put(CUSTOMERS, customer_id.encode(), None if row == empty else _encode(row))
        return list(self._changed)
