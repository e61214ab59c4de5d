"""Full card numbers are found wherever they hide, and nothing else is taken for one."""

import base64
import json
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wire.cards import bytes_contain_card_number, contains_card_number

VISA = "4111111111111111"


@pytest.mark.parametrize(
    "text",
    [
        VISA,
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 1111-1111 1111",
        f"card: {VISA}, thanks",
        f"({VISA})",
        f"_{VISA}_",
        "call 12 4111 1111 1111 1111",
        "4111 1111 1111 1111 12/27",
        "x12-4111 1111 1111 1111",
        "4222222222222",
        "6304000000000000000",
        "378282246310005",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
        "4111\u00a01111\u20131111\u20111111",
    ],
)
def test_a_full_card_number_is_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",
        "411111111111",
        "41111111111111110000",
        f"a{VISA}",
        f"{VISA}b",
        f"9{VISA}",
        "4111  1111  1111  1111",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "+14155552671",
        "2026-11-24T10:15:30.123Z",
        "550e8400-e29b-41d4-a716-446655440000",
        "ä4111111111111111",
    ],
)
def test_what_is_not_a_full_card_number_is_left_alone(text: str) -> None:
    assert not contains_card_number(text)


@given(st.text(), st.integers(10**11, 10**18 - 1), st.text())
def test_a_number_with_the_right_check_digit_is_found_in_any_text(before: str, body: int, after: str) -> None:
    number = f"{body}{_check_digit(str(body))}"
    assert contains_card_number(f"{before}. {number} .{after}") == (
        len(number) >= 13
    ) or contains_card_number(before + after)


@given(st.integers(10**11, 10**18 - 1), st.integers(1, 9))
def test_a_wrong_check_digit_is_no_card_number(body: int, shift: int) -> None:
    wrong = (_check_digit(str(body)) + shift) % 10
    assert not contains_card_number(f"{body}{wrong}")


@pytest.mark.parametrize(
    "value",
    [
        VISA.encode(),
        json.dumps({"note": VISA}).encode(),
        json.dumps({"number": int(VISA)}).encode(),
        b'{"note":"\\u0034111111111111111"}',
        b'{"note":"line\\n4111111111111111"}',
        b'{"note":"4111\\u0020111111111111"}',
        b"\xff\xfe" + VISA.encode("utf-16-le"),
        b"\xff" + VISA.encode() + b"\xff",
        b'{"data_base64":"' + base64.b64encode(VISA.encode()) + b'"}',
        VISA.translate({ord("0") + digit: 0x660 + digit for digit in range(10)}).encode(),
        b"".join(b"\\u%04x" % (0x660 + int(digit)) for digit in VISA),
    ],
)
def test_a_card_number_is_found_in_a_raw_value(value: bytes) -> None:
    assert bytes_contain_card_number(value)


@given(st.binary())
def test_any_bytes_can_be_searched(value: bytes) -> None:
    assert bytes_contain_card_number(value + b"|" + VISA.encode())


def test_a_raw_value_without_a_card_number_is_left_alone() -> None:
    assert not bytes_contain_card_number(
        b'{"orderId":"550e8400-e29b-41d4-a716-446655440000","amount":"129.90"}'
    )


def test_megabytes_without_digits_cost_next_to_nothing() -> None:
    began = process_time()
    for value in (b"x" * (5 << 20), bytes(5 << 20)):
        assert not bytes_contain_card_number(value)
    assert process_time() - began < 0.05


def test_a_megabyte_of_digits_is_searched_in_time() -> None:
    began = process_time()
    assert not bytes_contain_card_number(b"1 " * 524_288)
    assert process_time() - began < 2


def _check_digit(body: str) -> int:
    """By the book, and apart from the code under test."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * 2 if place % 2 == 0 else int(digit)
        total += doubled // 10 + doubled % 10
    return -total % 10
