"""Single fields of commands: the accepted values and their stored form (contract, section 6, Validation).

JSON types are strict. A refused value gets a code, a stable lower-case word. The value never appears in a message.
"""

import re
from datetime import UTC, datetime
from typing import Annotated

import langcodes
import pycountry
from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError

from worker.domain.values import (
    CustomerStatus,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    PaymentMethodType,
)
from worker.wire.email import normalise_email
from worker.wire.ids import ID_RULE, MAX_ID_CHARS, has_control_characters
from worker.wire.money import DIGITS
from worker.wire.times import MS_PER_DAY, parse_day

LARGEST_INTEGER = 2**53 - 1  # every JSON reader keeps integers up to this exact

_COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)
_PHONE_PUNCTUATION = re.compile(r"\(0\)|[ \-.()]")  # (0) is the trunk prefix, which no call from abroad dials
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,100}")


MOST_CHOSEN = 100
MOST_ADJUSTED = 1_000_000  # points


def _no_control_characters(text: str) -> str:
    if has_control_characters(text):
        raise PydanticCustomError("control_characters", "has control characters")
    return text


def _letter_or_digit(text: str) -> str:
    if not any(map(str.isalnum, text)):
        raise PydanticCustomError("invalid_format", "has no letter and no digit")
    return text


def _email(text: str) -> str:
    try:
        return normalise_email(text)
    except ValueError as error:
        raise PydanticCustomError("invalid_email", "{problem}", {"problem": str(error)}) from None


def _phone(text: str) -> str:
    bare = _PHONE_PUNCTUATION.sub("", text)
    if _E164.fullmatch(bare):
        return bare
    raise PydanticCustomError("invalid_phone", "not a phone number with its country code")


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


def _not_zero(points: int) -> int:
    if points == 0:
        raise PydanticCustomError("out_of_range", "is 0")
    return points


def _short(chosen: object) -> object:
    """Check the length before the items, because each invalid item costs an error of its own."""
    if isinstance(chosen, list | tuple) and len(chosen) > MOST_CHOSEN:
        raise PydanticCustomError("too_long", "give at most {most} items", {"most": MOST_CHOSEN})
    return chosen


def _types(chosen: tuple[NotificationType, ...]) -> tuple[NotificationType, ...]:
    return tuple(kind for kind in NotificationType if kind in chosen)


def _channels(chosen: tuple[NotificationChannel, ...]) -> tuple[NotificationChannel, ...]:
    return tuple(channel for channel in NotificationChannel if channel in chosen)


Id = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=MAX_ID_CHARS),
    AfterValidator(_no_control_characters),
    Field(description=ID_RULE),
]
Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(_no_control_characters),
    AfterValidator(_letter_or_digit),
    Field(description="Trimmed, then 1 to 100 characters, at least one of them a letter or a digit"),
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
        description="With the country code. Stored without (0), spaces, dashes, dots and parentheses: + and 7 to 15 digits",
        examples=["+14155552671"],
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
# Stored as sent; must not be blank.
Line = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=200, pattern=r"\S"),
    AfterValidator(_no_control_characters),
    AfterValidator(_letter_or_digit),
    Field(description="At least one letter or digit"),
]
ZipCode = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=20, pattern=r"\S"),
    AfterValidator(_no_control_characters),
]
Label = Annotated[str, StringConstraints(strict=True, max_length=40), AfterValidator(_no_control_characters)]
Reason = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=500, pattern=r"\S"),
    AfterValidator(_no_control_characters),
]
Provider = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=100, pattern=r"\S"),
    AfterValidator(_no_control_characters),
]
Last4 = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[0-9]{4}$"), Field(description="The last four digits")
]
Expiry = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$"),
    Field(description="YYYY-MM", examples=["2029-05"]),
]
Points = Annotated[int, Field(strict=True, ge=1, le=LARGEST_INTEGER, description="Whole points, at least 1")]
Adjustment = Annotated[
    int,
    Field(strict=True, ge=-MOST_ADJUSTED, le=MOST_ADJUSTED),
    AfterValidator(_not_zero),
    Field(
        description="Whole points to add, or negative ones to take away; not 0",
        json_schema_extra={"not": {"const": 0}},
    ),
]
Flag = StrictBool
Status = CustomerStatus
Level = MembershipLevel
MethodType = PaymentMethodType
EnabledTypes = Annotated[
    tuple[NotificationType, ...],
    Field(max_length=MOST_CHOSEN),
    BeforeValidator(_short),
    AfterValidator(_types),
]
EnabledChannels = Annotated[
    tuple[NotificationChannel, ...],
    Field(max_length=MOST_CHOSEN),
    BeforeValidator(_short),
    AfterValidator(_channels),
]
