"""JSON objects from remote bytes, read exactly and within limits: size, depth, and no value that cannot be written again.

Numbers never become floats: a whole number of up to 30 digits is an int, however it is spelled (1, 1.0, 1e0), another
one a Decimal, and one beyond any use stays its text (Oversized). NaN and Infinity are not JSON. Text must be UTF-8.
"""

import json
import re
from decimal import Context, Decimal
from typing import Any, NoReturn

import msgspec

from worker.domain.rejections import DeadLettered, DeadLetterReason

MAX_BYTES = 1_048_576
MAX_DEPTH = 64

_LONGEST_NUMBER = 100  # characters
_LONGEST_EXPONENT = 4  # characters
_EXACT = Context(prec=_LONGEST_NUMBER)
_NUMBER_MARK = (
    "\0number"  # the only key of an object that stands for a number which JSON text would not compare
)
_MOST_WHOLE_DIGITS = 30
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]+|\\.)*"?|[\[{\]}]', re.DOTALL)


class Oversized(msgspec.Struct, frozen=True):
    """A JSON number with more digits, or a larger exponent, than anything here could mean."""

    text: str


def check_size(value: bytes) -> None:
    """Raises DeadLettered TOO_LARGE over 1 MiB."""
    if len(value) > MAX_BYTES:
        raise DeadLettered(DeadLetterReason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_BYTES}")


def check_depth(value: bytes) -> None:
    """Raises DeadLettered UNDECODABLE when arrays and objects are nested too deep to be read safely."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(value):
        if found[0] in b"[{":
            depth += 1
        elif found[0] in b"]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise undecodable(f"nested deeper than {MAX_DEPTH}")


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object in `value`. Raises DeadLettered TOO_LARGE or UNDECODABLE; of a repeated key the last counts."""
    check_size(value)
    check_depth(value)
    try:
        decoded = json.loads(
            value.decode(), parse_int=_number, parse_float=_number, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise undecodable("not UTF-8") from None
    except (ValueError, RecursionError):
        raise undecodable("not JSON") from None
    if not isinstance(decoded, dict):
        raise undecodable("not a JSON object")
    return decoded


def undecodable(detail: str) -> DeadLettered:
    """The dead letter of a value that is not a JSON object."""
    return DeadLettered(DeadLetterReason.UNDECODABLE, detail)


def invalid(field: str, problem: str) -> DeadLettered:
    """The dead letter of an object that breaks the schema; field is a dotted path, problem never holds a value."""
    return DeadLettered(DeadLetterReason.INVALID, f"{field}: {problem}")


def canonical(value: Any) -> str:
    """One text for all spellings of a JSON value: sorted keys, no spaces, exact numbers. For what read_object returns."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_canonical_number)


def _canonical_number(number: Decimal | Oversized) -> dict[str, str]:
    if isinstance(number, Oversized):
        return {_NUMBER_MARK: number.text.lower()}
    return {_NUMBER_MARK: f"{number.normalize(_EXACT):E}"}


def _number(text: str) -> int | Decimal | Oversized:
    if len(text) > _LONGEST_NUMBER:
        return Oversized(text)
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and len(exponent) > _LONGEST_EXPONENT:
        return Oversized(text)
    if exponent or "." in mantissa:
        number = Decimal(text)
        if number.adjusted() >= _MOST_WHOLE_DIGITS or number != number.to_integral_value():
            return number
        return int(number)
    return int(text) if len(text.lstrip("-")) <= _MOST_WHOLE_DIGITS else Decimal(text)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError("not a JSON number")
