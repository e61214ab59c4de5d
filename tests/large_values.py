"""Values of the largest size that are full of one thing: for each kind of part, what makes its reader do most."""

import itertools
from collections.abc import Callable, Iterator

from worker.wire.limits import MAX_DEPTH, MAX_VALUE_BYTES

Part = Callable[[int], str]
"""The part with this number, which ends with a comma."""


def _same(text: str) -> Part:
    return lambda _: text


ITEMS: dict[str, Part] = {
    "whole numbers": _same("1,"),
    "long numbers": _same("12345678901234567890,"),
    "fractions": _same("1.5,"),
    "exponents": _same("1e5,"),
    "strings": _same('"a",'),
    "empty strings": _same('"",'),
    "arrays": _same("[],"),
    "objects": _same("{},"),
    "nested arrays": _same("[[[[1]]]],"),
    "nulls": _same("null,"),
    "the same name": _same('{"a":1},'),
    "other fractions": lambda number: f"{number}.5,",
    "small numbers": lambda number: f"{number}e-3,",
    "other names": lambda number: f'{{"a{number}":1}},',
    "deep arrays": _same("[" * (MAX_DEPTH - 5) + "]" * (MAX_DEPTH - 5) + ","),
    "almost card numbers": lambda number: f'"4{number:015d}",',
    "card numbers": _same('"4111111111111111",'),
    "phones": _same('{"phone":"+4"},'),
    "emojis": _same(f'"{chr(0x1F600) * 13}",'),
    "escapes": _same(r'"\u0034\u0034",'),
}
"""Items of an array."""

FIELDS: dict[str, Part] = {
    "fields": lambda number: f'"a{number}":1,',
    "fields in any order": lambda number: f'"{number * 77_773 % 200_003:05x}":1,',
    "fields with long names": lambda number: f'"abcdefghijklm{number}":1,',
    "fields with ids": lambda number: f'"a{number}Id":"a",',
    "fields with card numbers": lambda number: f'"c{number}":"4111111111111111",',
}
"""Fields of an object."""

COMMAND = (
    '{"commandId":"k","commandType":"ChangeStatus","customerId":"c","issuedAt":"2026-11-01T12:00:00Z",'
    '"data":{"newStatus":"ACTIVE","reason":"r","note":PARTS}}'
)
ORDER = (
    '{"eventId":"e","orderId":"o","customerId":"c","totalAmount":{"amount":"1.00","currency":"USD"},'
    '"occurredOn":"2026-11-01T12:00:00Z","note":PARTS}'
)


def filled(template: str, kind: str, most_bytes: int = MAX_VALUE_BYTES) -> bytes:
    """The template with as many parts in place of PARTS as fit.

    Args:
        template: JSON with PARTS.
        kind: a key of ITEMS or FIELDS.
        most_bytes: of the whole value.
    """
    opening, last, closing = ("[", "0", "]") if kind in ITEMS else ("{", '"z":0', "}")
    room = most_bytes - len(template) - len(opening + last + closing)
    parts = "".join(_fitting({**ITEMS, **FIELDS}[kind], room))
    return template.replace("PARTS", f"{opening}{parts}{last}{closing}").encode()


def _fitting(part: Part, room: int) -> Iterator[str]:
    for number in itertools.count():
        text = part(number)
        room -= len(text.encode())
        if room < 0:
            return
        yield text
