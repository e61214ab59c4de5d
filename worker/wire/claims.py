"""Internal messages of the email saga, and an operator's acknowledgement of lost inputs.

A customer's partition claims an email from the partition of its hash (topic customer.email-claims, key: the hash). The
answer comes through customer.inbox (key: the customerId). If both are the same partition, it decides at once and writes
a message with a position to the log. Such a message was decided after all messages below that offset, and before all
others.
"""

import msgspec


class ClaimEmail(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Asks for an email. claim_id: the commandId of the registration or profile change."""

    claim_id: str
    customer_id: str
    position: int | None = None


class ReleaseEmail(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Frees an email. It ends only the claim with this claim_id."""

    claim_id: str
    customer_id: str
    position: int | None = None


class ClaimAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a claim. failed: the worker failed on the claim or the answer, so `granted` is not known."""

    claim_id: str
    customer_id: str
    granted: bool
    failed: bool = False


class LossAcknowledged(msgspec.Struct, frozen=True):
    """An operator knows of a loss. next_kept: the first offset after the loss; later losses are not acknowledged."""

    topic: str
    next_kept: int


encode = msgspec.json.Encoder().encode
decode_claim = msgspec.json.Decoder(ClaimEmail | ReleaseEmail).decode
decode_loss_acknowledged = msgspec.json.Decoder(LossAcknowledged).decode
decode_answer = msgspec.json.Decoder(ClaimAnswer).decode
