"""Reads the events that a peer published, with read_committed, and compares them with the expected ones.

Rules:
- Every order has one spending event. Spending and points per customer add up exactly.
- An exactly-once peer numbers each customer's events without gap or repeat.
- The fingerprint covers id, sequence and data of every event, whatever the order of the customers. Peers with equal
  fingerprints published the same ids, sequences and data, byte for byte.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.kafka import PARTITIONS, Site
from tests.benchmarks.orders import Expected, order_number

SPENDING, POINTS = "CustomerSpendingUpdatedEvent", "RewardPointsEarnedEvent"

_CREATED = "CustomerCreatedEvent"
_WORD = 1 << 64


class _Event(msgspec.Struct):
    id: str
    type: str
    subject: str
    sequence: str
    data: msgspec.Raw


class _Money(msgspec.Struct):
    amount: str


class _Spending(msgspec.Struct, rename="camel"):
    order_id: str
    spending_amount: _Money


class _Points(msgspec.Struct, rename="camel"):
    points_earned: int


_event = msgspec.json.Decoder(_Event).decode
_spending = msgspec.json.Decoder(_Spending).decode
_points = msgspec.json.Decoder(_Points).decode


@dataclass
class Published:
    """All events of a run, added up.

    appended_ms: the broker's append time of each spending event, in ms since 1970. `read` returns it sorted.
    """

    appended_ms: list[int] = field(default_factory=list)
    cents: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    orders: set[int] = field(default_factory=set)
    sequences: dict[str, int] = field(default_factory=dict)
    out_of_sequence: int = 0
    fingerprint: int = 0

    def add(self, value: bytes, appended_ms: int) -> None:
        event = _event(value)
        if event.type != _CREATED:
            content = f"{event.id}|{event.sequence}|".encode() + bytes(event.data)
            digest = hashlib.blake2b(content, digest_size=8).digest()
            self.fingerprint = (self.fingerprint + int.from_bytes(digest)) % _WORD
        customer, number = event.subject, int(event.sequence)
        self.out_of_sequence += number != self.sequences.get(customer, number - 1) + 1
        self.sequences[customer] = number
        if event.type == SPENDING:
            spending = _spending(event.data)
            self.appended_ms.append(appended_ms)
            self.orders.add(order_number(spending.order_id))
            self.cents[customer] += int(spending.spending_amount.amount.replace(".", ""))
        elif event.type == POINTS:
            self.points[customer] += _points(event.data).points_earned

    def faults(self, expected: Expected) -> list[str]:
        """What is wrong, in words; empty when everything is exactly right."""
        events = len(self.appended_ms)
        counts = {
            "orders missing": expected.orders - len(self.orders),
            "orders counted again": events - len(self.orders),
            "customers with a wrong sum": _differences(self.cents, expected.cents),
            "customers with wrong points": _differences(self.points, expected.points),
            "events out of sequence": self.out_of_sequence,
        }
        return [f"{count:,} {what}" for what, count in counts.items() if count]


def read(site: Site, ends: Sequence[int]) -> Published:
    """Read every event up to `ends`, the last stable offset of each partition."""
    published = Published()
    with event_consumer(site) as consumer:
        topic = site.catalogue.events.name
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        missing = {number for number, end in enumerate(ends) if end > 0}
        while missing:
            for message in consumer.consume(5_000, 0.2):
                if message.error() is None:
                    published.add(message.value(), message.timestamp()[1])
            places = consumer.position([TopicPartition(topic, number) for number in missing])
            missing = {place.partition for place in places if place.offset < ends[place.partition]}
    published.appended_ms.sort()
    return published


def event_consumer(site: Site) -> Any:
    """A read_committed consumer without a group. The caller assigns its partitions."""
    return Consumer(
        {
            "bootstrap.servers": site.bootstrap,
            "group.id": f"{site.prefix}reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,  # so that the position also moves past a transaction marker at the end
            "fetch.wait.max.ms": 100,
        }
    )


def _differences(found: Counter[str], wanted: Counter[str]) -> int:
    return sum(found[customer] != wanted[customer] for customer in found.keys() | wanted.keys())
