"""Releasing stored inputs in steps, because one input may cause more work than a batch should hold.

An owner is a customerId, or `tables.waiting.of_order` for payments that wait for an order.

Rules:
- The customer's row says what is left to do: returns of a counted order, inputs that waited for the registration,
  expired inputs, queued inputs, and results of an erasure. An order's row counts its waiting payments.
- A step does a part of this work. The first step belongs to the input's batch, unless stored inputs have units of their
  own (`Unit.apart`).
- A step ends before a long input, and before one that meets a long one. A step with this input alone then does it, in
  a thread (worker.engine.steps).
- While the work is unfinished, further inputs of the customer queue behind it. This keeps the order of their logs.
- The unit's `carried` holds the owners with unfinished work. After a rebalance the sweep or the owner's next input finds
  them again. A row of `waiting` marks an unfinished erasure, because such a customer may have no other waiting row.
- Each stored input becomes the unit's current input (`Unit.at`) before it is handled. If the worker fails on it, that
  input becomes a dead letter, and not the input that released it.
"""

import time

from agents import commands, order_index, purchases
from agents.batch import Batch
from agents.letters import bared
from agents.parking import expiry
from agents.parking.arrival import look_up, stored_input
from agents.parking.bounds import Bounds
from tables import command_results, waiting, waiting_index
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.state import CustomerRow
from worker.engine.aside import NeedsThread
from worker.engine.unit import InputRecord, Stored


class _Step:
    """What is left of the bounds of one step.

    alone: whether it does at most one input, which may be long.
    before_long: whether it has ended before a long input, or before one that meets a long one.
    """

    def __init__(self, bounds: Bounds, *, alone: bool = False) -> None:
        self.before_long = False
        self.alone = alone
        self._until = time.monotonic() + bounds.step_s
        self._left = 1 if alone else bounds.step_inputs
        self._most_bytes = bounds.step_bytes
        self._begun = False
        self._bytes = 0

    def admits(self, source: InputRecord) -> bool:
        """Whether the step does this input. If not, the step is over."""
        if source.is_long and not self.alone:
            self.before_long = True
            return False
        self._begun = True
        self._left -= 1
        self._bytes += len(source.content)
        return True

    def end(self) -> None:
        self._begun, self._left = True, 0

    @property
    def over(self) -> bool:
        """Whether a limit is reached. A step does at least one input, unless that is long."""
        return self.before_long or (
            self._begun
            and (self._left <= 0 or self._bytes >= self._most_bytes or time.monotonic() >= self._until)
        )


def first_steps(batch: Batch) -> None:
    """Do one step for each owner for whom the current input left work. Does none with `Unit.apart`."""
    while batch.begun:
        owner = batch.begun.pop(0)
        if not batch.unit.apart:
            _step(batch, owner, _Step(batch.bounds))


def step(batch: Batch, *, alone: bool = False) -> bool:
    """Do a step for the owners whose last step is the longest ago. alone: for one owner, with one input.

    Returns whether the step has ended before an input for the thread. The owner of that input then comes first.
    """
    step = _Step(batch.bounds, alone=alone)
    for _ in range(1 if alone else min(len(batch.more), batch.bounds.step_owners)):
        owner = next(iter(batch.more))
        _step(batch, owner, step)
        if step.before_long:
            return True
        if owner in batch.more:
            del batch.more[owner]
            batch.more[owner] = None  # to the end of the order
        if step.over:
            break
    return False


def next_stored(batch: Batch) -> Stored | None:
    """The stored input that the next step begins with; None if there is none."""
    owner = next(iter(batch.more), None)
    found = None if owner is None else _next_input(batch, owner)
    if owner is None or found is None:
        return None
    return look_up(batch, owner, *found)[0]


