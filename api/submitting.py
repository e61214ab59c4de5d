"""Sends a command and waits for its committed result, here or at the worker that owns the customer.

Rules:
- Waiting starts before sending, so that no result is missed. No result within 5 s: 202 with the command's Location.
- 503 says that the command was not produced. When a forwarded request may have arrived and no answer came, the command
  is produced from here, with the same id: whichever copy comes second changes nothing. So 202 is never a guess.
"""

import asyncio

from aiohttp import web

from api.answers import pending
from api.calls import Call
from api.commands import NewCommand
from api.elsewhere import AWAY
from api.forwarding import WRITE_SECONDS, OwnerUnreachable
from api.headers import IDEMPOTENCY_KEY, traceparent
from api.problems import of_result, unavailable
from worker.gateway import CommandNotSent, NotOwned
from worker.wire.results import CommandResult

RESULT_SECONDS = 5.0
_NOT_PRODUCED = "The command could not be produced."


async def submit(call: Call, command: NewCommand) -> CommandResult | web.Response:
    """The result of the applied command, or the answer to give instead: another worker's, or 202.

    Raises Problem when the command was rejected, or 503.
    """
    partition = call.gateway.partition_of(command.customer_id)
    if not call.gateway.holds(partition):
        return await _at_owner(call, command, partition)
    result = await _here(call, command)
    if result is None:
        return pending(command.customer_id, command.command_id)
    if result.outcome != "APPLIED":
        raise of_result(result)
    return result


async def _here(call: Call, command: NewCommand) -> CommandResult | None:
    waiting = asyncio.create_task(
        call.gateway.command_result(command.customer_id, command.command_id, RESULT_SECONDS)
    )
    await asyncio.sleep(0)  # lets the task start
    try:
        await _produce(call, command)
        return await waiting
    except NotOwned:  # the partition left while we waited; the command is in the log
        return None
    finally:
        waiting.cancel()


async def _at_owner(call: Call, command: NewCommand, partition: int) -> web.Response:
    owner = None if call.forwarded else call.gateway.owner_url(partition)
    if owner is None:
        raise unavailable(AWAY)
    headers = {**call.onward_headers(), IDEMPOTENCY_KEY: command.key}
    try:
        answer = await call.context.forwarder.send(
            call.request, owner, body=await call.request.read(), headers=headers, seconds=WRITE_SECONDS
        )
    except OwnerUnreachable as failure:
        if not failure.maybe_sent:
            raise unavailable(AWAY) from None
        await _produce(call, command)
        return pending(command.customer_id, command.command_id)
    if answer.status == 202:
        call.context.sent.remember(command.customer_id, command.command_id)
    return answer.response()


async def _produce(call: Call, command: NewCommand) -> None:
    try:
        await call.gateway.send_command(command.customer_id, command.encode(), traceparent(call.request))
    except CommandNotSent:
        raise unavailable(_NOT_PRODUCED) from None
    call.context.sent.remember(command.customer_id, command.command_id)
