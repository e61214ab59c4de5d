"""A value of 1 MiB is read without a step in Python for each of its parts, whatever it holds."""

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from worker.domain.rejections import DeadLettered
from worker.wire.commands import decode_command
from worker.wire.inputs import decode_order
from worker.wire.limits import MAX_DEPTH, MAX_VALUE_BYTES
from worker.wire.strict_json import read_object

MANY = 2_000  # calls; a megabyte has up to half a million parts

KINDS = {
    "whole numbers": "1,",
    "long numbers": "12345678901234567890,",
    "fractions": "1.5,",
    "exponents": "1e5,",
    "strings": '"a",',
    "empty strings": '"",',
    "arrays": "[],",
    "objects": "{},",
    "nested arrays": "[[[[1]]]],",
    "nulls": "null,",
    "the same name": '{"a":1},',
}


def filled(template: str, part: str) -> bytes:
    """A record of 1 MiB at most, with as many of these parts as it holds."""
    parts = part * ((MAX_VALUE_BYTES - len(template) - 1) // len(part))
    return template.replace("PARTS", f"[{parts}0]").encode()


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


COMMAND = (
    '{"commandId":"k","commandType":"ChangeStatus","customerId":"c","issuedAt":"2026-11-01T12:00:00Z",'
    '"data":{"newStatus":"ACTIVE","reason":"r","note":PARTS}}'
)
ORDER = (
    '{"eventId":"e","orderId":"o","customerId":"c","totalAmount":{"amount":"1.00","currency":"USD"},'
    '"occurredOn":"2026-11-01T12:00:00Z","note":PARTS}'
)


@pytest.mark.parametrize("part", [part for name, part in KINDS.items() if name != "the same name"])
def test_a_command_full_of_anything_is_decoded_in_few_calls(part: str):
    value = filled(COMMAND, part)
    decoded = decode_command(value, ())  # numbers that it holds again and again are remembered
    assert decoded.command is not None
    assert calls(lambda: decode_command(value, ())) < MANY


@pytest.mark.parametrize("part", KINDS.values(), ids=KINDS.keys())
def test_an_order_full_of_anything_is_decoded_in_few_calls(part: str):
    value = filled(ORDER, part)
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
