"""The comparison as an SVG picture: figures on top, and below them how customers move between levels.

Rules:
- One file, without scripts and without anything from elsewhere. It is readable in light and in dark.
- Heights are to scale: the same number of customers has the same height on both sides. A few customers still show, as
  a line of LEAST height.
- The picture has a title and a description in words, so that a screen reader tells what it shows. Colour is never the only
  sign: levels have their names, moves have their numbers.
"""

from collections.abc import Iterator
from html import escape
from itertools import product
from typing import NamedTuple

from worker.domain.values import LEVELS, RANK, MembershipLevel
from worker.whatif.comparison import Comparison
from worker.whatif.summary import PointValue, sentences
from worker.wire.money import digits_of

LEAST = 1.5
_WIDTH, _MARGIN = 960, 40
_TILE_TOP, _TILE_HEIGHT, _TILE_GAP = 104, 96, 16
_FLOW_TOP, _FLOW_HEIGHT = 272, 300
_SLOT, _GAP = 40, 12  # the least room of a level, because its name needs two lines
_LEFT, _RIGHT, _BAR = 200, 708, 12
_LABELLED = 15  # the least height of a move that has its number written on it
_LONGEST = 70

_STYLE = """
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1b2433}
.paper{fill:#ffffff}.tile{fill:#f3f5f9}.dim{fill:#586579}
.h{font-size:24px;font-weight:650}.s{font-size:14px}.u{font-size:13px}.n{font-size:28px;font-weight:650}
.b{font-weight:650}.m{font-size:12px;font-weight:650}
.STANDARD{fill:#8793a5}.SILVER{fill:#3b93b8}.GOLD{fill:#cf9a14}.PLATINUM{fill:#6a58cf}.lower{fill:#c04a35}
.stay{opacity:.22}.move{opacity:.78}
@media (prefers-color-scheme:dark){
text{fill:#e9edf4}.paper{fill:#12161d}.tile{fill:#1d232d}.dim{fill:#a3afc0}
.STANDARD{fill:#8f9cb0}.SILVER{fill:#54b1d6}.GOLD{fill:#e3b23c}.PLATINUM{fill:#9485f0}.lower{fill:#e8735d}
.stay{opacity:.3}}
"""


_NAMED = 'role="img" aria-labelledby="what-if-title what-if-words"'


class _Tile(NamedTuple):
    what: str
    figure: str
    below: str


class _Place(NamedTuple):
    """The place of a level in its column. top, height: of its bar, in pixels."""

    top: float
    height: float


def chart(compared: Comparison, value: PointValue | None) -> str:
    """The picture of a comparison, as the text of an SVG file. value: what a point is worth, if that is to be shown."""
    left, right = (_places(compared, totals.levels) for totals in (compared.before, compared.after))
    bottom = max(place.top + max(place.height, _SLOT) for place in (*left.values(), *right.values()))
    height = round(bottom) + 64
    words = _described(compared)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" {_NAMED}>',
            '<title id="what-if-title">Customers under other rules</title>',
            f'<desc id="what-if-words">{_text(words)}</desc>',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="12"/>',
            *_heading(compared),
            *_tiles(compared, value),
            *_flows(compared, left, right),
            *_column(compared, left, then=False),
            *_column(compared, right, then=True),
            *_footer(compared, height - 28),
            "</svg>\n",
        ]
    )


def _heading(compared: Comparison) -> Iterator[str]:
    sets = ", ".join(rules.version for rules in compared.rules.sets)
    yield f'<text class="h" x="{_MARGIN}" y="54">Customers under other rules</text>'
    said = f"{compared.changed:,} of {_counted(compared.customers, 'customer')} would change · rules {sets}"
    yield f'<text class="s dim" x="{_MARGIN}" y="80">{_text(_short(said))}</text>'


def _tiles(compared: Comparison, value: PointValue | None) -> Iterator[str]:
    before, after = compared.before, compared.after
    tiles = [
        _Tile("Rise a level", f"{compared.higher:,}", f"{compared.lower:,} fall"),
        _compared("VIPs", before.vips, after.vips),
        _compared("Points", before.points, after.points),
    ]
    if value is None:
        tiles.append(_compared("Debt in points", before.debt, after.debt))
    else:
        old, new = value.of(before.points), value.of(after.points)
        below = f"today {_amount(old, value)}{_relative(old, after=new)}"
        tiles.append(_Tile(f"Points in {value.currency}", _amount(new, value), below))
    width = (_WIDTH - 2 * _MARGIN - _TILE_GAP * (len(tiles) - 1)) / len(tiles)
    for number, tile in enumerate(tiles):
        x = _MARGIN + number * (width + _TILE_GAP)
        yield f'<rect class="tile" x="{x:g}" y="{_TILE_TOP}" width="{width:g}" height="{_TILE_HEIGHT}" rx="10"/>'
        yield f'<text class="s dim" x="{x + 16:g}" y="{_TILE_TOP + 26}">{_text(tile.what)}</text>'
        yield f'<text class="n" x="{x + 16:g}" y="{_TILE_TOP + 58}">{_text(tile.figure)}</text>'
        yield f'<text class="u dim" x="{x + 16:g}" y="{_TILE_TOP + 82}">{_text(tile.below)}</text>'


