"""Sorts the records of the input topics by customer: each delivery of a command, order, payment or return.

A record on its customer's partition is delivered there. Any other record is forwarded through the inbox.
"""

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Container, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Generic, TypeVar

from aiokafka.partitioner import murmur2

from worker.verify.reading.contents import Partition, Record, Shared
from worker.verify.reading.inputs import (
    MAX_BYTES,
    MAX_OTHER_BYTES,
    NOBODY,
    Aliases,
    Command,
    Headers,
    Position,
    Purchase,
    Unreadable,
    others,
    read_command,
    read_order,
    read_payment,
    read_payment_to_join,
    read_return,
)
from worker.verify.reading.text import DAY_MS
from worker.verify.report import Report

Fact = TypeVar("Fact", Command, Purchase)

_INBOX_KIND = "inbox-kind"
_SOURCE = ("inbox-source-topic", "inbox-source-partition", "inbox-source-offset")
_SOURCE_TIMESTAMP, _SOURCE_KEY = "inbox-source-timestamp", "inbox-source-key"
_CUSTOMER = "inbox-customer"
_DIGITS = 15  # at most, of a timestamp in a header
_ALWAYS_TAKEN = 1_000_000
"""Inputs up to this many bytes fit into all our topics, even with Kafka's default limit and an envelope."""

_AHEAD_MS = 2 * DAY_MS
_ENVELOPE = (_INBOX_KIND, *_SOURCE, _SOURCE_TIMESTAMP, _SOURCE_KEY, _CUSTOMER)
_READERS: dict[str, Callable[[bytes, Headers, Aliases], Command | Purchase]] = {
    "commands": read_command,
    "orders": read_order,
    "returns": read_return,
    "payments": read_payment,
}


@dataclass(frozen=True)
class Delivery(Generic[Fact]):
    """One delivery of an input to its customer.

    Attributes:
        fact: the decoded input.
        source: the original record.
        at_home: whether it arrived on its customer's partition, not through the inbox.
        due: whether it had been processed at the stated positions, so that its effect must be there.
    """

    fact: Fact
    source: Record
    at_home: bool
    due: bool

    @property
    def position(self) -> Position:
        """The position of the original record."""
        return self.source.position


@dataclass
class Told:
    """All deliveries to one customer, each list in log order."""

    commands: list[Delivery[Command]] = field(default_factory=list)
    orders: list[Delivery[Purchase]] = field(default_factory=list)
    payments: list[Delivery[Purchase]] = field(default_factory=list)
    returns: list[Delivery[Purchase]] = field(default_factory=list)

    @property
    def purchases(self) -> list[Delivery[Purchase]]:
        """Orders, payments and returns, in this order."""
        return [*self.orders, *self.payments, *self.returns]

    def without_queued(self, queued: Set[Position]) -> "Told":
        """A copy in which purchases that wait in the customer's queue are not due. queued: their positions."""

        def looked_at(all_of_kind: list[Delivery[Purchase]]) -> list[Delivery[Purchase]]:
            return [replace(each, due=each.due and each.position not in queued) for each in all_of_kind]

        return Told(self.commands, *map(looked_at, (self.orders, self.payments, self.returns)))


@dataclass(frozen=True)
class Expected:
    """A dead letter that is required or allowed.

    Attributes:
        source: the input that it is about.
        reasons: the right reason codes. Empty means that no reason is right.
        due: whether the dead letter must exist; otherwise it may.
    """

    source: Record
    reasons: frozenset[str]
    due: bool


