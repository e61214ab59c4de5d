"""JSON objects from remote bytes, read exactly and within limits of size and depth.

Numbers never become floats. A whole number of up to 30 digits is an int, in every spelling (1, 1.0, 1e0). Other numbers
are Decimals, and numbers too large for any use keep their text (Oversized). NaN and Infinity are refused. Text must be
UTF-8.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from worker.domain.rejections import DeadLettered, DeadLetterReason
from worker.wire.limits import MAX_DEPTH, MAX_NUMBER_CHARS, MAX_VALUE_BYTES

CACHED_NUMBERS = 4_096
"""Of those that a value holds again and again."""

_FRAME = 5
_LONGEST_EXPONENT = 4  # characters
_MOST_WHOLE_DIGITS = 30
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_BRACKETS_OF_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = (
    b"0" * 31
)  # more than _MOST_WHOLE_DIGITS, or text that looks like it, once all digits are alike
_MANY = 50_000  # JSON values; a body of HTTP holds fewer


class Oversized(msgspec.Struct, frozen=True):
    """A JSON number with too many digits or too large an exponent for any field."""

    text: str


def check_size(value: bytes) -> None:
    """Raises DeadLettered TOO_LARGE over 1 MiB."""
    if len(value) > MAX_VALUE_BYTES:
        raise DeadLettered(DeadLetterReason.TOO_LARGE, f"{len(value)} bytes, at most {MAX_VALUE_BYTES}")


def unframed(value: bytes) -> bytes:
    """The value without the five bytes (zero and a schema id) that Confluent's wire format puts before it."""
    return value[_FRAME:] if value[:1] == b"\0" and len(value) >= _FRAME else value


def check_depth(value: bytes) -> None:
    """Raises DeadLettered UNDECODABLE if arrays and objects are nested deeper than MAX_DEPTH."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return
    # No step in Python for each bracket: a pass takes away all innermost pairs, and with them one level.
    brackets = _without_strings(value).translate(_BRACKETS_OF_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        inner, brackets = brackets, brackets.replace(b"[]", b"")
        if len(brackets) == len(inner):
            break
    if (
        brackets.count(b"[") > MAX_DEPTH or b"[]" in brackets
    ):  # what is left over is deeper, or closed by nothing
        raise undecodable(f"nested deeper than {MAX_DEPTH}")


def _without_strings(value: bytes) -> bytes:
    quotes_alone = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(quotes_alone.split(b'"')[::2])


def read_object(value: bytes) -> dict[str, Any]:
    """The JSON object in `value`. The last of repeated keys counts. Raises DeadLettered TOO_LARGE or UNDECODABLE."""
    check_size(value)
    json_text = unframed(value)
    check_depth(json_text)
    framed = len(json_text) < len(value)
    try:
        decoded = json.loads(
            json_text.decode(),
            cls=_InSteps if _holds_many(json_text) else None,
            parse_int=_number
            if _LONG_NUMBER in json_text.translate(_DIGITS_ALIKE)
            else None,  # calls are slow
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        if framed:
            raise undecodable("Confluent's wire format, and no JSON in it") from None
        raise undecodable("not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON") from None
    if not isinstance(decoded, dict):
        raise undecodable(
            "a batch of CloudEvents; send one in each record" if _is_batch(decoded) else "not a JSON object"
        )
    return decoded


def _holds_many(json_text: bytes) -> bool:
    return sum(map(json_text.count, (b",", b"[", b"{"))) > _MANY


class _InSteps(json.JSONDecoder):
    """Reads each JSON value in a step of Python. One call of C for many would hold the event loop."""

    scan_once: Callable[[str, int], tuple[Any, int]]
    parse_array: Callable[..., tuple[list[Any], int]]
    parse_object: Callable[..., tuple[dict[str, Any], int]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        scan_in_c, array, fields = self.scan_once, self.parse_array, self.parse_object

        def scan(text: str, start: int) -> tuple[Any, int]:
            opening = text[start : start + 1]
            if opening == "[":
                return array((text, start + 1), scan)
            if opening == "{":
                return fields((text, start + 1), self.strict, scan, None, _fields_of)
            return scan_in_c(text, start)

        self.scan_once = scan


def _fields_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: item for name, item in pairs}  # noqa: C416  # in steps, which dict(pairs) has not


def _is_batch(decoded: object) -> bool:
    first = decoded[0] if isinstance(decoded, list) and decoded else None
    return isinstance(first, dict) and "specversion" in first


def undecodable(detail: str) -> DeadLettered:
    """The dead letter of a value that is not a JSON object."""
    return DeadLettered(DeadLetterReason.UNDECODABLE, detail)


def invalid(field: str, problem: str) -> DeadLettered:
    """The dead letter of an object that breaks the schema; field is a dotted path, problem never holds a value."""
    return DeadLettered(DeadLetterReason.INVALID, f"{field}: {problem}")


@lru_cache(CACHED_NUMBERS)
def _number(text: str) -> int | Decimal | Oversized:
    if len(text) > MAX_NUMBER_CHARS:
        return Oversized(text)
    whole, point, fraction = text.partition(".")
    if point and fraction.isdecimal() and len(whole) <= _MOST_WHOLE_DIGITS:  # most of them, in half the time
        return Decimal(text) if fraction.strip("0") else int(whole)
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
