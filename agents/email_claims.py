"""Email claims: the partition of an email's hash decides who owns the email. The first claim wins.

Claims and releases are records of customer.email-claims. If the customer's partition is also the partition of the
hash, the command's transaction decides the claim. The record is then skipped when it is read. Such a registration
takes one transaction instead of three.
"""

import msgspec

from agents.batch import Batch
from tables import email_claims
from tables.email_claims import Claim
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.unit import InputRecord, Outgoing
from worker.wire import claims
from worker.wire.claims import ClaimAnswer, ClaimEmail, ReleaseEmail
from worker.wire.email import email_hash
from worker.wire.inbox import CLAIM_ANSWER, KIND

_HEADERS = [(KIND, CLAIM_ANSWER)]


def send(batch: Batch, email: str, message: ClaimEmail | ReleaseEmail) -> bool | None:
    """Send a claim or a release to the partition of the email's hash.

    Returns:
        Whether the email was free or held by this claim. None if another partition decides and answers later.
    """
    hashed = email_hash(email)
    partition, key = batch.routing.home(hashed)
    here = partition == batch.unit.partition
    if here:
        message = msgspec.structs.replace(message, position=batch.claims_position)
    batch.unit.out(batch.routing.email_claims, partition).append(
        Outgoing(key, claims.encode(message), batch.trace_headers())
    )
    return _decide(batch, hashed, message) if here else None


def receive(batch: Batch, source: InputRecord) -> None:
    """Handle a record of customer.email-claims: decide it, and answer a claim through the inbox.

    A message with a position was decided when it was sent, and is skipped.

    Raises:
        DeadLettered: the record is no message of the email saga.
    """
    batch.claims_position = source.offset + 1
    try:
        message = claims.decode_claim(source.content)
        hashed = (source.key or b"").decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the email saga") from error
    if message.position is not None:
        return
    granted = _decide(batch, hashed, message)
    if isinstance(message, ClaimEmail):
        _answer(batch, ClaimAnswer(message.claim_id, message.customer_id, granted))


def fail(batch: Batch, message: ClaimEmail | ReleaseEmail) -> None:
    """Answer a claim on which the worker itself failed. Without an answer its command would wait forever."""
    if isinstance(message, ClaimEmail) and message.position is None:
        _answer(batch, ClaimAnswer(message.claim_id, message.customer_id, granted=False, failed=True))


def _decide(batch: Batch, hashed: str, message: ClaimEmail | ReleaseEmail) -> bool:
    owner = email_claims.read(batch.unit, hashed)
    wanted = Claim(message.customer_id, message.claim_id)
    match message:
        case ReleaseEmail():
            if owner == wanted:
                email_claims.put(batch.unit, hashed, None)
        case ClaimEmail():
            if owner is None:
                email_claims.put(batch.unit, hashed, wanted)
    return owner in (None, wanted)


def _answer(batch: Batch, answer: ClaimAnswer) -> None:
    partition, key = batch.routing.home(answer.customer_id)
    batch.unit.out(batch.routing.inbox, partition).append(
        Outgoing(key, claims.encode(answer), [*_HEADERS, *batch.trace_headers()])
    )
