"""How values read on a page: money, times, counts and the names of inputs."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from api.views import MoneyView
from worker.wire.times import format_time

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_PATTERN = re.compile(r"\B(?=(?:[0-9]{3})+(?![0-9]))")
_TIME = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}):[0-9]{2}(?:\.[0-9]+)?Z")
_FIGURE = re.compile(  # not an id, which may be a number, too
    r"(?<![\w.,-])(?:[0-9]{4,}(?=(?:\.[0-9]+)? (?:[A-Z]{3}|of them|points?|earned|taken|redeemed|restored|adjusted)\b)"
    r"|(?:(?<=now )|(?<=debt ))[0-9]{4,}\b)"
)
_SUFFIX = "Event"
NONE = "\N{EN DASH}"


def grouped(number: int | str) -> str:
    """A number with commas between its thousands: `1,234,567`."""
    whole, dot, rest = str(number).partition(".")
    return _PATTERN.sub(",", whole) + dot + rest


def money(amount: MoneyView | None) -> str:
    """An amount, such as `1,299.00 USD`; a dash for none."""
    return NONE if amount is None else f"{grouped(amount.amount)} {amount.currency}"


def signed(number: int) -> str:
    """A number with its sign; 0 has none."""
    return f"+{grouped(number)}" if number > 0 else grouped(number).replace("-", "\N{MINUS SIGN}")


def moment(text: str | None) -> str:
    """A time of the API for people: `2026-11-29 15:43 UTC`; a dash for none."""
    return NONE if text is None else f"{text[:10]} {text[11:16]} UTC"


def readable(sentence: str) -> str:
    """A sentence of the API with its times as `moment` shows them, and its figures with commas."""
    return _FIGURE.sub(lambda figure: grouped(figure[0]), _TIME.sub(r"\1 \2 UTC", sentence))


def day(text: str | None) -> str:
    """The day of a time of the API; a dash for none."""
    return NONE if text is None else text[:10]


def spoken(name: str | None) -> str:
    """The name of an input or a command in words: `OrderCompletedEvent` is `Order completed`."""
    if name is None:
        return "Input of an earlier release"
    return _WORDS.sub(" ", name.removesuffix(_SUFFIX)).capitalize()


def title(constant: str) -> str:
    """A constant of the API in words: `DIGITAL_WALLET` is `Digital wallet`."""
    return constant.replace("_", " ").capitalize()


def path_part(text: str) -> str:
    """The text as one part of a path."""
    return quote(text, safe="")


def at(ms: int) -> str:
    """A time in ms since 1970 for people."""
    return moment(format_time(ms))


FILTERS: Mapping[str, Callable[..., Any]] = {
    "grouped": grouped,
    "money": money,
    "signed": signed,
    "at": at,
    "moment": moment,
    "day": day,
    "readable": readable,
    "spoken": spoken,
    "title_words": title,
    "path_part": path_part,
}
"""The filters of the templates."""
