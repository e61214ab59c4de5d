"""Amounts per day, made for customers of many days: read and written with each order, looked into seldom."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import msgspec

_numbers = msgspec.json.Decoder(list[int]).decode


class Days(msgspec.Struct, array_like=True):
    """Minor units per day, days as their number since 1970 UTC.

    The latest day has its `amount`. All `before` are text that is only carried along: of each day, from the first on,
    its amount and how many days later the next one is. So 5 on day 100, 7 on day 103 and 9 on day 104 are
    first=100, last=104, amount=9, before="5,3,7,1,". There is no day while last < first.
    """

    first: int = 0
    last: int = -1
    amount: int = 0
    before: str = ""

    @classmethod
    def of(cls, amounts: Mapping[int, int]) -> "Days":
        """These amounts, by day."""
        if not amounts:
            return cls()
        days = sorted(amounts)
        return cls(days[0], days[-1], amounts[days[-1]], _text(days, amounts))

    def amounts(self) -> dict[int, int]:
        """All of them, by day, in the order of the days. Work grows with the days."""
        return {} if self.last < self.first else self._until_latest(self.before)

    def add(self, day: int, amount: int) -> None:
        """Add to a day's amount. Work grows with the days between it and the latest."""
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
        """Minor units of the days first to last, both included. Work grows with the days from the first of them on."""
        if last < self.first or first > self.last:
            return 0
        _, amounts = self._cut(first)
        return sum(amount for day, amount in amounts.items() if first <= day <= last)

    def drop_before(self, day: int) -> None:
        """Forget the days before this one. Work grows with what is forgotten."""
        if self.last < day:
            self.first, self.last, self.amount, self.before = 0, -1, 0, ""
        while self.first < day and self.before:
            _, gap, self.before = self.before.split(",", 2)
            self.first += int(gap)

    def _cut(self, day: int) -> tuple[str, dict[int, int]]:
        """A beginning of `before`, and by day what comes after it: all from that day on, and some before it if any."""
        # Of one day that is not later than it, and of all that may lie between it and the latest.
        numbers = 2 * (self.last - day)
        pieces = self.before.rsplit(",", numbers + 1)
        earlier = f"{pieces[0]}," if len(pieces) == numbers + 2 else ""
        return earlier, self._until_latest(self.before[len(earlier) :])

    def _until_latest(self, before: str) -> dict[int, int]:
        numbers = _numbers(f"[{before}{self.amount}]")
        gaps = numbers[1::2]
        return dict(zip(accumulate(gaps, initial=self.last - sum(gaps)), numbers[::2], strict=True))


def _text(days: Sequence[int], amounts: Mapping[int, int]) -> str:
    """Of all days but the last one of these, which are in order."""
    return "".join([f"{amounts[day]},{after - day}," for day, after in pairwise(days)])