def put_aside(batch: Batch, stored: Stored, detail: str, *, bare: bool) -> None:
    """Make a stored input a dead letter, because the worker itself fails on it.

    Of a failing erasure no dead letter is written, and the results that it would read are deleted instead.

    Args:
        batch: the current batch.
        stored: the input. Nothing happens if it does not wait any more.
        detail: the text for the header dlq-detail.
        bare: whether the letter holds only the SHA-256 of the value (agents.letters.bared).
    """
    owner, kind, waiting_id = row_id = waiting.row_id(stored.key)
    source = stored_input(batch, *row_id)
    if source is None:
        return
    order_id, failed = waiting.order_of(owner), DeadLettered(DeadLetterReason.FAILED, detail)
    if order_id is not None:
        order_index.end_waiting(batch, order_id, waiting_id)
    else:
        _end(batch, owner, kind, waiting_id)
        batch.more[owner] = None
    if kind != waiting.ERASURE:
        batch.dead_letter(bared(source) if bare else source, failed)


def _end(batch: Batch, customer_id: str, kind: str, waiting_id: str) -> None:
    """Remove a stored input of a customer, of whatever kind, from the tables and from the row's counts."""
    row = batch.customers.row(customer_id)
    if kind == waiting.ERASURE:
        row.forgetting = command_results.drop(
            batch.unit, customer_id, row.forgetting or "", batch.bounds.step_results
        )
        _note_forgetting(batch, customer_id, row)
    elif kind == waiting.COMMAND:
        _leave_queue(batch, customer_id, row, waiting_id)
    else:
        expiry.end_waiting(batch, (customer_id, kind, waiting_id), row)


def _step(batch: Batch, owner: str, step: _Step) -> None:
    order_id = waiting.order_of(owner)
    if order_id is not None:
        while not step.over and order_index.next_payment(batch, order_id, step.admits):
            pass
    else:
        _step_of_customer(batch, owner, batch.customers.row(owner), step)
    if _next_input(batch, owner) is None:
        batch.more.pop(owner, None)
        if order_id is None:
            _note_released(batch, owner)


def _note_released(batch: Batch, customer_id: str) -> None:
    """Note that nothing stored is left to apply, when the step's limit came before it could find that."""
    row = batch.customers.row(customer_id)
    if row.releasing is not None or row.returns_of is not None:
        batch.customers.changed(customer_id, row)
        row.releasing = row.returns_of = None


def _step_of_customer(batch: Batch, customer_id: str, row: CustomerRow, step: _Step) -> None:
    batch.customers.changed(customer_id, row)
    while not step.over:
        if row.returns_of is not None:
            _next_return(batch, customer_id, row, row.returns_of, step)
        elif row.releasing is not None:
            _next_waiting(batch, customer_id, row, row.releasing, step)
        elif expiry.is_due(batch, row):
            _next_expired(batch, customer_id, row, step)
        elif row.queued and row.pending_claim is None:
            _next_queued(batch, customer_id, row, step)
        elif row.forgetting is not None:
            stored_input(batch, customer_id, waiting.ERASURE, "")
            row.forgetting = command_results.forget(
                batch.unit, customer_id, row.forgetting, batch.bounds.step_results
            )
            _note_forgetting(batch, customer_id, row)
            step.end()
        else:
            break


def _note_forgetting(batch: Batch, customer_id: str, row: CustomerRow) -> None:
    batch.customers.changed(customer_id, row)
    if row.forgetting is None:
        waiting.put(batch.unit, customer_id, waiting.ERASURE, "", None)


def _next_input(batch: Batch, owner: str) -> tuple[str, str] | None:
    """Kind and id of the stored input that the owner's next step begins with; None if no work is left.

    A queue behind an unanswered email claim counts as no work.
    """
    order_id = waiting.order_of(owner)
    if order_id is not None:
        payment_id = order_index.released(batch, order_id)
        return None if payment_id is None else (waiting.PAYMENT, payment_id)
    row = batch.customers.row(owner)
    if row.returns_of is not None:
        for return_id in waiting_index.returns_of(batch.unit, owner, row.returns_of):
            if waiting.holds(batch.unit, owner, waiting.RETURN, return_id):
                return waiting.RETURN, return_id
    if row.releasing is not None:
        for _, kind, waiting_id in waiting_index.by_occurrence(batch.unit, owner, row.releasing):
            if waiting.holds(batch.unit, owner, kind, waiting_id):
                return kind, waiting_id
    if expiry.is_due(batch, row):
        for kind, waiting_id, _ in waiting_index.oldest(batch.unit, owner):
            if waiting.holds(batch.unit, owner, kind, waiting_id):
                return kind, waiting_id
    if row.queued and row.pending_claim is None:
        return waiting.COMMAND, _head(row)
    return None if row.forgetting is None else (waiting.ERASURE, "")


