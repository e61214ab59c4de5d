"""The envelope of records in customer.inbox and the other internal topics: their kind and their origin.

The inbox carries answers of the email saga (worker.wire.claims), and inputs that arrived with another key or on another
partition. Headers hold the first position, timestamp (ms since 1970 UTC) and key of such an input. The header CUSTOMER
names the customer of an input that does not name one.

One kind of message belongs to no customer: an operator's acknowledgement of lost inputs in that partition
(`inputs-lost acknowledge`). Everybody who may write to the inbox can send it; it changes no customer.

`dead-letters replay` copies inputs, too. A record that it sends back to an input topic has SOURCE_TIMESTAMP and no other
header of the envelope. That timestamp then counts instead of the record's own.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

FORWARDED = b"forwarded"
CLAIM_ANSWER = b"claim-answer"
LOSS_ACKNOWLEDGED = b"inputs-lost-acknowledged"

KIND = "inbox-kind"
SOURCE_TOPIC = "inbox-source-topic"
SOURCE_PARTITION = "inbox-source-partition"
SOURCE_OFFSET = "inbox-source-offset"
SOURCE_TIMESTAMP = "inbox-source-timestamp"
SOURCE_KEY = "inbox-source-key"
CUSTOMER = "inbox-customer"
ENVELOPE = frozenset(
    {KIND, SOURCE_TOPIC, SOURCE_PARTITION, SOURCE_OFFSET, SOURCE_TIMESTAMP, SOURCE_KEY, CUSTOMER}
)

_MILLISECONDS = re.compile(rb"[0-9]{1,15}")

_Header = tuple[str, bytes | None]


class Origin(NamedTuple):
    """The first position of an input. timestamp: ms since 1970 UTC; None if an earlier version left it out."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: bytes | None


def envelope(origin: Origin) -> list[_Header]:
    """The headers of a forwarded input."""
    headers: list[_Header] = [
        (KIND, FORWARDED),
        (SOURCE_TOPIC, origin.topic.encode()),
        (SOURCE_PARTITION, b"%d" % origin.partition),
        (SOURCE_OFFSET, b"%d" % origin.offset),
    ]
    if origin.timestamp is not None:
        headers.append((SOURCE_TIMESTAMP, b"%d" % origin.timestamp))
    if origin.key is not None:
        headers.append((SOURCE_KEY, origin.key))
    return headers


def origin_of(headers: Mapping[str, bytes | None]) -> Origin:
    """The first position of a forwarded input. Raises ValueError or KeyError if its envelope is incomplete."""
    timestamp = headers.get(SOURCE_TIMESTAMP)
    return Origin(
        topic=(headers[SOURCE_TOPIC] or b"").decode(),
        partition=int(headers[SOURCE_PARTITION] or b""),
        offset=int(headers[SOURCE_OFFSET] or b""),
        timestamp=None if timestamp is None else int(timestamp),
        key=headers.get(SOURCE_KEY),
    )


def without_envelope(headers: Iterable[_Header]) -> list[_Header]:
    """The input's own headers. Headers of a producer that have names of the envelope are dropped."""
    return [header for header in headers if header[0] not in ENVELOPE]


def first_timestamp(headers: Iterable[_Header], own: int) -> int:
    """The timestamp that counts, in ms since 1970 UTC: that of the first record, which a copy has in a header.

    No copy is older than its first record, so a header later than the record's own time is ignored.
    """
    for name, value in headers:
        if name == SOURCE_TIMESTAMP and value is not None and _MILLISECONDS.fullmatch(value):
            own = min(own, int(value))
    return own
