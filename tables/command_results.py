"""command_results: customerId, commandId -> the first result and a fingerprint of the command; kept at least 7 days.

The fingerprint is a hash. Somebody who guesses a name and an email could confirm them with it. So an erasure removes the
fingerprint and keeps the result.
"""

import msgspec

from tables.rows import Rows, compound
from worker.engine.unit import Table, Unit
from worker.wire.results import CommandResult

COMMAND_RESULTS = Table("command_results", b"R")
FORGOTTEN = ""  # in place of the fingerprint once the customer is erased


class RememberedResult(msgspec.Struct, frozen=True):
    """One row. fingerprint: hash of type and data, which detects a reused id; at: ms since 1970 UTC."""

    fingerprint: str
    at: int
    result: CommandResult

    def answers(self, command_type: str | None, fingerprint: str) -> bool:
        """Whether a command with this commandId is the answered one. Once forgotten, only its type is compared."""
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


def forget(unit: Unit, customer_id: str, after: str, limit: int) -> str | None:
    """Remove the fingerprints of a customer's commands, step by step; their results stay.

    Args:
        unit: the unit of work of the batch.
        customer_id: the erased customer.
        after: the return value of the last call. Empty for the first call, which also covers results of this batch.
        limit: the most committed results that this call reads.

    Returns:
        The last commandId that was read; None when none is left.
    """
    prefix = compound(customer_id, "")
    changed = unit.changes.get(COMMAND_RESULTS, {})
    for key in [] if after else [key for key in changed if key.startswith(prefix)]:
        _forget_one(unit, key, changed[key])
    for count, (key, raw) in enumerate(unit.committed_after(COMMAND_RESULTS, prefix + after.encode()), 1):
        if not key.startswith(prefix):
            return None
        if key not in changed:
            _forget_one(unit, key, raw)
        if count == limit:
            return key[len(prefix) :].decode()
    return None


def drop(unit: Unit, customer_id: str, after: str, limit: int) -> str | None:
    """Delete the results that `forget` would read, because it failed on one. Arguments and return as in `forget`."""
    prefix = compound(customer_id, "")
    for count, (key, _) in enumerate(unit.committed_after(COMMAND_RESULTS, prefix + after.encode()), 1):
        if not key.startswith(prefix):
            return None
        unit.put(COMMAND_RESULTS, key, None)
        if count == limit:
            return key[len(prefix) :].decode()
    return None


def _forget_one(unit: Unit, key: bytes, raw: bytes | None) -> None:
    if raw is not None:
        forgotten = msgspec.structs.replace(_decode(raw), fingerprint=FORGOTTEN)
        unit.put(COMMAND_RESULTS, key, _encode(forgotten))


def answered_at(value: bytes) -> int:
    """RememberedResult.at of a stored value, decoded without the other fields."""
    return _decode_at(value).at
