"""From an HTTP write to the command that it becomes.

Rules:
- commandId = UUIDv5(N, `subject|method|path|Idempotency-Key`). Without the header a key is made up, and travels on
  when the request is forwarded, so that both workers speak of the same command.
- A registration's customerId = UUIDv5(N, commandId). A made-up key is one by which the customer lives on the partition
  that decides who owns the email, so that one transaction registers them instead of three.
- `data` is what the client sent, once the command's model has accepted it: a repeated request is the same command.
"""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from api.calls import Call
from api.forwarding import path_of
from api.headers import CORRELATION, expected_version, idempotency_key
from api.problems import invalid
from worker.domain.ids import derived_id
from worker.domain.messages import AnyCommand
from worker.wire.command_models import COMMAND_MODELS, CommandData, RegisterCustomerData
from worker.wire.email import email_hash
from worker.wire.times import format_time
from worker.wire.validation import InvalidData, read_data

_MOST_TRIES = 100  # they find one of 8 partitions but once in 600,000 times; one of 1,000 would take too long


class NewCommand(msgspec.Struct, frozen=True):
    """A command before it is produced. key: what its id was derived with."""

    key: str
    command_id: str
    command_type: str
    customer_id: str
    issued_at: int  # ms since 1970 UTC
    expected_version: int | None
    correlation_id: str | None
    data: Mapping[str, Any]
    checked: CommandData

    def encode(self) -> bytes:
        """The record's value."""
        envelope: dict[str, Any] = {
            "commandId": self.command_id,
            "commandType": self.command_type,
            "customerId": self.customer_id,
            "issuedAt": format_time(self.issued_at),
        }
        if self.correlation_id is not None:
            envelope["correlationId"] = self.correlation_id
        if self.expected_version is not None:
            envelope["expectedVersion"] = self.expected_version
        envelope["data"] = self.data
        return msgspec.json.encode(envelope)

    def message(self) -> AnyCommand:
        """The same as the domain sees it."""
        return self.checked.to_command(self.command_id, self.customer_id, self.issued_at)


def command_from(call: Call, command_type: str, data: Mapping[str, Any]) -> NewCommand:
    """The command of this request. Raises Problem 400 when its headers or its data are not valid."""
    issued_at = time.time_ns() // 1_000_000
    checked = _checked(command_type, data, issued_at)
    registers = "customerId" not in call.request.match_info
    key = idempotency_key(call.request) or _made_up_key(call, checked)
    command_id = _command_id(call, key)
    call.request[CORRELATION] = call.correlation_id or command_id  # as its events will have it
    return NewCommand(
        key=key,
        command_id=command_id,
        command_type=command_type,
        customer_id=derived_id(command_id) if registers else call.customer_id,
        issued_at=issued_at,
        expected_version=None if registers else expected_version(call.request),
        correlation_id=call.correlation_id,
        data=data,
        checked=checked,
    )


def _command_id(call: Call, key: str) -> str:
    return derived_id(f"{call.principal.subject}|{call.request.method}|{path_of(call.request)}|{key}")


def _made_up_key(call: Call, checked: CommandData) -> str:
    key = uuid4().hex
    if isinstance(checked, RegisterCustomerData):
        home = call.gateway.partition_of(email_hash(checked.email))
        for _ in range(_MOST_TRIES):
            if call.gateway.partition_of(derived_id(_command_id(call, key))) == home:
                break
            key = uuid4().hex
    return key


def _checked(command_type: str, data: Mapping[str, Any], issued_at: int) -> CommandData:
    try:
        return read_data(COMMAND_MODELS[command_type], data, issued_at=issued_at, forbid_unknown=True)
    except InvalidData as faults:
        raise invalid(*((fault.field, fault.code) for fault in faults.errors)) from None
