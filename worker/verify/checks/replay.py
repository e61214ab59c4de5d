"""Replays one customer: applies every input in the worker's order, and compares its effects.

The order comes from:
- the sequence of the events, for inputs that publish. An event's causationid names its input;
- the log order of the results, for commands. A result's version is the number of changes before it was given;
- the event sequence in the ledger line, for payments, which publish nothing.

So the version is the clock. Each input that changes the customer adds one, and a result at version v belongs right after
change v. A repeated command gets its first result again and changes nothing. The worker may forget that result after
seven days. Then another result counts as that of a new command. The same input yields the same event ids. So if that
command publishes, its events repeat the ids of the first ones, and are reported as doubled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from worker.verify.checks import published
from worker.verify.checks.account import Account, Claimed
from worker.verify.checks.published import Cause, Event
from worker.verify.checks.traces import SPENDING, Result, breaks, caused_by_command
from worker.verify.model.commands import STATE_ONLY, try_command
from worker.verify.model.customer import Customer, Published, email_hash
from worker.verify.reading.deliveries import Delivery
from worker.verify.reading.inputs import Command
from worker.verify.reading.text import DAY_MS

FORGOTTEN_MS = 7 * DAY_MS
"""The worker remembers the result of a command for at least this long."""


def replayed(account: Account) -> Account:
    """Apply all inputs to the account. Each step compares events, results and the customer's row.

    Returns:
        The same account.
    """
    for event in account.doubled:
        account.differs("event", f"{event}: doubled")
    for gap in breaks(account.traces.events):
        account.causes_missing |= gap.startswith("starts")
        account.differs("sequence", gap)
    _Replay(account).run()
    for payment in account.payments if account.traces.still else ():
        account.differs("ledger", f"payment {payment.fact.id} counted before the registration")
    return account


class _Replay:
    """Finds the next step from results and events, and applies it to the account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._last_version = 0  # the version in the latest result that was no repeat

    def run(self) -> None:
        """Apply all inputs."""
        self._replay_results()
        while self._advance(also_commands=True):
            pass

    def _replay_results(self) -> None:
        account = self._account
        first: dict[str, Command] = {}
        first_at: dict[str, int] = {}
        for result, answered_at in zip(account.traces.results, account.traces.answered_at, strict=True):
            command_id = str(result.get("commandId"))
            deliveries = account.commands_by_id.get(command_id)
            if deliveries is None:
                account.causes_missing = True
                account.differs("result", f"command {command_id} is on no input topic")
            elif command_id not in first:
                account.first_results[command_id], first_at[command_id] = result, answered_at
                first[command_id] = self._first_result(result, deliveries)
            elif result == account.first_results[command_id]:
                continue
            elif answered_at >= first_at[command_id] + FORGOTTEN_MS:
                account.first_results[command_id], first_at[command_id] = result, answered_at
                first[command_id] = self._first_result(result, deliveries, again=True)
            else:
                self._later_result(result, first[command_id], deliveries)

    def _first_result(
        self, result: Result, deliveries: Sequence[Delivery[Command]], *, again: bool = False
    ) -> Command:
        """Apply a command at its first result. Returns the delivery that fits the result.

        Args:
            result: the result.
            deliveries: all deliveries of the command, in log order.
            again: whether an earlier result was forgotten, so that any delivery may be the one that counted.
        """
        command = deliveries[0].fact
        candidates: list[Command] = []
        if again or not all(delivery.at_home for delivery in deliveries):
            # The logs do not tell which came first. One of them fits, and the result names its type.
            answered = result.get("commandType")
            candidates = [each.fact for each in deliveries if each.fact.known_kind == answered]
            command = next(iter(candidates), command)
        self._advance_to(result, command)
        command = next((each for each in candidates if self._fits(each, result)), command)
        wrong = differing(self._apply(command, result), comparable(result))
        if wrong:
            self._account.differs("result", f"command {command.id}: {', '.join(wrong)}")
        if isinstance(result.get("version"), int):
            self._last_version = int(result["version"])
        return command

    def _later_result(self, result: Result, first: Command, deliveries: Sequence[Delivery[Command]]) -> None:
        account = self._account
        kinds = {each.fact.known_kind for each in deliveries if not first.says_the_same(each.fact)}
        if not kinds:
            account.differs("result", f"command {first.id}: a repeat was not answered with the first result")
            return
        self._advance_to(result, None)
        conflict = self._result(first, "IDEMPOTENCY_CONFLICT")
        wrong = [name for name in differing(conflict, comparable(result)) if name != "commandType"]
        if result.get("commandType") not in kinds:
            wrong.append("commandType")
        if wrong:
            account.differs("result", f"command {first.id}, used again: {', '.join(wrong)}")

    def _fits(self, command: Command, result: Result) -> bool:
        """Whether this command would lead to this result and to its published events."""
        account = self._account
        code, changes, data = self._decide(command, result)
        expected = self._result(command, code)
        if changes:
            expected["version"] = (expected["version"] or 0) + 1
        cause, group = Cause.of_command(command), account.group_of(command.id)
        same_events = not published.compare(account.customer_id, cause, data, group)
        return not differing(expected, comparable(result)) and same_events

    def _apply(self, command: Command, result: Result) -> dict[str, Any]:
        """Apply the command, compare its events, and return the result that it must have."""
        account = self._account
        code, changes, data = self._decide(command, result)
        email = (command.fields or {}).get("email")
        claims = email is not None and (account.customer is None or account.customer.email != email)
        if claims and (changes or code == "CUSTOMER_EMAIL_EXISTS"):
            account.claims.append(Claimed(email_hash(str(email)), command.id, account.customer_id))
        if changes:
            account.change(command, data)
        return self._result(command, code)

    def _decide(self, command: Command, result: Result) -> tuple[str | None, bool, Published]:
        """(rejection code, whether the customer changes, events to publish). Checks run in the contract's order."""
        account = self._account
        if command.fields is None:
            return "VALIDATION_FAILED", False, []
        if account.customer is not None and account.customer.erased:
            return "CUSTOMER_ERASED", False, []
        granted = self._granted(command, result)
        if command.kind == "RegisterCustomer":
            if account.customer is not None:
                return "CUSTOMER_ALREADY_EXISTS", False, []
            if command.expected_version not in (None, 0):
                return "VERSION_CONFLICT", False, []
            if not granted:
                return "CUSTOMER_EMAIL_EXISTS", False, []
            return None, True, Customer(command, account.rules).registered(command)
        if account.customer is None:
            return "CUSTOMER_NOT_FOUND", False, []
        if not self._version_is_right(command, account.customer.version):
            return "VERSION_CONFLICT", False, []
        outcome = try_command(account.customer, command, commit=False, granted=granted)
        return outcome.code, outcome.changes, outcome.published

    def _version_is_right(self, command: Command, now: int) -> bool:
        """Whether expectedVersion was right.

        A command that claimed an email was decided before its result was written. Orders may have counted in between.
        """
        account = self._account
        expected = command.expected_version
        if expected is None or expected == now:
            return True
        waited = account.traces.granted is None or command.id in account.traces.granted
        return waited and self._last_version <= expected <= now

    def _granted(self, command: Command, result: Result) -> bool:
        account = self._account
        if account.traces.granted is None:
            return result.get("code") != "CUSTOMER_EMAIL_EXISTS"
        return account.traces.granted.get(command.id, True)

    def _result(self, command: Command, code: str | None) -> dict[str, Any]:
        account = self._account
        return {
            "commandId": command.id,
            "commandType": command.known_kind,
            "customerId": account.customer_id,
            "outcome": "APPLIED" if code is None else "REJECTED",
            "code": code,
            "version": account.customer.version if account.customer else None,
        }

    def _advance_to(self, result: Result, command: Command | None) -> None:
        """Apply the inputs that counted before this result. command: None for a result that changes nothing."""
        account = self._account
        if command is not None and account.group_of(command.id):
            while account.payment_is_next() or not caused_by_command(account.groups[0], command.id):
                self._advance(also_commands=True)
            return
        wanted = result.get("version")
        if not isinstance(wanted, int):
            return
        may_change = command is not None and command.kind in STATE_ONLY and result.get("outcome") == "APPLIED"
        while account.customer is None or account.customer.version < wanted:
            if account.customer is not None and command is not None and may_change:
                _, changes, _ = self._decide(command, result)
                if changes and account.customer.version + 1 == wanted:
                    return
            if not self._advance():
                return

    def _advance(self, *, also_commands: bool = False) -> bool:
        """Apply the next payment, order or return. Returns whether there was one.

        Args:
            also_commands: whether to apply a command too that has events but no result so far.
        """
        account = self._account
        if account.customer is not None and account.payment_is_next():
            account.apply_payment(account.customer)
            return True
        if not account.groups:
            return False
        if account.groups[0][0].type == SPENDING:
            group = account.groups.popleft()
            if group[0].is_refund:
                account.apply_return(group)
            else:
                account.apply_order(group)
            return True
        if also_commands:
            self._apply_unanswered(account.groups[0])
            return True
        return False

    def _apply_unanswered(self, group: list[Event]) -> None:
        """Apply a command that has events but no result, so that later inputs can still be compared."""
        account = self._account
        command_id = str(group[0].causationid)
        deliveries = account.commands_by_id.get(command_id)
        if deliveries and command_id not in account.first_results:
            _, changes, data = self._decide(deliveries[0].fact, {})
            if changes and data:
                if account.traces.still:
                    account.differs(
                        "result", f"command {command_id}: its events are out of order or have no result"
                    )
                account.change(deliveries[0].fact, data)
                return
        account.causes_missing |= not deliveries
        state = "the rules do not produce it" if deliveries else "no command caused it"
        account.differs("event", f"{group[0]}: {state}")
        account.take_out(group)
        account.skip(group)


def comparable(result: Result) -> dict[str, Any]:
    """A result without the texts for people (detail and errors). A missing code becomes None."""
    fields = {key: value for key, value in result.items() if key not in ("detail", "errors")}
    return {"code": None, **fields}


def differing(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ."""
    return [
        name
        for name in sorted(expected.keys() | found.keys())
        if name not in expected or name not in found or expected[name] != found[name]
    ]
