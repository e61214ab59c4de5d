"""Published events as CloudEvents 1.0 in structured mode (contract, section 1).

The same input always yields the same ids, and a customer's sequence grows by one with each published event. State-only
events are not published and take no sequence number.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from worker.domain.events import STATE_ONLY, Event
from worker.domain.ids import event_id
from worker.wire.event_data import PUBLISHED

SOURCE = "/customer-context"
CONTENT_TYPE = b"application/cloudevents+json"


class CloudEvent(msgspec.Struct, frozen=True, gc=False):
    """The envelope. sequence: the customer's count of events, as text; causationid: the input's id."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    sequence: str
    causationid: str
    correlationid: str
    data: Any


_encode = msgspec.json.Encoder().encode
_UNPUBLISHED = frozenset(STATE_ONLY)


def encode_events(
    customer_id: str,
    key: str,
    causation_id: str,
    correlation_id: str | None,
    sequence: int,
    time: str,
    events: Sequence[Event],
) -> list[tuple[bytes, bytes]]:
    """The published events of one input, in order, as (ce_type, CloudEvent JSON).

    key: the input's commandId, orderId, paymentId or returnId. sequence: the customer's before this input. time: RFC 3339 text,
    when the worker processed the input. Without a correlation id the causation id takes its place.
    """
    encoded: list[tuple[bytes, bytes]] = []
    counts: dict[str, int] = {}
    correlation = causation_id if correlation_id is None else correlation_id
    for event in events:
        kind = type(event)
        if kind in _UNPUBLISHED:
            continue
        sequence += 1
        name, make_data = PUBLISHED[kind]
        n = counts.get(name, 0)
        counts[name] = n + 1
        envelope = CloudEvent(
            "1.0",
            event_id(customer_id, key, name, n),
            SOURCE,
            name,
            customer_id,
            time,
            "application/json",
            str(sequence),
            causation_id,
            correlation,
            make_data(customer_id, event),
        )
        encoded.append((name.encode(), _encode(envelope)))
    return encoded
