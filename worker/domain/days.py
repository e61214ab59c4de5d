"""Amounts per day, for customers with many days: each order reads and writes them, few look at a single day."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import msgspec

_numbers = msgspec.json.Decoder(list[int]).decode


_FEW_DAYS = 90  # read one by one from the mark, they take less time than all later days together


class Days(msgspec.Struct, array_like=True, gc=False, eq=False):
    """Minor units per day. A day is its number since 1970 UTC.

    `amount` belongs to the latest day. `before` holds all earlier days as text that most orders never parse.
    For each day from the first on it lists the amount and the number of days until the next one.
    So 5 on day 100, 7 on day 103 and 9 on day 104 are first=100, last=104, amount=9, before="5,3,7,1,".
    There is no day while last < first.

    The mark lets `between` begin in the middle of the text. `mark_day` is the first day from `marked` on, or the last day
    if all are earlier. Its amount begins at `mark_at` in the text. There is no mark while `mark_at` is negative. A late
    amount takes the mark away. Objects with and without a mark may be equal, because it holds nothing new.
    """

    first: int = 0
    last: int = -1
    amount: int = 0
    before: str = ""
    marked: int = 0
    mark_day: int = 0
    mark_at: int = -1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Days) and (self.first, self.last, self.amount, self.before) == (
            other.first,
            other.last,
            other.amount,
            other.before,
        )

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
            if self.mark_at >= 0 and self.mark_day < self.marked:
                self.mark(self.marked)
        else:
            earlier, amounts = self._cut(day)
            amounts[day] = amounts.get(day, 0) + amount
            self.first = min(self.first, day)
            self.before = earlier + _text(sorted(amounts), amounts)
            self._unmark()

    def mark(self, day: int) -> None:
        """Set the mark, so that `between` is quick for a few days from this one on. Without days there is no mark.

        Work grows with the days that the mark passes. Without a mark it grows with the days from `day` to the latest one.
        """
        if self.last < self.first:
            return
        if self.mark_at < 0 or day < self.marked:
            earlier, amounts = self._cut(day)
            self.mark_day, self.mark_at = next(iter(amounts)), len(earlier)
        while self.mark_day < day and self.mark_at < len(self.before):
            _, self.mark_day, self.mark_at = self._read(self.mark_day, self.mark_at)
        self.marked = day

    def between(self, first: int, last: int) -> int:
        """Sum of the days first to last, both included.

        Work grows with these days, if they are few and the mark is not after them. Otherwise, it grows with the days from
        `first` to the latest day.
        """
        if last < self.first or first > self.last:
            return 0
        if self.mark_at >= 0 and self.marked <= first and last - self.marked < _FEW_DAYS:
            return self._between_from_mark(first, last)
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
            self._unmark()
            return taken
        taken = {}
        characters = len(self.before)
        while self.first < day and self.before:
            amount, gap, self.before = self.before.split(",", 2)
            taken[self.first] = int(amount)
            self.first += int(gap)
        if self.mark_at >= 0:
            self.mark_at -= characters - len(self.before)
            if self.mark_at < 0:
                self._unmark()
        return taken

    def _unmark(self) -> None:
        self.marked, self.mark_day, self.mark_at = 0, 0, -1

    def _between_from_mark(self, first: int, last: int) -> int:
        day, at, total = self.mark_day, self.mark_at, 0
        while day <= last and at < len(self.before):
            amount, after, at = self._read(day, at)
            if day >= first:
                total += amount
            day = after
        return total + self.amount if day == self.last and first <= day <= last else total

    def _read(self, day: int, at: int) -> tuple[int, int, int]:
        """The amount of a day, the next day, and where its amount begins. at: where the day's own amount begins."""
        comma = self.before.index(",", at)
        end = self.before.index(",", comma + 1)
        return int(self.before[at:comma]), day + int(self.before[comma + 1 : end]), end + 1

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
