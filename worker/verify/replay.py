"""One customer, step by step: every input in the order in which it was applied, and what had to come of it.

Where the order comes from:
- of what publishes: the sequence of the events, whose causationid names the input;
- of commands: their results, which are in log order; a result's version says after how many changes it was given;
- of payments, which publish nothing: the event sequence that their ledger line carries.
So the version is the clock: each input that changes the customer is one tick, and a result at version v belongs right
after the v-th change. A redelivered command is answered with its first result and moves nothing.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.verify import published, rows
from worker.verify.customer import STATE_ONLY, Customer, Published, email_hash
from worker.verify.deliveries import Delivery, Told
from worker.verify.inputs import Command, Purchase
from worker.verify.published import Cause, Event
from worker.verify.report import Report
from worker.verify.rules import Rules
from worker.verify.traces import SPENDING, Result, Traces, breaks, caused_by_command, grouped, unique


@dataclass(frozen=True)
class Claimed:
    """A claim on an email, as a command made it."""

    email_hash: str
    claim_id: str
    customer_id: str


class Replay:
    """The recomputation of one customer; `run` fills everything that is public.

    causes_missing: cause and effect do not pair up, which retention would explain where a topic is cut. winners: (kind, id) -> the delivery that
    counted. sequences: (kind, id) -> the event sequence after it. row_seen: the row's version was passed.
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

    def run(self) -> "Replay":
        """Apply everything, and compare events, results and the customer's row on the way."""
        for event in self._doubled:
            self.differs("event", f"{event}: doubled")
        for gap in breaks(self.traces.events):
            self.causes_missing |= gap.startswith("starts")
            self.differs("sequence", gap)
        self._replay_results()
        while self._advance(also_commands=True):
            pass
        for payment in self._payments if self.traces.still else ():
            self.differs("ledger", f"payment {payment.fact.id} counted before the registration")
        return self

    def differs(self, kind: str, text: str) -> None:
        """Note a difference of this customer."""
        self.report.differs(kind, f"customer {self.customer_id}", text)

    # -- results and commands

    def _replay_results(self) -> None:
        first: dict[str, Command] = {}
        for result in self.traces.results:
            command_id = str(result.get("commandId"))
            deliveries = self.commands_by_id.get(command_id)
            if deliveries is None:
                self.causes_missing = True
                self.differs("result", f"command {command_id} was never given")
            elif command_id not in first:
                self.first_results[command_id] = result
                first[command_id] = self._first_result(result, deliveries)
            elif result != self.first_results[command_id]:
                self._later_result(result, first[command_id], deliveries)

    def _first_result(self, result: Result, deliveries: Sequence[Delivery[Command]]) -> Command:
        command = deliveries[0].fact
        self._advance_to(result, command)
        if not all(
            delivery.at_home for delivery in deliveries
        ):  # which came first is not known: one of them fits
            command = next((each.fact for each in deliveries if self._fits(each.fact, result)), command)
        wrong = differing(self._apply(command, result), comparable(result))
        if wrong:
            self.differs("result", f"command {command.id}: {', '.join(wrong)}")
        if isinstance(result.get("version"), int):
            self._last_version = int(result["version"])
        return command

    def _later_result(self, result: Result, first: Command, deliveries: Sequence[Delivery[Command]]) -> None:
        kinds = {each.fact.known_kind for each in deliveries if not first.says_the_same(each.fact)}
        if not kinds:
            self.differs("result", f"command {first.id}: a repeat was not answered with the first result")
            return
        self._advance_to(result, None)
        conflict = self._result(first, "IDEMPOTENCY_CONFLICT")
        wrong = [name for name in differing(conflict, comparable(result)) if name != "commandType"]
        if result.get("commandType") not in kinds:
            wrong.append("commandType")
        if wrong:
            self.differs("result", f"command {first.id}, used again: {', '.join(wrong)}")

    def _fits(self, command: Command, result: Result) -> bool:
        """Whether this command would have led to this result and to the events that are there."""
        code, changes, data = self._decide(command, result)
        expected = self._result(command, code)
        if changes:
            expected["version"] = (expected["version"] or 0) + 1
        cause = Cause(command.id, command.id, command.correlation_id)
        same_events = not published.compare(self.customer_id, cause, data, self._group_of(command.id))
        return not differing(expected, comparable(result)) and same_events

    def _apply(self, command: Command, result: Result) -> dict[str, Any]:
        """Apply the command now, compare its events, and return the result that it must have."""
        code, changes, data = self._decide(command, result)
        email = (command.fields or {}).get("email")
        claims = email is not None and (self.customer is None or self.customer.email != email)
        if claims and (changes or code == "CUSTOMER_EMAIL_EXISTS"):
            self.claims.append(Claimed(email_hash(str(email)), command.id, self.customer_id))
        if changes:
            self._change(command, data)
        return self._result(command, code)

    def _decide(self, command: Command, result: Result) -> tuple[str | None, bool, Published]:
        """(code, whether the customer changes, what is published), in the contract's order of checks."""
        if command.fields is None:
            return "VALIDATION_FAILED", False, []
        granted = self._granted(command, result)
        if command.kind == "RegisterCustomer":
            if self.customer is not None:
                return "CUSTOMER_ALREADY_EXISTS", False, []
            if command.expected_version not in (None, 0):
                return "VERSION_CONFLICT", False, []
            if not granted:
                return "CUSTOMER_EMAIL_EXISTS", False, []
            return None, True, Customer(command, self._rules).registered(command)
        if self.customer is None:
            return "CUSTOMER_NOT_FOUND", False, []
        if not self._version_is_right(command, self.customer.version):
            return "VERSION_CONFLICT", False, []
        outcome = self.customer.try_command(command, commit=False, granted=granted)
        return outcome.code, outcome.changes, outcome.published

    def _version_is_right(self, command: Command, now: int) -> bool:
        """A command that claimed an email was decided earlier than it was answered: orders may have come between."""
        expected = command.expected_version
        if expected is None or expected == now:
            return True
        waited = self.traces.granted is None or command.id in self.traces.granted
        return waited and self._last_version <= expected <= now

    def _granted(self, command: Command, result: Result) -> bool:
        if self.traces.granted is None:
            return result.get("code") != "CUSTOMER_EMAIL_EXISTS"
        return self.traces.granted.get(command.id, True)

    def _result(self, command: Command, code: str | None) -> dict[str, Any]:
        return {
            "commandId": command.id,
            "commandType": command.known_kind,
            "customerId": self.customer_id,
            "outcome": "APPLIED" if code is None else "REJECTED",
            "code": code,
            "version": self.customer.version if self.customer else None,
        }

    # -- moving on

    def _advance_to(self, result: Result, command: Command | None) -> None:
        """Apply orders and payments until this result's turn has come."""
        if command is not None and self._group_of(command.id):
            while self._payment_is_next() or not caused_by_command(self._groups[0], command.id):
                self._advance(also_commands=True)
            return
        wanted = result.get("version")
        if not isinstance(wanted, int):
            return
        may_change = command is not None and command.kind in STATE_ONLY and result.get("outcome") == "APPLIED"
        while self.customer is None or self.customer.version < wanted:
            if self.customer is not None and command is not None and may_change:
                _, changes, _ = self._decide(command, result)
                if changes and self.customer.version + 1 == wanted:
                    return
            if not self._advance():
                return

    def _advance(self, *, also_commands: bool = False) -> bool:
        """Apply the next payment or order. also_commands: or a command that has events but, so far, no result."""
        if self.customer is not None and self._payment_is_next():
            delivery = self._payments.popleft()
            self.customer.count_payment(delivery.fact)
            line = self.traces.ledger[
                "P", delivery.fact.id
            ]  # read after the events, so it may be ahead of them
            ahead = 0 if self.traces.still else _sequence_of(line)
            self.sequences["P", delivery.fact.id] = max(self._sequence, ahead)
            self._ticked()
            return True
        if not self._groups:
            return False
        if self._groups[0][0].type == SPENDING:
            self._apply_order(self._groups.popleft())
            return True
        if also_commands:
            self._apply_unanswered(self._groups[0])
            return True
        return False

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

    # -- applying

    def _apply_order(self, group: Sequence[Event]) -> None:
        head = group[0]
        deliveries = [each for each in self.orders_by_id.get(str(head.order_id), []) if self._may_count(each)]
        causes = [each for each in deliveries if each.fact.event_id == head.causationid]
        if not causes or self.customer is None:
            self.causes_missing |= not causes
            self.differs("event", f"{head}: {'before the registration' if causes else 'no order caused it'}")
            self._skip(group)
            return
        if head.order_id in self.customer.history.orders:
            for event in group:
                self.differs("event", f"{event}: the order had counted already")
            self._skip(group)
            return
        delivery = causes[0]
        if all(each.at_home for each in deliveries):
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

    def _change(self, command: Command, data: Published) -> None:
        group = self._group_of(command.id)
        customer = self.customer
        if customer is None:
            customer = self.customer = Customer(command, self._rules)
            customer.registered(command)
        else:
            old = Claimed(email_hash(customer.email), customer.email_claim, self.customer_id)
            customer.try_command(command, commit=True, granted=True)
            if customer.email_claim != old.claim_id:
                self.releases.append(old)
        if group:
            self._take_out(group)
        self._compare(Cause(command.id, command.id, command.correlation_id), data, group)
        if command.kind == "RedeemPoints":
            self.sequences["R", (command.fields or {})["redemptionId"]] = self._sequence
        self._ticked()

    def _apply_unanswered(self, group: list[Event]) -> None:
        """Events whose command has no result: applied all the same, so that what follows can be compared."""
        command_id = str(group[0].causationid)
        deliveries = self.commands_by_id.get(command_id)
        if deliveries and command_id not in self.first_results:
            _, changes, data = self._decide(deliveries[0].fact, {})
            if changes and data:
                if self.traces.still:
                    self.differs(
                        "result", f"command {command_id}: its events are out of order or have no result"
                    )
                self._change(deliveries[0].fact, data)
                return
        self.causes_missing |= not deliveries
        state = "the rules do not lead to it" if deliveries else "no command caused it"
        self.differs("event", f"{group[0]}: {state}")
        self._take_out(group)
        self._skip(group)

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
            if not all(each.at_home for each in deliveries):
                same = [each for each in deliveries if [each.fact.amount, each.fact.currency] == line[:2]]
                deliveries = same or deliveries
            self.winners["P", payment_id] = deliveries[0]
            counted.append((_sequence_of(line), deliveries[0].position, deliveries[0]))
        return [delivery for _, _, delivery in sorted(counted, key=lambda each: each[:2])]

    def _may_count(self, delivery: Delivery[Purchase]) -> bool:
        return delivery.position not in self.traces.limited and (delivery.due or not self.traces.still)


def by_id(deliveries: Sequence[Delivery[Any]]) -> dict[str, list[Delivery[Any]]]:
    """Deliveries of the same command, order or payment together, in log order."""
    found: dict[str, list[Delivery[Any]]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.fact.id, []).append(delivery)
    return found


def comparable(result: Result) -> dict[str, Any]:
    """A result without its words for people."""
    fields = {key: value for key, value in result.items() if key not in ("detail", "errors")}
    return {"code": None, **fields}


def differing(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ."""
    return [
        name
        for name in sorted(expected.keys() | found.keys())
        if name not in expected or name not in found or expected[name] != found[name]
    ]


def _sequence_of(line: Sequence[Any]) -> int:
    return line[5] if len(line) > 5 and isinstance(line[5], int) else 0
