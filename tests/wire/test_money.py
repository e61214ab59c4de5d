"""Money is exact, and has the digits of its currency."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.wire.money import DIGITS, InvalidAmount, format_amount, parse_amount

CURRENCIES = st.sampled_from(sorted(DIGITS))


@given(minor=st.integers(0, 10**15 - 1), currency=CURRENCIES)
def test_an_amount_survives_the_wire(minor: int, currency: str) -> None:
    assert parse_amount(format_amount(minor, currency), currency) == minor


@given(minor=st.integers(-(10**12), -1), currency=CURRENCIES)
def test_a_refund_is_written_with_a_minus_and_exactly_the_digits(minor: int, currency: str) -> None:
    text = format_amount(minor, currency)
    assert Decimal(text) == Decimal(minor).scaleb(-DIGITS[currency])
    assert len(text.partition(".")[2]) == DIGITS[currency]


@given(amount=st.decimals(0, 10**15 - 1, places=2))
def test_a_json_number_means_the_same_as_its_decimal_string(amount: Decimal) -> None:
    assert parse_amount(str(amount), "USD", number=True) == parse_amount(f"{amount:f}", "USD")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("129.90", "USD", 12_990),
        ("129.900", "USD", 12_990),
        ("129.9", "USD", 12_990),
        ("129", "USD", 12_900),
        ("0", "USD", 0),
        ("0.01", "USD", 1),
        ("5", "JPY", 5),
        ("5.000", "JPY", 5),
        ("1.234", "KWD", 1_234),
        ("1.2345", "CLF", 12_345),
        ("999999999999999.99", "USD", 99_999_999_999_999_999),
        ("12.50", "BGN", 1_250),
        ("1." + "0" * 10_000, "USD", 100),
    ],
)
def test_a_plain_decimal_string_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert parse_amount(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "code"),
    [
        ("129.901", "USD", "too_many_digits"),
        ("0.5", "JPY", "too_many_digits"),
        ("-1.00", "USD", "negative"),
        ("1e2", "USD", "invalid_amount"),
        ("+1", "USD", "invalid_amount"),
        (".5", "USD", "invalid_amount"),
        ("5.", "USD", "invalid_amount"),
        ("1,000.00", "USD", "invalid_amount"),
        ("1_000", "USD", "invalid_amount"),
        (" 1", "USD", "invalid_amount"),
        ("1\n", "USD", "invalid_amount"),
        ("", "USD", "invalid_amount"),
        ("NaN", "USD", "invalid_amount"),
        ("Infinity", "USD", "invalid_amount"),
        ("١٢", "USD", "invalid_amount"),
        ("1000000000000000", "USD", "invalid_amount"),
        ("1.00", "usd", "unknown_currency"),
        ("1.00", "XAU", "unknown_currency"),
        ("1.00", "", "unknown_currency"),
    ],
)
def test_anything_else_is_not_an_amount(text: str, currency: str, code: str) -> None:
    with pytest.raises(InvalidAmount) as refused:
        parse_amount(text, currency)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "minor"),
    [("1e2", 10_000), ("1.2990E2", 12_990), ("12990e-2", 12_990), ("0e99999", 0), ("-0.0", 0), ("0.1", 10)],
)
def test_an_exponent_in_a_json_number_is_fine_when_exact(text: str, minor: int) -> None:
    assert parse_amount(text, "USD", number=True) == minor


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-1", "negative"),
        ("1e-3", "too_many_digits"),
        ("1e15", "out_of_range"),
        ("1e999999999", "out_of_range"),
        ("1e99999999999999999999", "out_of_range"),
        ("1e-999999999", "too_many_digits"),
        ("1" * 5_000, "too_many_digits"),
    ],
)
def test_a_json_number_that_is_not_exact_or_too_large_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidAmount) as refused:
        parse_amount(text, "USD", number=True)
    assert refused.value.code == code


def test_the_binary_float_nearest_to_an_amount_is_not_what_counts() -> None:
    assert json.loads("9007199254740993") != 9007199254740993.0
    assert parse_amount("90071992547409.93", "USD", number=True) == 9_007_199_254_740_993
