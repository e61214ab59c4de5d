"""The processor of a partition: it passes each record of a batch to the handler of its topic.

Changed customer rows are written once, at the end of the batch.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import structs

from agents import commands, email_claims, purchases, usual_orders
from agents.batch import Batch
from agents.inbox import Inbox, InputHandler
from agents.letters import bared
from agents.parking import expiry, release
from agents.parking.bounds import BOUNDS, Bounds
from agents.read_ahead import read_ahead
from agents.routing import Routing
from tables import application, lost_inputs
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook
from worker.engine.aside import NeedsThread
from worker.engine.kafka_clock import CLOCK
from worker.engine.sweeping import Swept
from worker.engine.unit import InputRecord, Stored, Unit
from worker.observability.spans import Begin
from worker.release import DATA_FORMAT
from worker.wire.inbox import first_timestamp

Handler = Callable[[Batch, InputRecord], None]


class Processor:
    """Implements worker.engine.making.BeginWork.

    Args:
        routing: topic names and home partitions.
        rules: the versions of the rules file.
        committed: called once the batch is committed and visible locally. Gets the batch, the ids of the changed
            customers and the number of inputs.
        clock: seconds since 1970 UTC.
        begin_span: opens the span of an input that has a trace; None without OpenTelemetry.
        bounds: of what waits.
    """

    def __init__(
        self,
        routing: Routing,
        rules: RuleBook,
        committed: Callable[[Batch, list[str], int], None],
        clock: Callable[[], float] = time.time,
        begin_span: Begin | None = None,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._routing = routing
        self._rules = rules
        self._committed = committed
        self._clock = clock
        self._begin_span = begin_span
        self._bounds = bounds
        self._inputs_of_others: dict[str, InputHandler] = {
            routing.orders: purchases.order,
            routing.returns: purchases.returned,
            routing.payments: purchases.payment,
            routing.commands: commands.command,
        }
        self._inbox = Inbox(routing, self._inputs_of_others)
        self._handlers: dict[str, Handler] = {
            **self._inputs_of_others,
            routing.email_claims: email_claims.receive,
            routing.inbox: self._inbox.receive,
        }
        if routing.order_index is not None:
            self._handlers[routing.order_index] = self._inbox.receive_of_index

    def __call__(self, unit: Unit) -> "Dispatch":
        """Begin a batch with this unit of work."""
        application.remember(unit, self._routing.prefix, DATA_FORMAT)
        batch = self._batch(unit)
        return Dispatch(batch, self._handlers, self._committed, self._inbox, self._inputs_of_others)

    def sweep(self, unit: Unit) -> Swept:
        """Do one step of a sweep (agents.parking.expiry). Implements worker.engine.sweeping.Sweep."""
        batch = self._batch(unit)
        last = expiry.sweep(batch)
        changed = batch.customers.flush()
        if not unit.changes:
            return Swept(last)
        return Swept(last, lambda: self._committed(batch, changed, 0))

    def remember_loss(self, unit: Unit, topic: str, first: int, next_kept: int) -> None:
        """Store which offsets retention deleted before they were read. Implements worker.engine.takeover.RememberLoss.

        Args:
            unit: the unit of work of the partition.
            topic: the input topic.
            first: the first lost offset.
            next_kept: the first offset that Kafka still has.
        """
        lost_inputs.remember(unit, topic, first, next_kept, int(self._clock() * 1000))

    def _batch(self, unit: Unit) -> Batch:
        now = int(self._clock() * 1000)
        return Batch(unit, self._routing, self._rules, now, self._begin_span, self._bounds)


class Dispatch:
    """The work on one batch. Implements worker.engine.making.Work."""

    def __init__(
        self,
        batch: Batch,
        handlers: Mapping[str, Handler],
        committed: Callable[[Batch, list[str], int], None],
        inbox: Inbox,
        inputs_of_others: Collection[str],
    ) -> None:
        self._batch = batch
        self._handlers = handlers
        self._committed = committed
        self._inbox = inbox
        self._inputs_of_others = inputs_of_others
        self._inputs = 0

    def take(self, records: Sequence[InputRecord], until: float = math.inf) -> int:
        """Process records in order, at least one. Returns how many. until: monotonic seconds.

        It ends before a record that needs the thread. If that is the first one, it raises NeedsThread.
        """
        batch, handlers, unit, clock = self._batch, self._handlers, self._batch.unit, time.monotonic
        records = list(records)
        orders = read_ahead(batch, records)
        taken = 0
        while taken < len(records):
            if taken and clock() >= until:
                break
            record, ahead = records[taken], orders[taken]
            if ahead is not None and (run := usual_orders.take_run(batch, records, orders, taken)):
                taken += run
                continue
            taken += 1
            unit.at = record
            if record.large is not None and self._refuse(record):
                continue
            if record.value is None:  # a record without a value is skipped (contract, section 1)
                continue
            if record.headers or record.timestamp < 0:
                record = _stamped(record, CLOCK.kafkas(batch.now))  # the original record is not used any more
            if record.headers or batch.trace:  # most records belong to no trace
                batch.follow(record)
            try:
                if ahead is None:
                    handlers[record.topic](batch, record)
                elif not usual_orders.take(batch, record, *ahead):
                    purchases.receive(batch, record, ahead[0])
            except DeadLettered as error:
                unit.at = record
                batch.dead_letter(record, error)
            except NeedsThread:
                unit.at = record
                batch.unfollow()
                taken -= 1
                if not taken:
                    raise
                break
            if batch.begun:
                release.first_steps(batch)
            unit.at = record  # a step may have set it to a stored input
        self._inputs += taken
        return taken

    def go_on(self, *, alone: bool = False) -> bool:
        """Do a step of the work that earlier inputs left. alone: with at most one stored input, which may be long.

        Returns whether a long input comes next.
        """
        return release.step(self._batch, alone=alone)

    def next_stored(self) -> Stored | None:
        """The stored input that the next step begins with; None if there is none. Changes no table."""
        return release.next_stored(self._batch)

    def put_aside(self, stored: Stored, detail: str, *, bare: bool) -> None:
        """Make a stored input on which the worker itself failed a dead letter. bare: as in `fail`."""
        release.put_aside(self._batch, stored, detail, bare=bare)

    def _refuse(self, record: InputRecord) -> bool:
        """Make a record over the limits a dead letter. Returns whether the record is done.

        A record of an internal topic is accepted, because its envelope may take key and headers over their limit.
        """
        large = record.large
        if large is None or (record.value is not None and record.topic not in self._inputs_of_others):
            return False
        if large.digest is not None:
            self._batch.dead_letter(record, DeadLettered(DeadLetterReason(large.reason), large.detail))
        return True  # also for a record without a value, which is skipped

    def fail(self, record: InputRecord, detail: str, *, bare: bool) -> None:
        """Make a record on which the worker itself failed a dead letter, and end its email saga.

        Args:
            record: the record.
            detail: the text for the header dlq-detail.
            bare: whether the letter holds only the SHA-256 of the value, because the complete letter failed, too.

        Raises:
            NeedsThread: the record ends the saga of a long command. Nothing is changed.
        """
        self._inbox.end_saga(self._batch, record)
        self._inputs += 1
        source = bared(record) if bare else self._inbox.first(record)
        self._batch.dead_letter(source, DeadLettered(DeadLetterReason.FAILED, detail))

    def finish(self) -> Callable[[], None]:
        """Write the changed customer rows. Returns the function to call after the commit."""
        changed = self._batch.customers.flush()
        return lambda: self._committed(self._batch, changed, self._inputs)


def _stamped(record: InputRecord, now: int) -> InputRecord:
    """The record with its first timestamp (worker.wire.inbox). now: the timestamp of a record that has none."""
    timestamp = first_timestamp(record.headers, now if record.timestamp < 0 else record.timestamp)
    return record if timestamp == record.timestamp else structs.replace(record, timestamp=timestamp)
