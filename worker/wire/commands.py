"""Commands from bytes to the domain. Every command with a readable commandId and customerId is answered.

A command is plain JSON, or a CloudEvent whose data is the command object. The CloudEvents type must equal the
commandType, and replaces a missing one. An alias counts as its type. A mismatch is answered with VALIDATION_FAILED and
is not a dead letter.
"""

import hashlib
from typing import Any

import msgspec

from worker.domain.messages import AnyCommand
from worker.wire.canonical import canonical
from worker.wire.cloudevents import Headers, Unwrapped, unwrap
from worker.wire.command_models import COMMAND_MODELS, CommandData
from worker.wire.fields import LARGEST_INTEGER
from worker.wire.ids import fault_of_id
from worker.wire.limits import MOST_ERRORS
from worker.wire.results import FieldError
from worker.wire.strict_json import invalid
from worker.wire.times import parse_time
from worker.wire.type_aliases import NO_ALIASES, TypeAliases
from worker.wire.validation import InvalidData, read_data

__all__ = ["COMMAND_MODELS", "CommandData", "ReceivedCommand", "decode_command", "fingerprint_of"]


class ReceivedCommand(msgspec.Struct, frozen=True):
    """A command as it arrived.

    Attributes:
        command_type: None when it is not one of the contract's.
        fingerprint: SHA-256, in hex, of type and data as JSON values.
        command: None when there are errors.
    """

    command_id: str
    customer_id: str
    command_type: str | None
    fingerprint: str
    command: AnyCommand | None
    errors: tuple[FieldError, ...]
    correlation_id: str | None


def decode_command(value: bytes, headers: Headers, aliases: TypeAliases = NO_ALIASES) -> ReceivedCommand:
    """The command in a record of customer.commands. If it has errors, the answer is VALIDATION_FAILED.

    Args:
        value: the record's value.
        headers: the record's headers.
        aliases: of CloudEvents types.

    Raises:
        DeadLettered: the value is not a JSON object, or its commandId or customerId cannot be read.
    """
    unwrapped = unwrap(value, headers)
    if unwrapped.data is None:
        raise invalid(*(unwrapped.problem or ("data", "missing")))
    body = unwrapped.data
    command_id, customer_id = _read_id(body, "commandId"), _read_id(body, "customerId")
    said = None if unwrapped.type is None else aliases.get(unwrapped.type, unwrapped.type)
    kind = said if body.get("commandType") is None else body["commandType"]
    model = COMMAND_MODELS.get(kind) if isinstance(kind, str) else None
    envelope = _Envelope(body, unwrapped, said, kind, known=model is not None)
    data, errors = _read_data(model, body.get("data"), envelope)
    command = None
    if data is not None and not errors and envelope.issued_at is not None:
        command = data.to_command(
            command_id,
            customer_id,
            envelope.issued_at,
            envelope.correlation_id,
            envelope.expected_version,
            envelope.actor,
        )
    return ReceivedCommand(
        command_id=command_id,
        customer_id=customer_id,
        command_type=kind if model is not None else None,
        fingerprint=fingerprint_of(kind, body.get("data")),
        command=command,
        errors=errors,
        correlation_id=envelope.correlation_id,
    )


def fingerprint_of(command_type: Any, data: Any) -> str:
    """SHA-256, in hex, of a command's type and data as read_object returns them. Equal JSON values have equal hashes."""
    return hashlib.sha256(canonical([command_type, data]).encode()).hexdigest()


class _Envelope:
    """The fields of a command beside its data, checked. errors: the problems found."""

    def __init__(
        self, body: dict[str, Any], unwrapped: Unwrapped, said: str | None, kind: object, *, known: bool
    ) -> None:
        self.errors: list[FieldError] = []
        if unwrapped.problem is not None:
            name, problem = unwrapped.problem
            self._add(name, "required" if problem == "missing" else "invalid_format")
        if not known:
            self._add("commandType", _type_problem(kind))
        elif said is not None and said != kind:
            self._add("type", "mismatch")
        self.issued_at = self._issued_at(body.get("issuedAt"))
        self.correlation_id = self._correlation_id(body.get("correlationId"), unwrapped.correlation_id)
        self.expected_version = self._expected_version(body.get("expectedVersion"))
        self.actor = self._actor(body.get("actor"))

    def _issued_at(self, raw: object) -> int | None:
        if not isinstance(raw, str):
            self._add("issuedAt", "required" if raw is None else "wrong_type")
            return None
        try:
            return parse_time(raw)
        except ValueError:
            self._add("issuedAt", "invalid_format")
            return None

    def _correlation_id(self, own: object, attribute: object) -> str | None:
        raw = attribute if own is None else own
        if raw is None:
            return None
        problem = _id_problem(raw)
        if problem is not None:
            self._add("correlationId", problem)
            return None
        return str(raw)

    def _expected_version(self, raw: object) -> int | None:
        if raw is None:
            return None
        if not isinstance(raw, int) or isinstance(raw, bool):
            self._add("expectedVersion", "wrong_type")
            return None
        if not 0 <= raw <= LARGEST_INTEGER:
            self._add("expectedVersion", "out_of_range")
            return None
        return raw

    def _actor(self, raw: object) -> str | None:
        if raw is None:
            return None
        problem = _id_problem(raw)
        if problem is not None:
            self._add("actor", problem)
            return None
        return str(raw)

    def _add(self, field: str, code: str) -> None:
        self.errors.append(FieldError(field, code))


def _read_data(
    model: type[CommandData] | None, raw: object, envelope: _Envelope
) -> tuple[CommandData | None, tuple[FieldError, ...]]:
    errors = envelope.errors
    if not isinstance(raw, dict):
        return None, (*errors, FieldError("data", "required" if raw is None else "wrong_type"))
    if model is None:
        return None, tuple(errors)
    try:
        return read_data(model, raw, issued_at=envelope.issued_at), tuple(errors)
    except InvalidData as problems:
        return None, (*errors, *problems.errors)[:MOST_ERRORS]


def _read_id(body: dict[str, Any], name: str) -> str:
    raw = body.get(name)
    problem = "missing" if raw is None else _id_problem(raw)
    if problem is not None:
        raise invalid(name, problem)
    return str(raw)


def _id_problem(raw: object) -> str | None:
    return fault_of_id(raw) if isinstance(raw, str) else "wrong_type"


def _type_problem(kind: object) -> str:
    if kind is None:
        return "required"
    return "unknown_command" if isinstance(kind, str) else "wrong_type"