def _next_return(batch: Batch, customer_id: str, row: CustomerRow, order_id: str, step: _Step) -> None:
    """Apply the order's next waiting return, by time of occurrence. Ends the work when there is none."""
    for return_id in waiting_index.returns_of(batch.unit, customer_id, order_id):
        if _apply(batch, customer_id, row, waiting.RETURN, return_id, step) or step.before_long:
            return
    row.returns_of = None


def _next_expired(batch: Batch, customer_id: str, row: CustomerRow, step: _Step) -> None:
    """Make the customer's oldest waiting input a dead letter if it has expired, and update `waiting_since`."""
    for kind, waiting_id, _ in waiting_index.oldest(batch.unit, customer_id):
        source = stored_input(batch, customer_id, kind, waiting_id)
        if source is not None:
            row_id = customer_id, kind, waiting_id
            if step.admits(source) and not expiry.ended(batch, row_id, source, row):
                row.waiting_since = source.timestamp
            return
    row.waiting_since = batch.now  # an earlier version of the program counted inputs that are not stored


def _next_waiting(batch: Batch, customer_id: str, row: CustomerRow, after: str, step: _Step) -> None:
    found = next(waiting_index.by_occurrence(batch.unit, customer_id, after), None)
    if found is None:
        row.releasing = None
        return
    place, kind, waiting_id = found
    _apply(batch, customer_id, row, kind, waiting_id, step)
    if not step.before_long:
        row.releasing = place


def _apply(batch: Batch, customer_id: str, row: CustomerRow, kind: str, waiting_id: str, step: _Step) -> bool:
    """Apply a waiting input. Returns False if it still waits, or is not stored.

    A return waits without its order, a long input waits for another step.
    """
    source = stored_input(batch, customer_id, kind, waiting_id)
    if source is None:  # an earlier version of the program deleted it and left its index row
        return False
    if not step.admits(source):
        return False
    if expiry.ended(batch, (customer_id, kind, waiting_id), source, row):
        return True
    batch.follow(source)
    customer = row.customer
    if customer is None:
        raise ValueError(f"a waiting input of {customer_id} is applied before the registration")
    try:
        purchase = purchases.decode_waiting(kind, source, customer_id)
        events = purchases.apply(batch, purchase, row, customer)
        if events is None:
            return False
        if events and kind == waiting.ORDER and row.waiting > 1:
            row.returns_of = waiting_id
    except DeadLettered as error:
        batch.dead_letter(source, error)
    expiry.end_waiting(batch, (customer_id, kind, waiting_id), row)
    return True


def _head(row: CustomerRow) -> str:
    """The id of the first input in the customer's queue."""
    return waiting.id_in_queue(row.queue_end - row.queued + 1)


def _leave_queue(batch: Batch, customer_id: str, row: CustomerRow, waiting_id: str) -> None:
    source = stored_input(batch, customer_id, waiting.COMMAND, waiting_id)
    if source is None or waiting_id != _head(row):
        raise ValueError(f"the queue of {customer_id} has a gap")
    waiting.put(batch.unit, customer_id, waiting.COMMAND, waiting_id, None)
    batch.customers.changed(customer_id, row)
    row.queued -= 1
    if not row.queued:
        row.queue_end = 0
    if source.topic != batch.routing.commands:
        row.behind -= 1


def _next_queued(batch: Batch, customer_id: str, row: CustomerRow, step: _Step) -> None:
    source = stored_input(batch, customer_id, waiting.COMMAND, _head(row))
    if source is None:
        raise ValueError(f"the queue of {customer_id} has a gap")
    if not step.admits(source):
        return
    batch.follow(source)
    try:
        if source.topic == batch.routing.commands:
            commands.handle_queued(batch, row, source)
        else:
            purchases.handle_queued(batch, row, source, customer_id)
    except DeadLettered as error:
        batch.dead_letter(source, error)
    except NeedsThread:
        batch.unfollow()
        if step.alone:
            raise
        step.before_long = True
        return
    _leave_queue(batch, customer_id, row, _head(row))
