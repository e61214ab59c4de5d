"""The chart in docs/rules.md, from the purchases of the demo. `python -m tests.docs.what_if_chart` writes it."""

from datetime import date
from fractions import Fraction
from pathlib import Path

from msgspec.structs import replace

from tables.customers import Standing
from worker.demo.purchases import read_purchases
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import DAY_MS
from worker.domain.state import PastOrder
from worker.domain.values import MembershipLevel
from worker.whatif.chart import chart
from worker.whatif.comparison import Comparison
from worker.whatif.histories import History
from worker.whatif.outcome import outcome
from worker.whatif.summary import PointValue
from worker.wire.money import parse_amount

PICTURE = Path(__file__).parents[2] / "docs/figures/what-if.svg"
_TODAY = RuleBook((DEFAULT_RULES,))
_LOWER = RuleBook(
    (
        replace(
            DEFAULT_RULES,
            version="lower",
            amount_per_point=800,
            levels=(
                (15_000, MembershipLevel.SILVER),
                (60_000, MembershipLevel.GOLD),
                (200_000, MembershipLevel.PLATINUM),
            ),
            vip_spending=300_000,
        ),
    )
)


def picture() -> str:
    """The text of the SVG file."""
    compared = Comparison(_LOWER, None)
    for history in _histories().values():
        compared.count(outcome(history, _TODAY, None), outcome(history, _LOWER, None))
    return chart(compared, PointValue(Fraction("0.05"), "USD"))


def _histories() -> dict[int, History]:
    found: dict[int, History] = {}
    for purchase in read_purchases():
        at = (purchase.day - date(1970, 1, 1)).days * DAY_MS
        order = PastOrder(at, parse_amount(purchase.amount, "USD"), "USD")
        found.setdefault(purchase.customer, History(Standing())).orders[str(purchase.nth)] = order
    return found


if __name__ == "__main__":
    PICTURE.write_text(picture())
