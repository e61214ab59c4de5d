"""The summary of a comparison: figures for programs, and sentences for people."""

import re
from fractions import Fraction
from typing import Any, NamedTuple

from worker.domain.values import LEVELS
from worker.whatif.comparison import Comparison
from worker.wire.money import digits_of, format_amount

_VALUE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


class PointValue(NamedTuple):
    """What one point is worth. per_point: units of `currency`, not minor units."""

    per_point: Fraction
    currency: str

    @classmethod
    def parsed(cls, text: str, currency: str) -> "PointValue":
        """Read a plain decimal number. Raises ValueError, also for 0."""
        if _VALUE.fullmatch(text) is None or Fraction(text) == 0:
            raise ValueError(
                "not a plain decimal number above 0, with at most 9 digits before the point and 12 after it"
            )
        return cls(Fraction(text), currency)

    def of(self, points: int) -> int:
        """The value of so many points, in minor units, rounded to the nearest one."""
        return int(points * self.per_point * 10 ** digits_of(self.currency) + Fraction(1, 2))

    def shown(self, minor: int) -> str:
        """An amount for people, with commas between thousands."""
        whole, point, fraction = format_amount(minor, self.currency).partition(".")
        return f"{int(whole):,}{point}{fraction}"


class Line(NamedTuple):
    """A line of the summary: a figure before and after. change: the difference with its sign."""

    what: str
    before: str
    after: str
    change: str


def figures(compared: Comparison, value: PointValue | None) -> dict[str, Any]:
    """The summary for programs, ready for JSON. docs/rules.md lists its keys."""
    before, after = compared.before, compared.after
    found = {
        "rules": [rules.version for rules in compared.rules.sets],
        "currency": compared.rules.currency,
        "customers": compared.customers,
        "erased": compared.erased,
        "changed": compared.changed,
        "levels": {level: {"before": before.levels[level], "after": after.levels[level]} for level in LEVELS},
        "moves": [
            {"from": old, "to": new, "customers": compared.moves[old, new]}
            for old in LEVELS
            for new in LEVELS
            if old != new and compared.moves[old, new]
        ],
        "vips": {
            "before": before.vips,
            "after": after.vips,
            "gained": compared.new_vips,
            "lost": compared.lost_vips,
        },
        "points": {
            "before": before.points,
            "after": after.points,
            "more": compared.more_points,
            "fewer": compared.fewer_points,
        },
        "debt": {"before": before.debt, "after": after.debt},
    }
    if value is not None:
        found["pointsValue"] = {
            when: {
                "amount": format_amount(value.of(totals.points), value.currency),
                "currency": value.currency,
            }
            for when, totals in (("before", before), ("after", after))
        }
    return found


def lines(compared: Comparison, value: PointValue | None) -> list[Line]:
    """The figures of the summary, line by line."""
    before, after = compared.before, compared.after
    found = [_line(level, before.levels[level], after.levels[level]) for level in LEVELS]
    found += [
        _line("VIP", before.vips, after.vips),
        _line("points", before.points, after.points),
        _line("debt", before.debt, after.debt),
    ]
    if value is not None:
        old, new = value.of(before.points), value.of(after.points)
        change = f"{'+' if new > old else '-'}{value.shown(abs(new - old))}" if new != old else ""
        found.append(Line(f"points in {value.currency}", value.shown(old), value.shown(new), change))
    return found


def sentences(compared: Comparison) -> list[str]:
    """Who would have something else, in words."""
    if not compared.customers:
        return ["No customer is registered."]
    if not compared.changed:
        return ["Nothing would change for anybody."]
    parts = [
        (compared.higher, "would have a higher level"),
        (compared.lower, "would have a lower level"),
        (compared.new_vips, "would become VIP"),
        (compared.lost_vips, "would be VIP no more"),
        (compared.more_points, "would have more points"),
        (compared.fewer_points, "would have fewer points"),
    ]
    said = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    return [f"{compared.changed:,} of {compared.customers:,} customers would change: {said}."]


def text(compared: Comparison, value: PointValue | None) -> list[str]:
    """The whole summary as lines of text."""
    rows = [Line("", "today", "then", "change"), *lines(compared, value)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(Line._fields))]
    table = [
        "  ".join(
            [
                row.what.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    return [*(line.rstrip() for line in table), "", *sentences(compared)]


def _line(what: str, before: int, after: int) -> Line:
    return Line(what, f"{before:,}", f"{after:,}", f"{after - before:+,}" if after != before else "")