@lru_cache(maxsize=100_000)
def home_of(customer_id: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner picks for a customer. partitions: their number."""
    number: int = (murmur2(customer_id.encode()) & 0x7FFFFFFF) % partitions
    return number


class Sorter:
    """Sorts the records of one partition number by customer. Checks that others were forwarded to the inbox once.

    Args:
        shared: the data of all partitions.
        report: receives counts and differences.
        failed: positions of inputs with a FAILED dead letter. They had no effect.
        refused: positions of inputs with a TOO_LARGE dead letter.

    Attributes:
        dead: the dead letters that the records must or may have. Grows with each call; the caller empties it.
        failed_commands: (customerId, commandId) of the readable commands in `failed`.
        nameless: payments that name no customer. The caller empties it.
        joined: the copies of such payments in the inbox, with the customer of the envelope. The caller empties it.
    """

    def __init__(
        self,
        shared: Shared,
        report: Report,
        failed: Container[Position | None] = (),
        refused: Container[Position | None] = (),
    ) -> None:
        self._failed = failed
        self._refused = refused
        self._shared = shared
        self._report = report
        catalogue = shared.catalogue
        self._kind_of = {
            catalogue.commands.name: "commands",
            catalogue.orders.name: "orders",
            catalogue.returns.name: "returns",
            catalogue.payments.name: "payments",
        }
        self._aliases = catalogue.type_aliases
        self._readers = dict(_READERS)
        if catalogue.payment_join:
            self._readers["payments"] = read_payment_to_join
        self.dead: list[Expected] = []
        self.failed_commands: set[tuple[str, str]] = set()
        self.nameless: list[Delivery[Purchase]] = []
        self.joined: list[Delivery[Purchase]] = []

    def sort(self, partition: Partition) -> dict[str, Told]:
        """Sort one partition number. Returns customerId -> deliveries."""
        told: defaultdict[str, Told] = defaultdict(Told)
        for topic in self._kind_of:
            for record in partition.records.get(topic, ()):
                self._home(record, told)
        for record in partition.records.get(self._shared.catalogue.inbox.name, ()):
            self._inbox(record, told)
        return told

    def _home(self, record: Record, told: defaultdict[str, Told]) -> None:
        self._report.counts[self._kind_of[record.topic]] += 1
        due = self._due(record)
        record = _stamped(record)
        self._report.counts["inputs not processed yet"] += not due
        if record.position in self._failed:
            self.dead.append(Expected(record, frozenset(("FAILED",)), due))
            self._note_failed(record)
            return
        if self._is_refused(record):
            self.dead.append(Expected(record, frozenset(("TOO_LARGE",)), due))
            return
        fact = self._read(record, due, at_source=True)
        if fact is None:
            return
        if fact.customer_id == NOBODY and isinstance(fact, Purchase):
            self.nameless.append(Delivery(fact, record, at_home=False, due=due))
            return
        home = home_of(fact.customer_id, self._shared.catalogue.partitions)
        if (record.partition, record.key) == (home, fact.customer_id.encode()):
            self._tell(told, fact, record, at_home=True, due=due)
            return
        times = self._shared.forwarded[record.position]
        if times > 1 or (times == 0 and due):
            self._report.differs("inbox", str(record.position), f"forwarded {times} times")

    def _is_refused(self, record: Record) -> bool:
        """Whether one of our topics may have been too small for the record, and a dead letter says so.

        The limits of the topics are not known here, so the dead letter is trusted for large records.
        """
        size = len(record.value or b"") + others(record.key, record.headers)
        return size > _ALWAYS_TAKEN and record.position in self._refused

    def _note_failed(self, record: Record) -> None:
        """Remember a failed command: it had no effect, but its email claim may exist."""
        if self._kind_of[record.topic] == "commands":
            with contextlib.suppress(Unreadable):
                command = read_command(record.value or b"", record.headers, self._aliases)
                self.failed_commands.add((command.customer_id, command.id))

    def _due(self, record: Record) -> bool:
        return self._shared.processed(record.topic, record.partition, record.offset)

    def _inbox(self, record: Record, told: defaultdict[str, Told]) -> None:
        headers = dict(record.headers)
        if record.position in self._failed:
            self.dead.append(Expected(record, frozenset(("FAILED",)), self._due(record)))
            return
        if record.withheld is not None and record.value is None:
            self.dead.append(Expected(record, too_large(record), self._due(record)))
            return
        kind = headers.get(_INBOX_KIND)
        if record.value is None or kind == b"claim-answer":
            return
        if kind == b"inputs-lost-acknowledged" and _names_a_loss(record.value):
            return
        due = self._due(record)
        source = original(record)
        if source is None or source.topic not in self._kind_of:
            self.dead.append(Expected(record, frozenset(("UNKNOWN_TYPE", "UNDECODABLE")), due))
            return
        if source.position in self._failed or self._is_refused(source):
            return
        fact = self._read(source, due, at_source=False)
        if isinstance(fact, Purchase) and fact.customer_id == NOBODY:
            fact = replace(fact, customer_id=(headers.get(_CUSTOMER) or b"").decode(errors="replace"))
            self.joined.append(Delivery(fact, source, at_home=False, due=due))
        if fact is not None:
            self._tell(told, fact, source, at_home=False, due=due)

    def _read(self, record: Record, due: bool, *, at_source: bool) -> Command | Purchase | None:
        if at_source and (reasons := too_large(record)):
            self.dead.append(Expected(record, reasons, due))
            return None
        if record.value is None:
            return None
        try:
            read = self._readers[self._kind_of[record.topic]]
            fact = read(record.value, record.headers, self._aliases)
            if isinstance(fact, Purchase) and fact.occurred_at > _newest(record) + _AHEAD_MS:
                raise Unreadable("INVALID")
            return fact
        except Unreadable as problem:
            self.dead.append(Expected(record, problem.reasons, due))
            return None

    def _tell(
        self,
        told: defaultdict[str, Told],
        fact: Command | Purchase,
        source: Record,
        *,
        at_home: bool,
        due: bool,
    ) -> None:
        to = told[fact.customer_id]
        if isinstance(fact, Command):
            to.commands.append(Delivery(fact, source, at_home, due))
        else:
            purchases = {"orders": to.orders, "payments": to.payments, "returns": to.returns}
            purchases[self._kind_of[source.topic]].append(Delivery(fact, source, at_home, due))


def _names_a_loss(value: bytes) -> bool:
    try:
        said = json.loads(value)
    except ValueError:
        return False
    return isinstance(said, dict) and type(said.get("topic")) is str and type(said.get("next_kept")) is int


def _stamped(record: Record) -> Record:
    """The record with the original's timestamp, if headers name an earlier one. A later one is ignored."""
    said = [
        int(value)
        for name, value in record.headers
        if name == _SOURCE_TIMESTAMP and value is not None and value.isdigit() and len(value) <= _DIGITS
    ]
    known = [record.timestamp] if record.timestamp >= 0 else []
    return record._replace(timestamp=min(known + said)) if said else record


def _newest(record: Record) -> int:
    """The latest possible time of arrival, in ms since 1970 UTC. That is now for a record without a timestamp."""
    return record.timestamp if record.timestamp >= 0 else int(time.time() * 1000)


def too_large(record: Record) -> frozenset[str]:
    """The dead letter reasons of an input over the limits; empty for one within the limits and for a null value."""
    withheld = record.withheld
    if withheld is not None and not withheld.readable:
        return frozenset(("TOO_LARGE", "UNDECODABLE"))
    has_value = record.value is not None or (withheld is not None and withheld.digest is not None)
    size = len(record.value or b"") if withheld is None else withheld.bytes
    dropped = withheld is not None and size <= MAX_BYTES  # then the key and headers were over the limit
    over = size > MAX_BYTES or dropped or others(record.key, record.headers) > MAX_OTHER_BYTES
    return frozenset(("TOO_LARGE",)) if over and has_value else frozenset()


def original(record: Record) -> Record | None:
    """The original of a forwarded record; None when the record is not a readable forwarded one."""
    headers = dict(record.headers)
    if headers.get(_INBOX_KIND) != b"forwarded":
        return None
    try:
        topic, partition, offset = ((headers[name] or b"").decode() for name in _SOURCE)
        position = topic, int(partition), int(offset)
        stamped = headers.get(_SOURCE_TIMESTAMP)
        timestamp = record.timestamp if stamped is None else int(stamped)
    except (KeyError, ValueError):
        return None
    own = [(name, value) for name, value in record.headers if name not in _ENVELOPE]
    return Record(*position, headers.get(_SOURCE_KEY), record.value, own, timestamp)
