"""command_results: customerId, commandId -> the first result and what the command said; kept at least 7 days.

What it said is a hash, which whoever guesses name and email can find again: an erasure takes it away, and the result
stays.
"""

import msgspec

from tables.rows import Rows, compound
from worker.engine.unit import Table, Unit
from worker.wire.results import CommandResult

COMMAND_RESULTS = Table("command_results", b"R")
FORGOTTEN = ""  # in place of the fingerprint once the customer is erased


class RememberedResult(msgspec.Struct, frozen=True):
    """fingerprint: of type and data, so that a reuse of the id is recognised; at: ms since 1970 UTC."""

    fingerprint: str
    at: int
    result: CommandResult

    def answers(self, command_type: str | None, fingerprint: str) -> bool:
        """Whether a command with this commandId is the one that was answered: by its type alone once it is forgotten."""
        if self.fingerprint == FORGOTTEN:
            return self.result.command_type == command_type
        return self.fingerprint == fingerprint


class _Stamped(msgspec.Struct):
    at: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RememberedResult).decode
_decode_at = msgspec.json.Decoder(_Stamped).decode


def read(rows: Rows, customer_id: str, command_id: str) -> RememberedResult | None:
    """The first result of the command, or None."""
    raw = rows.get(COMMAND_RESULTS, compound(customer_id, command_id))
    return None if raw is None else _decode(raw)


def put(unit: Unit, remembered: RememberedResult) -> None:
    """Remember a result."""
    result = remembered.result
    unit.put(COMMAND_RESULTS, compound(result.customer_id, result.command_id), _encode(remembered))


def forget(unit: Unit, customer_id: str) -> None:
    """Take away what all commands of the customer said; their results stay."""
    for key, raw in list(unit.scan(COMMAND_RESULTS, compound(customer_id, ""))):
        forgotten = msgspec.structs.replace(_decode(raw), fingerprint=FORGOTTEN)
        unit.put(COMMAND_RESULTS, key, _encode(forgotten))


def answered_at(value: bytes) -> int:
    """RememberedResult.at of a stored value, for who need not look at the rest of it."""
    return _decode_at(value).at
