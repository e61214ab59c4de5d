"""What the handlers of one batch share: its unit of work, its time, its customers, and where things are sent.

Published records carry their customer's partition number, so no partitioner runs on the hot path.
"""

import hashlib
from collections.abc import Sequence

from aiokafka.partitioner import murmur2

from tables import ledger
from tables.customers import CustomerRows
from tables.waiting import Source
from worker.domain.events import Event
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.rejections import DeadLettered
from worker.domain.rules import RuleBook
from worker.domain.state import CustomerRow
from worker.engine.partition import POSITIONS
from worker.engine.unit import Headers, Outgoing, Unit
from worker.spans import Begin, End
from worker.topics import Catalogue
from worker.tracing import TRACEPARENT, traceparent_of
from worker.wire import claims
from worker.wire.cards import bytes_contain_card_number
from worker.wire.events import HEADERS, encode_events
from worker.wire.results import CommandResult, encode_result
from worker.wire.times import format_time

_MAX_CACHED_HOMES = 200_000


class Routing:
    """Topics and homes; shared by all batches of a worker. order_index: None where payments are not joined."""

    def __init__(self, catalogue: Catalogue, partitions: int) -> None:
        self.commands = catalogue.commands.name
        self.orders = catalogue.orders.name
        self.returns = catalogue.returns.name
        self.payments = catalogue.payments.name
        self.events = catalogue.events.name
        self.results = catalogue.results.name
        self.dead_letters = catalogue.dead_letters.name
        self.inbox = catalogue.inbox.name
        self.email_claims = catalogue.email_claims.name
        self.order_index = catalogue.order_index.name if catalogue.payment_join else None
        # Somebody waits for what follows from these.
        self.prompt = (self.commands, self.email_claims, self.inbox)
        self._partitions = partitions
        self._homes: dict[str, tuple[int, bytes]] = {}

    def home(self, key: str) -> tuple[int, bytes]:
        """(partition, key bytes) that Kafka's default partitioner gives the key."""
        found = self._homes.get(key)
        if found is None:
            if len(self._homes) >= _MAX_CACHED_HOMES:
                self._homes.clear()
            raw = key.encode()
            found = self._homes[key] = ((murmur2(raw) & 0x7FFFFFFF) % self._partitions, raw)
        return found


class Batch:
    """One batch of one partition. now: ms since 1970 UTC, when the worker processed it."""

    def __init__(
        self, unit: Unit, routing: Routing, rules: RuleBook, now: int, begin_span: Begin | None = None
    ) -> None:
        self.unit = unit
        self.routing = routing
        self.rules = rules
        self.now = now
        self.customers = CustomerRows(unit)
        self.results: list[CommandResult] = []
        self.dead_letters: dict[str, int] = {}
        self.trace: bytes | None = None  # the traceparent of the input at hand
        self.span_ends: list[End] = []  # to be called after the commit
        self._begin_span = begin_span
        self._claims_position: int | None = None
        self._time = format_time(now)
        self._events = unit.out(routing.events, unit.partition)

    @property
    def claims_position(self) -> int:
        """Offset up to which this partition of customer.email-claims was read, this batch's records included."""
        if self._claims_position is None:
            committed = self.unit.get(POSITIONS, self.routing.email_claims.encode())
            self._claims_position = 0 if committed is None else int(committed)
        return self._claims_position

    @claims_position.setter
    def claims_position(self, position: int) -> None:
        self._claims_position = position

    def follow(self, source: Source) -> None:
        """What is sent from here on belongs to this input's trace, if it has one."""
        self.trace = traceparent_of(source.headers) if source.headers else None
        if self.trace is not None and self._begin_span is not None:
            self.trace, end = self._begin_span(source, self.trace)
            self.span_ends.append(end)

    def trace_headers(self) -> Headers:
        """The header that carries the trace on; none without a trace."""
        return [] if self.trace is None else [(TRACEPARENT, self.trace)]

    def ledger(self, customer_id: str) -> ledger.CustomerLedger:
        """The customer's ledger as this batch sees it."""
        return ledger.CustomerLedger(self.unit, customer_id)

    def at_home(self, source: Source, customer_id: str) -> bool:
        """Whether the record came with the customer's key on the customer's partition; else it is sent there."""
        partition, key = self.routing.home(customer_id)
        if source.partition == partition and source.key == key:
            return True
        self.forward(source, self.routing.inbox, customer_id)
        return False

    def forward(self, source: Source, topic: str, to: str, *more: tuple[str, bytes]) -> None:
        """Send an input as it came to the home of the key `to`, in an envelope with its first position and more."""
        partition, key = self.routing.home(to)
        headers = [*source.headers, *_envelope(source), *more]
        self.unit.out(topic, partition).append(Outgoing(key, source.value, headers))

    def record(
        self, row: CustomerRow, key: str, causation: str, correlation: str | None, events: Sequence[Event]
    ) -> None:
        """Apply the events of one input to the row, write its ledger lines and publish."""
        before = row.customer.sequence if row.customer else 0
        customer = row.customer = apply(row.customer, events, self.now)
        self.customers.changed(customer.id, row)
        for kind, line_id, line in ledger_lines(events, customer.sequence):
            ledger.put(self.unit, customer.id, kind, line_id, line)
        encoded = encode_events(customer.id, key, causation, correlation, before, self._time, events)
        record_key = self.routing.home(customer.id)[1]
        for name, value in encoded:
            headers = HEADERS[name] if self.trace is None else [*HEADERS[name], *self.trace_headers()]
            self._events.append(Outgoing(record_key, value, headers))

    def answer(self, result: CommandResult) -> None:
        """Publish a command's result."""
        self.results.append(result)
        key = self.routing.home(result.customer_id)[1]
        self.unit.out(self.routing.results, self.unit.partition).append(
            Outgoing(key, encode_result(result), self.trace_headers())
        )

    def dead_letter(self, source: Source, error: DeadLettered) -> None:
        """Put the original where operators find it, with the reason and its first position."""
        value = source.value
        if bytes_contain_card_number(value):
            value = hashlib.sha256(value).hexdigest().encode()
        headers = [
            *source.headers,
            ("dlq-reason", error.reason.value.encode()),
            ("dlq-detail", error.detail.encode()),
            ("dlq-topic", source.topic.encode()),
            ("dlq-partition", b"%d" % source.partition),
            ("dlq-offset", b"%d" % source.offset),
        ]
        self.unit.out(self.routing.dead_letters, 0).append(Outgoing(source.key, value, headers))
        self.dead_letters[error.reason] = self.dead_letters.get(error.reason, 0) + 1


def _envelope(source: Source) -> list[tuple[str, bytes]]:
    position = [
        (claims.KIND, claims.FORWARDED),
        (claims.SOURCE_TOPIC, source.topic.encode()),
        (claims.SOURCE_PARTITION, b"%d" % source.partition),
        (claims.SOURCE_OFFSET, b"%d" % source.offset),
        (claims.SOURCE_TIMESTAMP, b"%d" % source.timestamp),
    ]
    return position if source.key is None else [*position, (claims.SOURCE_KEY, source.key)]
