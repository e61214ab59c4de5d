"""The rules as data: which set is in force when, and what it says. Read from RULES_FILE by worker.wire.rules_file."""

from bisect import bisect_right

import msgspec

from worker.domain.values import MembershipLevel


class RuleSet(msgspec.Struct, frozen=True):
    """One version. Amounts in minor units of currency. levels: (threshold, level), ascending by threshold.

    rates: other currency -> (numerator, denominator), minor units of currency for one minor unit of the other.
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
        """What an amount in that currency counts as, in minor units of the rules' own; None without a rate.

        Exact, and rounded down: an order counts as the same whatever came before it.
        """
        if currency == self.currency:
            return amount
        rate = self.rates.get(currency)
        return None if rate is None else amount * rate[0] // rate[1]


class RuleBook:
    """All sets that ever were in force, by their first day."""

    def __init__(self, sets: tuple[RuleSet, ...]) -> None:
        """sets: at least one; the first must hold from 1970-01-01 or before, or the earliest is used for what came before."""
        if not sets:
            raise ValueError("a rule book needs at least one rule set")
        self.sets = tuple(sorted(sets, key=lambda rules: rules.effective_from))
        self._starts = [rules.effective_from for rules in self.sets]
        self._only = self.sets[0] if len(self.sets) == 1 else None  # the usual one, which needs no search

    def on(self, day: int) -> RuleSet:
        """The set in force on that day (days since 1970 UTC)."""
        return self._only or self.sets[max(bisect_right(self._starts, day) - 1, 0)]

    def named(self, version: str) -> RuleSet | None:
        """The set with that version; None when it is not in the file any more."""
        return next((rules for rules in self.sets if rules.version == version), None)

    @property
    def currency(self) -> str:
        """The currency of single amounts in the Customer's representation: that of the latest set."""
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