def _column(compared: Comparison, places: dict[MembershipLevel, _Place], *, then: bool) -> Iterator[str]:
    """The bars of one side with their names and numbers. then: the right side, which also tells the change."""
    x, anchor, title = (_RIGHT, "start", "Then") if then else (_LEFT, "end", "Today")
    before, after = compared.before.levels, compared.after.levels
    at = x + _BAR + 12 if then else x - 12
    yield f'<text class="s dim" x="{at}" y="{_FLOW_TOP - 22}" text-anchor="{anchor}">{title}</text>'
    for level, (top, height) in places.items():
        count = after[level] if then else before[level]
        share = count / compared.customers if compared.customers else 0
        change = f" · {after[level] - before[level]:+,}" if then and before[level] != after[level] else ""
        middle = top + height / 2
        yield (
            f'<rect class="{level}" x="{x}" y="{top:.1f}" width="{_BAR}" height="{max(height, LEAST):.1f}" rx="2"/>'
        )
        yield f'<text class="s b" x="{at}" y="{middle - 3:.1f}" text-anchor="{anchor}">{level}</text>'
        yield (
            f'<text class="s dim" x="{at}" y="{middle + 14:.1f}" text-anchor="{anchor}">'
            f'{count:,} · {_text(_percent(share))}<tspan class="b">{change}</tspan></text>'
        )


def _flows(
    compared: Comparison, left: dict[MembershipLevel, _Place], right: dict[MembershipLevel, _Place]
) -> Iterator[str]:
    """The ribbons between the columns: those who stay first, so that those who move lie over them."""
    stay: list[str] = []
    move: list[str] = []
    numbers: list[str] = []
    left_at = {level: place.top for level, place in left.items()}
    right_at = {level: place.top for level, place in right.items()}
    for old, new in product(reversed(LEVELS), repeat=2):
        count = compared.moves[old, new]
        if not count:
            continue
        height = _scaled(count, compared.customers)
        start, end = left_at[old], right_at[new]
        left_at[old] += height
        right_at[new] += height
        said = f"{_counted(count, 'customer')}: {old} {'stays' if old == new else f'→ {new}'}"
        shape = _ribbon(start, end, max(height, LEAST))
        ribbon = f'<path class="{_kind(old, new)}" d="{shape}"><title>{said}</title></path>'
        (stay if old == new else move).append(ribbon)
        if old != new and height >= _LABELLED:
            x, y = (_LEFT + _BAR + _RIGHT) / 2, (start + end + height) / 2 + 4
            numbers.append(f'<text class="m" x="{x:g}" y="{y:.1f}" text-anchor="middle">{count:,}</text>')
    yield from (*stay, *move, *numbers)


def _kind(old: MembershipLevel, new: MembershipLevel) -> str:
    if old == new:
        return f"stay {old}"
    return f"move {new}" if RANK[new] > RANK[old] else "move lower"


def _ribbon(left: float, right: float, height: float) -> str:
    """A band from one column to the other, as the data of a path. left, right: its upper ends."""
    start, end = _LEFT + _BAR + 2, _RIGHT - 2
    bend = (start + end) / 2
    return (
        f"M{start} {left:.1f}C{bend:g} {left:.1f} {bend:g} {right:.1f} {end} {right:.1f}"
        f"V{right + height:.1f}C{bend:g} {right + height:.1f} {bend:g} {left + height:.1f} {start} {left + height:.1f}Z"
    )


def _footer(compared: Comparison, y: int) -> Iterator[str]:
    left_out = f" {_counted(compared.erased, 'erased customer')} left out." if compared.erased else ""
    said = f"Computed anew from all orders and returns. Levels given by hand stay.{left_out}"
    yield f'<text class="s dim" x="{_MARGIN}" y="{y}">{_text(said)}</text>'


def _places(compared: Comparison, counts: dict[MembershipLevel, int]) -> dict[MembershipLevel, _Place]:
    """Where the bars of a column stand, the highest level on top."""
    places, top = {}, float(_FLOW_TOP)
    for level in reversed(LEVELS):
        height = _scaled(counts[level], compared.customers)
        slot = max(height, _SLOT)
        places[level] = _Place(top + (slot - height) / 2, height)
        top += slot + _GAP
    return places


def _scaled(count: int, all_of_them: int) -> float:
    return count / all_of_them * _FLOW_HEIGHT if all_of_them else 0.0


def _described(compared: Comparison) -> str:
    before, after = compared.before, compared.after
    levels = ", ".join(f"{level} {before.levels[level]:,} to {after.levels[level]:,}" for level in LEVELS)
    moves = "; ".join(
        f"{compared.moves[old, new]:,} from {old} to {new}"
        for old in LEVELS
        for new in LEVELS
        if old != new and compared.moves[old, new]
    )
    return " ".join(
        [
            *sentences(compared),
            f"Customers by level, today and then: {levels}.",
            f"Moves: {moves or 'none'}.",
            f"VIPs: {before.vips:,} to {after.vips:,}.",
            f"Points: {before.points:,} to {after.points:,}. Debt: {before.debt:,} to {after.debt:,}.",
        ]
    )


def _compared(what: str, before: int, after: int) -> _Tile:
    if before == after:
        return _Tile(what, _figure(after), "as today")
    return _Tile(what, _figure(after), f"today {_figure(before)}{_relative(before, after)}")


def _relative(before: int, after: int) -> str:
    if not before:
        return ""
    return (
        f" · {(after - before) / before:+.1%}" if after < 10 * before else f" · {after / before:,.0f} times"
    )


def _figure(number: int) -> str:
    """The number; in millions or thousands of millions where it is long."""
    for size, unit in ((10**9, "bn"), (10**6, "M")):
        if number >= size:
            return f"{number / size:,.2f} {unit}"
    return f"{number:,}"


def _amount(minor: int, value: PointValue) -> str:
    whole = minor // 10 ** digits_of(value.currency)
    return value.shown(minor) if whole < 10**5 else _figure(whole)


def _percent(share: float) -> str:
    return f"{share:.1%}" if share == 0 or share >= 0.001 else "< 0.1%"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(text: str) -> str:
    """Text for XML, which cannot hold control characters at all."""
    return escape("".join(each if each.isprintable() else "·" for each in text), quote=False)
