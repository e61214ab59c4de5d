"""Single fields of commands: what is accepted and what becomes of it (contract, section 6, Validation).

JSON types are strict. A value that is refused has a code, a stable lower-case word, and never appears in a message.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated

import langcodes
import phonenumbers
import pycountry
from pydantic import AfterValidator, Field, StrictBool, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from worker.domain.values import (
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
)
from worker.wire.email import normalise_email
from worker.wire.money import DIGITS
from worker.wire.times import MS_PER_DAY, parse_day

LARGEST_INTEGER = 2**53 - 1  # what every JSON reader keeps exact

_COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)
_PHONE_PUNCTUATION = re.compile(r"[ \-.()]")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,100}")


def has_control_characters(text: str) -> bool:
    """Whether any character is a control character, or half of a surrogate pair, which is no character at all."""
    return not text.isprintable() and any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _checked_id(text: str) -> str:
    if has_control_characters(text):
        raise PydanticCustomError("control_characters", "has control characters")
    return text


def _email(text: str) -> str:
    try:
        return normalise_email(text)
    except ValueError as error:
        raise PydanticCustomError("invalid_email", "{problem}", {"problem": str(error)}) from None


def _phone(text: str) -> str:
    bare = _PHONE_PUNCTUATION.sub("", text)
    if _E164.fullmatch(bare):
        try:
            number = phonenumbers.parse(bare)
        except phonenumbers.NumberParseException:
            number = None
        # Not is_possible_number: the contract asks for E.164, not for a number that its country could assign today.
        if number is not None:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    raise PydanticCustomError("invalid_phone", "not an E.164 phone number")


def _birth_date(text: str, info: ValidationInfo) -> str:
    try:
        day = parse_day(text)
    except ValueError:
        raise PydanticCustomError("invalid_date", "not a date, YYYY-MM-DD") from None
    issued_at = (info.context or {}).get("issued_at")
    today = int(datetime.now(UTC).timestamp()) // 86_400 if issued_at is None else issued_at // MS_PER_DAY
    if day >= today:
        raise PydanticCustomError("not_in_the_past", "not in the past")
    return text


def _country(text: str) -> str:
    if text not in _COUNTRIES:
        raise PydanticCustomError("unknown_country", "not an ISO 3166-1 alpha-2 code in capitals")
    return text


def _currency(text: str) -> str:
    if text not in DIGITS:
        raise PydanticCustomError("unknown_currency", "not an ISO 4217 code in capitals")
    return text


def _language(text: str) -> str:
    if not _LANGUAGE.fullmatch(text) or not langcodes.tag_is_valid(text):
        raise PydanticCustomError("invalid_language", "not a BCP 47 tag")
    return text


def _types(chosen: tuple[NotificationType, ...]) -> tuple[NotificationType, ...]:
    return tuple(kind for kind in NotificationType if kind in chosen)


def _channels(chosen: tuple[NotificationChannel, ...]) -> tuple[NotificationChannel, ...]:
    return tuple(channel for channel in NotificationChannel if channel in chosen)


Id = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100),
    AfterValidator(_checked_id),
    Field(description="1 to 100 characters, no control characters"),
]
Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=100),
    Field(description="Trimmed, then 1 to 100 characters"),
]
Email = Annotated[
    str,
    StringConstraints(strict=True, max_length=1000),
    AfterValidator(_email),
    Field(description="Unique; stored trimmed, NFC, in lower case", json_schema_extra={"format": "email"}),
]
Phone = Annotated[
    str,
    StringConstraints(strict=True, max_length=100),
    AfterValidator(_phone),
    Field(
        description="E.164, after removing spaces, dashes, dots and parentheses", examples=["+14155552671"]
    ),
]
BirthDate = Annotated[
    str,
    StringConstraints(strict=True, max_length=10),
    AfterValidator(_birth_date),
    Field(description="A day in the past", json_schema_extra={"format": "date"}),
]
Country = Annotated[
    str,
    StringConstraints(strict=True, min_length=2, max_length=2),
    AfterValidator(_country),
    Field(description="ISO 3166-1 alpha-2, in capitals", examples=["DE"]),
]
Currency = Annotated[
    str,
    StringConstraints(strict=True, min_length=3, max_length=3),
    AfterValidator(_currency),
    Field(description="ISO 4217, in capitals", examples=["USD"]),
]
Language = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=100),
    AfterValidator(_language),
    Field(description="BCP 47", examples=["en-US"]),
]
# Kept as sent, but not blank.
Line = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"\S")]
ZipCode = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=20, pattern=r"\S")]
Label = Annotated[str, StringConstraints(strict=True, max_length=40)]
Reason = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=500, pattern=r"\S")]
Provider = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"\S")]
Last4 = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[0-9]{4}$"), Field(description="The last four digits")
]
Expiry = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$"),
    Field(description="YYYY-MM", examples=["2029-05"]),
]
Points = Annotated[int, Field(strict=True, ge=1, le=LARGEST_INTEGER, description="Whole points, at least 1")]
Flag = StrictBool
Status = Annotated[CustomerStatus, Field(description="The new status")]
Level = Annotated[MembershipLevel, Field(description="The new level")]
MethodType = Annotated[PaymentMethodType, Field(description="What kind of payment method")]
EnabledTypes = Annotated[tuple[NotificationType, ...], AfterValidator(_types), Field(max_length=100)]
EnabledChannels = Annotated[tuple[NotificationChannel, ...], AfterValidator(_channels), Field(max_length=100)]
