"""One customer, moved on a step at a time: an order, a return, a payment, or the change that a command
makes. Every step compares
the events that it caused, and the customer's row where that was written then. Which step is next: worker.verify.replay.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.verify import published, rows
from worker.verify.commands import try_command
from worker.verify.customer import Customer, Published, email_hash
from worker.verify.deliveries import Delivery, Told
from worker.verify.inputs import Command, Purchase
from worker.verify.published import Cause, Event
from worker.verify.report import Report
from worker.verify.rules import Rules
from worker.verify.traces import SPENDING, Result, Traces, grouped, unique


@dataclass(frozen=True)
class Claimed:
    """A claim on an email, as a command made it."""

    email_hash: str
    claim_id: str
    customer_id: str


class Steps:
    """Where the recomputation of one customer stands.

    causes_missing: cause and effect do not pair up, which retention would explain where a topic is cut. winners:
    (kind, id) -> the delivery that counted. sequences: (kind, id) -> the event sequence after it. row_seen: the row's
    version was passed.
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
        self.applied_orders: list[Delivery[Purchase]] = []
        self.row_seen = False
        self.orders_by_id = by_id(told.orders)
        self.returns_by_id = by_id(told.returns)
        self.commands_by_id = by_id(told.commands)
        self._rules = rules
        self._sequence = 0
        self._last_version = 0
        events, self._doubled = unique(traces.events)
        self._groups = deque(grouped(events))
        self._command_groups = {
            str(g[0].causationid): g for g in reversed(self._groups) if g[0].type != SPENDING
        }
        self._payments = deque(self._counted_payments())

    def differs(self, kind: str, text: str) -> None:
        """Note a difference of this customer."""
        self.report.differs(kind, f"customer {self.customer_id}", text)

    # -- steps

    def _apply_order(self, group: Sequence[Event]) -> None:
        head = group[0]
        all_of_it = self.orders_by_id.get(str(head.order_id), [])
        deliveries = [each for each in all_of_it if self._may_count(each)]
        causes = [each for each in deliveries if each.fact.event_id == head.causationid]
        if not causes or self.customer is None:
            self.causes_missing |= not causes
            self.differs("event", f"{head}: {'before the registration' if causes else 'no order caused it'}")
            self._skip(group)
            return
        if self.customer.erased:
            self.differs("event", f"{head}: after the erasure")
            self._skip(group)
            return
        if head.order_id in self.customer.history.orders:
            for event in group:
                self.differs("event", f"{event}: the order had counted already")
            self._skip(group)
            return
        delivery = causes[0]
        if self.traces.came_in_order(all_of_it):
            if delivery is not deliveries[0]:
                self.differs("event", f"{head}: an earlier delivery of the order should have counted")
        else:  # which came first is not known: the event says which counted
            delivery = next((each for each in causes if published.is_of(head, each.fact)), delivery)
        self.winners["O", delivery.fact.id] = delivery
        self.applied_orders.append(delivery)
        cause = Cause(delivery.fact.id, delivery.fact.event_id, delivery.fact.correlation_id)
        self._compare(cause, self.customer.count_order(delivery.fact), group)
        self.sequences["O", delivery.fact.id] = self._sequence
        self._ticked()

    def _apply_return(self, group: Sequence[Event]) -> None:
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
            self._skip(group)
            return
        delivery = causes[0]
        fact = delivery.fact
        every = self.returns_by_id[fact.id]
        same = [each for each in may_count if each.fact.id == fact.id]
        earlier = same[: same.index(delivery)]
        skipped = any(not self.traces.may_be_hidden(each, every) for each in earlier)
        if self.traces.still and all(each.at_home for each in same) and skipped:
            self.differs("event", f"{head}: an earlier delivery of the return should have counted")
        self.winners["T", fact.id] = delivery
        self._compare(Cause(fact.id, fact.event_id, fact.correlation_id), customer.count_return(fact), group)
        self.sequences["T", fact.id] = self._sequence
        self._ticked()

    def _not_due(self, back: Purchase | None) -> str:
        """Why this return cannot have counted now; empty when it can."""
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

    def _apply_payment(self, customer: Customer) -> None:
        delivery = self._payments.popleft()
        if customer.erased:
            self.differs("ledger", f"payment {delivery.fact.id} counted after the erasure")
        customer.count_payment(delivery.fact)
        line = self.traces.ledger["P", delivery.fact.id]  # read after the events, so it may be ahead of them
        ahead = 0 if self.traces.still else _sequence_of(line)
        self.sequences["P", delivery.fact.id] = max(self._sequence, ahead)
        self._ticked()

    def _change(self, command: Command, data: Published) -> None:
        group = self._group_of(command.id)
        customer = self.customer
        if customer is None:
            customer = self.customer = Customer(command, self._rules)
            customer.registered(command)
        else:
            old = Claimed(email_hash(customer.email), str(customer.email_claim), self.customer_id)
            try_command(customer, command, commit=True, granted=True)
            if customer.email_claim != old.claim_id:
                self.releases.append(old)
        if group:
            self._take_out(group)
        self._compare(Cause(command.id, command.id, command.correlation_id), data, group)
        if command.kind == "RedeemPoints":
            self.sequences["R", (command.fields or {})["redemptionId"]] = self._sequence
        self._ticked()

    # -- what is next

    def _payment_is_next(self) -> bool:
        if not self._payments or self.customer is None:
            return False
        line = self.traces.ledger["P", self._payments[0].fact.id]
        return not self._groups or _sequence_of(line) <= self._sequence

    def _group_of(self, command_id: str) -> Sequence[Event]:
        return self._command_groups.get(command_id, ())

    def _take_out(self, group: Sequence[Event]) -> None:
        self._groups.remove(list(group))
        if self._command_groups.get(str(group[0].causationid)) is group:
            del self._command_groups[str(group[0].causationid)]

    # -- parts

    def _ticked(self) -> None:
        """The version has grown: if the row was written then, it is compared now."""
        if self.customer is None or self.traces.row_version != self.customer.version:
            return
        self.row_seen = True
        wrong = rows.differing_fields(self.traces.row, self.customer, self._sequence)
        if (
            not self.traces.still and self._payment_is_next()
        ):  # which of these payments came first is not known
            wrong = [field for field in wrong if field not in ("paid", "last_payment_at")]
        if wrong:
            self.differs("customers table", ", ".join(wrong))

    def _compare(self, cause: Cause, data: Published, group: Sequence[Event]) -> None:
        for text in published.compare(self.customer_id, cause, data, group):
            self.differs("event", text)
        self._skip(group)

    def _skip(self, group: Sequence[Event]) -> None:
        """The sequence that is there goes on, so that one gap is told once."""
        self._sequence = max([self._sequence, *(event.number or 0 for event in group)])

    def _counted_payments(self) -> list[Delivery[Purchase]]:
        """Payments that the ledger has, in the order of their lines."""
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
                deliveries = same or deliveries
            self.winners["P", payment_id] = deliveries[0]
            counted.append((_sequence_of(line), deliveries[0].position, deliveries[0]))
        return [delivery for _, _, delivery in sorted(counted, key=lambda each: each[:2])]

    def _may_count(self, delivery: Delivery[Purchase]) -> bool:
        return self.traces.may_count(delivery.position) and (delivery.due or not self.traces.still)


def by_id(deliveries: Sequence[Delivery[Any]]) -> dict[str, list[Delivery[Any]]]:
    """Deliveries of the same command, order or payment together, in log order."""
    found: dict[str, list[Delivery[Any]]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.fact.id, []).append(delivery)
    return found


def _sequence_of(line: Sequence[Any]) -> int:
    return line[5] if len(line) > 5 and isinstance(line[5], int) else 0
