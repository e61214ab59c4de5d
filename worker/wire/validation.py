"""Validation of a command's data, the same for Kafka and HTTP: errors per field, with codes and without values.

field is the dotted camelCase path inside data ("address.street"; "data" stands for all of it); envelope fields go by
their own name ("issuedAt"). Codes: required, wrong_type, unknown_field, unknown_value, too_short, too_long,
out_of_range, invalid_format, control_characters, card_number, invalid_email, invalid_phone, invalid_date,
not_in_the_past, unknown_country, unknown_currency, invalid_language, and of the envelope unknown_command and mismatch.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from worker.wire.cards import contains_card_number
from worker.wire.command_models import CommandData
from worker.wire.results import FieldError

# Ids, the phone and days may look like card numbers by chance.
_EXEMPT = frozenset(
    {"address_id", "payment_method_id", "redemption_id", "order_id", "phone", "birth_date", "expiry"}
)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]{0,39}")
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
    """Data that breaks the rules of its command. errors: at least one, in the order of the model's fields."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("invalid data")
        self.errors = errors


def read_data(
    model: type[CommandData], data: object, *, issued_at: int | None, forbid_unknown: bool = False
) -> CommandData:
    """The checked and normalised data of one command.

    data: JSON values. issued_at: ms since 1970 UTC, what "in the past" refers to; None: now. Raises InvalidData.
    """
    errors: list[FieldError] = []
    checked = None
    try:
        checked = model.model_validate(
            data, context={"issued_at": issued_at}, extra="forbid" if forbid_unknown else None
        )
    except ValidationError as error:
        errors.extend(
            _field_error(problem) for problem in error.errors(include_url=False, include_input=False)
        )
    exempt = {field.alias for name, field in model.model_fields.items() if name in _EXEMPT}
    errors.extend(FieldError(path or "data", "card_number") for path in _card_numbers(data, "", exempt))
    if errors or checked is None:
        raise InvalidData(tuple(dict.fromkeys(errors)))
    return checked


def _field_error(problem: Any) -> FieldError:
    kind: str = problem["type"]
    loc: list[str] = [str(part) for part in problem["loc"]]
    if kind == "extra_forbidden":
        loc[-1] = _shown(loc[-1])
    if kind in _CODES:
        code = _CODES[kind]
    else:
        code = "wrong_type" if kind.endswith("_type") else kind
    return FieldError(".".join(loc) or "data", code)


def _shown(name: str) -> str:
    """A sender's own field name, unless it might be a value in disguise."""
    return name if _PLAIN_NAME.fullmatch(name) and not contains_card_number(name) else "?"


def _card_numbers(value: object, path: str, exempt: set[str | None]) -> Iterator[str]:
    """The paths of all strings with a card number; the names of fields are strings too."""
    if isinstance(value, str):
        if contains_card_number(value):
            yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            inside = f"{path}.{_shown(name)}" if path else _shown(name)
            if contains_card_number(name):
                yield inside
            if path or name not in exempt:
                yield from _card_numbers(item, inside, exempt)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _card_numbers(item, f"{path}.{place}", exempt)
