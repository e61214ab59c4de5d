"""From records to what each customer was told: every delivery of a command, an order, a payment or a
return, home or forwarded."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Generic, TypeVar

from aiokafka.partitioner import murmur2

from worker.verify.contents import Partition, Record, Shared
from worker.verify.inputs import (
    NOBODY,
    Command,
    Headers,
    Position,
    Purchase,
    Unreadable,
    read_command,
    read_order,
    read_payment,
    read_payment_to_join,
    read_return,
)
from worker.verify.report import Report

Fact = TypeVar("Fact", Command, Purchase)

_INBOX_KIND = "inbox-kind"
_SOURCE = ("inbox-source-topic", "inbox-source-partition", "inbox-source-offset")
_SOURCE_TIMESTAMP, _SOURCE_KEY = "inbox-source-timestamp", "inbox-source-key"
_CUSTOMER = "inbox-customer"
_ENVELOPE = (_INBOX_KIND, *_SOURCE, _SOURCE_TIMESTAMP, _SOURCE_KEY, _CUSTOMER)
_READERS: dict[str, Callable[[bytes, Headers], Command | Purchase]] = {
    "commands": read_command,
    "orders": read_order,
    "returns": read_return,
    "payments": read_payment,
}


@dataclass(frozen=True)
class Delivery(Generic[Fact]):
    """One record. source: as it first was; at_home: it did not go through the inbox; due: it has been processed."""

    fact: Fact
    source: Record
    at_home: bool
    due: bool

    @property
    def position(self) -> Position:
        """Where it was first."""
        return self.source.position


@dataclass
class Told:
    """What one customer was told."""

    commands: list[Delivery[Command]] = field(default_factory=list)
    orders: list[Delivery[Purchase]] = field(default_factory=list)
    payments: list[Delivery[Purchase]] = field(default_factory=list)
    returns: list[Delivery[Purchase]] = field(default_factory=list)

    @property
    def purchases(self) -> list[Delivery[Purchase]]:
        """All but the commands."""
        return [*self.orders, *self.payments, *self.returns]


@dataclass(frozen=True)
class Expected:
    """A dead letter that must be there (due) or may be. reasons: those that are right."""

    source: Record
    reasons: frozenset[str]
    due: bool


@lru_cache(maxsize=100_000)
def home_of(customer_id: str, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner."""
    number: int = (murmur2(customer_id.encode()) & 0x7FFFFFFF) % partitions
    return number


class Sorter:
    """Sorts the records of one partition by customer; notes unreadable ones and those to be forwarded.

    nameless: payments that name no customer. joined: such payments in the inbox, with the customer of the envelope.
    """

    def __init__(self, shared: Shared, report: Report) -> None:
        self._shared = shared
        self._report = report
        catalogue = shared.catalogue
        self._kind_of = {
            catalogue.commands.name: "commands",
            catalogue.orders.name: "orders",
            catalogue.returns.name: "returns",
            catalogue.payments.name: "payments",
        }
        self._readers = dict(_READERS)
        if catalogue.payment_join:
            self._readers["payments"] = read_payment_to_join
        self.dead: list[Expected] = []
        self.nameless: list[Delivery[Purchase]] = []
        self.joined: list[Delivery[Purchase]] = []

    def sort(self, partition: Partition) -> dict[str, Told]:
        """customerId -> what it was told on this partition number."""
        told: defaultdict[str, Told] = defaultdict(Told)
        for topic in self._kind_of:
            for record in partition.records.get(topic, ()):
                self._home(record, told)
        for record in partition.records.get(self._shared.catalogue.inbox.name, ()):
            self._inbox(record, told)
        return told

    def _home(self, record: Record, told: defaultdict[str, Told]) -> None:
        self._report.counts[self._kind_of[record.topic]] += 1
        due = self._shared.processed(record.topic, record.partition, record.offset)
        self._report.counts["inputs not processed yet"] += not due
        fact = self._read(record, due)
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

    def _inbox(self, record: Record, told: defaultdict[str, Told]) -> None:
        headers = dict(record.headers)
        if record.value is None or headers.get(_INBOX_KIND) == b"claim-answer":
            return
        due = self._shared.processed(record.topic, record.partition, record.offset)
        source = original(record)
        if source is None or source.topic not in self._kind_of:
            self.dead.append(Expected(record, frozenset(("UNKNOWN_TYPE", "UNDECODABLE")), due))
            return
        fact = self._read(source, due)
        if isinstance(fact, Purchase) and fact.customer_id == NOBODY:
            fact = replace(fact, customer_id=headers.get(_CUSTOMER, b"").decode(errors="replace"))
            self.joined.append(Delivery(fact, source, at_home=False, due=due))
        if fact is not None:
            self._tell(told, fact, source, at_home=False, due=due)

    def _read(self, record: Record, due: bool) -> Command | Purchase | None:
        if record.value is None:
            return None
        try:
            return self._readers[self._kind_of[record.topic]](record.value, record.headers)
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


def original(record: Record) -> Record | None:
    """The record that was forwarded, as it first was; None when this is none."""
    headers = dict(record.headers)
    if headers.get(_INBOX_KIND) != b"forwarded":
        return None
    try:
        topic, partition, offset = (headers[name].decode() for name in _SOURCE)
        position = topic, int(partition), int(offset)
        timestamp = int(headers.get(_SOURCE_TIMESTAMP, record.timestamp))
    except (KeyError, ValueError):
        return None
    kept = [(name, value) for name, value in record.headers if name not in _ENVELOPE]
    return Record(*position, headers.get(_SOURCE_KEY), record.value, kept, timestamp)
