"""command_results: customerId, commandId -> the first result and what the command said; kept at least 7 days."""

import msgspec

from tables.rows import Rows, compound
from worker.engine.unit import Table, Unit
from worker.wire.results import CommandResult

COMMAND_RESULTS = Table("command_results", b"R")


class RememberedResult(msgspec.Struct, frozen=True):
    """fingerprint: of type and data, so that a reuse of the id is recognised; at: ms since 1970 UTC."""

    fingerprint: str
    at: int
    result: CommandResult


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RememberedResult).decode


def read(rows: Rows, customer_id: str, command_id: str) -> RememberedResult | None:
    """The first result of the command, or None."""
    raw = rows.get(COMMAND_RESULTS, compound(customer_id, command_id))
    return None if raw is None else _decode(raw)


def put(unit: Unit, remembered: RememberedResult) -> None:
    """Remember a result."""
    result = remembered.result
    unit.put(COMMAND_RESULTS, compound(result.customer_id, result.command_id), _encode(remembered))
