"""Dead letters: unchanged inputs that could not be processed (contract, section 1).

Headers hold the reason and the position at which the input was first read.

Rules:
- A letter holds the SHA-256 of the value instead of the value in three cases: the value contains a card number; the
  input is over the limits; the letter would be too large for the topic. The header dlq-masked says why.
- Key and headers are dropped if they are over their limit, or if the letter would still be too large.
- A letter always fits. The limit is that of the existing topic, which may be lower than that of a topic we create.
- Headers of an input that have the names of our own headers are dropped.
"""

import hashlib

from worker.domain.rejections import DeadLettered
from worker.engine.unit import Headers, InputRecord, Large, Outgoing, other_bytes, sent_bytes
from worker.wire import dead_letters as names
from worker.wire.card_search import value_contains_card_number
from worker.wire.limits import MAX_OTHER_BYTES

_LONGEST_DETAIL = 1_000


def letter(source: InputRecord, error: DeadLettered, limit: int) -> Outgoing:
    """The dead letter of an input. limit: the largest record batch that the topic accepts, in bytes."""
    key, value, large = source.key, source.value, source.large
    originals: Headers = [header for header in source.headers if header[0] not in names.OURS]
    if other_bytes(key, originals) > MAX_OTHER_BYTES:
        key, originals = None, []
    ours = _ours(source, error)
    mask = _mask(value, large, sent_bytes(key, value, [*originals, *ours]) > limit)
    if mask is not None:
        value = _digest(value, large)
        ours.append((names.MASKED, mask))
    if sent_bytes(key, value, [*originals, *ours]) > limit:
        key, originals = None, []
    return Outgoing(key, value, [*originals, *ours])


def bared(source: InputRecord) -> InputRecord:
    """The input without key and headers, and with the SHA-256 of its value instead of the value.

    It is used when the worker failed on the letter of the complete input, too.
    """
    masked = hashlib.sha256(source.value or b"").hexdigest().encode()
    return InputRecord(source.topic, source.partition, source.offset, source.timestamp, None, masked, ())


def _mask(value: bytes | None, large: Large | None, is_too_long: bool) -> bytes | None:
    """The reason why the letter holds no value, for dlq-masked; None if it holds the value."""
    if large is not None or is_too_long:
        return names.SIZE
    return names.CARD_NUMBER if value is not None and value_contains_card_number(value) else None


def _digest(value: bytes | None, large: Large | None) -> bytes | None:
    if large is not None and large.digest is not None:
        return large.digest.encode()
    return None if value is None else hashlib.sha256(value).hexdigest().encode()


def _ours(source: InputRecord, error: DeadLettered) -> Headers:
    return [
        (names.REASON, error.reason.value.encode()),
        (names.DETAIL, error.detail[:_LONGEST_DETAIL].encode(errors="replace")),
        (names.TOPIC, source.topic.encode()),
        (names.PARTITION, b"%d" % source.partition),
        (names.OFFSET, b"%d" % source.offset),
        (names.TIMESTAMP, b"%d" % source.timestamp),
    ]
