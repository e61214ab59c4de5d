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
        self._customer_id = customer_id

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        raw = self._rows.get(LEDGER, _key(self._customer_id, kind, line_id))
        return None if raw is None else _decode(raw)

    def orders(self) -> list[tuple[str, LedgerLine]]:
        return [
            (line_id, line) for kind, line_id, line in self._scan(ORDER.encode() + b"\0") if kind == ORDER
        ]

    def lines(self) -> list[tuple[str, str, LedgerLine]]:
        """Every line as (kind, id, line)."""
        return list(self._scan(b""))

    def _scan(self, prefix: bytes) -> Iterator[tuple[str, str, LedgerLine]]:
        mine = compound(self._customer_id, "")
        for key, value in self._rows.scan(LEDGER, mine + prefix):
            kind, line_id = key[len(mine) :].decode().split("\0")
            yield kind, line_id, _decode(value)


def _key(customer_id: str, kind: str, line_id: str) -> bytes:
    """As compound makes it, in half the time: every order asks twice."""
    return f"{customer_id}\0{kind}\0{line_id}".encode()


def put(unit: Unit, customer_id: str, kind: str, line_id: str, line: LedgerLine) -> None:
    """Write a line."""
    unit.put(LEDGER, _key(customer_id, kind, line_id), _encode(line))
