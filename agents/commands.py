"""The handlers of customer.commands.

Rules:
- Every delivery of a command is answered.
- The commands of one customer are applied in log order.
- An email is claimed before it is used (the email saga).
- An erasure queues like any other command. It releases the email and clears what earlier commands left behind.

The email saga:
- `_claim` stores the command in the customer's row and sends a claim to the partition of the email's hash.
- If that partition is this one, the claim is decided at once.
- Otherwise `answered` completes or rejects the command. Then the commands that queued behind it are applied
  (agents.parking.release).
- If the worker itself failed on a message of the saga, the command becomes a dead letter. It may be sent again.
"""

from collections.abc import Sequence

import msgspec

from agents import email_claims
from agents.batch import Batch
from agents.forwarding import at_home
from agents.letters import bared
from agents.parking.arrival import enqueue, may_wait
from tables import command_results, waiting
from tables.command_results import FORGOTTEN, RememberedResult
from worker.domain.decide import claimed_email, decide, released_email
from worker.domain.events import Event
from worker.domain.messages import Command, EraseCustomer, RegisterCustomer, UpdateProfile, UpgradeMembership
from worker.domain.rejections import DeadLettered, DeadLetterReason, Rejected, RejectionCode
from worker.domain.state import CustomerRow, PendingClaim
from worker.engine.aside import before_reading
from worker.engine.unit import InputRecord
from worker.wire.claims import ClaimAnswer, ClaimEmail, ReleaseEmail
from worker.wire.commands import ReceivedCommand, decode_command
from worker.wire.results import CommandResult

_APPLIED, _REJECTED = "APPLIED", "REJECTED"


def command(batch: Batch, source: InputRecord, forwarded: bool = False) -> None:
    """Handle a record of customer.commands. Raises DeadLettered.

    Args:
        batch: the current batch.
        source: the record.
        forwarded: whether it came through the inbox, and so has the customer's key and partition.
    """
    received = decode_command(source.content, source.headers, batch.routing.type_aliases)
    if not forwarded and not at_home(batch, source, received.customer_id):
        return
    row = batch.customers.row(received.customer_id)
    if row.forgetting is not None:
        batch.more[received.customer_id] = None
    if row.pending_claim is None and not row.busy:
        _handle(batch, row, received, source)
    else:
        enqueue(batch, row, received.customer_id, source)


def handle_queued(batch: Batch, row: CustomerRow, source: InputRecord) -> None:
    """Handle the first command of the customer's queue. Raises DeadLettered."""
    received = decode_command(source.content, source.headers, batch.routing.type_aliases)
    _handle(batch, row, received, source)


def answered(batch: Batch, answer: ClaimAnswer) -> None:
    """Handle the answer to a pending claim: complete or reject its command, and begin with the queue behind it.

    An answer to another claim than the pending one is ignored.
    """
    row = batch.customers.row(answer.customer_id)
    claim = row.pending_claim
    if claim is None or claim.command.command_id != answer.claim_id:
        return
    if answer.failed:
        _fail_claim(batch, claim.command)
    else:
        _end_claim(batch, row, claim, answer.granted)
    row.pending_claim = None
    batch.customers.changed(answer.customer_id, row)
    waiting.put(batch.unit, answer.customer_id, waiting.CLAIM, "", None)
    if row.queued:
        batch.begin(answer.customer_id)


def _fail_claim(batch: Batch, command: RegisterCustomer | UpdateProfile) -> None:
    """Make the claiming command a dead letter and release the email, because the claim may have been granted."""
    source = waiting.read(batch.unit, command.customer_id, waiting.CLAIM, "")
    if source is not None:  # an earlier version of the program did not store it
        before_reading(batch.unit, source)
        failed = DeadLettered(DeadLetterReason.FAILED, "the worker failed on its email claim")
        batch.dead_letter(source, failed)
    email_claims.send(batch, command.email, ReleaseEmail(command.command_id, command.customer_id))


def _handle(batch: Batch, row: CustomerRow, received: ReceivedCommand, source: InputRecord) -> None:
    known = command_results.read(batch.unit, received.customer_id, received.command_id)
    if known is not None:
        if known.answers(received.command_type, received.fingerprint):
            batch.answer(known.result)
        else:
            batch.answer(_conflict(row, received))
        return
    command = received.command
    if command is None:
        _remember(batch, row, received.fingerprint, _invalid(row, received))
        return
    if isinstance(command, UpgradeMembership) and row.customer is not None:
        batch.track(row, row.customer)
    try:
        events = decide(row.customer, command, batch.rules, batch.ledger(command.customer_id))
    except Rejected as rejected:
        _finish(batch, row, command, received.fingerprint, rejected)
        return
    email = claimed_email(row.customer, command) if events else None
    if email is not None and isinstance(command, RegisterCustomer | UpdateProfile):
        _claim(batch, row, PendingClaim(command, received.fingerprint), email, source)
        return
    if isinstance(command, EraseCustomer):
        _erase(batch, row, command, events, source)
    elif events:
        _publish(batch, row, command, events)
    _finish(batch, row, command, received.fingerprint)


