"""customers: customerId -> CustomerRow (JSON). A row may exist before its customer is registered."""

from collections import OrderedDict
from collections.abc import Collection

import msgspec

from tables.rows import Rows
from worker.domain.days import Days
from worker.domain.state import CustomerRow
from worker.domain.values import MembershipLevel
from worker.engine.unit import Table, Unit

CUSTOMERS = Table("customers", b"C")

_CACHE_BYTES = 2 << 20  # decoded rows per partition, counted as JSON; in memory they take twice as much
_DECODED_AHEAD_BYTES = 8 << 10  # at most, of a row; so a slice has a bound
_ROW_BYTES = 300  # added per row, so that empty rows count, too

_encode = msgspec.json.Encoder().encode
_decode_row = msgspec.json.Decoder(CustomerRow).decode


def decode(value: bytes) -> CustomerRow:
    """The row of a stored value. It also reads the form that earlier versions stored."""
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


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The few fields of a customer that say what it has reached. They have the names of worker.domain.state.Customer."""

    level: MembershipLevel = MembershipLevel.STANDARD
    vip_since: int | None = None
    points: int = 0
    debt: int = 0
    version: int = 0
    erased: bool = False


class _StandingRow(msgspec.Struct, gc=False):
    customer: Standing | None = None


_decode_standing = msgspec.json.Decoder(_StandingRow).decode


def standing(value: bytes) -> Standing | None:
    """The standing of the customer in a stored value; None while nobody is registered. It skips all other fields."""
    return _decode_standing(value).customer


def read(rows: Rows, customer_id: str) -> CustomerRow | None:
    """A fresh copy of the row, or None."""
    raw = rows.get(CUSTOMERS, customer_id.encode())
    return None if raw is None else decode(raw)


class _RowCache:
    """A cache of decoded rows that outlives a batch, in the order in which they were decoded or written.

    A read does not move a row, so this is no LRU cache. The bound is in bytes, because a row grows with the days on
    which its customer ordered.
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
        """Drop the rows that were decoded or written longest ago, down to the bound."""
        while self._bytes > _CACHE_BYTES:
            customer_id, _ = self.rows.popitem(last=False)
            self._bytes -= self._sizes.pop(customer_id)


class CustomerRows:
    """The rows of one batch: decoded once, shared by all its inputs, and written once when the batch ends.

    Rows stay decoded for later batches, up to a bound, because a customer who orders often orders again.

    Attributes:
        decoded: all rows that are decoded, by customerId.
        to_write: those that the batch has changed.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._cache: _RowCache = unit.carried.setdefault(CUSTOMERS.name, _RowCache())
        self._cache.shrink()
        self.decoded: OrderedDict[str, CustomerRow] = self._cache.rows
        self.to_write: dict[str, CustomerRow] = {}

    def row(self, customer_id: str) -> CustomerRow:
        """The row; an empty row for an unknown customer."""
        row = self.decoded.get(customer_id)
        if row is None:
            raw = self._unit.get(CUSTOMERS, customer_id.encode())
            row = CustomerRow() if raw is None else decode(raw)
            self._cache.put(customer_id, row, len(raw or b""))
        return row

    def read_ahead(self, customer_ids: Collection[str]) -> None:
        """Look up together the rows of these customers that are not decoded. Decode those that are not long."""
        missing = [customer_id for customer_id in customer_ids if customer_id not in self.decoded]
        if not missing:
            return
        keys = [customer_id.encode() for customer_id in missing]
        self._unit.read_ahead(CUSTOMERS, keys)
        found = self._unit.looked_up(CUSTOMERS)
        for customer_id, key in zip(missing, keys, strict=True):
            if len(found[key] or b"") <= _DECODED_AHEAD_BYTES:
                self.row(customer_id)

    def changed(self, customer_id: str, row: CustomerRow) -> None:
        """Note that the row was changed in place."""
        self.to_write[customer_id] = row

    def flush(self) -> list[str]:
        """Write every changed row once; an empty row is deleted. Returns the customerIds."""
        empty = CustomerRow()
        for customer_id, row in self.to_write.items():
            value = None if row == empty else _encode(row)
            self._cache.put(customer_id, row, len(value or b""))
            self._unit.put(CUSTOMERS, customer_id.encode(), value)
        return list(self.to_write)
