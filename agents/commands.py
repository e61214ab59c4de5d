"""Commands: every delivery is answered; one customer's are applied in log order; an email is claimed before it is used.

The saga of an email: `_claim` parks the command in its row and asks the partition of the email's hash; `answered`
completes or rejects it, and then works off the commands that queued behind it. Where that partition is this one, the
claim is answered at once. An erasure, which queues like any other command, gives the email back and leaves nothing of
what former commands said.
"""

from collections.abc import Sequence

import msgspec

from agents import email_claims
from agents.batch import Batch
from agents.purchases import refuse_waiting, release_waiting
from tables import command_results, waiting
from tables.command_results import FORGOTTEN, RememberedResult
from tables.waiting import Source
from worker.domain.decide import claimed_email, decide, released_email
from worker.domain.events import Event
from worker.domain.messages import Command, EraseCustomer, RegisterCustomer, UpdateProfile
from worker.domain.rejections import Rejected, RejectionCode
from worker.domain.state import CustomerRow, PendingClaim
from worker.wire.claims import ClaimAnswer, ClaimEmail, ReleaseEmail
from worker.wire.commands import ReceivedCommand, decode_command
from worker.wire.results import CommandResult

_APPLIED, _REJECTED = "APPLIED", "REJECTED"


def command(batch: Batch, source: Source, forwarded: bool = False) -> None:
    """One record of customer.commands."""
    received = decode_command(source.value, source.headers)
    if not forwarded and not batch.at_home(source, received.customer_id):
        return
    row = batch.customers.row(received.customer_id)
    if row.pending is None:
        _handle(batch, row, received)
    else:
        row.queued += 1
        row.queue_end += 1
        waiting.put(batch.unit, received.customer_id, waiting.COMMAND, _place(row.queue_end), source)
        batch.customers.changed(received.customer_id, row)


def answered(batch: Batch, answer: ClaimAnswer) -> None:
    """The answer to a pending claim: complete or reject its command, then the commands behind it."""
    row = batch.customers.row(answer.customer_id)
    pending = row.pending
    if pending is None or pending.command.command_id != answer.claim_id:
        return
    row.pending = None
    batch.customers.changed(answer.customer_id, row)
    _end_claim(batch, row, pending, answer.granted)
    _work_off_queue(batch, row, answer.customer_id)


def _handle(batch: Batch, row: CustomerRow, received: ReceivedCommand) -> None:
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
    try:
        events = decide(row.customer, command, batch.rules, batch.ledger(command.customer_id))
    except Rejected as rejected:
        _finish(batch, row, command, received.fingerprint, rejected)
        return
    email = claimed_email(row.customer, command) if events else None
    if email is not None and isinstance(command, RegisterCustomer | UpdateProfile):
        _claim(batch, row, PendingClaim(command, received.fingerprint), email)
        return
    if isinstance(command, EraseCustomer):
        _erase(batch, row, command, events)
    elif events:
        _record(batch, row, command, events)
    _finish(batch, row, command, received.fingerprint)


def _erase(batch: Batch, row: CustomerRow, command: EraseCustomer, events: Sequence[Event]) -> None:
    released, old_claim = released_email(row.customer, command), row.email_claim
    _record(batch, row, command, events)
    row.email_claim = None
    command_results.forget(batch.unit, command.customer_id)
    if row.customer is not None:
        refuse_waiting(batch, row, row.customer)
    _release(batch, command, released, old_claim)


def _record(batch: Batch, row: CustomerRow, command: Command, events: Sequence[Event]) -> None:
    batch.record(row, command.command_id, command.command_id, command.correlation_id, events)


def _claim(batch: Batch, row: CustomerRow, pending: PendingClaim, email: str) -> None:
    command = pending.command
    granted = email_claims.send(batch, email, ClaimEmail(command.command_id, command.customer_id))
    if granted is None:
        row.pending = pending
        batch.customers.changed(command.customer_id, row)
    else:
        _end_claim(batch, row, pending, granted)


def _end_claim(batch: Batch, row: CustomerRow, pending: PendingClaim, granted: bool) -> None:
    if granted:
        _complete(batch, row, pending)
        return
    rejected = Rejected(RejectionCode.CUSTOMER_EMAIL_EXISTS, "the email belongs to another customer")
    _finish(batch, row, pending.command, pending.fingerprint, rejected)


def _complete(batch: Batch, row: CustomerRow, pending: PendingClaim) -> None:
    # The version was checked when the command was first decided; orders may have raised it since.
    command = msgspec.structs.replace(pending.command, expected_version=None)
    released, old_claim = released_email(row.customer, command), row.email_claim
    events = decide(row.customer, command, batch.rules, batch.ledger(command.customer_id))
    _record(batch, row, command, events)
    row.email_claim = command.command_id
    _finish(batch, row, command, pending.fingerprint)
    _release(batch, command, released, old_claim)
    if row.waiting and row.customer is not None:
        release_waiting(batch, row, row.customer)


def _work_off_queue(batch: Batch, row: CustomerRow, customer_id: str) -> None:
    while row.queued and row.pending is None:
        place = _place(row.queue_end - row.queued + 1)
        source = waiting.read(batch.unit, customer_id, waiting.COMMAND, place)
        if source is None:
            raise ValueError(f"the queue of commands of {customer_id} has a gap")
        waiting.put(batch.unit, customer_id, waiting.COMMAND, place, None)
        row.queued -= 1
        batch.follow(source)
        _handle(batch, row, decode_command(source.value, source.headers))
    if not row.queued:
        row.queue_end = 0


def _place(number: int) -> str:
    return f"{number:010d}"


def _release(batch: Batch, command: Command, email: str | None, claim_id: str | None) -> None:
    """Give an email back; claim_id: the claim that held it. Nothing without either."""
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
    kept = FORGOTTEN if erased else fingerprint
    command_results.put(batch.unit, RememberedResult(kept, batch.now, result))
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
