"""Recomputes one customer step by step. A step is an order, a return, a payment or the change of a command.

Each step compares the events that it must publish. When the customer reaches the version of the stored row, the step
compares the row too. worker.verify.checks.replay picks the next step; worker.verify.checks.outcome checks the result.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.verify.checks import changes, published, rows
from worker.verify.checks.published import Cause, Event
from worker.verify.checks.traces import SPENDING, Result, Traces, grouped, unique
from worker.verify.model.commands import try_command
from worker.verify.model.customer import Customer, Published, email_hash
from worker.verify.model.rules import Rules
from worker.verify.reading.deliveries import Delivery, Told
from worker.verify.reading.inputs import Command, Purchase
from worker.verify.report import Report

_LINES = {
    "RedeemPoints": ("R", "redemptionId"),
    "CancelRedemption": ("C", "redemptionId"),
    "AdjustPoints": ("A", "adjustmentId"),
}
"""commandType -> kind of its ledger line, and the field of its data that has the line's id."""


@dataclass(frozen=True)
class Claimed:
    """A command's claim on an email. email_hash: SHA-256 of the email in hex; claim_id: the commandId."""

    email_hash: str
    claim_id: str
    customer_id: str


class Account:
    """The state of one customer's recomputation.

    The kinds are O for an order, P for a payment and T for a return. Commands have R for a redemption, C for its
    cancellation and A for an adjustment of points. Any other command has K.

    Attributes:
        customer_id: the customer.
        told: all deliveries to the customer.
        traces: what the worker wrote about the customer.
        customer: the recomputed customer; None before the registration.
        report: the differences found so far.
        causes_missing: an effect lacks its cause, or the reverse. Retention explains that when a topic is cut.
        claims: the email claims that the commands must have made.
        releases: the releases of emails that profile changes must have made.
        first_results: commandId -> the result that repeats must get again.
        winners: (kind, id) -> the delivery that counted.
        sequences: (kind, id) -> the customer's event sequence after that input.
        changes: (kind, id) -> the change that the ledger line of that input must have.
        others: id -> time of issue and rules of a command without a kind of its own.
        applied_orders: the orders that counted, in order of application.
        row_seen: whether the recomputation has reached the version of the stored row.
        orders_by_id: orderId -> deliveries in log order.
        returns_by_id: returnId -> deliveries in log order.
        commands_by_id: commandId -> deliveries in log order.
        rules: the reward rules.
        doubled: events with an id that an earlier event has.
        groups: the events of each input that is still to be applied.
        payments: the payments that counted and are still to be applied.
    """

    def __init__(self, customer_id: str, told: Told, traces: Traces, rules: Rules) -> None:
        self.customer_id = customer_id
        self.told = told
        self.traces = traces
        self.customer: Customer | None = None
        self.report = Report()
        self.causes_missing = False
        self.claims: list[Claimed] = []
        self.releases: list[Claimed] = []
        self.first_results: dict[str, Result] = {}
        self.winners: dict[tuple[str, str], Delivery[Purchase]] = {}
        self.sequences: dict[tuple[str, str], int] = {}
        self.changes: dict[tuple[str, str], changes.Change] = {}
        self.others: dict[str, tuple[int, str]] = {}
        self.applied_orders: list[Delivery[Purchase]] = []
        self.row_seen = False
        self.orders_by_id = by_id(told.orders)
        self.returns_by_id = by_id(told.returns)
        self.commands_by_id = by_id(told.commands)
        self.rules = rules
        self._sequence = 0
        events, self.doubled = unique(traces.events)
        self.groups = deque(grouped(events))
        self._command_groups = {
            str(g[0].causationid): g for g in reversed(self.groups) if g[0].type != SPENDING
        }
        self.payments = deque(self._counted_payments())

    def differs(self, kind: str, text: str) -> None:
        """Report a difference of this customer."""
        self.report.differs(kind, f"customer {self.customer_id}", text)

    def apply_order(self, group: Sequence[Event]) -> None:
        """Apply an order. group: the events that it published."""
        head = group[0]
        all_of_it = self.orders_by_id.get(str(head.order_id), [])
        deliveries = [each for each in all_of_it if self._may_count(each)]
        causes = [each for each in deliveries if each.fact.event_id == head.causationid]
        if not causes or self.customer is None:
            self.causes_missing |= not causes
            self.differs("event", f"{head}: {'before the registration' if causes else 'no order caused it'}")
            self.skip(group)
            return
        if self.customer.erased:
            self.differs("event", f"{head}: after the erasure")
            self.skip(group)
            return
        if head.order_id in self.customer.history.orders:
            for event in group:
                self.differs("event", f"{event}: the order had counted already")
            self.skip(group)
            return
        delivery = causes[0]
        if self.traces.came_in_order(all_of_it):
            if delivery is not deliveries[0]:
                self.differs("event", f"{head}: an earlier delivery of the order should have counted")
        else:  # the logs do not tell which came first; the ledger and the event tell which one counted
            causes = self.traces.as_counted("O", causes)
            delivery = next((each for each in causes if published.is_of(head, each.fact)), causes[0])
        self.winners["O", delivery.fact.id] = delivery
        self.applied_orders.append(delivery)
        cause = Cause(delivery.fact.id, delivery.fact.event_id, delivery.fact.correlation_id)
        vip_before = self.customer.vip_since
        data = self.customer.count_order(delivery.fact)
        self._compare(cause, data, group)
        self._counted("O", delivery.fact.id, changes.expected(self.customer, data, group, vip_before, None))

    def apply_return(self, group: Sequence[Event]) -> None:
        """Apply a return. group: the events that it published."""
        head = group[0]
        may_count = [
            each
            for each in self.told.returns
            if self._may_count(each) and each.position not in self.traces.conflicted
        ]
        causes = [each for each in may_count if published.is_return(head, each.fact)]
        customer = self.customer
        problem = self._not_due(causes[0].fact if causes else None)
        if problem or customer is None:
            self.causes_missing |= not causes
            for event in group:
                self.differs("event", f"{event}: {problem}")
            self.skip(group)
            return
        same = [each for each in may_count if each.fact.id == causes[0].fact.id]
        if not all(each.at_home for each in same):
            causes = self.traces.as_counted("T", causes)
        delivery = causes[0]
        fact = delivery.fact
        every = self.returns_by_id[fact.id]
        earlier = same[: same.index(delivery)]
        skipped = any(not self.traces.may_be_hidden(each, every) for each in earlier)
        if self.traces.still and all(each.at_home for each in same) and skipped:
            self.differs("event", f"{head}: an earlier delivery of the return should have counted")
        self.winners["T", fact.id] = delivery
        data = customer.count_return(fact)
        self._compare(Cause(fact.id, fact.event_id, fact.correlation_id), data, group)
        self._counted("T", fact.id, changes.expected(customer, data, group, customer.vip_since, None))

    def _not_due(self, back: Purchase | None) -> str:
        """The reason why this return cannot have counted now; empty when it can have."""
        if back is None:
            return "no return caused it"
        if self.customer is None:
            return "before the registration"
        if self.customer.erased:
            return "after the erasure"
        if back.id in self.customer.returns:
            return "the return had counted already"
        if not self.customer.can_take_back(back):
            return "its order has not counted, or has less left"
        return ""

    def apply_payment(self, customer: Customer) -> None:
        """Apply the next payment; it publishes nothing. customer: must be registered."""
        delivery = self.payments.popleft()
        if customer.erased:
            self.differs("ledger", f"payment {delivery.fact.id} counted after the erasure")
        customer.count_payment(delivery.fact)
        line = self.traces.ledger[
            "P", delivery.fact.id
        ]  # read after the events, so it may have a later sequence
        ahead = 0 if self.traces.still else changes.sequence_of(line)
        self._counted(
            "P", delivery.fact.id, changes.expected(customer, [], [], customer.vip_since, None), ahead
        )

    def change(self, command: Command, data: Published) -> None:
        """Apply a command that changes the customer. data: the events that it must publish."""
        group = self.group_of(command.id)
        customer = self.customer
        vip_before = None if customer is None else customer.vip_since
        if customer is None:
            customer = self.customer = Customer(command, self.rules)
            customer.registered(command)
        else:
            old = Claimed(email_hash(customer.email), str(customer.email_claim), self.customer_id)
            try_command(customer, command, commit=True, granted=True)
            if customer.email_claim != old.claim_id:
                self.releases.append(old)
        if group:
            self.take_out(group)
        self._compare(Cause.of_command(command), data, group)
        change = changes.expected(customer, data, group, vip_before, command)
        if command.kind in _LINES:
            kind, id_field = _LINES[command.kind]
            self._counted(kind, (command.fields or {})[id_field], change)
            return
        upgraded = next((fields for name, fields in data if name == "MembershipLevelUpgradedEvent"), {})
        self.others[str(customer.version)] = command.issued_at or 0, upgraded.get("rulesVersion", "")
        self._counted("K", str(customer.version), change)

    def payment_is_next(self) -> bool:
        """Whether the next payment counted before the next group of events, by the sequence in its ledger line."""
        if not self.payments or self.customer is None:
            return False
        line = self.traces.ledger["P", self.payments[0].fact.id]
        return not self.groups or changes.sequence_of(line) <= self._sequence

    def group_of(self, command_id: str) -> Sequence[Event]:
        """The events of a command that are still to be applied; empty when there are none."""
        return self._command_groups.get(command_id, ())

    def take_out(self, group: Sequence[Event]) -> None:
        """Remove a group from the events that are still to be applied."""
        self.groups.remove(list(group))
        if self._command_groups.get(str(group[0].causationid)) is group:
            del self._command_groups[str(group[0].causationid)]

    def _counted(self, kind: str, line_id: str, change: changes.Change, least: int = 0) -> None:
        """Note the line that an input must have. least: the least sequence that the line may have."""
        self.sequences[kind, line_id] = max(self._sequence, least)
        self.changes[kind, line_id] = change
        self._ticked()

    def _ticked(self) -> None:
        """Compare the stored row if the customer has just reached the row's version."""
        if self.customer is None or self.traces.row_version != self.customer.version:
            return
        self.row_seen = True
        wrong = rows.differing_fields(self.traces.row, self.customer, self._sequence)
        if (
            not self.traces.still and self.payment_is_next()
        ):  # the order of payments with the same sequence is not known
            wrong = [field for field in wrong if field not in ("paid", "last_payment_at")]
        if wrong:
            self.differs("customers table", ", ".join(wrong))

    def _compare(self, cause: Cause, data: Published, group: Sequence[Event]) -> None:
        for text in published.compare(self.customer_id, cause, data, group):
            self.differs("event", text)
        self.skip(group)

    def skip(self, group: Sequence[Event]) -> None:
        """Continue from the sequence of these events, so that one gap is reported once."""
        self._sequence = max([self._sequence, *(event.number or 0 for event in group)])

    def _counted_payments(self) -> list[Delivery[Purchase]]:
        """The payments with a ledger line, in order of the sequence in their lines."""
        counted = []
        payments_by_id = by_id(self.told.payments)
        for (kind, payment_id), line in self.traces.ledger.items():
            if kind != "P":
                continue
            deliveries = [each for each in payments_by_id.get(payment_id, []) if self._may_count(each)]
            if not deliveries:
                self.causes_missing = True
                self.differs("ledger", f"payment {payment_id}: no payment caused it")
                continue
            if not self.traces.came_in_order(payments_by_id[payment_id]):
                same = [each for each in deliveries if [each.fact.amount, each.fact.currency] == line[:2]]
                deliveries = self.traces.as_counted("P", same or deliveries)
            self.winners["P", payment_id] = deliveries[0]
            place = changes.sequence_of(line), changes.version_of(line) or 0, deliveries[0].position
            counted.append((place, deliveries[0]))
        return [delivery for _, delivery in sorted(counted, key=lambda each: each[0])]

    def _may_count(self, delivery: Delivery[Purchase]) -> bool:
        return self.traces.may_count(delivery.position) and (delivery.due or not self.traces.still)


def by_id(deliveries: Sequence[Delivery[Any]]) -> dict[str, list[Delivery[Any]]]:
    """Group deliveries by the id of their command, order, payment or return. Keeps their order."""
    found: dict[str, list[Delivery[Any]]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.fact.id, []).append(delivery)
    return found
