"""Internal messages of the email saga and the envelope of customer.inbox.

A customer's partition claims an email from the partition of its hash (topic customer.email-claims, key: the hash) and
is answered through customer.inbox (key: the customerId). Where both are the same partition it decides at once and tells
the log so: a message with a position was decided after those below that offset and before all others.

The inbox also carries inputs that came with another key or on another partition; their first position and timestamp (ms
since 1970 UTC) travel in headers. Where an input names no customer, a header does (CUSTOMER).
"""

import msgspec

FORWARDED = b"forwarded"
CLAIM_ANSWER = b"claim-answer"
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


class ClaimEmail(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """claim_id: the commandId of the registration or profile change."""

    claim_id: str
    customer_id: str
    position: int | None = None


class ReleaseEmail(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Ends the claim that it names and no other."""

    claim_id: str
    customer_id: str
    position: int | None = None


class ClaimAnswer(msgspec.Struct, frozen=True):
    claim_id: str
    customer_id: str
    granted: bool


encode = msgspec.json.Encoder().encode
decode_claim = msgspec.json.Decoder(ClaimEmail | ReleaseEmail).decode
decode_answer = msgspec.json.Decoder(ClaimAnswer).decode
