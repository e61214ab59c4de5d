"""Amounts per day, for customers with many days: each order reads and writes them, few look at a single day."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import msgspec

_numbers = msgspec.json.Decoder(list[int]).decode


class Days(msgspec.Struct, array_like=True, gc=False):
    """Minor units per day. A day is its number since 1970 UTC.

    `amount` belongs to the latest day. `before` holds all earlier days as text that most orders never parse.
    For each day from the first on it lists the amount and the number of days until the next one.
    So 5 on day 100, 7 on day 103 and 9 on day 104 are first=100, last=104, amount=9, before="5,3,7,1,".
    There is no day while last < first.
    """

    first: int = 0
    last: int = -1
    amount: int = 0
    before: str = ""

    @classmethod
    def of(cls, amounts: Mapping[int, int]) -> "Days":
        """Build from amounts by day, in any order."""
        if not amounts:
            return cls()
        days = sorted(amounts)
        return cls(days[0], days[-1], amounts[days[-1]], _text(days, amounts))

    def amounts(self) -> dict[int, int]:
        """All amounts by day, in the order of the days. Work grows with the number of days."""
        return {} if self.last < self.first else self._until_latest(self.before)

    def add(self, day: int, amount: int) -> None:
        """Add to a day's amount. Work grows with the number of days between it and the latest day."""
        if self.last < self.first:
            self.first, self.last, self.amount = day, day, amount
        elif day == self.last:
            self.amount += amount
        elif day > self.last:
            self.before += f"{self.amount},{day - self.last},"
            self.last, self.amount = day, amount
        else:
            earlier, amounts = self._cut(day)
            amounts[day] = amounts.get(day, 0) + amount
            self.first = min(self.first, day)
            self.before = earlier + _text(sorted(amounts), amounts)

    def between(self, first: int, last: int) -> int:
        """Sum of the days first to last, both included. Work grows with the days from `first` to the latest day."""
        if last < self.first or first > self.last:
            return 0
        _, amounts = self._cut(first)
        return sum(amount for day, amount in amounts.items() if first <= day <= last)

    def within(self, first: int, last: int) -> dict[int, int]:
        """Amounts of the days first to last, both included. Work grows as in `between`."""
        if last < self.first or first > self.last:
            return {}
        return {day: amount for day, amount in self._cut(first)[1].items() if first <= day <= last}

    def take_before(self, day: int) -> dict[int, int]:
        """Remove the days before this one and return their amounts. Work grows with the days removed."""
        if self.last < day:
            taken = self.amounts()
            self.first, self.last, self.amount, self.before = 0, -1, 0, ""
            return taken
        taken = {}
        while self.first < day and self.before:
            amount, gap, self.before = self.before.split(",", 2)
            taken[self.first] = int(amount)
            self.first += int(gap)
        return taken

    def _cut(self, day: int) -> tuple[str, dict[int, int]]:
        """Split off the amounts from `day` on.

        Returns:
            The earlier part of `before` as text, and the remaining amounts by day.
            The amounts may include one or more days before `day`.
        """
        # Two numbers a day: at most last - day days lie from `day` to the day before the latest.
        numbers = 2 * (self.last - day)
        pieces = self.before.rsplit(",", numbers + 1)
        earlier = f"{pieces[0]}," if len(pieces) == numbers + 2 else ""
        return earlier, self._until_latest(self.before[len(earlier) :])

    def _until_latest(self, before: str) -> dict[int, int]:
        numbers = _numbers(f"[{before}{self.amount}]")
        gaps = numbers[1::2]
        return dict(zip(accumulate(gaps, initial=self.last - sum(gaps)), numbers[::2], strict=True))


def _text(days: Sequence[int], amounts: Mapping[int, int]) -> str:
    """The text of `Days.before`: all of these days but the last. The days are in ascending order."""
    return "".join([f"{amounts[day]},{after - day}," for day, after in pairwise(days)])
