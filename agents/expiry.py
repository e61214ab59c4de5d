"""Expiry: who waits too long waits in vain, and results are not remembered for ever (CONTRACT, sections 3 and 6).

Rules:
- An input waits 30 days by the batch's clock, counted from its record's timestamp; then it is a dead letter with its
  original and its first position. It has not been seen: sent again, it waits and counts like a new one.
- It is looked for when another input of its customer or its order arrives, and by a sweep of everything.
- A sweep goes through the tables in the order of their keys, a slice at a time, and notes in the unit's `kept` where
  the next slice begins. What is put while it is under way is young, so it need not be met.
"""

from agents.batch import Batch
from tables import command_results, order_index, waiting
from tables.command_results import COMMAND_RESULTS
from tables.order_index import IndexedOrder
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


def of_order(batch: Batch, order_id: str) -> None:
    """What has waited too long for this order becomes dead letters."""
    owner = waiting.of_order(order_id)
    for payment_id, source in list(waiting.scan(batch.unit, owner, waiting.PAYMENT)):
        if _has_expired(batch, source.timestamp):
            _expire_of_order(batch, order_id, payment_id, source)


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
    place = owner, kind, waiting_id = waiting.place(key)
    if kind not in waiting.EXPIRING or not _has_expired(batch, waiting.timestamp(value)):
        return
    order_id = waiting.order_of(owner)
    if order_id is None:
        _expire(batch, place, waiting.decode(value), batch.customers.row(owner))
    elif batch.routing.order_index is not None:  # else it is kept until payments are joined again
        _expire_of_order(batch, order_id, waiting_id, waiting.decode(value))


def _sweep_result(batch: Batch, key: bytes, value: bytes) -> None:
    if command_results.answered_at(value) < batch.now - REMEMBERED_DAYS * DAY_MS:
        batch.unit.put(COMMAND_RESULTS, key, None)


def _expire(batch: Batch, place: tuple[str, str, str], source: Source, row: CustomerRow) -> None:
    batch.dead_letter(source, _expired())
    end_waiting(batch, place, row)


def _expire_of_order(batch: Batch, order_id: str, payment_id: str, source: Source) -> None:
    waiting.put(batch.unit, waiting.of_order(order_id), waiting.PAYMENT, payment_id, None)
    batch.dead_letter(source, _expired())
    left = order_index.read(batch.unit, order_id).waiting - 1
    order_index.put(batch.unit, order_id, IndexedOrder(waiting=left))


def _has_expired(batch: Batch, timestamp: int) -> bool:
    return timestamp < batch.now - WAITING_DAYS * DAY_MS


def _expired() -> DeadLettered:
    return DeadLettered(
        DeadLetterReason.WAITING_EXPIRED, f"waited {WAITING_DAYS} days for its customer or its order"
    )
