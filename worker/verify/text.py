"""Single values, checked and normalised as CONTRACT section 6 (Validation) and section 1 (money, times) say.

Each function returns the normalised value or raises Bad. Nothing is remembered and no text of an error holds a value.
"""

import re
import unicodedata
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import idna
import iso4217
import langcodes
import phonenumbers
import pycountry

DAY_MS = 86_400_000
MAX_ID = 100

# ISO 4217 of today, and what was withdrawn since 2023: late orders and stored totals may still carry it.
CURRENCY_DIGITS: dict[str, int] = {
    **dict.fromkeys(("ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"), 2),
    **{money.code: money.exponent for money in iso4217.Currency if money.exponent is not None},
}
COUNTRIES = {country.alpha_2 for country in pycountry.countries}

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LOCAL_PART = re.compile(r"[^\s@\"(),:;<>\[\]\\.]+(\.[^\s@\"(),:;<>\[\]\\.]+)*")
_CHAIN = re.compile(r"(?<![^\W_])\d+(?:[ \u00a0\u2007\u202f\u2010-\u2015\u2212-]\d+)*(?![^\W_])")


class Bad(ValueError):
    """A value that the contract refuses."""


def check(condition: object) -> None:
    """Raises Bad unless the condition holds."""
    if not condition:
        raise Bad


def text(value: Any, least: int, most: int, *, blank: bool = True) -> str:
    """A string of least to most characters. blank: whether it may be all white space."""
    check(isinstance(value, str) and least <= len(value) <= most and not _half_characters(value))
    check(blank or value.strip())
    return str(value)


def identifier(value: Any) -> str:
    """An id: 1 to 100 characters, no control characters."""
    found = text(value, 1, MAX_ID)
    check(found.isprintable() or all(unicodedata.category(char) != "Cc" for char in found))
    return found


def name(value: Any) -> str:
    """Trimmed, then 1 to 100 characters."""
    check(isinstance(value, str))
    return text(value.strip(), 1, 100)


def email(value: Any) -> str:
    """Trimmed, NFC, lower case, domain as A-label."""
    check(isinstance(value, str) and value.count("@") == 1)
    local, domain = unicodedata.normalize("NFC", value.strip()).split("@")
    local = unicodedata.normalize("NFC", local.lower())
    check(_LOCAL_PART.fullmatch(local) and local.isprintable() and len(local.encode()) <= 64)
    try:
        ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode().lower()
    except (idna.IDNAError, UnicodeError):
        raise Bad from None
    check("." in ascii_domain and ascii_domain[-1].isalpha())
    address = f"{local}@{ascii_domain}"
    check(len(address.encode()) <= 254)
    return address


def phone(value: Any) -> str:
    """E.164, after removing spaces, dashes, dots and parentheses."""
    check(isinstance(value, str) and len(value) <= MAX_ID)
    bare = "".join(char for char in value if char not in " -.()")
    check(re.fullmatch(r"\+[1-9][0-9]{1,14}", bare))
    try:
        check(phonenumbers.is_possible_number(phonenumbers.parse(bare)))
    except phonenumbers.NumberParseException:
        raise Bad from None
    return bare


def birth_date(value: Any, issued_at: int | None) -> str:
    """A day before that of issued_at."""
    check(isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII))
    try:
        born = date.fromisoformat(value)
    except ValueError:
        raise Bad from None
    check(issued_at is None or day_number(born) < issued_at // DAY_MS)
    return str(value)


def country(value: Any) -> str:
    """ISO 3166-1 alpha-2."""
    check(isinstance(value, str) and value in COUNTRIES)
    return str(value)


def currency(value: Any) -> str:
    """ISO 4217."""
    check(isinstance(value, str) and value in CURRENCY_DIGITS)
    return str(value)


def language(value: Any) -> str:
    """BCP 47."""
    check(isinstance(value, str))
    tag = str(value.strip())
    check(re.fullmatch(r"[A-Za-z0-9-]{1,100}", tag) and langcodes.tag_is_valid(tag))
    return tag


def money(value: Any) -> tuple[int, str]:
    """{"amount", "currency"} as (minor units, currency)."""
    check(isinstance(value, dict))
    code = currency(value.get("currency"))
    raw = value.get("amount")
    if isinstance(raw, str):
        check(re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", raw))
        amount = Decimal(raw)
    else:
        check(isinstance(raw, Decimal))
        amount = raw
    check(0 <= amount < 10**15)
    check(len(amount.as_tuple().digits) <= 10_000)
    if amount == 0:
        return 0, code
    check(amount.adjusted() >= -CURRENCY_DIGITS[code])
    whole, _, fraction = f"{amount:f}".partition(".")
    fraction = fraction.rstrip("0")
    check(len(fraction) <= CURRENCY_DIGITS[code])
    return int(whole + fraction.ljust(CURRENCY_DIGITS[code], "0")), code


def amount_text(minor: int, code: str) -> str:
    """The decimal string with exactly the currency's digits."""
    digits = CURRENCY_DIGITS[code]
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def instant(value: Any) -> int:
    """An RFC 3339 time of the years 1900 to 9999 UTC, as ms since 1970 UTC; more digits are cut."""
    found = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Bad
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    offset = "+00:00" if found[8] in "Zz" else found[8]
    try:
        moment = datetime.fromisoformat(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{min(second, 59):02}{offset}"
        )
        since = moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    except (ValueError, OverflowError):
        raise Bad from None
    ms = since // timedelta(milliseconds=1)
    if second == 60:  # a leap second: the last ms of its day
        check(ms % DAY_MS == DAY_MS - 1000)
        ms += 999
    else:
        check(second < 60)
        ms += int((found[7] or ".0")[1:4].ljust(3, "0"))
    check(day_number(date(1900, 1, 1)) <= ms // DAY_MS <= day_number(date(9999, 12, 31)))
    return ms


def instant_text(ms: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=ms)  # noqa: DTZ001  # written with a Z of our own
    return moment.isoformat(timespec="milliseconds") + "Z"


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - date(1970, 1, 1)).days


def day_text(number: int) -> str:
    """The ISO date of a day number."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def holds_card_number(value: str) -> bool:
    """Whether 13 to 19 digits in whole groups are Luhn valid, with no digit or letter beside them."""
    for chain in _CHAIN.finditer(value):
        groups = re.findall(r"\d+", chain[0])
        for first in range(len(groups)):
            for last in range(first, len(groups)):
                digits = "".join(groups[first : last + 1])
                if len(digits) > 19:
                    break
                if len(digits) >= 13 and _luhn(digits):
                    return True
    return False


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _half_characters(value: str) -> bool:
    return not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)
