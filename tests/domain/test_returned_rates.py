"""Returns of orders that counted by a rate: what is left is converted, so that it depends on the order alone."""

import msgspec
import pytest

from tests.domain.given import after, at, order, returned
from worker.domain.events import RewardPointsReversed, SpendingRefunded
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import net_annual, net_total, total_spending

RATES = RuleBook((msgspec.structs.replace(DEFAULT_RULES, rates={"EUR": (11, 10)}),))
DAY = at("2026-01-15")


def test_a_return_takes_back_what_was_converted_and_the_points_of_it():
    story = after(order("o1", 10_000, DAY, currency="EUR"), rules=RATES)
    refund, reversed_ = story.when(returned("b1", "o1", 5_000, DAY, "EUR"))
    assert isinstance(refund, SpendingRefunded)
    assert isinstance(reversed_, RewardPointsReversed)
    assert (refund.total_spending, refund.annual_spending, refund.currency) == (5_000, 5_000, "EUR")
    assert (reversed_.points, reversed_.total_points) == (6, 5)  # 110 dollars earned 11, 55 earn 5
    assert (net_total(story.now, "USD"), net_annual(story.now, "USD")) == (5_500, 5_500)
    assert total_spending(story.now, "USD") == 11_000


@pytest.mark.parametrize("parts", [(999,), (333, 333, 333), (1, 998)])
def test_in_whatever_parts_it_is_returned_nothing_is_left_of_it(parts):
    story = after(order("o1", 999, DAY, currency="EUR"), rules=RATES)
    for number, part in enumerate(parts):
        story.when(returned(f"b{number}", "o1", part, DAY, "EUR"))
    assert (net_total(story.now, "USD"), net_total(story.now, "EUR"), story.now.points) == (0, 0, 0)


def test_what_is_returned_of_a_converted_order_leaves_the_year_with_it():
    story = after(order("o1", 10_000, DAY, currency="EUR"), rules=RATES)
    story.when(returned("b1", "o1", 5_000, DAY, "EUR"))
    story.when(order("o2", 1_000, at("2027-01-20")))
    assert (net_annual(story.now, "USD"), net_total(story.now, "USD")) == (1_000, 6_500)
