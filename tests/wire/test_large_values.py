"""The event loop takes no step in Python for each part of a value, whatever the value is full of.

A thread reads long commands. There such steps are wanted (tests.wire.test_steps).
"""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from api.limits import Limits
from tests.large_values import COMMAND, FIELDS, ORDER, filled
from worker.domain.rejections import DeadLettered
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.inputs import decode_order
from worker.wire.limits import MAX_DEPTH, MAX_VALUE_BYTES
from worker.wire.strict_json import read_object
from worker.wire.validation import read_data

MANY = 2_000  # calls; a megabyte has up to half a million parts

ORDERS = [
    "whole numbers",
    "long numbers",
    "fractions",
    "exponents",
    "strings",
    "empty strings",
    "arrays",
    "objects",
    "nested arrays",
    "nulls",
    "the same name",
]
# A name is a call, because it may exempt its value.
COMMANDS = [kind for kind in ORDERS if kind != "the same name"]


def calls(do: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("kind", COMMANDS)
def test_the_data_of_a_command_full_of_anything_are_checked_in_few_calls(kind: str):
    data = read_object(filled(COMMAND, kind))["data"]
    assert calls(lambda: read_data(COMMAND_MODELS["ChangeStatus"], data, issued_at=None)) < MANY


@pytest.mark.parametrize("kind", [*ORDERS, *FIELDS])
def test_a_body_of_http_full_of_anything_is_read_in_few_calls(kind: str):
    body = filled(COMMAND, kind, Limits().body_bytes)
    read_object(body)  # numbers that it holds again and again are remembered
    assert calls(lambda: read_object(body)) < MANY


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_full_of_anything_is_decoded_in_few_calls(kind: str):
    value = filled(ORDER, kind)
    assert calls(lambda: decode_order(value, ())) < MANY


@pytest.mark.parametrize("opening", ["[", '{"a":', '["[",{"a":'])
def test_what_is_nested_too_deep_is_refused_in_few_calls(opening: str):
    value = (opening * (MAX_VALUE_BYTES // len(opening))).encode()

    def decode() -> None:
        with pytest.raises(DeadLettered) as refused:
            read_object(value)
        assert "nested deeper" in refused.value.detail

    assert calls(decode) < MANY


@pytest.mark.parametrize(
    ("inside", "is_too_deep"),
    [
        ("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1), False),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, True),
        ("[[],[]," * 20 + "1" + "]" * 20, False),
        ('["' + "[" * 100 + '"]', False),
        ('["\\"' + "[" * 100 + '"]', False),
        ("[" + "[],{}," * 100 + "1]", False),
    ],
)
def test_the_depth_is_that_of_brackets_outside_of_strings(inside: str, is_too_deep: bool):
    value = f'{{"a":{inside}}}'.encode()
    if is_too_deep:
        with pytest.raises(DeadLettered) as refused:
            read_object(value)
        assert "nested deeper" in refused.value.detail
    else:
        assert list(read_object(value)) == ["a"]
