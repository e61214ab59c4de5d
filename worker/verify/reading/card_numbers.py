"""Detects full card numbers. Tries every run of whole digit groups against the brands and the Luhn check digit."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-59]|3[689]\d)\d{11,16}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|(?:62|81)\d{14,17}"  # UnionPay
)
_CHAIN = re.compile(r"(?<![^\W_])\d+(?:[ \u00a0\u2007\u202f\u2010-\u2015\u2212-]\d+)*(?![^\W_])")
_ID_ENDINGS = ("Id", "ID", "_id", "-id")
_OTHER_EXEMPT = frozenset(
    ("id", "correlationid", "causationid", "occurredOn", "issuedAt", "birthDate", "expiry", "time")
)
_FIRST_DIGITS = frozenset("234568")
_LONGEST_ID = 100


def of_text(text: str) -> bool:
    """Whether the text contains a card number."""
    return any(len(chain[0]) >= 13 and _of_chain(chain[0]) for chain in _CHAIN.finditer(text))


def of_data(data: Any) -> bool:
    """Whether a field name or string of a command's data contains one. Skips ids, phones, dates and times."""
    return any(of_text(text) for text in _texts(data, cloud_event=False))


def of_value(value: bytes) -> bool:
    """Whether the bytes of a dead letter contain one. Skips ids, phones, dates and times; checks JSON numbers too."""
    for candidate in (value[5:] if value[:1] == b"\0" else value, value):
        fields = _object(candidate)
        if fields is not None:
            cloud_event = any(name == "specversion" for name, _ in fields)
            return any(of_text(text) for text in _texts(fields, cloud_event=cloud_event))
    return of_text(value.decode("utf-8", "replace"))


class _Number(str):
    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """The fields of a JSON object, repeated names included."""


def _object(value: bytes) -> _Pairs | None:
    try:
        found = json.loads(value, parse_int=_Number, parse_float=_Number, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, _Pairs) else None


def _texts(value: Any, *, cloud_event: bool) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | _Pairs):
        for name, inside in value.items() if isinstance(value, dict) else value:
            yield name
            if name == "data_base64" and isinstance(inside, str):
                yield _decoded(inside)
            if not _is_exempt(name, inside, cloud_event):
                yield from _texts(inside, cloud_event=cloud_event)
    elif isinstance(value, list):
        for inside in value:
            yield from _texts(inside, cloud_event=cloud_event)


def _is_exempt(name: str, value: Any, cloud_event: bool) -> bool:
    if not isinstance(value, str) or len(value) > _LONGEST_ID:
        return False
    if name == "phone":
        return value.lstrip().startswith("+")
    return name in _OTHER_EXEMPT or name.endswith(_ID_ENDINGS) or (cloud_event and name == "subject")


def _decoded(text: str) -> str:
    """The decoded text; empty when it is not base64. Of a JSON object, only the texts that are not exempt."""
    try:
        inside = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    fields = _object(inside)
    return (
        inside.decode("utf-8", "replace") if fields is None else "|".join(_texts(fields, cloud_event=False))
    )


def _of_chain(chain: str) -> bool:
    """Test every run of whole digit groups for length, check digit and brand. Accepts the digits of any script."""
    groups = re.findall(r"\d+", chain)
    digits = "".join(str(int(digit)) for group in groups for digit in group)
    ends = set(accumulate(map(len, groups)))
    sums = tuple([0, *accumulate(_weighed(digits, odd))] for odd in (0, 1))
    for start in (0, *ends):
        if digits[start : start + 1] not in _FIRST_DIGITS:
            continue
        for end in range(start + 13, start + 20):
            weighed = sums[end % 2]
            if (
                end in ends
                and (weighed[end] - weighed[start]) % 10 == 0
                and _BRANDS.fullmatch(digits, start, end)
            ):
                return True
    return False


def _weighed(digits: str, odd: int) -> Iterator[int]:
    """Yield each digit's Luhn value. odd: 1 doubles the digits at odd indexes, 0 those at even indexes."""
    for index, digit in enumerate(digits):
        value = int(digit) * (2 if index % 2 == odd else 1)
        yield value - 9 if value > 9 else value
