"""The worker's output for one customer: events, results and rows. Also splits events into one group per input."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from worker.verify.checks.published import Event
from worker.verify.reading.deliveries import Delivery
from worker.verify.reading.inputs import Position, Purchase

SPENDING = "CustomerSpendingUpdatedEvent"
CREATED = "CustomerCreatedEvent"

CLAIMS, FORGETS = "E", "F"
_OCCURRED_AT = 3  # index in a ledger line
MARKS = (CLAIMS, FORGETS)
"""Kinds of rows in the waiting table that are no inputs: a command that claims an email, and an erasure in progress."""

Result = Mapping[str, Any]


@dataclass
class Traces:
    """Everything that the worker wrote about one customer. Times are in ms since 1970 UTC.

    `limited`, `expired`, `refused` and `conflicted` cover all customers. They map the position of an input to the time
    of its last dead letter.

    Attributes:
        events: the published events, in log order.
        results: the command results, in log order.
        answered_at: the time of each result.
        row: the row of the customers table; empty without one.
        ledger: (kind, id) -> ledger line.
        waiting: (kind, id) -> waiting input.
        marks: the kinds of MARKS that the customer has.
        remembered: commandId -> remembered result.
        limited: inputs with a WAITING_LIMIT dead letter. They count as never seen.
        expired: inputs with a WAITING_EXPIRED dead letter. They count as never seen.
        refused: inputs with a CUSTOMER_ERASED dead letter.
        conflicted: returns with a RETURN_CONFLICT dead letter.
        granted: claim id -> whether the email was free; None when retention has removed the claims.
        still: whether the comparison is exact: nothing was processed during the read, and no stepwise work is unfinished.
        old_days: kind (S or C) and currency, as one key -> day number -> minor units, from the day_totals table.
    """

    events: list[Event] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    answered_at: list[int] = field(default_factory=list)
    row: Mapping[str, Any] = field(default_factory=dict)
    ledger: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)
    remembered: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    limited: Mapping[Position | None, int] = field(default_factory=dict)
    expired: Mapping[Position | None, int] = field(default_factory=dict)
    refused: Mapping[Position | None, int] = field(default_factory=dict)
    conflicted: Mapping[Position | None, int] = field(default_factory=dict)
    granted: Mapping[str, bool] | None = field(default_factory=dict)
    still: bool = True
    old_days: dict[str, dict[int, int]] = field(default_factory=dict)

    def add_old_days(self, kind: str, block: Mapping[str, Any]) -> None:
        """Add a row of the day_totals table.

        Args:
            kind: S (as spent) or C (as converted), followed by the currency.
            block: day number -> minor units.
        """
        self.old_days.setdefault(kind, {}).update((int(day), amount) for day, amount in block.items())

    def may_count(self, position: Position) -> bool:
        """Whether the input at this position has no dead letter that excludes an effect (limit, expiry or erasure)."""
        return not any(position in told for told in (self.limited, self.expired, self.refused))

    def came_in_order(self, deliveries: Iterable[Delivery[Purchase]]) -> bool:
        """Whether the first of these deliveries of one input must be the one that counted.

        That needs deliveries in a known order, so none through the inbox. None may have expired either, because others
        would be repeats of it while it waited.
        """
        counting = [each for each in deliveries if self.may_count(each.position)]
        return all(each.at_home for each in counting) and not any(
            each.position in self.expired for each in deliveries
        )

    def as_counted(self, kind: str, deliveries: list[Delivery[Purchase]]) -> list[Delivery[Purchase]]:
        """The deliveries of one input with the occurredOn of its ledger line.

        No log tells the order of deliveries that took different ways. The ledger line shows which one counted.

        Args:
            kind: O, P or T.
            deliveries: deliveries of the same input.

        Returns:
            The matching deliveries. All of them when the line is missing or matches none.
        """
        lines = (self.ledger.get((kind, each.fact.id)) for each in deliveries[:1])
        times = {line[_OCCURRED_AT] for line in lines if line is not None and len(line) > _OCCURRED_AT}
        return [each for each in deliveries if each.fact.occurred_at in times] or deliveries

    def may_be_hidden(self, each: Delivery[Purchase], deliveries: Iterable[Delivery[Purchase]]) -> bool:
        """Whether this delivery may have been a repeat of another one that waited and had no effect in the end.

        Args:
            each: this delivery.
            deliveries: all deliveries of the same input.
        """
        return not self._came_to_nothing(each) and any(
            self._came_to_nothing(other) and other.fact.worth == each.fact.worth for other in deliveries
        )

    def _came_to_nothing(self, each: Delivery[Purchase]) -> bool:
        return any(each.position in told for told in (self.conflicted, self.refused, self.expired))

    @property
    def claiming_command(self) -> Mapping[str, Any]:
        """The command that waits for the answer to its email claim; empty without one."""
        return (self.row.get("pending") or {}).get("command") or {}

    @property
    def queued(self) -> set[Position]:
        """The original positions of the inputs in the customer's queue."""
        return {source_of(each) for (kind, _), each in self.waiting.items() if kind == "C"}

    @property
    def in_steps(self) -> bool:
        """Whether the worker has unfinished stepwise work: returns of an order, a release, an erasure or the queue."""
        row = self.row
        steps = (row.get(name) is not None for name in ("returns_of", "releasing", "forgetting"))
        return any(steps) or bool(row.get("queued") and self.queued and not row.get("pending"))

    @property
    def row_version(self) -> int:
        """The version in the customers table; 0 without a customer."""
        return int((self.row.get("customer") or {}).get("version", 0))


def unique(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
    """Split events into (first event of each id, events that repeat an id)."""
    seen: set[Any] = set()
    first: list[Event] = []
    doubled: list[Event] = []
    for event in events:
        (doubled if event.id in seen else first).append(event)
        seen.add(event.id)
    return first, doubled


def grouped(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Split events into one group per input.

    A new group starts with another causationid, a spending event or the event of a registration.
    """
    group: list[Event] = []
    for event in events:
        if group and (event.causationid != group[0].causationid or event.type in (SPENDING, CREATED)):
            yield group
            group = []
        group.append(event)
    if group:
        yield group


def caused_by_command(group: Sequence[Event], command_id: str) -> bool:
    """Whether this command published the group. Groups of orders and returns begin with a spending event."""
    return bool(group[0].causationid == command_id and group[0].type != SPENDING)


def breaks(events: Sequence[Event]) -> Iterator[str]:
    """Describe each place where the sequence does not start with 1 or does not grow by 1."""
    numbers = [event.number for event in events]
    if numbers and numbers[0] != 1:
        yield f"starts with {numbers[0]}"
    for before, after in pairwise(numbers):
        if before is None or after != before + 1:
            yield f"{before} is followed by {after}"


def source_of(waiting: Mapping[str, Any]) -> Position:
    """The original position of a waiting input."""
    return Position(
        str(waiting.get("topic")), int(waiting.get("partition", -1)), int(waiting.get("offset", -1))
    )
