"""The canonical text of a JSON value: one text for all spellings, with sorted names, no spaces and exact numbers.

A command's hash is that of this text, and is stored. So the text of a value must never change.

Each JSON value takes a step in Python, because other threads get their turn only between two calls of C. A single call of
`json.dumps` may write half a million values.
"""

from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from heapq import merge
from json.encoder import encode_basestring_ascii
from types import NoneType
from typing import Any

from worker.wire.limits import MAX_NUMBER_CHARS
from worker.wire.strict_json import CACHED_NUMBERS, Oversized

_EXACT = Context(prec=MAX_NUMBER_CHARS)
_NUMBER_MARK = "\0number"  # the only name in an object that replaces a number whose JSON spellings differ
_SORTED_AT_ONCE = 10_000


def canonical(value: Any) -> str:
    """The canonical text. value: from worker.wire.strict_json.read_object."""
    return _TEXT_OF[type(value)](value)


def _text_of_object(fields: dict[str, Any]) -> str:
    texts = [f"{encode_basestring_ascii(name)}:{canonical(fields[name])}" for name in _sorted(list(fields))]
    return f"{{{','.join(texts)}}}"


def _sorted(names: list[str]) -> list[str]:
    if len(names) <= _SORTED_AT_ONCE:
        return sorted(names)
    starts = range(0, len(names), _SORTED_AT_ONCE)
    return list(merge(*[sorted(names[start : start + _SORTED_AT_ONCE]) for start in starts]))


def _text_of_array(items: list[Any]) -> str:
    return f"[{','.join(map(canonical, items))}]"


@lru_cache(CACHED_NUMBERS)
def _text_of_number(number: Decimal | Oversized) -> str:
    text = number.text.lower() if isinstance(number, Oversized) else f"{number.normalize(_EXACT):E}"
    return canonical({_NUMBER_MARK: text})


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    dict: _text_of_object,
    list: _text_of_array,
    str: encode_basestring_ascii,
    int: int.__repr__,
    bool: {False: "false", True: "true"}.__getitem__,
    NoneType: lambda _: "null",
    Decimal: _text_of_number,
    Oversized: _text_of_number,
}
