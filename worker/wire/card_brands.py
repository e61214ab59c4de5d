"""Prefixes and lengths of card numbers by brand, as tables over pairs of digits (ISO/IEC 7812, the brands' own rules).

Each first pair of digits belongs to one group of brands with the same lengths. Some first pairs also limit the second
pair: 60 belongs to Discover only if 11 follows.
"""

from collections.abc import Iterable, Mapping

VISA, MASTERCARD, AMEX, DINERS, LONG = 1, 2, 4, 8, 16  # LONG: Discover, JCB, UnionPay

GROUP_OF_LENGTH: Mapping[int, int] = {
    13: VISA,
    14: DINERS,
    15: AMEX | DINERS,
    16: VISA | MASTERCARD | DINERS | LONG,
    17: DINERS | LONG,
    18: DINERS | LONG,
    19: VISA | DINERS | LONG,
}
_GROUPS: Mapping[int, Iterable[int]] = {
    VISA: range(40, 50),
    MASTERCARD: (*range(22, 28), *range(51, 56)),
    AMEX: (34, 37),
    DINERS: (30, 36, 38, 39),
    LONG: (35, 60, 62, 64, 65, 81),
}
_SECOND: Mapping[int, Iterable[int]] = {
    22: range(21, 100),
    27: range(21),
    30: (*range(60), *range(90, 100)),
    35: range(28, 90),
    60: (11,),
    64: range(40, 100),
}
_ANY = 1


def _table(flags: Iterable[tuple[Iterable[int], int]]) -> bytes:
    table = bytearray(256)
    for pairs, flag in flags:
        for pair in pairs:
            table[pair] |= flag
    return bytes(table)


_CONDITIONS = {first: 2 << index for index, first in enumerate(_SECOND)}
FIRST_PAIRS = _table((pairs, group) for group, pairs in _GROUPS.items())
"""First pair of digits -> its group, 0 if no brand begins with it."""

WANTED_SECOND = _table(((first,), _CONDITIONS.get(first, _ANY)) for first in range(100))
"""First pair of digits -> the condition for the second pair, one bit."""

SECOND_PAIRS = _table([(range(100), _ANY), *((_SECOND[first], flag) for first, flag in _CONDITIONS.items())])
"""Second pair of digits -> the conditions that it fulfils, as bits."""
