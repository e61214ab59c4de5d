"""What random orders and random stories share: times, amounts, currencies and sets of rules."""

from typing import Any

import msgspec
from hypothesis import strategies as some

from tests.domain.given import DAY_MS, NOON, day_number
from worker.domain.rules import DEFAULT_RULES, RuleBook, RuleSet
from worker.domain.state import Customer
from worker.domain.values import MembershipLevel

START = day_number("2018-01-01")
SILVER, GOLD, PLATINUM = (MembershipLevel.SILVER, MembershipLevel.GOLD, MembershipLevel.PLATINUM)

days = some.one_of(
    some.sampled_from([0, 1, 363, 364, 365, 366, 729, 730, 1_095, 1_096, 1_097, 1_460, 1_461, 1_462]),
    some.integers(0, 30),
    some.integers(0, 3_000),
)
times = some.builds(
    lambda day, ms: (START + day) * DAY_MS + ms, days, some.sampled_from([0, 1, NOON, DAY_MS - 1])
)
amounts = some.one_of(
    some.sampled_from(
        [0, 1, 999, 1_000, 49_999, 50_000, 100_000, 250_000, 400_000, 500_000, 999_999, 1_000_000]
    ),
    some.integers(0, 1_200_000),
)
currencies = some.sampled_from(["USD", "USD", "USD", "EUR", "EUR", "JPY"])

STRICT = RuleSet("strict", 0, "USD", 700, ((300_000, SILVER), (2_500_000, PLATINUM)), 800_000, 365)
SHORT = RuleSet("short", 0, "USD", 1_000, ((100_000, GOLD), (600_000, PLATINUM)), 700_000, 30)
LONG = RuleSet("long", 0, "USD", 1_000, DEFAULT_RULES.levels, 1_500_000, 2_000)
EURO = RuleSet("euro", 0, "EUR", 500, DEFAULT_RULES.levels, 600_000, 365)
RATES = msgspec.structs.replace(DEFAULT_RULES, rates={"EUR": (11, 10), "JPY": (67, 100)})
OTHER_RATES = msgspec.structs.replace(SHORT, rates={"EUR": (97_531, 100_000)})
EURO_RATES = msgspec.structs.replace(EURO, rates={"USD": (1, 3)})


def book(*sets: RuleSet) -> RuleBook:
    """Each set in force from 500 days after the one before."""
    return RuleBook(
        tuple(
            msgspec.structs.replace(rules, effective_from=START + 500 * n, version=f"{rules.version}{n}")
            for n, rules in enumerate(sets)
        )
    )


rule_books = some.one_of(
    some.just(RuleBook((DEFAULT_RULES,))),
    some.just(RuleBook((RATES,))),
    some.lists(
        some.sampled_from([DEFAULT_RULES, STRICT, SHORT, LONG, EURO, RATES, OTHER_RATES, EURO_RATES]),
        min_size=1,
        max_size=3,
    ).map(lambda sets: book(*sets)),
)


def without(customer: Customer, *fields: str) -> dict[str, Any]:
    return {key: value for key, value in msgspec.structs.asdict(customer).items() if key not in fields}
