"""The headers of a dead letter (contract, section 1). The worker adds them, and `dead-letters replay` reads them.

worker.verify names them by itself, because it must not trust the worker.
"""

REASON = "dlq-reason"
DETAIL = "dlq-detail"
TOPIC = "dlq-topic"
PARTITION = "dlq-partition"
OFFSET = "dlq-offset"
TIMESTAMP = "dlq-timestamp"
"""When the first source was written, in ms since 1970 UTC."""
MASKED = "dlq-masked"
"""Why the value is the SHA-256 of the original: CARD_NUMBER or SIZE. Without it the value is the original."""

OURS = frozenset({REASON, DETAIL, TOPIC, PARTITION, OFFSET, TIMESTAMP, MASKED})

CARD_NUMBER, SIZE = b"card-number", b"size"

REPLAYED_FROM = "dlq-replayed-from"
"""Partition and offset of the letter, in a record that a replay sent back to its source topic."""


def is_ours(name: str) -> bool:
    """Whether a header of this name is the worker's own: one of OURS, or one of another version."""
    return name.startswith("dlq-")
