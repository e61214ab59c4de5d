"""Results of commands: what customer.command-results carries, the command_results table remembers and HTTP answers from."""

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """field: dotted path inside data (or an envelope field); code: lower-case word such as "required" or "too_long"."""

    field: str
    code: str


class CommandResult(msgspec.Struct, frozen=True, rename="camel"):
    """One record on customer.command-results; outcome: APPLIED or REJECTED. detail holds no personal data."""

    command_id: str
    command_type: str | None
    customer_id: str
    outcome: str
    version: int | None
    code: str | msgspec.UnsetType = msgspec.UNSET
    detail: str | msgspec.UnsetType = msgspec.UNSET
    errors: tuple[FieldError, ...] | msgspec.UnsetType = msgspec.UNSET


encode_result = msgspec.json.Encoder().encode
decode_result = msgspec.json.Decoder(CommandResult).decode
