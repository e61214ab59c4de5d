"""The state that all handlers of one batch share: unit of work, time, customer rows and routing.

A record goes to the outbox of its key's partition, so the producer runs no partitioner.
"""

from collections.abc import Sequence

from agents.letters import letter
from agents.parking.bounds import BOUNDS, Bounds
from agents.routing import Routing
from tables import application, day_totals, ledger
from tables.customers import CustomerRows
from worker.domain import tracking
from worker.domain.events import CustomerSpendingUpdated, Event
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.messages import Command
from worker.domain.rejections import DeadLettered
from worker.domain.rules import RuleBook
from worker.domain.spending import take_old_days
from worker.domain.state import Customer, CustomerRow
from worker.engine.unit import MORE, POSITIONS, Headers, InputRecord, Outgoing, Unit
from worker.membership import claim_of
from worker.observability.spans import Begin, End
from worker.observability.tracing import TRACEPARENT, traceparent_of
from worker.wire.events import encode_events
from worker.wire.results import CommandResult, encode_result
from worker.wire.times import format_time


class Batch:
    """One batch of one partition.

    Args:
        unit: the unit of work, which holds reads, changes and outgoing records.
        routing: topic names and the home partition of each key.
        rules: the versions of the rules file.
        now: when the worker processes the batch, in ms since 1970 UTC.
        begin_span: opens the span of an input that has a trace; None without OpenTelemetry.
        bounds: of what waits.
    """

    def __init__(
        self,
        unit: Unit,
        routing: Routing,
        rules: RuleBook,
        now: int,
        begin_span: Begin | None = None,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self.unit = unit
        self.routing = routing
        self.rules = rules
        self.now = now
        self.bounds = bounds
        self.customers = CustomerRows(unit)
        self.results: list[CommandResult] = []
        self.dead_letters: dict[str, int] = {}
        self.trace: bytes | None = None  # the traceparent of the current input
        self.begun: list[str] = []  # the owners for whom the current input left work (agents.parking.release)
        self.span_ends: list[End] = []  # called after the commit: they end spans and write log lines
        self.facts: object = None  # of agents.usual_orders, once a usual order has counted
        self._begin_span = begin_span
        self._claims_position: int | None = None
        self.time = format_time(now)
        self.events = unit.out(routing.events, unit.partition)

    @property
    def claims_position(self) -> int:
        """The offset of the next unread record in this partition of customer.email-claims.

        It includes the records of this batch.
        """
        if self._claims_position is None:
            committed = self.unit.get(POSITIONS, self.routing.email_claims.encode())
            self._claims_position = 0 if committed is None else int(committed)
        return self._claims_position

    @claims_position.setter
    def claims_position(self, position: int) -> None:
        self._claims_position = position

    def follow(self, source: InputRecord) -> None:
        """Make this input's trace the trace of all records sent from now on. Without a trace they have none."""
        self.trace = traceparent_of(source.headers) if source.headers else None
        if self.trace is not None and self._begin_span is not None:
            self.trace, end = self._begin_span(source, self.trace)
            self.span_ends.append(end)

    def unfollow(self) -> None:
        """Undo `follow`, because the same input is handled again. Its span is dropped unended, so nobody sees it."""
        if self.trace is not None and self._begin_span is not None:
            self.span_ends.pop()
        self.trace = None

    def trace_headers(self) -> Headers:
        """The traceparent header of the current trace; empty without a trace."""
        return [] if self.trace is None else [(TRACEPARENT, self.trace)]

    def ledger(self, customer_id: str) -> ledger.CustomerLedger:
        """The customer's ledger, including the changes of this batch."""
        return ledger.CustomerLedger(self.unit, customer_id)

    @property
    def more(self) -> dict[str, None]:
        """The owners with unfinished work (agents.parking.release), in the order of their next steps.

        An owner is a customerId, or `tables.waiting.of_order` for payments that wait for an order.
        """
        more: dict[str, None] = self.unit.carried.setdefault(MORE, {})
        return more

    def begin(self, customer_id: str) -> None:
        """Note that the current input leaves work to do for this owner. customer_id: an owner, as in `more`."""
        self.more[customer_id] = None
        self.begun.append(customer_id)

    def track(self, row: CustomerRow, customer: Customer) -> None:
        """Migrate a customer that an earlier version of the program wrote (worker.domain.tracking).

        Call it before an order or a membership level is decided.
        """
        if not customer.tracked:
            mine = self.ledger(customer.id)
            day_totals.replace(self.unit, customer.id, tracking.old_days(customer, self.rules, mine))
            tracking.track(customer, self.rules, mine)
            self.customers.changed(customer.id, row)

    def publish(
        self,
        row: CustomerRow,
        key: str,
        causation: str,
        correlation: str | None,
        events: Sequence[Event],
        command: Command | None = None,
    ) -> None:
        """Apply the events of one input to the row, write their ledger lines and publish them.

        Args:
            row: the customer's row; changed in place.
            key: the id of the command, order, payment or return, from which the event ids are derived.
            causation: the id of the message that caused the events.
            correlation: the correlation id of that message, if it has one.
            events: what the domain decided.
            command: the input, if it is a command.
        """
        before = row.customer.sequence if row.customer else 0
        customer = row.customer = apply(row.customer, events, self.now)
        self.customers.changed(customer.id, row)
        for kind, line_id, line in ledger_lines(events, customer, command):
            ledger.put(self.unit, customer.id, kind, line_id, line)
        if old_days := take_old_days(customer, events):
            day_totals.add(self.unit, customer.id, old_days)
        if events and isinstance(events[0], CustomerSpendingUpdated):
            self.remember_rules(events[0].rules_version)
        actor = None if command is None else command.actor
        encoded = encode_events(customer.id, key, causation, correlation, before, self.time, events, actor)
        record_key = self.routing.home(customer.id)[1]
        for name, value in encoded:
            headers = self.routing.event_headers[name]
            if self.trace is not None:
                headers = [*headers, *self.trace_headers()]
            self.events.append(Outgoing(record_key, value, headers))

    def remember_rules(self, version: str) -> None:
        """Store the claim of a version by which an order counts, if it is not stored."""
        if not application.knows_rules(self.unit, version):
            rules = self.rules.named(version)
            if rules is not None:
                application.remember_rules(self.unit, version, claim_of(rules))
                self.facts = None

    def answer(self, result: CommandResult) -> None:
        """Publish a command's result to customer.command-results."""
        self.results.append(result)
        key = self.routing.home(result.customer_id)[1]
        self.unit.out(self.routing.results, self.unit.partition).append(
            Outgoing(key, encode_result(result), self.trace_headers())
        )

    def dead_letter(self, source: InputRecord, error: DeadLettered) -> None:
        """Send an input to the dead-letter topic, with the reason and the position at which it was first read."""
        to = self.routing.dead_letters
        self.unit.out(to, 0).append(letter(source, error, self.routing.limit_of(to)))
        self.dead_letters[error.reason] = self.dead_letters.get(error.reason, 0) + 1
