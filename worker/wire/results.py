"""Results of commands: the topic customer.command-results, the table command_results and HTTP use this form.

The enumerations stand in the schema alone. A worker reads a result with a code that only the next release knows.
"""

from typing import Annotated

import msgspec

from worker.domain.rejections import RejectionCode
from worker.wire.command_models import COMMAND_MODELS

Outcome = Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["APPLIED", "REJECTED"]})]
Code = Annotated[str, msgspec.Meta(extra_json_schema={"enum": [code.value for code in RejectionCode]})]
CommandType = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(COMMAND_MODELS)})]


class FieldError(msgspec.Struct, frozen=True):
    """One problem. field: dotted path inside data, or an envelope field; code: such as "required" or "too_long"."""

    field: str
    code: str


class CommandResult(msgspec.Struct, frozen=True, rename="camel"):
    """One record on customer.command-results; outcome: APPLIED or REJECTED. detail holds no personal data."""

    command_id: str
    command_type: CommandType | None
    customer_id: str
    outcome: Outcome
    version: int | None
    code: Code | msgspec.UnsetType = msgspec.UNSET
    detail: str | msgspec.UnsetType = msgspec.UNSET
    errors: tuple[FieldError, ...] | msgspec.UnsetType = msgspec.UNSET


encode_result = msgspec.json.Encoder().encode
decode_result = msgspec.json.Decoder(CommandResult).decode
