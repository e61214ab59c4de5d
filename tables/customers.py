"""customers: customerId -> CustomerRow (JSON): the customer, or what is known of one who is not registered yet."""

from collections import OrderedDict

import msgspec

from tables.rows import Rows
from worker.domain.days import Days
from worker.domain.state import CustomerRow
from worker.engine.unit import Table, Unit

CUSTOMERS = Table("customers", b"C")

_KEPT_BYTES = 2 << 20  # of decoded rows a partition, counted as JSON; in memory they are twice as large
_ROW_BYTES = 300  # an empty one counts too

_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(CustomerRow).decode


def decode(value: bytes) -> CustomerRow:
    """The row of a stored value, also of one that an earlier version stored."""
    try:
        return _decode_row(value)
    except msgspec.ValidationError:
        return _decode_with_days_as_object(value)


def _decode_with_days_as_object(value: bytes) -> CustomerRow:
    row = msgspec.json.decode(value)
    customer = row.get("customer") or {}
    for spending in (*customer.get("spending", {}).values(), *customer.get("converted", {}).values()):
        days = spending.get("days")
        if isinstance(days, dict):
            amounts = {int(day): amount for day, amount in days.items()}
            spending["days"] = msgspec.to_builtins(Days.of(amounts))
    return msgspec.convert(row, CustomerRow)


def read(rows: Rows, customer_id: str) -> CustomerRow | None:
    """A fresh copy of the row, or None."""
    raw = rows.get(CUSTOMERS, customer_id.encode())
    return None if raw is None else decode(raw)


class _Kept:
    """Decoded rows that batches of one partition leave for each other, the latest read or changed last.

    The bound is one of bytes, for a row grows with the days on which its customer ordered.
    """

    def __init__(self) -> None:
        self.rows: OrderedDict[str, CustomerRow] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def put(self, customer_id: str, row: CustomerRow, json_bytes: int) -> None:
        self.rows[customer_id] = row
        self.rows.move_to_end(customer_id)
        size = _ROW_BYTES + json_bytes
        self._bytes += size - self._sizes.get(customer_id, 0)
        self._sizes[customer_id] = size

    def shrink(self) -> None:
        """Let go of what was longest out of use, down to the bound."""
        while self._bytes > _KEPT_BYTES:
            customer_id, _ = self.rows.popitem(last=False)
            self._bytes -= self._sizes.pop(customer_id)


class CustomerRows:
    """The rows of one batch: decoded once, shared by all its inputs, and written once when the batch ends.

    Rows stay decoded for the batches that follow, up to a bound: who orders once often orders again.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._kept: _Kept = unit.kept.setdefault(CUSTOMERS.name, _Kept())
        self._kept.shrink()
        self._rows: OrderedDict[str, CustomerRow] = self._kept.rows
        self._changed: dict[str, CustomerRow] = {}

    def row(self, customer_id: str) -> CustomerRow:
        """The row; an empty one for a customer never heard of."""
        row = self._rows.get(customer_id)
        if row is None:
            raw = self._unit.get(CUSTOMERS, customer_id.encode())
            row = CustomerRow() if raw is None else decode(raw)
            self._kept.put(customer_id, row, len(raw or b""))
        return row

    def changed(self, customer_id: str, row: CustomerRow) -> None:
        """Note that the row was changed in place."""
        self._changed[customer_id] = row

    def flush(self) -> list[str]:
        """Write every changed row once; an empty row is deleted. Returns the customerIds."""
        empty = CustomerRow()
        for customer_id, row in self._changed.items():
            value = None if row == empty else _encode(row)
            self._kept.put(customer_id, row, len(value or b""))
            self._unit.put(CUSTOMERS, customer_id.encode(), value)
        return list(self._changed)
