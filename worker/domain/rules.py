"""The rules as data: each set and the day it takes effect. worker.wire.rules_file reads them from RULES_FILE."""

from bisect import bisect_right

import msgspec

from worker.domain.values import MembershipLevel


class RuleSet(msgspec.Struct, frozen=True):
    """One version of the rules. Amounts are minor units of `currency`.

    levels: (threshold, level), ascending by threshold.
    rates: per other currency a fraction (numerator, denominator). It gives the minor units of `currency` for one
    minor unit of the other currency.
    """

    version: str
    effective_from: int  # days since 1970 UTC
    currency: str
    amount_per_point: int
    levels: tuple[tuple[int, MembershipLevel], ...]
    vip_spending: int
    vip_days: int
    rates: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)

    def counted(self, amount: int, currency: str) -> int | None:
        """Convert an amount into minor units of the rules' currency; None when the set has no rate for it.

        The fraction is exact and the result is rounded down, so an order always counts as the same amount.
        """
        if currency == self.currency:
            return amount
        rate = self.rates.get(currency)
        return None if rate is None else amount * rate[0] // rate[1]

    def points_for(self, counted: int) -> int:
        """The whole points of one order. counted: its amount in minor units of `currency`."""
        return counted // self.amount_per_point

    def level_at(self, total: int) -> MembershipLevel:
        """The level that a lifetime total reaches, in minor units of `currency`."""
        level = MembershipLevel.STANDARD
        for threshold, reached in self.levels:
            if total < threshold:
                break
            level = reached
        return level


class RuleBook:
    """All rule sets that were ever in force, ordered by their first day."""

    def __init__(self, sets: tuple[RuleSet, ...]) -> None:
        """Order the sets by their first day. Days before the earliest set use the earliest set.

        Raises:
            ValueError: there is no set.
        """
        if not sets:
            raise ValueError("a rule book needs at least one rule set")
        self.sets = tuple(sorted(sets, key=lambda rules: rules.effective_from))
        self._starts = [rules.effective_from for rules in self.sets]
        self.currencies = frozenset(rules.currency for rules in sets)
        self._only = self.sets[0] if len(self.sets) == 1 else None  # the usual case, without a search

    def on(self, day: int) -> RuleSet:
        """The set in force on that day (days since 1970 UTC)."""
        return self._only or self.sets[max(bisect_right(self._starts, day) - 1, 0)]

    def named(self, version: str) -> RuleSet | None:
        """The set with that version; None when the rules file no longer has it."""
        return next((rules for rules in self.sets if rules.version == version), None)

    @property
    def currency(self) -> str:
        """The latest set's currency: single amounts in the representation of a customer are in it."""
        return self.sets[-1].currency


DEFAULT_RULES = RuleSet(
    version="1",
    effective_from=0,
    currency="USD",
    amount_per_point=1_000,
    levels=(
        (50_000, MembershipLevel.SILVER),
        (200_000, MembershipLevel.GOLD),
        (500_000, MembershipLevel.PLATINUM),
    ),
    vip_spending=1_000_000,
    vip_days=365,
)
