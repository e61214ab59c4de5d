"""Money between text and whole minor units, exactly: no amount ever passes through a float.

An amount arrives as a plain decimal string ("129.90") or as a JSON number, and is never negative. It has at most 15
digits before the point. After the point it has at most the currency's digits, and any trailing zeros. It is published
as a decimal string with exactly the currency's digits. Codes without a minor unit (gold, test codes) are not accepted.
"""

import re
from decimal import Decimal, InvalidOperation

from iso4217 import Currency

from worker.wire.limits import MAX_NUMBER_CHARS

MAX_WHOLE_DIGITS = 15
AMOUNT_PATTERN = r"^[0-9]{1,15}(\.[0-9]+)?$"

# Withdrawn since 2023 (ISO 4217, list three): late orders may still carry them, and stored totals do.
_WITHDRAWN = {"ANG": 2, "BGN": 2, "CUC": 2, "HRK": 2, "SLL": 2, "ZWL": 2}
DIGITS: dict[str, int] = _WITHDRAWN | {
    currency.code: currency.exponent for currency in Currency if currency.exponent is not None
}

_PLAIN = re.compile(r"([0-9]{1,15})(?:\.([0-9]+))?")
_ABOVE_ALL = Decimal(10) ** MAX_WHOLE_DIGITS


class InvalidAmount(ValueError):
    """Not an amount. code: a stable lower-case word; the text never holds the value."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def digits_of(currency: str) -> int:
    """How many digits follow the point in that currency. Raises InvalidAmount if it is not an ISO 4217 code."""
    digits = DIGITS.get(currency)
    if digits is None:
        raise InvalidAmount("unknown_currency")
    return digits


def parse_amount(text: str, currency: str, *, number: bool = False) -> int:
    """Minor units of an amount.

    Args:
        text: a plain decimal string, or with number=True the text of a JSON number, which may have an exponent.
        currency: an ISO 4217 code.
        number: whether `text` comes from a JSON number.

    Raises:
        InvalidAmount: the currency is unknown, or the amount is negative, out of range or inexact in the currency.
    """
    digits = digits_of(currency)
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        whole, fraction = plain.groups("")
        if len(fraction) > digits:
            fraction = fraction.rstrip("0")
        return _minor(whole, fraction, digits)
    if number:
        return _parse_number(text, digits)
    if _is_negative(text):
        raise InvalidAmount("negative")
    raise InvalidAmount("invalid_amount")


def format_amount(minor: int, currency: str) -> str:
    """The decimal string of `minor` units with exactly the currency's digits; negative for a refund."""
    digits = DIGITS[currency]
    text = str(minor)
    if digits == 0:
        return text
    if minor < 0:
        return "-" + format_amount(-minor, currency)
    if len(text) <= digits:
        text = text.zfill(digits + 1)
    return f"{text[:-digits]}.{text[-digits:]}"


def _minor(whole: str, fraction: str, digits: int) -> int:
    if len(fraction) > digits:
        raise InvalidAmount("too_many_digits")
    return int(whole + fraction.ljust(digits, "0"))


def _is_negative(text: str) -> bool:
    return text.startswith("-") and _PLAIN.fullmatch(text[1:]) is not None


def _parse_number(text: str, digits: int) -> int:
    if len(text) > MAX_NUMBER_CHARS:
        raise InvalidAmount("too_many_digits")
    try:
        amount = Decimal(text)
    except InvalidOperation:  # an exponent that no decimal can hold
        raise InvalidAmount("out_of_range") from None
    if not amount.is_finite():
        raise InvalidAmount("invalid_amount")
    if amount < 0:
        raise InvalidAmount("negative")
    if amount >= _ABOVE_ALL:
        raise InvalidAmount("out_of_range")
    if amount == 0:
        return 0
    if amount.adjusted() < -digits:
        raise InvalidAmount("too_many_digits")
    whole, _, fraction = f"{amount:f}".partition(".")
    return _minor(whole, fraction.rstrip("0"), digits)
