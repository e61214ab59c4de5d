"""Expiry: who waits too long waits in vain, and results are not remembered for ever (CONTRACT, sections 3 and 6).

Rules:
- An input waits 30 days by the batch's clock, counted from its record's timestamp; then it is a dead letter with its
  original and its first position. It has not been seen: sent again, it waits and counts like a new one.
- It is looked for when another input of its customer arrives, at the registration, and by a sweep of everything.
- A sweep goes through the tables in the order of their keys, a slice at a time, and notes in the unit's `kept` where
  the next slice begins. What is put while it is under way is young, so it need not be met.
"""

from agents.batch import Batch
from tables import command_results, waiting
from tables.command_results import COMMAND_RESULTS
from tables.waiting import WAITING, Source
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.spending import DAY_MS
from worker.domain.state import CustomerRow
from worker.engine.unit import Table

WAITING_DAYS = 30
REMEMBERED_DAYS = 8
"""The contract's 7, and one of reserve for a clock that is off."""

SLICE_ROWS = 1_000
SLICE_BYTES = 4 << 20

_PLACE = "sweep"


def check(batch: Batch, source: Source) -> None:
    """Raises DeadLettered when an input that would have to wait has done so for too long already."""
    if _has_expired(batch, source.timestamp):
        raise _expired()


def of_customer(batch: Batch, customer_id: str, row: CustomerRow) -> None:
    """What has waited too long for this customer becomes dead letters."""
    since = row.waiting_since
    if not row.waiting or (since is not None and not _has_expired(batch, since)):
        return
    left = []
    for kind in waiting.EXPIRING:
        for waiting_id, source in list(waiting.scan(batch.unit, customer_id, kind)):
            if _has_expired(batch, source.timestamp):
                _expire(batch, (customer_id, kind, waiting_id), source, row)
            else:
                left.append(source.timestamp)
    row.waiting_since = min(left, default=None)
    batch.customers.changed(customer_id, row)


def end_waiting(batch: Batch, place: tuple[str, str, str], row: CustomerRow) -> None:
    """An input waits no longer. place: customerId, kind and id of its row."""
    waiting.put(batch.unit, *place, None)
    row.waiting -= 1
    if not row.waiting:
        row.waiting_since = None
    batch.customers.changed(place[0], row)


def sweep(batch: Batch) -> bool:
    """Look through the next slice of what may expire. Returns whether it was the last."""
    kept = batch.unit.kept.setdefault(_PLACE, {})
    table, after = kept.pop(_PLACE, (WAITING, b""))
    ended_at = _sweep_slice(batch, table, after)
    if ended_at is not None:
        kept[_PLACE] = table, ended_at
    elif table is WAITING:
        kept[_PLACE] = COMMAND_RESULTS, b""
    return not kept


def _sweep_slice(batch: Batch, table: Table, after: bytes) -> bytes | None:
    """Returns the key of the last row that was looked at; None when there are no more."""
    look = _sweep_waiting if table is WAITING else _sweep_result
    size = 0
    for count, (key, value) in enumerate(batch.unit.committed_after(table, after), 1):
        look(batch, key, value)
        size += len(value)
        if count == SLICE_ROWS or size > SLICE_BYTES:
            return key
    return None


def _sweep_waiting(batch: Batch, key: bytes, value: bytes) -> None:
    place = customer_id, kind, _ = waiting.place(key)
    if kind in waiting.EXPIRING and _has_expired(batch, waiting.timestamp(value)):
        _expire(batch, place, waiting.decode(value), batch.customers.row(customer_id))


def _sweep_result(batch: Batch, key: bytes, value: bytes) -> None:
    if command_results.answered_at(value) < batch.now - REMEMBERED_DAYS * DAY_MS:
        batch.unit.put(COMMAND_RESULTS, key, None)


def _expire(batch: Batch, place: tuple[str, str, str], source: Source, row: CustomerRow) -> None:
    batch.dead_letter(source, _expired())
    end_waiting(batch, place, row)


def _has_expired(batch: Batch, timestamp: int) -> bool:
    return timestamp < batch.now - WAITING_DAYS * DAY_MS


def _expired() -> DeadLettered:
    return DeadLettered(
        DeadLetterReason.WAITING_EXPIRED, f"waited {WAITING_DAYS} days for its customer or its order"
    )
