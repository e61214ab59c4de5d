"""Who would have something else under other rules, and what all customers together would have."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from worker.domain.rules import RuleBook
from worker.domain.values import RANK, MembershipLevel
from worker.whatif.histories import Histories
from worker.whatif.outcome import Outcome, outcome, present


class Difference(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """A customer who would have something else. Its JSON is the contract's row."""

    customer_id: str
    level_before: MembershipLevel
    level_after: MembershipLevel
    points_before: int
    points_after: int
    debt_before: int
    debt_after: int
    vip_before: bool
    vip_after: bool

    @classmethod
    def of(cls, customer_id: str, before: Outcome, after: Outcome) -> "Difference":
        """The difference between two outcomes of one customer."""
        return cls(
            customer_id,
            before.level,
            after.level,
            before.points,
            after.points,
            before.debt,
            after.debt,
            before.vip,
            after.vip,
        )

    @property
    def size(self) -> tuple[int, bool, int]:
        """The greater, the more changes for the customer: levels first, then VIP, then points and debt."""
        levels = abs(RANK[self.level_after] - RANK[self.level_before])
        points = abs((self.points_after - self.debt_after) - (self.points_before - self.debt_before))
        return levels, self.vip_before != self.vip_after, points


class Totals:
    """What all customers have together, before or after.

    Attributes:
        levels: customers by level.
        vips: customers.
        points: balances, added up.
        debt: debts, added up.
    """

    def __init__(self) -> None:
        self.levels: Counter[MembershipLevel] = Counter()
        self.vips = 0
        self.points = 0
        self.debt = 0

    def add(self, one: Outcome) -> None:
        """Add one customer."""
        self.levels[one.level] += 1
        self.vips += one.vip
        self.points += one.points
        self.debt += one.debt


class Comparison:
    """All customers under the rules in force and under other rules. Its size does not grow with the customers.

    Attributes:
        rules: the other rules.
        customers: how many were compared. Erased ones are left out.
        erased: how many were left out.
        changed: how many would have something else.
        moves: customers by level before and after.
        more_points: customers whose balance minus debt would be higher.
        fewer_points: customers whose balance minus debt would be lower.
        new_vips: customers who would become VIP.
        lost_vips: customers who would be VIP no more.
    """

    def __init__(self, rules: RuleBook, in_force: RuleBook | None) -> None:
        """in_force: today's rules; None if they are not known."""
        self.rules = rules
        self._in_force = in_force
        self.customers = self.erased = self.changed = 0
        self.before, self.after = Totals(), Totals()
        self.moves: Counter[tuple[MembershipLevel, MembershipLevel]] = Counter()
        self.more_points = self.fewer_points = 0
        self.new_vips = self.lost_vips = 0

    def partition(self, histories: Histories) -> Iterator[Difference]:
        """Compare the customers of one partition. Yields those who would have something else, by customerId.

        Raises:
            RulesUnknown: today's rules are needed to find levels given by hand.
        """
        self.erased += histories.erased
        for customer_id, history in histories.items():
            before, after = present(history), outcome(history, self.rules, self._in_force)
            self.count(before, after)
            if before != after:
                yield Difference.of(customer_id, before, after)

    @property
    def higher(self) -> int:
        """How many customers would have a higher level."""
        return sum(count for (old, new), count in self.moves.items() if RANK[new] > RANK[old])

    @property
    def lower(self) -> int:
        """How many customers would have a lower level."""
        return sum(count for (old, new), count in self.moves.items() if RANK[new] < RANK[old])

    def count(self, before: Outcome, after: Outcome) -> None:
        """Add one customer."""
        self.customers += 1
        self.changed += before != after
        self.before.add(before)
        self.after.add(after)
        self.moves[before.level, after.level] += 1
        self.new_vips += after.vip and not before.vip
        self.lost_vips += before.vip and not after.vip
        moved = (after.points - after.debt) - (before.points - before.debt)
        self.more_points += moved > 0
        self.fewer_points += moved < 0
