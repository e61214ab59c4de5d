"""Checks and normalises single values (contract, section 6, Validation, and section 1, money and times).

Each function returns the normalised value or raises Bad. No error text contains a value.
"""

import re
import unicodedata
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import idna
import iso4217
import langcodes
import pycountry

DAY_MS = 86_400_000
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""The characters with Unicode's White_Space property. str.strip also removes U+001C to U+001F, which lack it."""

MAX_ID = 100

# Today's ISO 4217 codes, and those withdrawn since 2023: late orders and stored totals may still use them.
CURRENCY_DIGITS: dict[str, int] = {
    **dict.fromkeys(("ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"), 2),
    **{money.code: money.exponent for money in iso4217.Currency if money.exponent is not None},
}
COUNTRIES = {country.alpha_2 for country in pycountry.countries}

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d+)?([Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)
_LOCAL_PART = re.compile(r"[^\s@\"(),:;<>\[\]\\.]+(\.[^\s@\"(),:;<>\[\]\\.]+)*")


class Bad(ValueError):
    """The contract refuses a value."""


def check(condition: object) -> None:
    """Raise Bad unless the condition holds."""
    if not condition:
        raise Bad


def text(value: Any, least: int, most: int, *, blank: bool = True) -> str:
    """A string without control characters or lone surrogates.

    Args:
        value: any JSON value.
        least: the minimum number of characters.
        most: the maximum number of characters.
        blank: whether white space alone is allowed.
    """
    check(isinstance(value, str) and least <= len(value) <= most and not _half_characters(value))
    check(value.isprintable() or "Cc" not in map(unicodedata.category, value))
    check(blank or value.strip())
    return str(value)


def worded(value: Any, least: int, most: int) -> str:
    """A text with at least one letter or digit. least, most: the limits of its length in characters."""
    found = text(value, least, most)
    check(any(char.isalpha() or char.isnumeric() for char in found))
    return found


def identifier(value: Any) -> str:
    """An id: 1 to 100 characters, no control characters."""
    return text(value, 1, MAX_ID)


def name(value: Any) -> str:
    """A name: trimmed, then 1 to 100 characters with at least one letter or digit."""
    check(isinstance(value, str))
    return worded(value.strip(WHITE_SPACE), 1, 100)


def email(value: Any) -> str:
    """An email address: trimmed, NFC, lower case, with its domain as A-labels; at most 254 bytes."""
    check(isinstance(value, str) and value.count("@") == 1)
    local, domain = unicodedata.normalize("NFC", value.strip()).split("@")
    for part in (local, domain):  # no invisible characters, and no combining mark at the start
        check(part and part.isprintable() and unicodedata.category(part[0])[0] != "M")
    local = unicodedata.normalize("NFC", local.lower())
    check(_LOCAL_PART.fullmatch(local) and len(local.encode()) <= 64)
    try:
        ascii_domain = idna.encode(domain, uts46=True, transitional=False).decode().lower()
        check("." in ascii_domain and ascii_domain[-1].isalpha())
        labels = idna.decode(ascii_domain)
        if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in labels):
            for label in labels.split(
                "."
            ):  # UTS 46, CheckBidi: one right-to-left label makes the rule apply to all
                idna.check_bidi(label, check_ltr=True)
    except (idna.IDNAError, UnicodeError):
        raise Bad from None
    address = f"{local}@{ascii_domain}"
    check(len(address.encode()) <= 254)
    return address


def phone(value: Any) -> str:
    """A phone number: + and 7 to 15 digits, the first not 0. Drops any (0), spaces, dashes, dots and parentheses."""
    check(isinstance(value, str) and len(value) <= MAX_ID)
    bare = "".join(char for char in value.replace("(0)", "") if char not in " -.()")
    digits = bare.removeprefix("+")
    check(bare != digits and digits.isascii() and digits.isdigit() and digits[0] != "0")
    check(7 <= len(digits) <= 15)
    return bare


def birth_date(value: Any, issued_at: int | None) -> str:
    """An ISO date before the day of issued_at (ms since 1970 UTC). None skips that comparison."""
    check(isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII))
    try:
        born = date.fromisoformat(value)
    except ValueError:
        raise Bad from None
    check(issued_at is None or day_number(born) < issued_at // DAY_MS)
    return str(value)


def country(value: Any) -> str:
    """An ISO 3166-1 alpha-2 country code, in upper case."""
    check(isinstance(value, str) and value in COUNTRIES)
    return str(value)


def currency(value: Any) -> str:
    """An ISO 4217 currency code, in upper case."""
    check(isinstance(value, str) and value in CURRENCY_DIGITS)
    return str(value)


def language(value: Any) -> str:
    """A BCP 47 language tag, trimmed."""
    check(isinstance(value, str))
    tag = str(value.strip(WHITE_SPACE))
    check(re.fullmatch(r"[A-Za-z0-9-]{1,100}", tag) and langcodes.tag_is_valid(tag))
    return tag


def money(value: Any) -> tuple[int, str]:
    """(minor units, currency) of an object with "amount" and "currency". Refuses amounts that need rounding."""
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
    """Minor units as a decimal string, with exactly as many decimals as the currency has."""
    digits = CURRENCY_DIGITS[code]
    return f"{Decimal(minor).scaleb(-digits):.{digits}f}"


def instant(value: Any) -> int:
    """An RFC 3339 time of the years 1900 to 9999 UTC, as ms since 1970 UTC. Drops digits after the milliseconds."""
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
    """The RFC 3339 text of ms since 1970 UTC, with three decimals and Z."""
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=ms)  # noqa: DTZ001  # written with a Z of our own
    return moment.isoformat(timespec="milliseconds") + "Z"


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - date(1970, 1, 1)).days


def day_text(number: int) -> str:
    """The ISO date of a day number."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def _half_characters(value: str) -> bool:
    return not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)
