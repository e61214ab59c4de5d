"""Times between RFC 3339 text and whole milliseconds since 1970 UTC; days between ISO dates and days since 1970.

An offset is mandatory. Fractions of a second are truncated to milliseconds, never rounded, so no time moves into the
next day. For the same reason a leap second (23:59:60 UTC) becomes the last millisecond of its minute. Times before 1900
and after 9999 are refused, so every computed time can still be formatted.
"""

import re
from datetime import UTC, date, datetime, timedelta

TIME_PATTERN = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"
MS_PER_DAY = 86_400_000

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]((?:[01][0-9]|2[0-3]):[0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_UTC = datetime(1970, 1, 1)  # noqa: DTZ001  # naive, so that isoformat adds no offset of its own
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_MS = (date(1900, 1, 1).toordinal() - _EPOCH_DAY) * MS_PER_DAY
_LAST_MS = (date.max.toordinal() - _EPOCH_DAY + 1) * MS_PER_DAY - 1
_parse = datetime.fromisoformat


def parse_time(text: str) -> int:
    """Milliseconds since 1970 UTC of an RFC 3339 time. Raises ValueError, without the text, if it is not a time."""
    # The usual spelling, YYYY-MM-DDTHH:MM:SS(.mmm)Z: the fixed places rule out every other ISO 8601 form.
    shape = text[4:20:3]
    if (shape == "--T::." and len(text) == 24 and text[23] == "Z") or (shape == "--T::Z" and len(text) == 20):
        try:
            since = _parse(text) - _EPOCH
        except ValueError:
            return _parse_any(text)  # raises, or accepts a leap second
        ms = since.days * MS_PER_DAY + since.seconds * 1000 + since.microseconds // 1000
        if ms >= _FIRST_MS and text[11:13] != "24":  # newer Pythons read hour 24 as the next day
            return ms
    return _parse_any(text)


def format_time(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, such as 2026-11-24T10:15:30.123Z."""
    return (_EPOCH_UTC + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


def parse_day(text: str) -> int:
    """Days since 1970 of an ISO date, YYYY-MM-DD. Raises ValueError, without the text, if it is not a date."""
    if _DATE.fullmatch(text) is None:
        raise ValueError("not a date")
    try:
        return date.fromisoformat(text).toordinal() - _EPOCH_DAY
    except ValueError:
        raise ValueError("not a date") from None


def format_day(day: int) -> str:
    """The ISO date of a day counted from 1970-01-01."""
    return date.fromordinal(day + _EPOCH_DAY).isoformat()


def _parse_any(text: str) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time")
    day, minute, second, fraction, offset = match.groups()
    leap = second == "60"
    try:
        local = _parse(f"{day}T{minute}:{'59' if leap else second}{'Z' if offset in 'Zz' else offset}")
        moment = local - _EPOCH
    except (ValueError, OverflowError):
        raise ValueError("not an RFC 3339 time") from None
    ms = (moment.days * 86_400 + moment.seconds) * 1000
    if not _FIRST_MS <= ms <= _LAST_MS:  # an offset can lead out of the years that can be written
        raise ValueError("not between 1900 and 9999")
    if leap and ms % MS_PER_DAY != MS_PER_DAY - 1000:
        raise ValueError("no leap second there")
    return ms + (999 if leap else int((fraction or "")[:3].ljust(3, "0")))
