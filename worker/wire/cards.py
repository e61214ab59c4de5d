"""Full card numbers, wherever they hide: they are never stored, published or repeated.

A card number is 13 to 19 digits in groups, with single spaces or dashes between, that no other digit or letter touches
and whose check digit is right (Luhn). A text of several groups is searched for every run of whole groups.
"""

import base64
import binascii
import re
from operator import eq

_SEPARATOR = r"[ \u00a0\u2007\u202f\u2010-\u2015\u2212-]"  # with the typographic spaces and dashes
_GROUPS = re.compile(rf"(?<![^\W_])\d+(?:{_SEPARATOR}\d+)*(?![^\W_])")
_SHORTEST, _LONGEST = 13, 19
_DOUBLED = tuple(digit * 2 - 9 if digit > 4 else digit * 2 for digit in range(10))
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_BASE64 = re.compile(rb'"data_base64"\s*:\s*"([^"]*)"')


def contains_card_number(text: str) -> bool:
    """Whether a full card number stands anywhere in the text."""
    if len(text) < _SHORTEST:
        return False
    return any(_holds_card(chain[0]) for chain in _GROUPS.finditer(text) if len(chain[0]) >= _SHORTEST)


def bytes_contain_card_number(value: bytes) -> bool:
    r"""Whether a full card number stands anywhere in a raw record value, JSON or not.

    Sees through JSON escapes (\u0034), UTF-16 and a CloudEvent's data_base64. Ids and phones are not exempt here.
    """
    if _has_too_few_digits(value):
        return False
    if _text_contains(value):
        return True
    for encoded in _BASE64.findall(value):
        try:
            if _text_contains(base64.b64decode(encoded, validate=True)):
                return True
        except binascii.Error:
            continue  # not base64: it was searched as text above
    return False


def _has_too_few_digits(value: bytes) -> bool:
    """Whether a count of digits is enough to know that no card number is there: so it is with most, and with megabytes
    of anything; false where digits may hide, in other alphabets, in escapes or in base64."""
    plain = value.isascii() and b"\\" not in value and b'"data_base64"' not in value
    return plain and len(value.translate(None, _NO_DIGITS)) < _SHORTEST


def _text_contains(value: bytes) -> bool:
    text = value.translate(None, b"\0").decode("utf-8", "replace")
    if contains_card_number(text):
        return True
    if "\\" not in text:
        return False
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)
    # Of the other escapes only those that would put a letter beside a digit matter: \n, \t, \r, \b, \f.
    return contains_card_number(re.sub(r"\\[ntrbf]", "  ", plain))


def _holds_card(chain: str) -> bool:
    """Whether some run of whole groups of the chain is a card number; in linear time, for hostile input is long."""
    run: list[str] = []
    for group in re.findall(r"\d+", chain):
        if len(group) <= _LONGEST:
            run.append(group)
            continue
        if _run_holds_card(run):
            return True
        run = []  # a longer group is part of no card number
    return _run_holds_card(run)


def _run_holds_card(groups: list[str]) -> bool:
    digits: list[int] = []
    starts: set[int] = set()
    ends: set[int] = set()
    for group in groups:
        starts.add(len(digits))
        digits.extend(map(int, group))
        ends.add(len(digits))
    for parity, sums in enumerate(_running_sums(digits)):
        from_here = [total if place in starts else -1 for place, total in enumerate(sums)]
        to_here = [total if place in ends else -2 for place, total in enumerate(sums)]
        for size in range(_SHORTEST, _LONGEST + 1):
            first_end = size + (size + parity) % 2
            if any(map(eq, to_here[first_end::2], from_here[first_end - size :: 2])):
                return True
    return False


def _running_sums(digits: list[int]) -> tuple[list[int], list[int]]:
    """Luhn sums, modulo 10, of the first n digits: with those at even places doubled, and at odd ones.

    A number that ends before place n has its last digit single and the one before it doubled, so it takes the sums of
    n's own parity, and is valid when they are the same where it starts and where it ends.
    """
    even, odd = [0], [0]
    for place, digit in enumerate(digits):
        even.append((even[-1] + (digit if place % 2 else _DOUBLED[digit])) % 10)
        odd.append((odd[-1] + (_DOUBLED[digit] if place % 2 else digit)) % 10)
    return even, odd
