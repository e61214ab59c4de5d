r"""Detection of full card numbers, which are never stored, published or repeated (contract, section 6).

A card number is a run of digits with a brand's prefix and length and the right check digit (Luhn). Single spaces or
dashes may separate its groups, and no other digit or letter touches it. Every run of whole groups is tried.

The search takes linear time for any text, because a producer may send a megabyte of hostile digits. It examines all
places at once: integers of a million bytes, one byte per digit, are shifted, added and masked.
"""

import re
from collections.abc import Iterator, Sequence

from worker.wire.card_brands import FIRST_PAIRS, GROUP_OF_LENGTH, SECOND_PAIRS, WANTED_SECOND

SHORTEST = min(GROUP_OF_LENGTH)

_SEPARATORS = " -\u00a0\u2007\u202f\u2010\u2011\u2012\u2013\u2014\u2015\u2212"  # with the typographic ones
_BETWEEN = "\0"
# The class of a character. A digit has its value in the low bits.
_OTHER, _BORDER, _DIGIT, _LETTER, _SEPARATOR = 0, 1, 0x10, 0x20, 0x40
# _START and _END mark a digit with which a number may start or end. _DROPPED marks a separator to remove.
_START, _END, _DROPPED = 0x20, 0x40, 0x80
_KNOWN_PLANES = 0x20000  # the other planes of Unicode contain ideographs, which are letters


def _classes() -> str:
    text = re.sub(r"[\W_]", "!", "".join(map(chr, range(_KNOWN_PLANES))))
    text = re.sub(r"[^\W\d_]", "a", text)
    kinds = {"!": _OTHER, "a": _LETTER}
    found = [kinds[char] if char in kinds else _DIGIT + int(char) for char in text]
    for char in _SEPARATORS:
        found[ord(char)] = _SEPARATOR
    found[ord(_BETWEEN)] = _BORDER
    return bytes(found).decode("ascii")


_CLASSES = _classes()
_ASCII_CLASSES = _CLASSES[:256].encode()
_VALUES = bytes(code & 15 if code & _DIGIT else 0 for code in range(256))
_DOUBLED = bytes(value * 2 - 9 if value > 4 else value * 2 for value in _VALUES)
_TENS = bytes(range(10, 256, 10))
_NOT_TEN = bytes(set(range(256)) - set(_TENS))
_TEN = re.compile(b"[" + re.escape(_TENS) + b"]")


def contains_card_number(text: str) -> bool:
    """Whether the text contains a full card number."""
    return len(text) >= SHORTEST and any(map(_has_tens, _sums(_digits_of(text))))


def texts_with_card_numbers(texts: Sequence[str]) -> Iterator[int]:
    """The indexes of the texts that contain a full card number, found in one search, in ascending order."""
    joined = _joined(texts)
    if len(joined) < SHORTEST:
        return
    digits = _digits_of(joined)
    starts = {found.start() for sums in _sums(digits) if _has_tens(sums) for found in _TEN.finditer(sums)}
    before, number, last = 0, 0, -1
    for start in sorted(starts):
        number += digits.count(_BORDER, before, start)
        before = start
        if number != last:
            last = number
            yield number


def _joined(texts: Sequence[str]) -> str:
    return _BETWEEN.join(text.replace(_BETWEEN, ".") if _BETWEEN in text else text for text in texts)


def _digits_of(text: str) -> bytes:
    """The text as one byte per character, without single separators between digits.

    A digit's byte has its value and the marks _START and _END.
    """
    if text.isascii():
        kinds = text.encode().translate(_ASCII_CLASSES)
    else:
        kinds = text.translate(_CLASSES).encode("ascii", "replace").replace(b"?", bytes((_LETTER,)))
    size = len(kinds)
    one = _every(1, size)
    whole = int.from_bytes(kinds, "little")
    digit = (whole >> 4) & one
    alone = ((whole >> 5 | digit) & one) ^ one  # neither digit nor letter
    start, end = digit & (alone << 8 | 1), digit & (alone >> 8 | 1 << 8 * (size - 1))
    dropped = (whole >> 6) & (digit << 8) & (digit >> 8)
    classes = whole & _every(_DIGIT | 15, size)
    marked = classes | start << 5 | end << 6 | dropped << 7
    return marked.to_bytes(size, "little").translate(None, bytes((_DROPPED,)))


def _sums(digits: bytes) -> Iterator[bytes]:
    """For each length, the Luhn sums of the numbers that start at each index; 0 if no brand has such a number."""
    size = len(digits)
    whole = int.from_bytes(digits, "little")
    one = _every(1, size)
    start, end = (whole >> 5) & one, (whole >> 6) & one
    group = _group_of(digits) & start * 0xFF
    if not group:
        return
    single = int.from_bytes(digits.translate(_VALUES), "little")
    pair = int.from_bytes(digits.translate(_DOUBLED), "little") + (single >> 8)
    gap = _any_of(((whole >> 4) & one) ^ one, SHORTEST)
    pairs = _pairs(pair, SHORTEST // 2)
    for length, groups in GROUP_OF_LENGTH.items():
        candidates = _any_bit(group & _every(groups, size), one) & (end >> 8 * (length - 1)) & (gap ^ one)
        if candidates:
            sums = single + (pairs >> 8) if length % 2 else pairs
            yield (sums & candidates * 0xFF).to_bytes(size, "little")
        gap |= gap >> 8
        if length % 2:
            pairs += pair >> 8 * (length - 1)


def _group_of(digits: bytes) -> int:
    """For each index, the group of brands of a number that starts there, by its first four digits."""
    size = len(digits)
    values = int.from_bytes(digits.translate(_VALUES), "little")
    pairs = values * 10 + (values >> 8)
    each = pairs.to_bytes(size + 1, "little")
    wanted = int.from_bytes(each.translate(WANTED_SECOND), "little")
    fulfilled = int.from_bytes(each.translate(SECOND_PAIRS), "little") >> 16
    right = _any_bit(wanted & fulfilled, _every(1, size))
    return int.from_bytes(each.translate(FIRST_PAIRS), "little") & right * 0xFF


def _pairs(pair: int, count: int) -> int:
    """For each index, the sum of `count` consecutive pairs."""
    return sum(pair >> 16 * index for index in range(count))


def _any_of(marks: int, length: int) -> int:
    """For each index, whether one of the next `length` indexes has a mark."""
    found = marks
    for index in range(1, length):
        found |= marks >> 8 * index
    return found


def _any_bit(flags: int, one: int) -> int:
    """1 in each byte that is not 0."""
    flags |= flags >> 4
    flags |= flags >> 2
    return (flags | flags >> 1) & one


def _has_tens(sums: bytes) -> bool:
    return bool(sums.translate(None, _NOT_TEN))


def _every(flag: int, size: int) -> int:
    return int.from_bytes(bytes((flag,)) * size, "little")
