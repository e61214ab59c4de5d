"""Email claims: the partition of an email's hash decides who owns it. First come, first served.

Claims and releases are records of customer.email-claims. Those of a customer of the same partition are decided before
they come back from there, in the transaction of the command: so a registration whose customer and email live on one
partition takes one transaction instead of three.
"""

import msgspec

from agents.batch import Batch
from tables import email_claims
from tables.email_claims import Claim
from tables.waiting import Source
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.unit import Outgoing
from worker.wire import claims
from worker.wire.claims import ClaimAnswer, ClaimEmail, ReleaseEmail
from worker.wire.email import email_hash

_HEADERS = [(claims.KIND, claims.CLAIM_ANSWER)]


def send(batch: Batch, email: str, message: ClaimEmail | ReleaseEmail) -> bool | None:
    """Send a message to the home of the email. Returns whether it was granted; None while that is to be decided there."""
    hashed = email_hash(email)
    partition, key = batch.routing.home(hashed)
    here = partition == batch.unit.partition
    if here:
        message = msgspec.structs.replace(message, position=batch.claims_position)
    batch.unit.out(batch.routing.email_claims, partition).append(
        Outgoing(key, claims.encode(message), batch.trace_headers())
    )
    return _decide(batch, hashed, message) if here else None


def receive(batch: Batch, source: Source) -> None:
    """One record of customer.email-claims."""
    batch.claims_position = source.offset + 1
    try:
        message = claims.decode_claim(source.value)
        hashed = (source.key or b"").decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the email saga") from error
    if message.position is not None:
        return
    granted = _decide(batch, hashed, message)
    if isinstance(message, ClaimEmail):
        _answer(batch, message, granted)


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


def _answer(batch: Batch, message: ClaimEmail, granted: bool) -> None:
    partition, key = batch.routing.home(message.customer_id)
    answer = claims.encode(ClaimAnswer(message.claim_id, message.customer_id, granted))
    batch.unit.out(batch.routing.inbox, partition).append(
        Outgoing(key, answer, [*_HEADERS, *batch.trace_headers()])
    )
