"""Storing inputs that have to wait, and reading them again.

An input is stored unchanged. Reading it makes it the current input of the unit (`Unit.at`), because it may fail.
A handler that meets another stored input gets it from `met_input`, because it may be long (worker.engine.aside).
"""

from agents.batch import Batch
from tables import waiting
from tables.rows import compound
from tables.waiting import WAITING
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import CustomerRow
from worker.engine.aside import before_reading
from worker.engine.unit import InputRecord, Stored, sent_bytes

_ROW_OVERHEAD = 1_000  # bytes of the row's key and of the input's first position


def let_wait(batch: Batch, owner: str, kind: str, waiting_id: str, record: InputRecord) -> None:
    """Store an input in the waiting table. Raises DeadLettered if it is too large for the table's changelog."""
    if not may_wait(batch, record):
        raise DeadLettered(DeadLetterReason.TOO_LARGE, "larger than an input that waits may be")
    waiting.put(batch.unit, owner, kind, waiting_id, record)


def may_wait(batch: Batch, record: InputRecord) -> bool:
    """Whether the changelog of the waiting table accepts a record of that size."""
    size = sent_bytes(record.key, record.value, record.headers) + _ROW_OVERHEAD
    return size <= batch.routing.limit_of(batch.routing.waiting)


def enqueue(batch: Batch, row: CustomerRow, customer_id: str, record: InputRecord) -> None:
    """Append an input to the customer's queue. Raises DeadLettered if the queue is full or the input is too large."""
    bounds = batch.bounds
    if row.queued >= (bounds.queued if row.pending_claim is not None else bounds.any_queue):
        raise DeadLettered(
            DeadLetterReason.WAITING_LIMIT, f"{row.queued} inputs queue for this customer already"
        )
    let_wait(batch, customer_id, waiting.COMMAND, waiting.id_in_queue(row.queue_end + 1), record)
    row.queued += 1
    row.queue_end += 1
    batch.customers.changed(customer_id, row)
    if row.pending_claim is None:  # after a rebalance the new owner may not have the customer in `more` yet
        batch.more[customer_id] = None
        if row.queued > bounds.queued:
            batch.begun.append(customer_id)


def stored_input(batch: Batch, owner: str, kind: str, waiting_id: str) -> InputRecord | None:
    """The input that waits under that id, or None. It becomes the unit's current input, because it may fail."""
    return look_up(batch, owner, kind, waiting_id)[1]


def met_input(batch: Batch, owner: str, kind: str, waiting_id: str) -> InputRecord | None:
    """As stored_input, when another input is at hand. Call it before that input has changed anything.

    Raises:
        NeedsThread: the stored input is long, and this is the event loop.
    """
    stored = stored_input(batch, owner, kind, waiting_id)
    if stored is not None:
        before_reading(batch.unit, stored)
    return stored


def look_up(batch: Batch, owner: str, kind: str, waiting_id: str) -> tuple[Stored, InputRecord | None]:
    """As stored_input, together with the value that `Unit.at` then has."""
    key = compound(owner, kind, waiting_id)
    batch.unit.at = at = Stored(WAITING.mark, key, owner, partition=batch.unit.partition)
    record = waiting.read(batch.unit, owner, kind, waiting_id)
    if record is not None:
        at = Stored(at.mark, at.key, owner, record.topic, record.partition, record.offset, record.is_long)
        batch.unit.at = at
    return at, record
