"""What the worker wrote about one customer, and its events cut into the groups that one input each caused."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from worker.verify.deliveries import Delivery
from worker.verify.inputs import Position, Purchase
from worker.verify.published import Event

SPENDING = "CustomerSpendingUpdatedEvent"
CREATED = "CustomerCreatedEvent"

Result = Mapping[str, Any]


@dataclass
class Traces:
    """ledger, waiting, remembered: rows by (kind, id), (kind, id), commandId. row: of the customers table.

    answered_at: when each result was written. limited: positions of dead letters after which an input counts as never
    seen; expired: the same after it waited; refused: of those that say that the customer was erased; conflicted: of those
    that say that a return conflicts; each with when it was written. granted: claim id -> whether the email was free; None
    where that cannot be known any more. still: nothing was processed while all this was read. Times in ms since 1970 UTC.
    """

    events: list[Event] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    answered_at: list[int] = field(default_factory=list)
    row: Mapping[str, Any] = field(default_factory=dict)
    ledger: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    remembered: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    limited: Mapping[Position | None, int] = field(default_factory=dict)
    expired: Mapping[Position | None, int] = field(default_factory=dict)
    refused: Mapping[Position | None, int] = field(default_factory=dict)
    conflicted: Mapping[Position | None, int] = field(default_factory=dict)
    granted: Mapping[str, bool] | None = field(default_factory=dict)
    still: bool = True

    def may_count(self, position: Position) -> bool:
        """Whether no dead letter says that the input there was turned away before it was looked at."""
        return not any(position in told for told in (self.limited, self.expired, self.refused))

    def came_in_order(self, deliveries: Iterable[Delivery[Purchase]]) -> bool:
        """Whether the first of these deliveries of one input had to count: they came one after the other, and none of
        them hid others while it waited in vain."""
        counting = [each for each in deliveries if self.may_count(each.position)]
        return all(each.at_home for each in counting) and not any(
            each.position in self.expired for each in deliveries
        )

    def may_be_hidden(self, each: Delivery[Purchase], deliveries: Iterable[Delivery[Purchase]]) -> bool:
        """Whether one of these may have waited when it came, and have come to nothing in the end: a repeat of that meant
        nothing."""
        return not self._came_to_nothing(each) and any(
            self._came_to_nothing(other) and other.fact.worth == each.fact.worth for other in deliveries
        )

    def _came_to_nothing(self, each: Delivery[Purchase]) -> bool:
        return any(each.position in told for told in (self.conflicted, self.refused, self.expired))

    @property
    def pending_command(self) -> Mapping[str, Any]:
        """The command that waits for its email claim; empty without one."""
        return (self.row.get("pending") or {}).get("command") or {}

    @property
    def row_version(self) -> int:
        """The version in the customers table; 0 without a customer."""
        return int((self.row.get("customer") or {}).get("version", 0))


def unique(events: Iterable[Event]) -> tuple[list[Event], list[Event]]:
    """Events by their id: the first of each, and the doubled ones."""
    seen: set[Any] = set()
    first: list[Event] = []
    doubled: list[Event] = []
    for event in events:
        (doubled if event.id in seen else first).append(event)
        seen.add(event.id)
    return first, doubled


def grouped(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Events of one input each: one causationid, and a spending event begins another order or return."""
    group: list[Event] = []
    for event in events:
        if group and (event.causationid != group[0].causationid or event.type in (SPENDING, CREATED)):
            yield group
            group = []
        group.append(event)
    if group:
        yield group


def caused_by_command(group: Sequence[Event], command_id: str) -> bool:
    """Whether these are the events of that command."""
    return bool(group[0].causationid == command_id and group[0].type != SPENDING)


def breaks(events: Sequence[Event]) -> Iterator[str]:
    """Where the sequence does not grow by one."""
    numbers = [event.number for event in events]
    if numbers and numbers[0] != 1:
        yield f"starts with {numbers[0]}"
    for before, after in pairwise(numbers):
        if before is None or after != before + 1:
            yield f"{before} is followed by {after}"


def source_of(waiting: Mapping[str, Any]) -> Position:
    """Where an input that waits was first."""
    return Position(
        str(waiting.get("topic")), int(waiting.get("partition", -1)), int(waiting.get("offset", -1))
    )
