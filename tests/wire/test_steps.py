"""JSON with many values is read and written in steps of Python. The result is that of one call of C."""

import json
import math
from decimal import Context, Decimal
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.large_values import COMMAND, filled
from tests.wire.test_large_values import MANY, calls
from worker.domain.rejections import DeadLettered
from worker.wire import canonical as canonical_module
from worker.wire import strict_json
from worker.wire.canonical import canonical
from worker.wire.limits import MAX_DEPTH
from worker.wire.strict_json import Oversized, read_object

STEPS, NO_STEPS = -1, math.inf
FULL = ("whole numbers", "arrays", "nested arrays", "fields")

_NUMBERS = [
    "0",
    "-0",
    "01",
    "1.",
    ".5",
    "-",
    "1.50",
    "1E2",
    "1e-3",
    "1e99999",
    "9" * 40,
    "9" * 101,
    "1\u0661",
]
_STRINGS = ['"a"', '"\\ud83d"', '"\\u00"', '"\u00e9\\n"', '"\\x"', '"\t"', '"', "\\", '"[{,"']
_NAMES = ["null", "nul", "true", "False", "NaN", "Infinity", "-Infinity", "-Inf"]
_MARKS = ["{", "}", "[", "]", ",", ":", '"a":', '"b":', " ", "\r\n\t", "\u00a0", "\ufeff", "\0"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
)
VALUES = st.builds(lambda value, space: json.dumps(value, indent=space), _JSON, st.sampled_from([None, 1]))
HOSTILE = st.lists(st.sampled_from([*_NUMBERS, *_STRINGS, *_NAMES, *_MARKS])).map("".join)


def read(text: str, most_in_c: float) -> str:
    """What is read, with types, or the dead letter. most_in_c: how many values C may read in one call."""
    with mock.patch.object(strict_json, "_MANY", most_in_c):
        try:
            return repr(read_object(text.encode("utf-8", "surrogatepass")))
        except DeadLettered as error:
            return f"{error.reason} {error.detail}"


@given(VALUES | HOSTILE | st.builds(str.__add__, VALUES, HOSTILE))
@example("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1))
@example("[" * MAX_DEPTH + "]" * MAX_DEPTH)
@example('{"a":1,"b":[],"a":{"c":2,"c":3}}')
@example('[1,]{"b":1,}')
def test_what_is_read_in_steps_is_the_same(text: str):
    for whole in (text, f'{{"a":{text}}}', f'{{"a":[{text}],"b":{{"a":{text}}}}}'):
        assert read(whole, STEPS) == read(whole, NO_STEPS)


def dumped(value: Any) -> str:
    """The canonical text, as one call of C writes it."""

    def marked(number: Decimal | Oversized) -> dict[str, str]:
        if isinstance(number, Oversized):
            return {"\0number": number.text.lower()}
        return {"\0number": f"{number.normalize(Context(prec=100)):E}"}

    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=marked)


@pytest.mark.parametrize("sorted_at_once", [2, 10_000])
@given(value=_JSON)
@example(value=[1.5, 1e300, -1e-300, 1e200, 10**29, 10**30, True, None, "\ud83d", "\0number"])
@example(value={name: number for number, name in enumerate("hcbgaifed")})
def test_the_canonical_text_is_that_of_the_standard_library(sorted_at_once: int, value: object):
    known = read_object(json.dumps({"a": value, "b": 1}).encode())
    with mock.patch.object(canonical_module, "_SORTED_AT_ONCE", sorted_at_once):
        assert canonical(known) == dumped(known)


@pytest.mark.parametrize("kind", FULL)
def test_each_of_many_values_takes_a_step(kind: str):
    value = filled(COMMAND, kind)
    known = read_object(value)
    many = len(known["data"]["note"])
    assert calls(lambda: read_object(value)) > many
    assert calls(lambda: canonical(known)) > many


@pytest.mark.parametrize("kind", FULL)
def test_control_one_call_of_c_reads_or_writes_them_all(monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(strict_json, "_MANY", NO_STEPS)
    value = filled(COMMAND, kind)
    known = read_object(value)
    assert calls(lambda: read_object(value)) < MANY
    assert calls(lambda: dumped(known)) < MANY
