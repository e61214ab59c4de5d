"""ledger: customerId, kind, id -> LedgerLine (JSON array): what counted, for ever. Kinds are worker.domain.state's."""

from collections.abc import Iterator

import msgspec

from tables.rows import Rows, compound
from worker.domain.state import ORDER, LedgerLine
from worker.engine.unit import Table, Unit

LEDGER = Table("ledger", b"L")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LedgerLine).decode


class CustomerLedger:
    """The lines of one customer. Fulfils worker.domain.state.Ledger."""

    def __init__(self, rows: Rows, customer_id: str) -> None:
        self._rows = rows
        self._prefix = customer_id.encode() + b"\0"

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        raw = self._rows.get(LEDGER, self._prefix + compound(kind, line_id))
        return None if raw is None else _decode(raw)

    def orders(self) -> list[tuple[str, LedgerLine]]:
        return [
            (line_id, line) for kind, line_id, line in self._scan(ORDER.encode() + b"\0") if kind == ORDER
        ]

    def lines(self) -> list[tuple[str, str, LedgerLine]]:
        """Every line as (kind, id, line)."""
        return list(self._scan(b""))

    def _scan(self, prefix: bytes) -> Iterator[tuple[str, str, LedgerLine]]:
        for key, value in self._rows.scan(LEDGER, self._prefix + prefix):
            kind, line_id = key[len(self._prefix) :].decode().split("\0")
            yield kind, line_id, _decode(value)


def put(unit: Unit, customer_id: str, kind: str, line_id: str, line: LedgerLine) -> None:
    """Write a line."""
    unit.put(LEDGER, f"{customer_id}\0{kind}\0{line_id}".encode(), _encode(line))
