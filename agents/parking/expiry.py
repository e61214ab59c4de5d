"""Expiry of waiting inputs and of remembered command results (contract, sections 3 and 6).

Rules:
- An input waits at most 30 days by Kafka's clock, counted from its record's timestamp. Then it becomes a dead letter
  with its original and its first position. It was not counted. If it is sent again, it is handled like a new input.
- A sweep of the tables finds expired inputs. So does the arrival of another input of the same customer or order.
- Most expired inputs are only noted when they are found, and end in a step (agents.parking.release). If the worker
  fails on one, that input alone becomes a dead letter.
- A sweep reads the tables in key order, one slice at a time. The unit's `carried` holds the key where the next slice begins.
  A sweep may miss rows that are written meanwhile, because new rows have not expired.
"""

from agents.batch import Batch
from tables import command_results, order_index, waiting
from tables.command_results import COMMAND_RESULTS
from tables.waiting import WAITING
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.spending import DAY_MS
from worker.domain.state import CustomerRow
from worker.engine.kafka_clock import CLOCK
from worker.engine.unit import InputRecord, Table

WAITING_DAYS = 30
REMEMBERED_DAYS = 8
"""The contract's 7 days, and one day of reserve for a wrong clock."""

_SWEEP = "sweep"


def has_expired(batch: Batch, timestamp: int) -> bool:
    """Whether an input has waited too long. timestamp: of its record, in ms since 1970 UTC."""
    return timestamp < CLOCK.kafkas(batch.now) - WAITING_DAYS * DAY_MS


def expired() -> DeadLettered:
    """The reason with which an expired input becomes a dead letter."""
    return DeadLettered(
        DeadLetterReason.WAITING_EXPIRED, f"waited {WAITING_DAYS} days for its customer or its order"
    )


def check(batch: Batch, source: InputRecord) -> None:
    """Raise DeadLettered if an input that has to wait is expired already. Call it before the input is stored."""
    if has_expired(batch, source.timestamp):
        raise expired()


def is_due(batch: Batch, row: CustomerRow) -> bool:
    """Whether an input of this customer may have expired.

    A row of an earlier version of the program does not hold its oldest timestamp. It counts as due.
    """
    since = row.waiting_since
    return row.waiting > 0 and (since is None or has_expired(batch, since))


def ended(batch: Batch, row_id: tuple[str, str, str], source: InputRecord, row: CustomerRow) -> bool:
    """Make a waiting input a dead letter if it has expired. Returns whether it has.

    Args:
        batch: the current batch.
        row_id: customerId, kind and id of the input's row in the waiting table.
        source: the input.
        row: the customer's row; changed in place.
    """
    if not has_expired(batch, source.timestamp):
        return False
    _expire(batch, row_id, source, row)
    return True


def end_waiting(batch: Batch, row_id: tuple[str, str, str], row: CustomerRow) -> None:
    """Delete a waiting input, and subtract it from the row's count. row_id: customerId, kind and id of its row."""
    waiting.put(batch.unit, *row_id, None)
    row.waiting -= 1
    if not row.waiting:
        row.waiting_since = None
    batch.customers.changed(row_id[0], row)


def sweep(batch: Batch) -> bool:
    """Read the next slice of the tables with rows that may expire. Returns whether it was the last one."""
    cursor = batch.unit.carried.setdefault(_SWEEP, {})
    table, after = cursor.pop(_SWEEP, (WAITING, b""))
    ended_at = _sweep_slice(batch, table, after)
    if ended_at is not None:
        cursor[_SWEEP] = table, ended_at
    elif table is WAITING:
        cursor[_SWEEP] = COMMAND_RESULTS, b""
    return not cursor


def _sweep_slice(batch: Batch, table: Table, after: bytes) -> bytes | None:
    """Read one slice. Returns the key of the last row that was read; None at the end of the table."""
    look = _sweep_waiting if table is WAITING else _sweep_result
    size, bounds = 0, batch.bounds
    for rows, (key, value) in enumerate(batch.unit.committed_after(table, after), 1):
        if len(batch.more) >= bounds.found:
            return after
        look(batch, key, value)
        after = key
        size += len(value)
        if rows == bounds.slice_rows or size > bounds.slice_bytes:
            return key
    return None


def _sweep_waiting(batch: Batch, key: bytes, value: bytes) -> None:
    """Add the row's owner to `Batch.more` if it has unfinished work. A step does the work (agents.parking.release)."""
    owner, kind, _ = waiting.row_id(key)
    order_id = waiting.order_of(owner)
    if order_id is None:
        _resume(batch, owner, kind)
    elif batch.routing.order_index is None:
        return  # the payment waits until PAYMENT_JOIN is on again
    elif order_index.read(batch.unit, order_id).customer_id is not None:
        batch.more.setdefault(owner)
    if kind in waiting.EXPIRING and has_expired(batch, waiting.timestamp(value)):
        batch.more.setdefault(owner)


def _resume(batch: Batch, customer_id: str, kind: str) -> None:
    """Note the unfinished work that the partition's former owner left.

    An earlier version of the program did not mark released orders and payments in the row. They are marked here.
    """
    row = batch.customers.row(customer_id)
    if row.customer is not None and kind in (waiting.ORDER, waiting.PAYMENT) and not row.busy:
        row.releasing = ""
        batch.customers.changed(customer_id, row)
    if row.busy or row.forgetting is not None:
        batch.more.setdefault(customer_id)
    # An earlier version of the program may leave these rows behind, because it does not know the two kinds.
    if (kind == waiting.CLAIM and row.pending_claim is None) or (
        kind == waiting.ERASURE and row.forgetting is None
    ):
        waiting.put(batch.unit, customer_id, kind, "", None)


def _sweep_result(batch: Batch, key: bytes, value: bytes) -> None:
    if command_results.answered_at(value) < batch.now - REMEMBERED_DAYS * DAY_MS:
        batch.unit.put(COMMAND_RESULTS, key, None)


def _expire(batch: Batch, row_id: tuple[str, str, str], source: InputRecord, row: CustomerRow) -> None:
    batch.dead_letter(source, expired())
    end_waiting(batch, row_id, row)
