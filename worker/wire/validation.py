"""Validation of a command's data, the same for Kafka and HTTP: errors per field, with codes and without values.

Rules:
- A field is the dotted camelCase path inside data ("address.street"), or "data" for all of it. Envelope fields have their
  own name ("issuedAt").
- A missing field is required. Any other fault of a field is one of wrong_type, unknown_field, unknown_value, too_short,
  too_long, out_of_range, invalid_format, control_characters, card_number, invalid_email, invalid_phone, invalid_date,
  not_in_the_past, unknown_country, unknown_currency and invalid_language. The envelope also has unknown_command and
  mismatch.
"""

from itertools import islice
from typing import Any

from pydantic import ValidationError

from worker.wire.card_search import paths_of_card_numbers, shown
from worker.wire.command_models import CommandData
from worker.wire.limits import MOST_ERRORS
from worker.wire.results import FieldError

_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "enum": "unknown_value",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "invalid_format",
    "string_unicode": "invalid_format",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
}


class InvalidData(ValueError):
    """Data that breaks the rules of its command. errors: 1 to 20, in the order of the model's fields."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("invalid data")
        self.errors = errors[:MOST_ERRORS]


def read_data(
    model: type[CommandData], data: object, *, issued_at: int | None, forbid_unknown: bool = False
) -> CommandData:
    """The checked and normalised data of one command.

    Args:
        model: the model of the command's type.
        data: JSON values.
        issued_at: ms since 1970 UTC; "in the past" means before its day. None means now.
        forbid_unknown: whether an unknown field is an error.

    Raises:
        InvalidData: the data breaks the model's rules, or contains a full card number.
    """
    errors: dict[FieldError, None] = {}
    checked = None
    try:
        checked = model.model_validate(
            data, context={"issued_at": issued_at}, extra="forbid" if forbid_unknown else None
        )
    except ValidationError as error:
        errors = _first_errors(error)
    cards = islice(paths_of_card_numbers(data), MOST_ERRORS)
    errors.update((FieldError(path or "data", "card_number"), None) for path in cards)
    if errors or checked is None:
        raise InvalidData(tuple(errors))
    return checked


def _first_errors(error: ValidationError) -> dict[FieldError, None]:
    """The first errors, each once, because there may be thousands."""
    found: dict[FieldError, None] = {}
    for problem in error.errors(include_url=False, include_input=False):
        found[_field_error(problem)] = None
        if len(found) == MOST_ERRORS:
            break
    return found


def _field_error(problem: Any) -> FieldError:
    kind: str = problem["type"]
    loc: list[str] = [str(part) for part in problem["loc"]]
    if kind == "extra_forbidden":
        loc[-1] = shown(loc[-1])
    if kind in _CODES:
        code = _CODES[kind]
    else:
        code = "wrong_type" if kind.endswith("_type") else kind
    return FieldError(".".join(loc) or "data", code)
