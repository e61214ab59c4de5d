"""Email claims: the partition of an email's hash decides who owns it. First come, first served."""

import msgspec

from agents.batch import Batch
from tables import email_claims
from tables.email_claims import Claim
from tables.waiting import Source
from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.engine.unit import Outgoing
from worker.wire import claims
from worker.wire.claims import ClaimAnswer, ClaimEmail, ReleaseEmail

_HEADERS = [(claims.KIND, claims.CLAIM_ANSWER)]


def claim(batch: Batch, source: Source) -> None:
    """One record of customer.email-claims."""
    try:
        message = claims.decode_claim(source.value)
        email_hash = (source.key or b"").decode()
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DeadLettered(DeadLetterReason.UNDECODABLE, "not a message of the email saga") from error
    owner = email_claims.read(batch.unit, email_hash)
    wanted = Claim(message.customer_id, message.claim_id)
    match message:
        case ReleaseEmail():
            if owner == wanted:
                email_claims.put(batch.unit, email_hash, None)
        case ClaimEmail():
            if owner is None:
                email_claims.put(batch.unit, email_hash, wanted)
            _answer(batch, message, granted=owner is None or owner == wanted)


def _answer(batch: Batch, message: ClaimEmail, granted: bool) -> None:
    partition, key = batch.routing.home(message.customer_id)
    answer = claims.encode(ClaimAnswer(message.claim_id, message.customer_id, granted))
    batch.unit.out(batch.routing.inbox, partition).append(
        Outgoing(key, answer, [*_HEADERS, *batch.trace_headers()])
    )
