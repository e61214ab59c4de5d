"""The processor of a partition: every record of a batch to its handler, then one write of what changed."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agents import commands, email_claims, expiry, order_index, purchases
from agents.batch import Batch, Routing
from tables.waiting import Source
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.domain.rules import RuleBook
from worker.engine.sweeping import Swept
from worker.engine.unit import Unit
from worker.spans import Begin
from worker.wire import claims
from worker.wire.order_index import decode_owner

Handler = Callable[[Batch, Source], None]


class Processor:
    """Fulfils worker.engine.partition.Processor. committed: called with each batch once its transaction is visible."""

    def __init__(
        self,
        routing: Routing,
        rules: RuleBook,
        committed: Callable[[Batch, list[str], int], None],
        clock: Callable[[], float] = time.time,
        begin_span: Begin | None = None,
    ) -> None:
        self._routing = routing
        self._rules = rules
        self._committed = committed
        self._clock = clock
        self._begin_span = begin_span
        self._forwarded: dict[str, Callable[[Batch, Source, bool], None]] = {
            routing.orders: purchases.order,
            routing.returns: purchases.returned,
            routing.payments: purchases.payment,
            routing.commands: commands.command,
        }
        self._handlers: dict[str, Handler] = {
            **self._forwarded,  # type: ignore[dict-item]  # their third argument has a default
            routing.email_claims: email_claims.receive,
            routing.inbox: self._inbox,
        }
        if routing.order_index is not None:
            self._handlers[routing.order_index] = self._order_index

    def __call__(self, unit: Unit) -> "Work":
        """Begin a batch."""
        return Work(self._batch(unit), self._handlers, self._committed)

    def sweep(self, unit: Unit) -> Swept:
        """One step of a sweep. Fulfils worker.engine.sweeping.Sweep."""
        batch = self._batch(unit)
        last = expiry.sweep(batch)
        changed = batch.customers.flush()
        if not unit.changes:
            return Swept(last)
        return Swept(last, lambda: self._committed(batch, changed, 0))

    def _batch(self, unit: Unit) -> Batch:
        return Batch(unit, self._routing, self._rules, int(self._clock() * 1000), self._begin_span)

    def _inbox(self, batch: Batch, record: Source) -> None:
        headers = dict(record.headers)
        kind = headers.get(claims.KIND)
        try:
            if kind == claims.CLAIM_ANSWER:
                commands.answered(batch, claims.decode_answer(record.value))
                return
            if kind != claims.FORWARDED:
                raise DeadLettered(DeadLetterReason.UNKNOWN_TYPE, "not a message of the inbox")
            source = _original(record, headers)
            handler = self._forwarded[source.topic]
            customer_id = headers.get(claims.CUSTOMER, b"").decode(errors="replace")
        except (msgspec.DecodeError, RecursionError, ValueError, KeyError) as error:
            raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the inbox") from error
        try:
            if customer_id and source.topic == self._routing.payments:
                purchases.joined(batch, source, customer_id)
            else:
                handler(batch, source, True)
        except DeadLettered as error:
            batch.dead_letter(source, error)

    def _order_index(self, batch: Batch, record: Source) -> None:
        headers = dict(record.headers)
        try:
            if headers.get(claims.KIND) != claims.FORWARDED:
                order_index.owner(batch, decode_owner(record.value))
                return
            source = _original(record, headers)
        except (msgspec.DecodeError, RecursionError, ValueError, KeyError) as error:
            raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the order index") from error
        try:
            order_index.payment(batch, source)
        except DeadLettered as error:
            batch.dead_letter(source, error)


class Work:
    """The work on one batch. Fulfils worker.engine.partition.Work."""

    def __init__(
        self,
        batch: Batch,
        handlers: Mapping[str, Handler],
        committed: Callable[[Batch, list[str], int], None],
    ) -> None:
        self._batch = batch
        self._handlers = handlers
        self._committed = committed
        self._inputs = 0

    def take(self, records: Sequence[Any]) -> None:
        """Process records in order."""
        self._inputs += len(records)
        batch, handlers = self._batch, self._handlers
        for record in records:
            if record.value is None:
                continue
            if record.headers or batch.trace:  # most records belong to no trace
                batch.follow(record)
            try:
                handlers[record.topic](batch, record)
            except DeadLettered as error:
                batch.dead_letter(record, error)

    def finish(self) -> Callable[[], None]:
        """Write what changed; returns what to call after the commit."""
        changed = self._batch.customers.flush()
        return lambda: self._committed(self._batch, changed, self._inputs)


def _original(record: Source, headers: dict[str, bytes]) -> Source:
    """The record as it was before it was forwarded; earlier versions did not say when it was stamped."""
    return Source(
        topic=headers[claims.SOURCE_TOPIC].decode(),
        partition=int(headers[claims.SOURCE_PARTITION]),
        offset=int(headers[claims.SOURCE_OFFSET]),
        timestamp=int(headers.get(claims.SOURCE_TIMESTAMP, record.timestamp)),
        key=headers.get(claims.SOURCE_KEY),
        value=record.value,
        headers=tuple((name, value) for name, value in record.headers if name not in claims.ENVELOPE),
    )
