"""Compares the envelope and data of published events with the contract (sections 1 and 4)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.verify.model.customer import Published, id_of, money
from worker.verify.reading.contents import Record
from worker.verify.reading.inputs import Command, Headers, Purchase, same_json

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_TRACING = ("traceparent", "tracestate")
_HEADERS = {"content-type": b"application/cloudevents+json"}


@dataclass(frozen=True)
class Event:
    """A record of customer.events. body: the CloudEvent; empty when it cannot be read."""

    record: Record
    body: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        """An attribute of the envelope; None when it is missing."""
        return self.body.get(name)

    @property
    def order_id(self) -> str | None:
        """The orderId of the data; None without one."""
        data = self.body.get("data")
        return data.get("orderId") if isinstance(data, dict) else None

    @property
    def is_refund(self) -> bool:
        """Whether the data has the spendingType REFUND, which a return causes."""
        data = self.body.get("data")
        return isinstance(data, dict) and data.get("spendingType") == "REFUND"

    @property
    def amount(self) -> Any:
        """The spendingAmount of the data; None without one."""
        data = self.body.get("data")
        return data.get("spendingAmount") if isinstance(data, dict) else None

    @property
    def number(self) -> int | None:
        """The sequence as a number; None when it is not a positive decimal number."""
        raw = self.body.get("sequence")
        return int(raw) if isinstance(raw, str) and re.fullmatch(r"[1-9][0-9]*", raw) else None

    def __str__(self) -> str:
        return f"{self.body.get('type')} #{self.body.get('sequence')} at {self.record.position}"


@dataclass(frozen=True)
class Cause:
    """The input that caused a group of events.

    Attributes:
        key: commandId, orderId, paymentId or returnId.
        id: commandId or eventId.
        correlation_id: None means that `id` takes its place.
        actor: who gave the command; None when it names nobody, and for other inputs.
    """

    key: str
    id: str
    correlation_id: str | None
    actor: str | None = None

    @classmethod
    def of_command(cls, command: Command) -> "Cause":
        """The cause of the events that this command publishes."""
        return cls(command.id, command.id, command.correlation_id, command.actor)


def is_of(event: Event, order: Purchase) -> bool:
    """Whether a spending event has the amount and the correlation id of this order."""
    correlation = order.event_id if order.correlation_id is None else order.correlation_id
    return bool(event.amount == money(order.amount, order.currency) and event.correlationid == correlation)


def is_return(event: Event, back: Purchase) -> bool:
    """Whether a refund's spending event belongs to this return. The event's id is derived from the returnId."""
    return bool(
        (event.causationid, event.order_id) == (back.event_id, back.order_id)
        and event.amount == money(-back.amount, back.currency)
        and event.id == id_of(f"{back.customer_id}|{back.id}|{event.type}|0")
    )


def compare(customer_id: str, cause: Cause, data: Published, group: Sequence[Event]) -> list[str]:
    """Compare the events that one input must publish with those that it published.

    Args:
        customer_id: the subject of the events.
        cause: the input.
        data: the events that it must publish, as (type, data), in order.
        group: the events that it published, in order.

    Returns:
        One sentence for each difference.
    """
    kinds: Counter[str] = Counter()
    left = list(group)
    differences = []
    for type_name, fields in data:
        expected = expected_event(customer_id, cause, type_name, kinds[type_name], fields)
        kinds[type_name] += 1
        found = next((event for event in left if event.type == type_name), None)
        if found is None:
            differences.append(f"missing: {type_name} of {cause.id}")
            continue
        if found is not left[0]:
            differences.append(f"{found}: out of order")
        left.remove(found)
        wrong = differing_fields(found, expected, customer_id.encode())
        if wrong:
            differences.append(f"{found}: {', '.join(wrong)}")
    return differences + [f"{event}: the rules do not produce it" for event in left]


def expected_event(
    customer_id: str, cause: Cause, type_name: str, n: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The CloudEvent that must be published, without its time and sequence.

    Args:
        customer_id: the subject.
        cause: the input.
        type_name: the event's type.
        n: the number of earlier events of this type from the same input.
        data: the event's data without the customerId.
    """
    actor = {} if cause.actor is None else {"actor": cause.actor}
    return {
        "specversion": "1.0",
        "id": id_of(f"{customer_id}|{cause.key}|{type_name}|{n}"),
        "source": "/customer-context",
        "type": type_name,
        "subject": customer_id,
        "datacontenttype": "application/json",
        "causationid": cause.id,
        "correlationid": cause.id if cause.correlation_id is None else cause.correlation_id,
        **actor,
        "data": {"customerId": customer_id, **data},
    }


def differing_fields(event: Event, expected: Mapping[str, Any], key: bytes) -> list[str]:
    """Names of the envelope attributes and data fields that differ. Also names the record key and the headers."""
    body = dict(event.body)
    time, data = body.pop("time", None), body.pop("data", None)
    body.pop("sequence", None)
    wanted = dict(expected)
    wanted_data = wanted.pop("data")
    wrong = _differing(body, wanted)
    if not isinstance(time, str) or not _TIME.fullmatch(time):
        wrong.append("time")
    if isinstance(data, dict):
        wrong += [f"data.{field}" for field in _differing(data, wanted_data)]
    else:
        wrong.append("data")
    if event.record.key != key:
        wrong.append("(record key)")
    if not _are_headers(event.record.headers, str(expected["type"]).encode()):
        wrong.append("(headers)")
    return wrong


def _are_headers(found: Headers, kind: bytes) -> bool:
    """Whether an event of this type has these headers. Earlier releases wrote `ce_type` alone."""
    own = sorted((name, value) for name, value in found if name not in _TRACING)
    types = (("event-type", "ce_type"), ("event-type",), ("ce_type",))
    return any(own == sorted({**_HEADERS, **dict.fromkeys(names, kind)}.items()) for names in types)


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [
        field
        for field in sorted(found.keys() | wanted.keys())
        if field not in found or field not in wanted or not same_json(found[field], wanted[field])
    ]
