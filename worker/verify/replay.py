"""One customer, step by step: every input in the order in which it was applied, and what had to come of it.

Where the order comes from:
- of what publishes: the sequence of the events, whose causationid names the input;
- of commands: their results, which are in log order; a result's version says after how many changes it was given;
- of payments, which publish nothing: the event sequence that their ledger line carries.
So the version is the clock: each input that changes the customer is one tick, and a result at version v belongs right
after the v-th change. A redelivered command is answered with its first result and moves nothing; after seven days it
may be forgotten, and then another result is that of a new command. Should that one publish, its events have the ids of
the first one's (the same input yields the same ids), and are told as doubled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.verify import published
from worker.verify.commands import STATE_ONLY, try_command
from worker.verify.customer import Customer, Published, email_hash
from worker.verify.deliveries import Delivery
from worker.verify.inputs import Command
from worker.verify.published import Cause, Event
from worker.verify.steps import Claimed, Steps
from worker.verify.text import DAY_MS
from worker.verify.traces import SPENDING, Result, breaks, caused_by_command

FORGOTTEN_MS = 7 * DAY_MS
"""How long the result of a command is remembered at least."""


class Replay(Steps):
    """The recomputation of one customer; `run` fills everything that is public."""

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

    # -- results and commands

    def _replay_results(self) -> None:
        first: dict[str, Command] = {}
        first_at: dict[str, int] = {}
        for result, answered_at in zip(self.traces.results, self.traces.answered_at, strict=True):
            command_id = str(result.get("commandId"))
            deliveries = self.commands_by_id.get(command_id)
            if deliveries is None:
                self.causes_missing = True
                self.differs("result", f"command {command_id} was never given")
            elif command_id not in first:
                self.first_results[command_id], first_at[command_id] = result, answered_at
                first[command_id] = self._first_result(result, deliveries)
            elif result == self.first_results[command_id]:
                continue
            elif answered_at >= first_at[command_id] + FORGOTTEN_MS:
                self.first_results[command_id], first_at[command_id] = result, answered_at
                first[command_id] = self._first_result(result, deliveries, again=True)
            else:
                self._later_result(result, first[command_id], deliveries)

    def _first_result(
        self, result: Result, deliveries: Sequence[Delivery[Command]], *, again: bool = False
    ) -> Command:
        """again: the command had been forgotten, so that it may be any of its deliveries."""
        command = deliveries[0].fact
        candidates: list[Command] = []
        if again or not all(delivery.at_home for delivery in deliveries):
            # Which came first is not known: one of them fits, and its result says of which type it is.
            answered = result.get("commandType")
            candidates = [each.fact for each in deliveries if each.fact.known_kind == answered]
            command = next(iter(candidates), command)
        self._advance_to(result, command)
        command = next((each for each in candidates if self._fits(each, result)), command)
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
        if self.customer is not None and self.customer.erased:
            return "CUSTOMER_ERASED", False, []
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
        outcome = try_command(self.customer, command, commit=False, granted=granted)
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
        """Apply orders, payments and returns until this result's turn has come."""
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
        """Apply the next payment, order or return. also_commands: or a command that has events but, so far, no result."""
        if self.customer is not None and self._payment_is_next():
            self._apply_payment(self.customer)
            return True
        if not self._groups:
            return False
        if self._groups[0][0].type == SPENDING:
            group = self._groups.popleft()
            if group[0].is_refund:
                self._apply_return(group)
            else:
                self._apply_order(group)
            return True
        if also_commands:
            self._apply_unanswered(self._groups[0])
            return True
        return False

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
