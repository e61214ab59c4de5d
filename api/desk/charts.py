"""The geometry of the charts, which templates draw as SVG. Lengths are units of the chart's own coordinate system."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from api.desk.words import NONE, grouped
from api.views import MonthView
from worker.board import POINT_EVERY_S, POINTS, Point

WIDTH, HEIGHT = 600, 160
_GAP = 10
_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Bar(msgspec.Struct, frozen=True):
    """A bar with its label below. x, y: the upper left corner."""

    x: float
    y: float
    width: float
    height: float
    label: str
    text: str


class BarChart(msgspec.Struct, frozen=True):
    """Bars from left to right. top: the text of the highest value; empty if all are 0."""

    bars: tuple[Bar, ...]
    top: str
    width: int = WIDTH
    height: int = HEIGHT


def months(shown: Sequence[MonthView]) -> BarChart:
    """The spending by month."""
    amounts = [Decimal(each.spent.amount) for each in shown]
    most = max(amounts, default=Decimal(0))
    step = WIDTH / max(1, len(shown))
    bars = []
    for number, (each, amount) in enumerate(zip(shown, amounts, strict=True)):
        height = 0.0 if most <= 0 else round(float(amount / most) * HEIGHT, 1)
        bars.append(
            Bar(
                round(number * step + _GAP / 2, 1),
                round(HEIGHT - height, 1),
                round(step - _GAP, 1),
                height,
                _NAMES[int(each.month[5:7]) - 1],
                f"{each.month}: {each.spent.amount} {each.spent.currency}",
            )
        )
    top = next(
        (
            f"{each.spent.amount} {each.spent.currency}"
            for each, amount in zip(shown, amounts, strict=True)
            if amount == most and most > 0
        ),
        "",
    )
    return BarChart(tuple(bars), top)


class Curve(msgspec.Struct, frozen=True):
    """One curve.

    Attributes:
        name: what it shows.
        lines: the coordinates of its unbroken pieces, as SVG's polyline takes them.
        latest: the last value, for people; a dash for none.
        most: the highest value.
    """

    name: str
    lines: tuple[str, ...]
    latest: str
    most: str


class CurveChart(msgspec.Struct, frozen=True):
    """Curves over 15 minutes, with one scale. top: the value of the upper edge; minutes: how long ago the left edge is."""

    curves: tuple[Curve, ...]
    top: str
    minutes: int
    width: int = WIDTH
    height: int = HEIGHT


def curves(
    points: Sequence[Point], names: Sequence[str], values_of: Callable[[Point], Sequence[float | None]]
) -> CurveChart:
    """A chart of points.

    Args:
        points: the oldest first.
        names: of the curves.
        values_of: a value for each curve; None where there is none.
    """
    columns = list(zip(*map(values_of, points), strict=True)) or [()] * len(names)
    most = max((value for column in columns for value in column if value is not None), default=0.0)
    top = _rounded_up(most)
    made = tuple(
        Curve(name, _lines(column, top), _text(next(reversed(column), None)), _text(_most(column)))
        for name, column in zip(names, columns, strict=True)
    )
    return CurveChart(made, _text(top), POINTS * POINT_EVERY_S // 60)


def _lines(column: Sequence[float | None], top: float) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    left = POINTS - len(column)
    for number, value in enumerate(column):
        if value is None:
            pieces.append([])
        else:
            x, y = (left + number) * WIDTH / (POINTS - 1), HEIGHT * (1 - value / top)
            pieces[-1].append(f"{x:.1f},{y:.1f}")
    return tuple(" ".join(each) for each in pieces if each)


def _most(column: Sequence[float | None]) -> float | None:
    return max((value for value in column if value is not None), default=None)


def _rounded_up(most: float) -> float:
    """The next 1, 2 or 5 times a power of ten, so that the scale stays calm."""
    step = 1.0
    while step < most:
        step *= 2.5 if str(step).startswith("2") else 2
    return step


def _text(value: float | None) -> str:
    if value is None:
        return NONE
    return grouped(round(value)) if value >= 10 else f"{value:.3g}"
