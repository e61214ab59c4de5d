"""Aliases of CloudEvents types: what a sender calls an input, where that is not the contract's name.

TYPE_ALIASES is a list of `ALIAS=Type`, separated by commas. Type is an event or a command that the worker reads. An alias
stands for one type only, and is none of the contract's own. It counts in structured and in binary mode.
"""

from collections.abc import Mapping
from typing import get_args

from worker.domain.messages import AnyCommand
from worker.wire.published import DATA_TYPES

TypeAliases = Mapping[str, str]

NO_ALIASES: TypeAliases = {}
MOST_ALIASES = 100
LONGEST_ALIAS = 200  # characters

READ = frozenset(
    (
        "OrderCompletedEvent",
        "OrderReturnedEvent",
        "PaymentCompletedEvent",
        *(command.__name__ for command in get_args(AnyCommand)),
    )
)
"""The types of the inputs."""
OWN = READ | DATA_TYPES.keys()
"""All types of the contract."""


def read_aliases(text: str) -> dict[str, str]:
    """The contract's type of each alias in TYPE_ALIASES.

    Raises:
        ValueError: the text says something else than aliases of inputs; its message holds no part of the text.
    """
    pairs = [pair.partition("=") for pair in text.split(",")] if text.strip() else []
    if len(pairs) > MOST_ALIASES:
        raise ValueError(f"give at most {MOST_ALIASES} aliases")
    found: dict[str, str] = {}
    for number, (alias, _, kind) in enumerate(((a.strip(), b, c.strip()) for a, b, c in pairs), 1):
        problem = _problem(alias, kind, found)
        if problem is not None:
            raise ValueError(f"pair {number} {problem}")
        found[alias] = kind
    return found


def types_of(kind: str, aliases: TypeAliases) -> list[str]:
    """All CloudEvents types that stand for one of the contract's, which is the first."""
    return [kind, *(alias for alias, of in aliases.items() if of == kind)]


def _problem(alias: str, kind: str, found: TypeAliases) -> str | None:
    if not alias or not kind or "=" in kind:
        return "is not ALIAS=Type, such as com.shop.OrderCompletedEvent=OrderCompletedEvent"
    if len(alias) > LONGEST_ALIAS or not alias.isprintable():
        return f"has an alias with more than {LONGEST_ALIAS} characters, or with control characters"
    if kind not in READ:
        return "names a type that the worker does not read"
    if alias in OWN:
        return "has an alias that is a type of the contract itself"
    return "has an alias that an earlier pair has" if alias in found else None