def _erase(
    batch: Batch, row: CustomerRow, command: EraseCustomer, events: Sequence[Event], source: InputRecord
) -> None:
    released, old_claim = released_email(row.customer, command), row.email_claim
    _publish(batch, row, command, events)
    row.email_claim = None
    row.forgetting = ""
    waiting.put(batch.unit, command.customer_id, waiting.ERASURE, "", _mark(source, batch.now))
    if row.waiting:  # returns that still wait become dead letters, because the customer is erased
        row.releasing = ""
    batch.begin(command.customer_id)
    _release(batch, command, released, old_claim)


def _mark(source: InputRecord, now: int) -> InputRecord:
    """The row that marks an unfinished erasure. It holds the position of its command and none of its contents."""
    return InputRecord(source.topic, source.partition, source.offset, now, None, b"", ())


def _publish(batch: Batch, row: CustomerRow, command: Command, events: Sequence[Event]) -> None:
    command_id = command.command_id
    batch.publish(row, command_id, command_id, command.correlation_id, events, command)


def _claim(batch: Batch, row: CustomerRow, claim: PendingClaim, email: str, source: InputRecord) -> None:
    command = claim.command
    granted = email_claims.send(batch, email, ClaimEmail(command.command_id, command.customer_id))
    if granted is None:
        row.pending_claim = claim
        stored = source if may_wait(batch, source) else bared(source)
        waiting.put(batch.unit, command.customer_id, waiting.CLAIM, "", stored)
        batch.customers.changed(command.customer_id, row)
    else:
        _end_claim(batch, row, claim, granted)


def _end_claim(batch: Batch, row: CustomerRow, claim: PendingClaim, granted: bool) -> None:
    if granted:
        _complete(batch, row, claim)
        return
    rejected = Rejected(RejectionCode.CUSTOMER_EMAIL_EXISTS, "the email belongs to another customer")
    _finish(batch, row, claim.command, claim.fingerprint, rejected)


def _complete(batch: Batch, row: CustomerRow, claim: PendingClaim) -> None:
    # The version was checked when the command was first decided; orders may have raised it since.
    command = msgspec.structs.replace(claim.command, expected_version=None)
    released, old_claim = released_email(row.customer, command), row.email_claim
    events = decide(row.customer, command, batch.rules, batch.ledger(command.customer_id))
    _publish(batch, row, command, events)
    row.email_claim = command.command_id
    _finish(batch, row, command, claim.fingerprint)
    _release(batch, command, released, old_claim)
    if row.waiting:
        row.releasing = ""
        batch.begin(command.customer_id)


def _release(batch: Batch, command: Command, email: str | None, claim_id: str | None) -> None:
    """Release an email. Does nothing if the email or the claim is None. claim_id: the claim that holds the email."""
    if email is not None and claim_id is not None:
        email_claims.send(batch, email, ReleaseEmail(claim_id, command.customer_id))


def _finish(
    batch: Batch,
    row: CustomerRow,
    command: Command,
    fingerprint: str,
    rejected: Rejected | None = None,
) -> None:
    result = CommandResult(
        command_id=command.command_id,
        command_type=type(command).__name__,
        customer_id=command.customer_id,
        outcome=_APPLIED if rejected is None else _REJECTED,
        version=_version(row),
        code=msgspec.UNSET if rejected is None else rejected.code.value,
        detail=msgspec.UNSET if rejected is None or not rejected.detail else rejected.detail,
    )
    _remember(batch, row, fingerprint, result)


def _remember(batch: Batch, row: CustomerRow, fingerprint: str, result: CommandResult) -> None:
    erased = row.customer is not None and row.customer.erased
    remembered = FORGOTTEN if erased else fingerprint
    command_results.put(batch.unit, RememberedResult(remembered, batch.now, result))
    batch.answer(result)


def _invalid(row: CustomerRow, received: ReceivedCommand) -> CommandResult:
    return CommandResult(
        command_id=received.command_id,
        command_type=received.command_type,
        customer_id=received.customer_id,
        outcome=_REJECTED,
        version=_version(row),
        code=RejectionCode.VALIDATION_FAILED.value,
        errors=received.errors,
    )


def _conflict(row: CustomerRow, received: ReceivedCommand) -> CommandResult:
    return CommandResult(
        command_id=received.command_id,
        command_type=received.command_type,
        customer_id=received.customer_id,
        outcome=_REJECTED,
        version=_version(row),
        code=RejectionCode.IDEMPOTENCY_CONFLICT.value,
        detail="the commandId was used for another command",
    )


def _version(row: CustomerRow) -> int | None:
    return row.customer.version if row.customer else None
