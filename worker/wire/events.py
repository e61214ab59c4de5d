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
from worker.wire.event_text import WRITTEN, quoted

SOURCE = "/customer-context"
CONTENT_TYPE = b"application/cloudevents+json"
HEADERS: dict[str, list[tuple[str, bytes]]] = {
    name: [("content-type", CONTENT_TYPE), ("ce_type", name.encode())] for name, _ in PUBLISHED.values()
}
"""The headers of a record, by the event's published name."""


class CloudEvent(msgspec.Struct, frozen=True, gc=False):
    """The envelope, which encode_events writes as text. sequence: the customer's count of events, as text; causationid:
    the input's id."""

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
) -> list[tuple[str, bytes]]:
    """The published events of one input, in order, as (type, JSON of a CloudEvent).

    key: the input's commandId, orderId, paymentId or returnId. sequence: the customer's before this input. time: RFC 3339 text,
    when the worker processed the input. Without a correlation id the causation id takes its place.
    """
    encoded: list[tuple[str, bytes]] = []
    counts: dict[str, int] = {}
    customer, quoted_key = quoted(customer_id), quoted(key)
    causation = quoted(causation_id)
    correlation = causation if correlation_id is None else quoted(correlation_id)
    for event in events:
        kind = type(event)
        if kind in _UNPUBLISHED:
            continue
        sequence += 1
        name, make_data = PUBLISHED[kind]
        write = WRITTEN.get(kind)
        n = counts.get(name, 0)
        counts[name] = n + 1
        if write is None:
            data = _encode(make_data(customer_id, event)).decode()
        else:
            data = write(customer, quoted_key, event)
        # What CloudEvent encodes to, in a fifth of the time: every order is two of these.
        text = (
            f'{{"specversion":"1.0","id":"{event_id(customer_id, key, name, n)}","source":"{SOURCE}",'
            f'"type":"{name}","subject":{customer},"time":"{time}","datacontenttype":"application/json",'
            f'"sequence":"{sequence}","causationid":{causation},"correlationid":{correlation},'
            f'"data":{data}}}'
        )
        encoded.append((name, text.encode()))
    return encoded
